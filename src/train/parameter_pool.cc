// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "io/aten.h"
#include "train/optimizers.h"

namespace lora {
namespace {

constexpr std::int64_t kAlign = 16;         // floats in a cache line
constexpr std::int64_t kNormBlock = 32768;  // elements summed in one go

std::int64_t aligned(std::int64_t size) { return (size + kAlign - 1) / kAlign * kAlign; }

void check(const std::vector<Parameter>& parameters) {
  if (parameters.empty()) {
    fail("adapter: nothing to train (found 0 trainable tensors); check target_modules");
  }
  std::set<std::string> names;
  for (const Parameter& parameter : parameters) {
    if (!names.insert(parameter.name).second) {
      fail("adapter: tensor '", parameter.name, "' appears twice");
    }
    if (parameter.value.scalar_type() != at::kFloat) {
      fail("adapter: tensor '", parameter.name, "' is not float32; master weights must be");
    }
  }
}

double sum_of_squares(const float* data, std::int64_t size) {
  double lanes[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int lane = 0; lane < 8; ++lane) {
      const double value = data[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (; i < size; ++i) lanes[0] += static_cast<double>(data[i]) * data[i];
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void apply_loraplus(std::vector<Parameter>& parameters, double ratio) {
  for (Parameter& parameter : parameters) {
    const bool is_b = parameter.name.find("lora_B") != std::string::npos ||
                      parameter.name.find("lora_up") != std::string::npos ||
                      parameter.name.find("lora.up") != std::string::npos;
    if (is_b || parameter.value.dim() == 1) parameter.lr_multiplier *= ratio;
  }
}

ParameterPool::ParameterPool(std::vector<Parameter> parameters)
    : parameters_(std::move(parameters)) {
  check(parameters_);
  std::stable_sort(parameters_.begin(), parameters_.end(),
                   [](const Parameter& a, const Parameter& b) {
                     return std::pair(a.lr_multiplier, a.weight_decay) <
                            std::pair(b.lr_multiplier, b.weight_decay);
                   });
  std::int64_t size = 0;
  for (const Parameter& parameter : parameters_) {
    offsets_.push_back(size);
    const bool joins = !ranges_.empty() &&
                       ranges_.back().lr_multiplier == parameter.lr_multiplier &&
                       ranges_.back().weight_decay == parameter.weight_decay;
    if (!joins) ranges_.push_back({size, size, parameter.lr_multiplier, parameter.weight_decay});
    size += aligned(parameter.value.numel());
    ranges_.back().end = size;
    trainable_ += parameter.value.numel();
  }
  const at::NoGradGuard no_grad;
  values_ = at::zeros({size}, parameters_.front().value.options().requires_grad(false));
  gradients_ = at::zeros_like(values_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& value = parameters_[i].value;
    at::Tensor place = view(values_, i);
    place.copy_(value);
    value.set_data(place);
    value.set_requires_grad(true);
    value.mutable_grad() = view(gradients_, i);
  }
}

at::Tensor ParameterPool::view(const at::Tensor& flat, std::size_t index) const {
  const at::Tensor& value = parameters_[index].value;
  return flat.narrow(0, offsets_[index], value.numel()).view(value.sizes());
}

void ParameterPool::zero_gradients() {
  gradients_.zero_();
  // Something may have replaced a gradient (set_to_none); then autograd would fill another tensor.
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].value.mutable_grad();
    if (!grad.defined() || !grad.is_alias_of(gradients_)) grad = view(gradients_, i);
  }
}

void ParameterPool::scale_gradients(const at::Tensor& factor) { gradients_.mul_(factor); }
void ParameterPool::scale_gradients(double factor) { gradients_.mul_(factor); }

at::Tensor ParameterPool::gradient_norm() const {
  if (!gradients_.is_cpu()) return gradients_.to(at::kDouble).norm();
  const std::int64_t size = gradients_.numel();
  const std::int64_t blocks = (size + kNormBlock - 1) / kNormBlock;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
  const float* data = gradients_.data_ptr<float>();
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      sums[static_cast<std::size_t>(b)] =
          sum_of_squares(data + b * kNormBlock, std::min(kNormBlock, size - b * kNormBlock));
    }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return at::scalar_tensor(std::sqrt(total), at::kDouble);
}

void ParameterPool::mark_written() {
  values_.unsafeGetTensorImpl()->bump_version();
  for (Parameter& parameter : parameters_) parameter.value.unsafeGetTensorImpl()->bump_version();
}

TensorMap ParameterPool::snapshot() const {
  TensorMap tensors;
  for (const Parameter& parameter : parameters_) {
    tensors[parameter.name] = parameter.value.detach().to(at::kCPU, at::kFloat, false, true);
  }
  return tensors;
}

void ParameterPool::restore(const TensorMap& tensors, const std::string& where) {
  const at::NoGradGuard no_grad;
  for (Parameter& parameter : parameters_) {
    const auto found = tensors.find(parameter.name);
    if (found == tensors.end() || found->second.sizes() != parameter.value.sizes()) {
      fail(where, ": tensor '", parameter.name,
           "' is missing or has another shape; the checkpoint belongs to another configuration");
    }
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    view(values_, i).copy_(tensors.at(parameters_[i].name));
  }
  mark_written();
}

}  // namespace lora
