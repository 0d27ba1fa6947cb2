// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace lora {

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& work,
                  std::size_t threads) {
  constexpr std::size_t kMost = 8;  // a decoded photo takes up to 0.5 GB
  if (threads == 0)
    threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMost);
  std::atomic<std::size_t> next{0};
  std::exception_ptr first;
  std::mutex mutex;
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(run);
  run();
  others.clear();  // joins
  if (first) std::rethrow_exception(first);
}

}  // namespace lora
