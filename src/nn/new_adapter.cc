// SPDX-License-Identifier: Apache-2.0
#include "nn/new_adapter.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/reading.h"
#include "base/regex.h"
#include "base/text.h"
#include "config/config.h"
#include "io/adapters/peft_config.h"
#include "io/aten.h"

namespace lora {
namespace {

// Blocks by the names that the model families give them.
constexpr std::string_view kAttention[] = {"self_attn", "attn", "attn1", "attn2", "attention"};
constexpr std::string_view kMlp[] = {"mlp", "ff", "feed_forward"};

bool inside(std::string_view path, std::span<const std::string_view> blocks) {
  const std::vector<std::string> parts = split(path, '.');
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return std::find(blocks.begin(), blocks.end(), part) != blocks.end();
  });
}

bool matches_regex(std::string_view target, std::string_view layer) {
  return reading([&] {
    return Regex(target, "target_modules", "mend it, or give module names such as q_proj")
        .matches(layer);
  });
}

template <typename Value>
PeftPattern as_pattern(const std::map<std::string, Value>& values) {
  PeftPattern pattern;
  for (const auto& [key, value] : values) pattern.emplace_back(key, static_cast<double>(value));
  return pattern;
}

// Last parts of the layers' names: what target_modules may hold.
std::string module_names(const std::vector<NamedLayer>& layers) {
  std::set<std::string> names;
  for (const NamedLayer& layer : layers) {
    const std::vector<std::string> parts = split(layer.name, '.');
    const bool numbered = std::isdigit(static_cast<unsigned char>(parts.back()[0])) != 0;
    names.insert(numbered && parts.size() > 1 ? parts[parts.size() - 2] + "." + parts.back()
                                              : parts.back());
  }
  return join_words({names.begin(), names.end()});
}

void check_keys(const char* setting, const PeftPattern& pattern,
                const std::vector<NamedLayer>& targets) {
  for (const auto& [key, value] : pattern) {
    const PeftPattern one = {{key, value}};
    const bool meant = std::ranges::any_of(targets, [&](const NamedLayer& target) {
      return match_pattern(one, target.name, setting).has_value();
    });
    if (!meant) {
      fail_usage(setting, ": '", key, "' means no module that is trained (these are ",
                 module_names(targets), "); use these names, or remove it");
    }
  }
}

at::Tensor uniform(at::IntArrayRef shape, double bound, at::Generator& random) {
  return at::empty(shape, at::kFloat).uniform_(-bound, bound, random);
}

Adapter fresh(const AdapterConfig& config, const NamedLayer& named, at::Generator& random) {
  const Layer& layer = *named.layer;
  const AdapterSize size = adapter_size(config, named.name);
  std::vector<std::int64_t> a_shape = layer.weight.sizes().vec();
  a_shape[0] = size.rank;
  std::vector<std::int64_t> b_shape = {layer.out_features(), size.rank};
  if (layer.is_conv) b_shape.insert(b_shape.end(), {1, 1});
  at::Tensor a, b = at::zeros(b_shape, at::kFloat);
  if (config.init_lora_weights == "gaussian") {
    a = at::empty(a_shape, at::kFloat).normal_(0, 1 / static_cast<double>(size.rank), random);
  } else {
    a = uniform(a_shape, 1 / std::sqrt(static_cast<double>(layer.weight.fan_in())), random);
  }
  if (config.init_lora_weights == "false") {
    b = uniform(b_shape, 1 / std::sqrt(static_cast<double>(size.rank)), random);
  }
  const at::Device device = layer.weight.device();
  return {.a = a.to(device),
          .b = b.to(device),
          .alpha = size.alpha,
          .scale = size.scale,
          .dropout = config.lora_dropout.value_or(0)};
}

// Row norms of the effective weight, so that DoRA starts as the plain adapter.
at::Tensor row_norms(const FrozenWeight& weight, const Adapter& adapter) {
  const at::Tensor delta =
      at::matmul(adapter.b.flatten(1), adapter.a.flatten(1)) * (adapter.scale * adapter.weight);
  return (weight.dense().to(at::kFloat) + delta.view(weight.sizes())).flatten(1).norm(2, {1});
}

}  // namespace

bool is_target(std::string_view target, std::string_view layer, bool is_conv) {
  if (target == "all-linear") return !is_conv;
  if (target == "attention") return !is_conv && inside(layer, kAttention);
  if (target == "mlp") return !is_conv && inside(layer, kMlp);
  if (is_regex(target)) return matches_regex(target, layer);
  return layer == target || layer.ends_with("." + std::string(target));
}

std::vector<NamedLayer> named_layers(const std::vector<std::string>& targets,
                                     const std::vector<NamedLayer>& layers) {
  std::vector<NamedLayer> chosen;
  for (const NamedLayer& layer : layers) {
    const bool wanted = std::ranges::any_of(targets, [&](const std::string& target) {
      return is_target(target, layer.name, layer.layer->is_conv);
    });
    if (wanted) chosen.push_back(layer);
  }
  return chosen;
}

std::vector<NamedLayer> target_layers(const AdapterConfig& config,
                                      const std::vector<NamedLayer>& layers) {
  for (const std::string& target : config.target_modules) {
    const bool found = std::any_of(layers.begin(), layers.end(), [&](const NamedLayer& layer) {
      return is_target(target, layer.name, layer.layer->is_conv);
    });
    if (!found) {
      fail_usage("target_modules: '", target, "' names no module of this model (it has ",
                 module_names(layers), "); use these names, or attention, mlp, all-linear");
    }
  }
  return named_layers(config.target_modules, layers);
}

void check_patterns(const AdapterConfig& config, const std::vector<NamedLayer>& targets) {
  check_keys("rank_pattern", as_pattern(config.rank_pattern), targets);
  check_keys("alpha_pattern", as_pattern(config.alpha_pattern), targets);
}

AdapterSize adapter_size(const AdapterConfig& config, const std::string& layer) {
  const double rank = match_pattern(as_pattern(config.rank_pattern), layer, "rank_pattern")
                          .value_or(static_cast<double>(config.lora_rank.value()));
  const double alpha = match_pattern(as_pattern(config.alpha_pattern), layer, "alpha_pattern")
                           .value_or(config.lora_alpha.value());
  const auto whole = static_cast<std::int64_t>(rank);
  return {whole, alpha, lora_scale(alpha, whole, config.use_rslora.value_or(false))};
}

void create_adapters(const AdapterConfig& config, std::int64_t seed,
                     const std::vector<NamedLayer>& targets) {
  const at::NoGradGuard no_grad;
  at::Generator random = at::detail::createCPUGenerator(static_cast<std::uint64_t>(seed));
  for (const NamedLayer& named : targets) {
    Adapter adapter = fresh(config, named, random);
    if (config.use_dora.value_or(false)) {
      adapter.magnitude = row_norms(named.layer->weight, adapter);
    }
    add_adapter(named.layer->adapters, std::move(adapter), named.name);
  }
}

}  // namespace lora
