// SPDX-License-Identifier: Apache-2.0
#include "train/threads.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <thread>

namespace lora {

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int set_threads(int wanted) {
  const int threads = wanted > 0 ? wanted : available_cores();
  omp_set_num_threads(threads);
  at::set_num_threads(threads);
  return threads;
}

}  // namespace lora
