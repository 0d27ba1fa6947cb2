// SPDX-License-Identifier: Apache-2.0
#include "train/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <fmt/format.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <thread>

#include "base/error.h"

namespace lora {
namespace {

int set_threads(int wanted) {
  const int threads = wanted > 0 ? wanted : available_cores();
  omp_set_num_threads(threads);
  at::set_num_threads(threads);
  return threads;
}

// libtorch's own question before it lets cuDNN compute in bfloat16: compute capability 8 or more.
// It is part of the interface that every build has, so that this needs no header of CUDA.
bool multiplies_bf16(at::Device device) {
  return device.is_cuda() && at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();
}

}  // namespace

std::string Machine::text() const {
  return fmt::format("{}, {} threads; {}", device.str(), threads, precision.why);
}

Machine choose_machine(const MachineConfig& config) {
  Machine machine;
  machine.threads = set_threads(static_cast<int>(config.threads));
  machine.device = choose_device(config.device);
  machine.precision = choose_precision(config.mixed_precision, machine.device, cpu_features(),
                                       multiplies_bf16(machine.device));
  return machine;
}

at::Device choose_device(std::string_view wanted) {
  if (wanted == "cpu") return at::Device(at::kCPU);
  if (wanted != "auto" && wanted != "cuda") {
    fail_usage("device: '", wanted, "' is unknown (expected auto, cpu or cuda)");
  }
  if (at::hasCUDA()) return at::Device(at::kCUDA, 0);
  if (wanted == "auto") return at::Device(at::kCPU);
  fail_usage(
      "device: cuda is not available (this build of libtorch or this machine has no usable GPU); "
      "use device: cpu, or the cuda preset of the build");
}

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace lora
