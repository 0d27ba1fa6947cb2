// SPDX-License-Identifier: Apache-2.0
// Model folders with one thing wrong each: the load fails with a message that says which.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "io/aten.h"
#include "io/tensors.h"
#include "models/families.h"
#include "models/models.h"

namespace lora {
namespace {

using Json = nlohmann::json;

// A llama of one layer, before it is written.
struct Draft {
  Json config = {{"model_type", "llama"},   {"vocab_size", 10},       {"hidden_size", 8},
                 {"intermediate_size", 12}, {"num_hidden_layers", 1}, {"num_attention_heads", 2},
                 {"num_key_value_heads", 1}};
  TensorMap tensors;
};

const std::string kBlock = "model.layers.0.";

Draft draft() {
  Draft made;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    made.tensors[name + ".weight"] = at::ones(shape);
  };
  add("model.embed_tokens", {10, 8});
  add("lm_head", {10, 8});
  add("model.norm", {8});
  add(kBlock + "input_layernorm", {8});
  add(kBlock + "post_attention_layernorm", {8});
  add(kBlock + "self_attn.q_proj", {8, 8});
  add(kBlock + "self_attn.k_proj", {4, 8});
  add(kBlock + "self_attn.v_proj", {4, 8});
  add(kBlock + "self_attn.o_proj", {8, 8});
  add(kBlock + "mlp.gate_proj", {12, 8});
  add(kBlock + "mlp.up_proj", {12, 8});
  add(kBlock + "mlp.down_proj", {8, 12});
  return made;
}

Path new_folder(const std::string& name) {
  const Path folder = Path(testing::TempDir()) / ("broken_model_" + name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

void write_draft(const Path& folder, const Draft& made) {
  write_file_atomic(folder / "config.json", made.config.dump());
  write_tensors(folder / "model.safetensors", made.tensors);
}

// Replaces the first `old` in the file by a text of the same length, so that offsets stay right.
void replace_in(const Path& file, const std::string& old, const std::string& fresh) {
  std::string bytes = read_file(file);
  const auto at = bytes.find(old);
  ASSERT_NE(at, std::string::npos) << old;
  ASSERT_EQ(old.size(), fresh.size());
  write_file_atomic(file, bytes.replace(at, old.size(), fresh));
}

void move_into_shard(const Path& folder, const std::string& shard, const std::string& extra) {
  Json map;
  for (const auto& [name, tensor] : draft().tensors) map[name] = "a.safetensors";
  map[extra] = shard;
  std::filesystem::rename(folder / "model.safetensors", folder / "a.safetensors");
  write_file_atomic(folder / "model.safetensors.index.json", Json{{"weight_map", map}}.dump());
}

struct Case {
  std::string name;
  std::function<void(Draft&)> change;       // before the folder is written
  std::function<void(const Path&)> damage;  // afterwards
  std::string message;                      // @ stands for the folder
};

Case configured(const std::string& name, const std::string& key, const Json& value,
                const std::string& message) {
  return {name, [=](Draft& made) { made.config[key] = value; }, {}, message};
}

std::vector<Case> config_cases() {
  const std::string own = "; is this the model's own config.json?";
  return {
      configured("unknown_architecture", "model_type", "lama",
                 "@/config.json: model_type 'lama': unknown architecture (known: llama, mistral, "
                 "qwen2, qwen3, gemma2, gpt2); did you mean 'llama'?"),
      configured("missing_key", "hidden_size", nullptr,
                 "@/config.json: 'hidden_size' is missing (expected a whole number above 0)" + own),
      configured(
          "text_for_a_number", "hidden_size", "8",
          "@/config.json: 'hidden_size': found \"8\", expected a whole number above 0" + own),
      configured(
          "no_layers", "num_hidden_layers", 0,
          "@/config.json: 'num_hidden_layers': found 0, expected a whole number above 0" + own),
      configured("endless_layers", "num_hidden_layers", 1'000'000'000,
                 "@/config.json: 'num_hidden_layers': found 1000000000, expected at most 10000" +
                     own),
      configured("endless_width", "hidden_size", 1LL << 62,
                 "@/config.json: 'hidden_size': found 4611686018427387904, expected at most "
                 "2147483647" +
                     own),
      configured("quantisation_in_a_word", "quantization_config", "int4",
                 "@/config.json: 'quantization_config': found \"int4\", expected an object" + own),
      configured("hidden_not_of_heads", "num_attention_heads", 3,
                 "@/config.json: 'hidden_size' is not a multiple of 'num_attention_heads' (found 8 "
                 "and 3); damaged config.json?"),
      configured("heads_not_of_groups", "num_key_value_heads", 3,
                 "@/config.json: 'num_attention_heads' is not a multiple of 'num_key_value_heads' "
                 "(found 2 and 3); damaged config.json?"),
      configured("unknown_rope", "rope_scaling", {{"rope_type", "yarm"}, {"factor", 2}},
                 "@/config.json: rope type 'yarm': unknown (known: default, linear, dynamic, "
                 "llama3, yarn); did you mean 'yarn'?"),
      configured(
          "rope_without_factor", "rope_scaling", {{"type", "linear"}},
          "@/config.json: 'rope_scaling.factor' is missing (expected a number above 0)" + own),
      configured("quantised", "quantization_config", {{"quant_method", "gptq"}},
                 "@/config.json: the weights are quantised (gptq), expected float32, bfloat16 or "
                 "float16; use the original model"),
      {"config_not_json",
       {},
       [](const Path& folder) { write_file_atomic(folder / "config.json", "{\"model_type\": "); },
       "@/config.json: this is not valid JSON (found an error at byte 16 of 15)" + own},
      {"config_absent",
       {},
       [](const Path& folder) { remove(folder / "config.json"); },
       "@/config.json: no such file; base_model must be a Hugging Face model folder"},
  };
}

std::vector<Case> tensor_cases() {
  const std::string apart = "; weights and config.json do not belong together";
  return {
      {"wrong_shape",
       [](Draft& made) {
         made.tensors[kBlock + "self_attn.o_proj.weight"] = at::ones({8, 6});
       },
       {},
       "@/model.safetensors: tensor 'model.layers.0.self_attn.o_proj.weight': shape [8, 6], "
       "expected [8, 8]" +
           apart},
      {"whole_numbers",
       [](Draft& made) { made.tensors["model.norm.weight"] = at::ones({8}, at::kLong); },
       {},
       "@/model.safetensors: tensor 'model.norm.weight': dtype I64, expected F32, BF16 or F16; "
       "quantised "
       "weights are not supported"},
      {"missing_tensor",
       [](Draft& made) { made.tensors.erase(kBlock + "mlp.up_proj.weight"); },
       {},
       "@/model.safetensors: tensor 'model.layers.0.mlp.up_proj.weight' is missing; not the model "
       "that config.json describes, or an incomplete file"},
      {"extra_tensor",
       [](Draft& made) {
         made.tensors["model.layers.1.mlp.up_proj.weight"] = at::ones({12, 8});
       },
       {},
       "@: 1 tensors have no place in a llama model of 1 layers "
       "(model.layers.1.mlp.up_proj.weight)" +
           apart},
      {"shard_absent",
       {},
       [](const Path& folder) { move_into_shard(folder, "b.safetensors", "lm_head.weight"); },
       "@/model.safetensors.index.json: shard b.safetensors is missing; download the whole model"},
      {"not_in_shard",
       {},
       [](const Path& folder) { move_into_shard(folder, "a.safetensors", "other.weight"); },
       "@/model.safetensors.index.json: tensor 'other.weight' is not in a.safetensors; index and "
       "shards do not match"},
  };
}

std::vector<Case> file_cases() {
  const std::string file = "model.safetensors";
  const auto write = [=](const std::string& bytes) {
    return [=](const Path& folder) { write_file_atomic(folder / file, bytes); };
  };
  const auto replace = [=](const std::string& old, const std::string& fresh) {
    return [=](const Path& folder) { replace_in(folder / file, old, fresh); };
  };
  return {
      {"truncated",
       {},
       [=](const Path& folder) {
         resize_file(folder / file, std::filesystem::file_size(folder / file) - 100);
       },
       "@/model.safetensors: tensor 'model.layers.0.self_attn.v_proj.weight': data ends at byte "
       "2624 but the file has 2556; incomplete download?"},
      {"overlap",
       {},
       replace("[2624,2656]", "[2592,2624]"),
       "@/model.safetensors: tensor 'model.norm.weight': data begins at byte 2592, expected 2624 "
       "(overlap); damaged file?"},
      {"unknown_dtype",
       {},
       replace("\"F32\"", "\"F99\""),
       "@/model.safetensors: tensor 'lm_head.weight': dtype 'F99' is not supported (known: F64, "
       "F32, F16, BF16, integers)"},
      {"other_dtype",
       {},
       replace("\"F32\"", "\"F64\""),
       "@/model.safetensors: tensor 'lm_head.weight': its shape and dtype need 640 bytes, its "
       "data_offsets are [0, 320]; damaged file?"},
      {"header_not_json",
       {},
       replace("{\"__metadata__\"", "[\"__metadata__\""),
       "@/model.safetensors: the header: this is not valid JSON (found an error at byte 16 of "
       "1136); not a safetensors file or a damaged one"},
      {"huge_header",
       {},
       write(std::string(8, '\xff') + "{}"),
       "@/model.safetensors: the header claims 18446744073709551615 bytes but the file has 2 after "
       "its length; not a safetensors file, or an incomplete download"},
      {"lfs_pointer",
       {},
       write("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2690\n"),
       "@/model.safetensors: this is a Git LFS pointer, not weights (2690 bytes are missing); run "
       "`git lfs pull` in its repository"},
      {"empty_file",
       {},
       write(""),
       "@/model.safetensors: not a safetensors file (found 0 bytes, expected at least 8); "
       "incomplete download?"},
      {"only_a_pickle",
       {},
       [=](const Path& folder) { rename(folder / file, folder / "pytorch_model.bin"); },
       "@: holds only a pickle (.bin), which can run code when loaded; convert the model to "
       "safetensors"},
      {"no_weights",
       {},
       [=](const Path& folder) { remove(folder / file); },
       "@: no weights (looked for model.safetensors and model.safetensors.index.json); is this the "
       "model's folder?"},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> cases = config_cases();
  for (const auto& more : {tensor_cases(), file_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

std::string message_of(const Path& folder) {
  try {
    load_causal_lm(folder, {.dtype = at::kFloat});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class BrokenModel : public testing::TestWithParam<Case> {};

TEST_P(BrokenModel, SaysWhatIsWrong) {
  const Case& wrong = GetParam();
  const Path folder = new_folder(wrong.name);
  Draft made = draft();
  if (wrong.change) wrong.change(made);
  write_draft(folder, made);
  if (wrong.damage) wrong.damage(folder);
  std::string expected = wrong.message;
  expected.replace(expected.find('@'), 1, folder.string());
  EXPECT_EQ(message_of(folder), expected);
}

INSTANTIATE_TEST_SUITE_P(Folder, BrokenModel, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param.name; });

TEST(ModelFolder, LoadsWhereNothingIsWrong) {
  const Path folder = new_folder("whole");
  write_draft(folder, draft());
  EXPECT_EQ(message_of(folder), "no error");
}

TEST(ModelFolder, DefaultTargetsAreTheFamilys) {
  const Path folder = new_folder("targets");
  Draft made = draft();
  write_draft(folder, made);
  EXPECT_EQ(default_targets(folder), (std::vector<std::string>{"q_proj", "v_proj"}));
  made.config = {
      {"model_type", "gpt2"}, {"vocab_size", 10}, {"n_embd", 8}, {"n_layer", 1}, {"n_head", 2}};
  write_draft(folder, made);
  EXPECT_EQ(default_targets(folder), (std::vector<std::string>{"c_attn"}));
}

TEST(ModelFolder, IsKnownByItsArchitectureAlone) {
  Json config = {{"vocab_size", 10},
                 {"hidden_size", 8},
                 {"intermediate_size", 12},
                 {"num_hidden_layers", 1},
                 {"num_attention_heads", 2},
                 {"num_key_value_heads", 1},
                 {"n_embd", 8},
                 {"n_layer", 1},
                 {"n_head", 2}};
  for (const Family& family : families()) {
    config["architectures"] = {family.architecture};
    EXPECT_EQ(parse_hf_config(config, "config.json").family, family.name);
  }
}

TEST(ModelFolder, RefusesIdsAndPositionsThatTheModelDoesNotHave) {
  const Json config = {{"model_type", "gpt2"}, {"vocab_size", 10}, {"n_embd", 8},
                       {"n_layer", 1},         {"n_head", 2},      {"n_positions", 4}};
  const auto model = random_causal_lm(config, {.dtype = at::kFloat}, 1);
  const auto message = [&](const std::vector<std::int64_t>& ids) -> std::string {
    const auto length = static_cast<std::int64_t>(ids.size());
    const at::Tensor positions = at::arange(length, at::kLong).unsqueeze(0);
    try {
      model->logits({.ids = at::tensor(ids, at::kLong).unsqueeze(0), .positions = positions});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({1, 2, 9, 0}), "no error");
  EXPECT_EQ(message({1, 10}),
            "random model: token id outside the vocabulary (found 10, expected 0 to 9); tokenizer "
            "and model do not belong together");
  EXPECT_EQ(message({1, 2, 3, 4, 5}),
            "random model: sequence too long (found 5 tokens, expected at most 4, its learned "
            "positions); lower max_seq_length");
}

}  // namespace
}  // namespace lora
