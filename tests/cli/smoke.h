// SPDX-License-Identifier: Apache-2.0
// What the smoke tests share. Each starts the program itself once for every kind of something, and
// looks at a thing that it can only say where it understood the input.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/table.h"
#include "io/aten.h"
#include "io/tensors.h"
#include "models/sd_kinds.h"
#include "tests/cli/run.h"

namespace lora::test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Names = std::set<std::string>;

// Tiny models, adapters and pictures: the project's own set, whichever LORA_GOLDEN names.
inline Path inputs() { return std::string(LORA_SOURCE_DIR) + "/tests/golden"; }

// Each kind of Stable Diffusion that there is; the table itself is not to be seen.
inline std::vector<const SdKindRow*> sd_kinds() {
  std::vector<const SdKindRow*> rows;
  try {
    for (int kind = 0;; ++kind) rows.push_back(&sd_kind(static_cast<SdKind>(kind)));
  } catch (const Error&) {
  }
  return rows;
}

// Runs `lora` with each of the lists of arguments, two at a time; the results in their order.
inline std::vector<Ran> run_each(const Workplace& place, const std::vector<Words>& all) {
  std::vector<Ran> results(all.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < all.size(); i = next++) results[i] = place.lora(all[i]);
  };
  std::jthread other(work);
  work();
  other.join();
  return results;
}

// What it printed; an empty object, and a failure, where it did not end well.
inline Json json_of(const Ran& ran) {
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.code == 0 ? Json::parse(ran.out) : Json::object();
}

// The words that a message lists between `from` and `to`: "known: a, b)", "looked for .a .b in".
inline Names listed(const std::string& message, const std::string& from, const std::string& to) {
  const std::size_t begin = message.find(from);
  const std::size_t end = begin == std::string::npos ? begin : message.find(to, begin);
  if (end == std::string::npos) fail("'", message, "' has no ", from, "...", to);
  std::string text = message.substr(begin + from.size(), end - begin - from.size());
  std::replace(text.begin(), text.end(), ',', ' ');
  Names names;
  for (const std::string& word : split(text, ' ')) {
    if (!word.empty()) names.insert(word);
  }
  return names;
}

template <typename Row>
Names names_in(std::span<const Row> table) {
  const std::vector<std::string> names = names_of(table);
  return {names.begin(), names.end()};
}

// Measures a base model in float32.
inline Words eval(const std::string& base, const std::string& data) {
  return {"eval", "--base", base, "--data", data, "--dtype", "f32", "--threads", "1", "--json"};
}

inline double loss_of(const Ran& ran) { return json_of(ran).at("loss").get<double>(); }

// A llama of one layer with random weights.
inline void write_tiny_llama(const Path& folder, std::int64_t vocabulary) {
  constexpr std::int64_t kWidth = 16;
  at::manual_seed(1);
  TensorMap tensors = {{"model.embed_tokens.weight", at::randn({vocabulary, kWidth})},
                       {"model.norm.weight", at::ones({kWidth})}};
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
    tensors[join("model.layers.0.", norm, ".weight")] = at::ones({kWidth});
  }
  for (const char* layer : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                            "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    tensors[join("model.layers.0.", layer, ".weight")] = at::randn({kWidth, kWidth}) * 0.2;
  }
  write_tensors(folder / "model.safetensors", tensors);
  const Json config = {{"model_type", "llama"},      {"vocab_size", vocabulary},
                       {"hidden_size", kWidth},      {"intermediate_size", kWidth},
                       {"num_hidden_layers", 1},     {"num_attention_heads", 1},
                       {"num_key_value_heads", 1},   {"max_position_embeddings", 256},
                       {"tie_word_embeddings", true}};
  write_file_atomic(folder / "config.json", config.dump());
}

// A tokenizer that knows as many tokens as the model; no text is encoded here.
inline void write_tokenizer(const Path& folder) {
  const Json config = Json::parse(read_file(folder / "config.json"));
  Json vocab = Json::object();
  for (int id = 0; id < config.at("vocab_size").get<int>(); ++id) vocab[join("token", id)] = id;
  const Json model = {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}};
  const Json file = {{"model", model}, {"added_tokens", Json::array()}};
  write_file_atomic(folder / "tokenizer.json", file.dump());
}

// One picture with its caption, as a.png and a.txt of `name`.
inline void write_captioned(const Workplace& place, const std::string& name) {
  const Path from = inputs() / "sd/train_image/images";
  fs::create_directory(place / name);
  fs::copy_file(from / "001.png", place / name / "a.png");
  fs::copy_file(from / "001.txt", place / name / "a.txt");
}

// A prompt that the text encoder of an image model cannot read whole, and what is said of it by who
// has read the tiny tokenizer: the number of its tokens.
struct LongPrompt {
  std::string text, note;
};

inline LongPrompt long_prompt() {
  const Path file = inputs() / "sd/clip_tokenizer/expected_ids_tiny_tokenizer.json";
  for (const Json& row : Json::parse(read_file(file))) {
    const std::string text = row.at("text");
    if (!text.starts_with("the quick brown fox")) continue;
    return {text, join("(found ", row.at("ids").size() - 2, " tokens, expected at most 75)")};
  }
  fail("no long prompt");
}

// The batch of golden/llm/FAMILY as records of tokens, without what is masked.
inline std::string golden_batch(const std::string& family) {
  const TensorMap batch = read_tensors(inputs() / "llm" / family / "forward.safetensors");
  std::string lines;
  for (std::int64_t row = 0; row < batch.at("input_ids").size(0); ++row) {
    const at::Tensor kept = batch.at("attention_mask")[row] == 1;
    const auto numbers = [&](const char* key) {
      const at::Tensor values = batch.at(key)[row].masked_select(kept);
      const auto* first = values.data_ptr<std::int64_t>();
      return std::vector<std::int64_t>(first, first + values.numel());
    };
    const Json record = {{"input_ids", numbers("input_ids")}, {"labels", numbers("labels")}};
    lines += record.dump() + "\n";
  }
  return lines;
}

}  // namespace lora::test
