# SPDX-License-Identifier: Apache-2.0
# The harnesses in tests/fuzz (libFuzzer), each with the seeds of its name, and the readers that
# they call: none needs libtorch. `ctest --preset fuzz` runs each for LORA_FUZZ_SECONDS.
set_target_properties(lora_light lora_plain PROPERTIES EXCLUDE_FROM_ALL ON)
lora_sources(fuzzed_sources base config jinja tokenizers)
add_library(lora_fuzzed STATIC ${fuzzed_sources}
  src/io/adapters/cloneofsimo.cc src/io/adapters/dialects.cc src/io/adapters/kohya_names.cc
  src/io/adapters/peft_config.cc src/io/csv.cc src/io/metrics_file.cc src/io/safetensors.cc
  src/data/caption_rules.cc src/data/caption_table.cc src/data/captions.cc src/data/data_stats.cc
  src/data/embedded_caption.cc src/data/messages.cc src/data/program_text.cc
  src/data/text_dataset.cc src/data/text_files.cc src/data/text_folder.cc src/data/text_formats.cc
  src/io/adapters/module_names.cc src/io/compressed.cc src/versions/version.cc)
target_include_directories(lora_fuzzed PUBLIC src ${CMAKE_SOURCE_DIR})
set_source_files_properties(src/jinja/budget.cc PROPERTIES COMPILE_DEFINITIONS
  FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)  # lower limits
target_link_libraries(lora_fuzzed PUBLIC lora_checks deps_light deps_plain)
file(GLOB harnesses CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.cc)
foreach(source ${harnesses})
  get_filename_component(name ${source} NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" parser ${name})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE lora_fuzzed)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_test(NAME fuzz-${parser} COMMAND ${CMAKE_SOURCE_DIR}/tests/fuzz/run $<TARGET_FILE:${name}>
    ${CMAKE_SOURCE_DIR}/tests/fuzz/seeds/${parser} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  set_tests_properties(fuzz-${parser} PROPERTIES LABELS long TIMEOUT 1500)
endforeach()
