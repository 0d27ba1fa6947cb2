// SPDX-License-Identifier: Apache-2.0
// rank_policy: grow against the reference: the grown adapter computes what the parent computes.
#include "nn/new_adapter.h"
#include "runs/warm_start.h"
#include "tests/llm/golden_llm.h"

namespace lora {
namespace {

using nlohmann::json;

constexpr double kChange = 1e-6;     // of a logit by growing, absolute
constexpr double kReference = 1e-5;  // of the logits to the reference's, relative

at::Tensor logits_of_parent(const Config& config, const Path& folder) {
  ParentVersion parent;
  parent.adapter = read_adapter(folder / "v1");
  const auto model = test::load_float(test::llm("llama/model"));
  const std::vector<NamedLayer> layers = test::layers_of(*model);
  const std::vector<NamedLayer> targets = target_layers(config.adapter, layers);
  attach_parent(config, parent, layers, targets);
  for (const NamedLayer& target : targets) {
    EXPECT_EQ(target.layer->adapters.at(0).rank(), *config.adapter.lora_rank) << target.name;
  }
  const at::NoGradGuard no_grad;
  return model->logits(test::batch_of(read_tensors(folder / "validation.safetensors"), "A_"));
}

void set_size(Config& config, const json& adapter) {
  config.adapter.lora_rank = adapter.at("r").get<std::int64_t>();
  config.adapter.lora_alpha = adapter.at("lora_alpha").get<double>();
  config.adapter.target_modules = adapter.at("target_modules").get<std::vector<std::string>>();
}

TEST(GoldenGrow, TheLogitsStay) {
  const Path folder = test::llm("warmstart");
  const TensorMap expected = read_tensors(folder / "grow.safetensors");
  const at::Tensor mask = read_tensors(folder / "validation.safetensors").at("A_attention_mask");
  Config config;
  set_size(config, test::read_json(folder / "v1" / "adapter_config.json"));
  const at::Tensor before = logits_of_parent(config, folder);
  config.increment.rank_policy = "grow";
  set_size(config, test::read_json(folder / "grown_r8" / "adapter_config.json"));
  const double alpha = *config.adapter.lora_alpha;
  // With the reference's scale, and with one that the columns of B must make up for.
  for (const double factor : {1.0, 0.5}) {
    config.adapter.lora_alpha = factor * alpha;
    const at::Tensor after = logits_of_parent(config, folder);
    EXPECT_LE(test::absolute(after, before, mask), kChange);
    const at::Tensor& wanted = expected.at("logits_grown");
    const double size = wanted.abs().max().item<double>();
    EXPECT_LE(test::absolute(after, wanted, mask) / size, kReference);
  }
}

}  // namespace
}  // namespace lora
