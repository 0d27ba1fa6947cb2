// SPDX-License-Identifier: Apache-2.0
#include "tests/sd/sd_support.h"

namespace lora {
namespace {

using test::expect_golden;
using test::load_golden;
using test::sd_golden;

TEST(GoldenSdText, outputs_of_all_layers) {
  const std::string file = "forward/text_encoder.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const auto model = load_golden("tiny-sd15");
  const at::Tensor ids = expected.at("input_ids");
  const ClipOutput output = model->text()->forward(ids);
  expect_golden(file, "last_hidden_state", "last_hidden_state", output.last, expected);
  expect_golden(file, "pooler_output", "pooler_output", output.pooled, expected);
  for (std::size_t i = 1; i < output.hidden.size(); ++i) {
    const std::string name = join("hidden_states.", i);
    const at::Tensor& state = expected.at(name);
    expect_golden(file, name, name, output.hidden[i].slice(0, 0, state.size(0)), expected);
  }
  const at::Tensor& embeddings = expected.at("hidden_states.0");
  EXPECT_TRUE(output.hidden[0].slice(0, 0, embeddings.size(0)).equal(embeddings));
  for (const int skip : {2, 3}) {
    const std::string name = join("clip_skip_", skip);
    expect_golden(file, name, name, model->encode_prompt(ids, {}, skip).hidden, expected);
  }
  for (const int skip : {0, 1}) {
    EXPECT_TRUE(model->encode_prompt(ids, {}, skip).hidden.equal(output.last));
  }
}

TEST(GoldenSdText, long_prompts_in_chunks) {
  const std::string file = "forward/text_encoder_long.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const auto model = load_golden("tiny-sd15");
  const auto rows = test::golden_json("forward/forward.json")["long_states_of_prompts"];
  const at::Tensor pick = at::tensor(rows.get<std::vector<std::int64_t>>());
  for (const char* length : {"150", "225"}) {
    const std::string states = join("states_", length);
    const at::Tensor ids = expected.at(join("ids_full_", length)).index({pick});
    expect_golden(file, states, states, model->encode_prompt(ids).hidden, expected);
    const at::Tensor second = ids.slice(0, 1, 2);
    expect_golden(file, states + "_clip_skip_2", states + "_clip_skip_2",
                  model->encode_prompt(second, {}, 2).hidden, expected);
  }
}

TEST(GoldenSdText, files_without_the_wrapper_prefix) {
  TensorMap bare_names;
  for (const auto& [name, tensor] : test::read_weights(sd_golden("tiny-sd15/text_encoder"))) {
    bare_names[name.substr(std::string_view("text_model.").size())] = tensor;
  }
  const auto model = load_golden("tiny-sd15");
  test::MemoryWeights weights(bare_names);
  Modules modules(weights, {.dtype = at::kFloat});
  const ClipText bare(model->config().text, modules);
  const at::Tensor ids = read_tensors(sd_golden("forward/text_encoder.safetensors"))["input_ids"];
  EXPECT_TRUE(bare.forward(ids).last.equal(model->text()->forward(ids).last));
}

// Newer files name the end token: the pooled state is that of its first position.
TEST(SdText, both_rules_of_the_pooled_state) {
  ClipConfig config{20, 8, 16, 1, 2, 6, 1e-5, "gelu", 2, 0};
  RandomWeights weights(at::kFloat, 3);
  Modules modules(weights, {.dtype = at::kFloat});
  const at::Tensor ids = at::tensor({18, 4, 5, 4, 3, 19}, at::kLong).unsqueeze(0);
  const ClipText old_rule(config, modules);
  const ClipOutput old_output = old_rule.forward(ids);
  EXPECT_TRUE(old_output.pooled[0].equal(old_output.last[0][5]));
  config.eos = 4;
  const ClipText new_rule(config, modules);
  const ClipOutput output = new_rule.forward(ids);
  EXPECT_TRUE(output.pooled[0].equal(output.last[0][1]));
}

}  // namespace
}  // namespace lora
