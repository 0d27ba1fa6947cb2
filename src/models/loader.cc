// SPDX-License-Identifier: Apache-2.0
#include "models/loader.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 22;  // numbers drawn once

// `shape` filled from the block again and again, from a place that depends on the name.
at::Tensor tiled(const at::Tensor& block, at::IntArrayRef shape, std::int64_t offset) {
  at::Tensor filled = at::empty(shape, block.options());
  at::Tensor flat = filled.view({-1});
  for (std::int64_t at = 0; at < flat.size(0);) {
    const std::int64_t from = (at + offset) % kBlock;
    const std::int64_t size = std::min(kBlock - from, flat.size(0) - at);
    flat.narrow(0, at, size).copy_(block.narrow(0, from, size));
    at += size;
  }
  return filled;
}

}  // namespace

TensorSource source_of(Weights& weights) {
  // Writers note tensors that share storage in the metadata: {"absent name": "stored name"}.
  const auto stored = [&weights](const std::string& name) {
    const auto alias = weights.metadata().find(name);
    const bool use = !weights.has(name) && alias != weights.metadata().end();
    return use && weights.has(alias->second) ? alias->second : name;
  };
  return {
      .has = [=, &weights](const std::string& name) { return weights.has(stored(name)); },
      .take = [=, &weights](const std::string& name,
                            at::IntArrayRef shape) { return weights.take(stored(name), shape); }};
}

TensorSource random_source(at::ScalarType dtype, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const at::Tensor block =
      at::normal(0, 0.02, {kBlock}, generator, at::TensorOptions(at::kFloat)).to(dtype);
  const auto take = [block](const std::string& name, at::IntArrayRef shape) {
    if (name.ends_with("bias")) return at::zeros(shape, block.options());
    if (shape.size() == 1) return at::ones(shape, block.options());
    // FNV-1a: the same name gives the same numbers on every machine.
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char letter : name)
      hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
    return tiled(block, shape,
                 static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(kBlock)));
  };
  return {.has = [](const std::string&) { return true; }, .take = take};
}

at::Tensor Loader::tensor(const std::string& name, at::IntArrayRef shape) {
  const at::Tensor stored = source_.take(name, shape);
  if (!at::isFloatingType(stored.scalar_type())) {
    fail(config_.where, ": tensor '", name, "': dtype ", dtype_name(dtype_of(stored)),
         ", expected F32, BF16 or F16; quantised weights are not supported");
  }
  parameters_ += stored.numel();
  return stored.to(at::TensorOptions(options_.device).dtype(options_.dtype));
}

Layer Loader::linear(const std::string& path, std::int64_t in, std::int64_t out, bool bias) {
  Layer layer{.weight = tensor(path + ".weight", {out, in})};
  if (bias) layer.bias = tensor(path + ".bias", {out});
  return layer;
}

Layer Loader::conv1d(const std::string& path, std::int64_t in, std::int64_t out) {
  return {.weight = tensor(path + ".weight", {in, out}).t().contiguous(),
          .bias = tensor(path + ".bias", {out}),
          .fan_in_fan_out = true};
}

Loader::Ends Loader::ends(const std::string& embedding, const std::string& head) {
  const std::vector<std::int64_t> shape = {config_.vocabulary, config_.hidden};
  if (!config_.tied) return {tensor(embedding, shape), tensor(head, shape)};
  const at::Tensor shared = tensor(has(embedding) || !has(head) ? embedding : head, shape);
  return {shared, shared};
}

}  // namespace lora
