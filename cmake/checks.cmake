# SPDX-License-Identifier: Apache-2.0
# Warnings, sanitizers, linker and compiler cache, attached to every target through lora_checks.
add_library(lora_checks INTERFACE)
target_compile_options(lora_checks INTERFACE -Wall -Wextra -Wpedantic -Werror
  -Wno-missing-field-initializers)  # designated initialisers leave the rest at its default
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these in libstdc++ and libtorch headers after inlining.
  target_compile_options(lora_checks INTERFACE -Wno-maybe-uninitialized -Wno-restrict
    -Wno-array-bounds -Wno-stringop-overflow -Wno-dangling-pointer)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15)
  target_compile_options(lora_checks INTERFACE -include ${CMAKE_SOURCE_DIR}/cmake/clang14.h)
endif()
if(LORA_ASSERTIONS)
  target_compile_options(lora_checks INTERFACE -UNDEBUG)
endif()
if(LORA_SANITIZE)
  # null and vptr double the time to compile; a null pointer stops the program anyway.
  target_compile_options(lora_checks INTERFACE -fsanitize=address,undefined
    -fno-sanitize=null,vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(lora_checks INTERFACE -fsanitize=address,undefined)
endif()

if(LORA_FUZZ)
  target_compile_options(lora_checks INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(lora_checks INTERFACE -fpch-preprocess)
  else()
    target_compile_options(lora_checks INTERFACE -Xclang -fno-pch-timestamp)
  endif()
endif()
find_program(MOLD mold)
find_program(LLD ld.lld)
if(MOLD)
  target_link_options(lora_checks INTERFACE -fuse-ld=mold)
elseif(LLD)
  target_link_options(lora_checks INTERFACE -fuse-ld=lld)
endif()
