# The tests of workers/sql, audit and query. Include it behind enable_testing(), in every preset.
set(tests ${CMAKE_CURRENT_LIST_DIR})

if(HR_TESTS)
  if(NOT TARGET PkgConfig::CRITERION)
    pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
  endif()
  add_subdirectory(${tests}/integration/sql)
endif()

# Not a test: run it by hand, see its head.
add_executable(bench_projection ${tests}/bench/bench_projection.c)
target_link_libraries(bench_projection PRIVATE audit_core)
