# SPDX-License-Identifier: Apache-2.0
# Unit tests lie beside their source (src/**/x_test.cc); golden, command-line and real-file tests
# lie in tests/. Few, large test programs: starting libtorch costs 0.4 s a process.
function(lora_test_sources out)
  set(all)
  foreach(folder ${ARGN})
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*_test.cc)
    list(APPEND all ${found})
  endforeach()
  set(${out} ${all} PARENT_SCOPE)
endfunction()

lora_test_sources(plain_tests src/base src/config src/cli src/io src/jinja src/tokenizers
  src/data src/versions)
set(torch_io_tests ${plain_tests})
list(FILTER torch_io_tests INCLUDE REGEX "src/io/((tensors|weight_source)_test\\.cc|adapters/)")
if(torch_io_tests)
  list(REMOVE_ITEM plain_tests ${torch_io_tests})
endif()
add_executable(plain_tests ${plain_tests} tests/main.cc)
target_link_libraries(plain_tests PRIVATE lora_plain GTest::gtest GTest::gmock)

lora_test_sources(torch_tests src/nn src/models src/train src/runs src/commands tests)
add_executable(torch_tests ${torch_tests} ${torch_io_tests} tests/main.cc)
# The whole of it: the table of commands names their functions weakly.
target_link_libraries(torch_tests PRIVATE -Wl,--whole-archive lora_torch -Wl,--no-whole-archive)
target_link_libraries(torch_tests PRIVATE lora_torch GTest::gtest GTest::gmock)
lora_protobuf_first(torch_tests)
if(LORA_PCH)
  target_precompile_headers(torch_tests REUSE_FROM lora_torch)
  target_compile_options(torch_tests PRIVATE -fPIC)  # as the precompiled header was made
endif()
# Ends a program in front of which it is loaded at a given call (tests/cli/kills_test.cc).
add_library(kill_at MODULE tests/kill/kill_at.cc)
target_link_libraries(kill_at PRIVATE ${CMAKE_DL_LIBS})
add_dependencies(torch_tests kill_at)
target_compile_definitions(torch_tests PRIVATE LORA_KILL_LIBRARY="$<TARGET_FILE:kill_at>")
# GCC 12 sees an overread in the concatenation of short strings where there is none.
file(GLOB cli_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cli/*_test.cc)
set_source_files_properties(${cli_tests} PROPERTIES
  COMPILE_OPTIONS $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>)
foreach(target plain_tests torch_tests)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${target} PRIVATE LORA_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    LORA_BINARY="${CMAKE_BINARY_DIR}/lora")
endforeach()
add_dependencies(torch_tests lora)  # its command-line tests start the program

# lora_add_test(name label gtest-filter program): one ctest entry for a set of GoogleTest suites.
function(lora_add_test name label program filter)
  add_test(NAME ${name} COMMAND ${program} --gtest_filter=${filter}
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 1500
    ENVIRONMENT GOMP_SPINCOUNT=1000)  # as in main.cc: two entries share the cores
endfunction()
# Suites with parameters have a prefix of their own: Families/DataTokenizer...
set(not_unit "-Golden*:Data*:Cli*:Long*:*/Golden*:*/Data*:*/Cli*")
lora_add_test(unit-plain unit plain_tests "${not_unit}")
lora_add_test(unit-torch unit torch_tests "${not_unit}")
lora_add_test(golden-plain golden plain_tests "Golden*:*/Golden*")
lora_add_test(golden-torch golden torch_tests "Golden*:*/Golden*")
# Again on a set of the same layout with other names, sharding, ranks and kinds of adapters, made in
# the build folder: all that a test takes from its own text instead of the files fails there. Without
# the long trainings, two thirds of the time: the others read the same files in the same ways.
foreach(program plain torch)
  add_test(NAME golden-exchanged-${program} COMMAND ${CMAKE_SOURCE_DIR}/tests/golden/exchange_golden.py
    ${CMAKE_BINARY_DIR}/golden-exchanged-${program} $<TARGET_FILE:${program}_tests>
    "--gtest_filter=Golden*:*/Golden*-*GoldenSdTraining.*" WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(golden-exchanged-${program} PROPERTIES LABELS golden TIMEOUT 1500
    SKIP_RETURN_CODE 77 ENVIRONMENT GOMP_SPINCOUNT=1000)
endforeach()
lora_add_test(data-plain data plain_tests "Data*:*/Data*")
lora_add_test(data-torch data torch_tests "Data*:*/Data*")
lora_add_test(cli cli torch_tests "Cli*:*/Cli*")
lora_add_test(kills long torch_tests "LongKills*")
lora_add_test(hostile-inputs long torch_tests "LongHostile*")
set_tests_properties(kills PROPERTIES TIMEOUT 7200)
add_test(NAME rules COMMAND ${CMAKE_SOURCE_DIR}/tests/rules/check_tree ${CMAKE_SOURCE_DIR})
add_test(NAME rules-themselves COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/rules/check_tree_test.py)
set_tests_properties(rules rules-themselves PROPERTIES LABELS unit)

# Measurements that are no tests: ninja -C build/release bench_tokenizers
add_executable(bench_tokenizers EXCLUDE_FROM_ALL bench/tokenizers.cc)
target_link_libraries(bench_tokenizers PRIVATE lora_plain)
