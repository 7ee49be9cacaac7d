# The tests of workers/sql, audit and query. Needs enable_testing() and HR_TESTS.
if(NOT TARGET PkgConfig::CRITERION)
  pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
endif()

foreach(name column cursor)
  add_executable(test_${name} ${CMAKE_CURRENT_LIST_DIR}/unit/test_${name}.c)
  target_link_libraries(test_${name} PRIVATE query_core PkgConfig::CRITERION)
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES
    FAIL_REGULAR_EXPRESSION "(Address|Leak|Thread)Sanitizer|runtime error:")
endforeach()

add_subdirectory(${CMAKE_CURRENT_LIST_DIR}/integration/sql)

# Not a test: run it by hand, see its head.
add_executable(bench_projection ${CMAKE_CURRENT_LIST_DIR}/bench/bench_projection.c)
target_link_libraries(bench_projection PRIVATE audit_core)
