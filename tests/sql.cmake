# The tests of workers/sql, audit and query. Include it behind enable_testing(), in every preset.
set(tests ${CMAKE_CURRENT_LIST_DIR})

if(HR_TESTS)
  if(NOT TARGET PkgConfig::CRITERION)
    pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
  endif()
  foreach(name column cursor)
    add_executable(test_${name} ${tests}/unit/test_${name}.c)
    target_link_libraries(test_${name} PRIVATE query_core PkgConfig::CRITERION)
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES
      FAIL_REGULAR_EXPRESSION "(Address|Leak|Thread)Sanitizer|runtime error:")
  endforeach()
  add_subdirectory(${tests}/integration/sql)
endif()

if(HR_FUZZ)
  add_executable(fuzz_cursor ${tests}/fuzz/fuzz_cursor.c)
  target_link_libraries(fuzz_cursor PRIVATE query_core)
  target_link_options(fuzz_cursor PRIVATE -fsanitize=fuzzer)
endif()

# Not a test: run it by hand, see its head.
add_executable(bench_projection ${tests}/bench/bench_projection.c)
target_link_libraries(bench_projection PRIVATE audit_core)
