// SPDX-License-Identifier: Apache-2.0
// How many threads compute.
#pragma once

namespace lora {

// Cores this process may run on (CPU affinity mask), at least 1.
int available_cores();

// Sets libtorch's and OpenMP's threads: `wanted`, or every available core where it is 0. libtorch
// itself counts physical cores and may leave half of a virtual machine idle. Returns the number.
int set_threads(int wanted);

}  // namespace lora
