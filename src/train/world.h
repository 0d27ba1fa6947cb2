// SPDX-License-Identifier: Apache-2.0
// The processes that train together. In this version a group of one, for which there is nothing to
// do: the trainer calls these where several would have to meet, in an order that depends neither on
// the data nor on which layers ran. Every process of a group makes every call.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>

namespace lora {

class World {
 public:
  std::int64_t rank() const { return 0; }
  std::int64_t size() const { return 1; }
  // Versions, logs, samples and checkpoints are written by one process alone.
  bool writes() const { return rank() == 0; }

  // Replaces tensors (of one shape in all processes) and numbers by their sums over the processes.
  // One meeting, however many there are.
  void sum(std::initializer_list<at::Tensor>, std::initializer_list<double*>) const {}
  // True everywhere where it is true in one process.
  bool any(bool here) const { return here; }
  // Replaces a tensor by that of rank 0.
  void broadcast(const at::Tensor&) const {}
  // Returns when every process has come this far, however long one of them has to write or draw.
  void barrier() const {}
};

}  // namespace lora
