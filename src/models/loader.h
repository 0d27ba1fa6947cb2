// SPDX-License-Identifier: Apache-2.0
// Where a language model gets its tensors from, and in which form.
#pragma once

#include <functional>
#include <string>

#include "io/tensors.h"
#include "models/hf_config.h"
#include "models/model.h"
#include "nn/layer.h"

namespace lora {

// Files of a folder, or random numbers (bench, tests).
struct TensorSource {
  std::function<bool(const std::string& name)> has;
  std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)> take;
};

// `weights` must outlive the source.
TensorSource source_of(Weights& weights);
// Deterministic values of standard deviation 0.02 (norms: 1, biases: 0), made in `dtype`; has
// every name. Large tensors repeat one block of numbers, which makes billions of them cheap.
TensorSource random_source(at::ScalarType dtype, std::uint64_t seed);

class Loader {
 public:
  Loader(const HfConfig& config, TensorSource source, LoadOptions options)
      : config_(config), source_(std::move(source)), options_(options) {}

  const HfConfig& config() const { return config_; }
  const LoadOptions& options() const { return options_; }
  bool has(const std::string& name) const { return source_.has(name); }
  std::int64_t parameters() const { return parameters_; }  // numbers handed out so far

  // In the compute dtype and on the device: without a copy where the stored dtype equals it.
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape);

  // `path`.weight [out, in] and, with `bias`, `path`.bias [out].
  Layer linear(const std::string& path, std::int64_t in, std::int64_t out, bool bias = false);
  // GPT-2's Conv1D: stored [in, out]; transposed here.
  Layer conv1d(const std::string& path, std::int64_t in, std::int64_t out);

  // Embedding [V, D] and head [V, D]: one tensor where the model is tied, whatever name it has.
  struct Ends {
    at::Tensor embedding, head;
  };
  Ends ends(const std::string& embedding, const std::string& head);

 private:
  const HfConfig& config_;
  TensorSource source_;
  LoadOptions options_;
  std::int64_t parameters_ = 0;
};

}  // namespace lora
