// SPDX-License-Identifier: Apache-2.0
// What computes: device, number format, threads. Chosen once for a run or a session, and passed.
#pragma once

#include <c10/core/Device.h>

#include <string>
#include <string_view>

#include "config/groups.h"
#include "train/precision.h"

namespace lora {

struct Machine {
  at::Device device = at::Device(at::kCPU);
  Precision precision;
  int threads = 1;

  std::string text() const;  // "cpu, 8 threads; bf16: this processor multiplies it in hardware ..."
};

// Sets libtorch's and OpenMP's threads (machine.threads, or every available core where it is 0:
// libtorch itself counts physical cores and may leave half of a virtual machine idle) and asks
// processor and device what they can do. Throws Error (usage) as choose_device and
// choose_precision do.
Machine choose_machine(const MachineConfig& config);

// "auto", "cpu" or "cuda". Throws Error (usage) for cuda where there is none.
at::Device choose_device(std::string_view wanted);

// Cores this process may run on (CPU affinity mask), at least 1.
int available_cores();

}  // namespace lora
