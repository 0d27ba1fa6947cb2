// SPDX-License-Identifier: Apache-2.0
// Resumable state of a run, in `folder`/step-000200/:
//   adapter.safetensors    trainable tensors (float32), by their names in adapter files
//   optimizer.safetensors  optimizer state, and the random generators ("random.cpu", uint8)
//   best.safetensors       the best adapter so far, where one is kept
//   state.json             step, source position, scaler, meters, best; written last
// A folder appears under its final name only when it is complete and synced.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/files.h"
#include "io/tensors.h"

namespace lora {

struct Checkpoint {
  std::int64_t step = 0;
  TensorMap weights, optimizer, best;
  std::string state;  // JSON text
};

constexpr std::int64_t kAllCheckpoints = 0;
// Writes it and removes all but the newest `keep`. Throws Error.
Path save_checkpoint(const Path& folder, const Checkpoint& checkpoint, std::int64_t keep);

// Removes one, and the folder of all where it was the last.
void remove_checkpoint(const Path& path);

// Folder of the newest complete checkpoint, nothing where there is none.
std::optional<Path> newest_checkpoint(const Path& folder);

// Throws Error naming the file that is missing or broken.
Checkpoint load_checkpoint(const Path& path);

// States of the default random generators of the CPU and of `device`.
void save_random_state(TensorMap& tensors, at::Device device);
void restore_random_state(const TensorMap& tensors, at::Device device, const std::string& where);

// Keeps validation and sampling from moving the random numbers of training.
class RandomScope {
 public:
  explicit RandomScope(at::Device device) : device_(device) { save_random_state(before_, device); }
  ~RandomScope() { restore_random_state(before_, device_, "random state"); }
  RandomScope(const RandomScope&) = delete;
  RandomScope& operator=(const RandomScope&) = delete;

 private:
  at::Device device_;
  TensorMap before_;
};

}  // namespace lora
