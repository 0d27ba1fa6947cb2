# SPDX-License-Identifier: Apache-2.0
# Every library the project uses; scripts/setup installs the Debian packages. Reasons: DESIGN.md.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(VIPS REQUIRED IMPORTED_TARGET vips-cpp)
find_library(CSV csv REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(EXIV2 REQUIRED IMPORTED_TARGET exiv2)

add_library(deps_light INTERFACE)
target_link_libraries(deps_light INTERFACE yaml-cpp nlohmann_json::nlohmann_json
  fmt::fmt OpenSSL::Crypto PkgConfig::PCRE2 Threads::Threads)

add_library(deps_plain INTERFACE)
target_link_libraries(deps_plain INTERFACE PkgConfig::UTF8PROC PkgConfig::SENTENCEPIECE
  PkgConfig::VIPS PkgConfig::EXIV2 ${CSV} ZLIB::ZLIB PkgConfig::ZSTD)

# libtorch is a system header for us: its warnings are not ours to mend.
add_library(deps_torch INTERFACE)
if(LORA_TORCH STREQUAL "pip")
  # CMAKE_PREFIX_PATH, or the PyTorch that python3 imports; never Debian's libtorch.
  execute_process(COMMAND python3 -c "import torch; print(torch.utils.cmake_prefix_path)"
    OUTPUT_VARIABLE TORCH_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  find_package(Torch QUIET PATHS ${TORCH_PREFIX} NO_CMAKE_SYSTEM_PATH NO_SYSTEM_ENVIRONMENT_PATH)
  if(NOT Torch_FOUND)
    message(FATAL_ERROR " PyTorch: not found (python3 has no module torch, and no TorchConfig.cmake "
      "in CMAKE_PREFIX_PATH='${CMAKE_PREFIX_PATH}'); install PyTorch, or use --preset release")
  elseif(TORCH_CXX_FLAGS MATCHES "CXX11_ABI=0")
    message(FATAL_ERROR " PyTorch: ${TORCH_INSTALL_PREFIX} has the C++ ABI of before GCC 5, which "
      "no Debian library has; install a PyTorch of 2.7 or later")
  endif()
  target_include_directories(deps_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(deps_torch INTERFACE ${TORCH_LIBRARIES})
  target_compile_options(deps_torch INTERFACE ${TORCH_CXX_FLAGS})
else()
  find_library(TORCH_CPU torch_cpu REQUIRED)
  find_library(TORCH torch REQUIRED)
  find_library(C10 c10 REQUIRED)
  find_path(TORCH_API torch/torch.h PATH_SUFFIXES torch/csrc/api/include REQUIRED)
  target_include_directories(deps_torch SYSTEM INTERFACE ${TORCH_API})
  target_link_libraries(deps_torch INTERFACE ${TORCH} ${TORCH_CPU} ${C10})
endif()
# libtorch's own headers then include the operators that they need instead of all (io/aten.h).
target_compile_definitions(deps_torch INTERFACE AT_PER_OPERATOR_HEADERS)
find_package(OpenMP REQUIRED)
find_library(DNNL dnnl REQUIRED)
find_library(HWY hwy REQUIRED)
target_link_libraries(deps_torch INTERFACE ${DNNL} ${HWY} OpenMP::OpenMP_CXX)
