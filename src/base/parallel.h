// SPDX-License-Identifier: Apache-2.0
// Independent pieces of work on all cores this process may use.
#pragma once

#include <cstddef>
#include <functional>

namespace lora {

// Calls work(0) ... work(count - 1), each once, on up to `threads` threads (0: as many as there are
// cores, at most 8). Returns when all are done. Where calls throw, no further ones begin and the
// first exception is thrown again.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& work,
                  std::size_t threads = 0);

}  // namespace lora
