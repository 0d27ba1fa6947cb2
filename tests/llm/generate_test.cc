// SPDX-License-Identifier: Apache-2.0
// Greedy decoding against transformers; the real TinyStories model.
#include "models/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/aten.h"
#include "tests/llm/golden_llm.h"

namespace lora::test {
namespace {

std::vector<std::string> generate_files() {
  std::vector<std::string> names;
  for (const std::string& family : families()) {
    if (std::filesystem::exists(llm("generate/" + family + ".json"))) names.push_back(family);
  }
  return names;
}

std::vector<Ids> without_padding(const nlohmann::json& fact) {
  auto prompts = fact["batch_left_padded"].get<std::vector<Ids>>();
  const auto masks = fact["attention_mask"].get<std::vector<Ids>>();
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    const auto padding = std::count(masks[row].begin(), masks[row].end(), 0);
    prompts[row].erase(prompts[row].begin(), prompts[row].begin() + padding);
  }
  return prompts;
}

}  // namespace

class GoldenGenerate : public testing::TestWithParam<std::string> {};

TEST_P(GoldenGenerate, GreedyIdsAndStepLogits) {
  const auto facts = read_json(llm("generate/" + GetParam() + ".json"));
  const auto tensors = read_tensors(llm("generate/" + GetParam() + ".safetensors"));
  const auto base = load_float(llm(GetParam() + "/model"));
  const auto adapted = load_float(llm(GetParam() + "/model"));
  attach_peft(*adapted, llm(facts["adapter"].get<std::string>()));
  std::map<std::string, int> index;
  int checked = 0;
  double worst = 0;
  for (const auto& fact : facts["cases"]) {
    const std::string which = fact["model"];
    CausalLM& model = which == "base" ? *base : *adapted;
    GenerateOptions options{.max_tokens = facts["max_new_tokens"].get<std::int64_t>()};
    std::vector<at::Tensor> steps;
    options.on_logits = [&](const at::Tensor& logits) { steps.push_back(logits); };
    if (fact.contains("batch_left_padded")) {
      EXPECT_EQ(generate(model, without_padding(fact), options),
                fact["new_tokens"].get<std::vector<Ids>>());
      ++checked;
      continue;
    }
    const std::vector<Ids> prompt = {fact["prompt"].get<Ids>()};
    EXPECT_EQ(generate(model, prompt, options)[0], fact["new_tokens"].get<Ids>());
    const std::string name = which + "." + std::to_string(index[which]++) + ".step_logits";
    worst = std::max(worst, relative(at::cat(steps), tensors.at(name)));
    if (fact.contains("with_eos")) {
      options.stop = {fact["with_eos"]["eos_token_id"].get<std::int64_t>()};
      EXPECT_EQ(generate(model, prompt, options)[0], fact["with_eos"]["new_tokens"].get<Ids>());
    }
    ++checked;
  }
  EXPECT_GE(checked, 3);
  expect_parity("generate-logits", GetParam(), worst, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(GoldenFamily, GoldenGenerate, testing::ValuesIn(generate_files()),
                         family_name);

TEST(DataTinyStories, ReproducesItsReferenceNumbers) {
  const auto folder = data() / "models" / "tinystories-656k";
  LORA_SKIP_WITHOUT(folder);
  const auto facts = read_json(folder / "expected.json");
  const auto model = load_float(folder);
  const auto batch = [](const Ids& ids) {
    TextTensors tensors{.ids = at::tensor(ids, at::kLong).unsqueeze(0)};
    tensors.labels = tensors.ids;
    tensors.positions = at::arange(tensors.ids.size(1), at::kLong).unsqueeze(0);
    return tensors;
  };
  const auto& prompt = facts["prompt"];
  const Ids ids = prompt["ids"];
  const at::Tensor logits = model->logits(batch(ids))[0];
  const at::Tensor wanted = at::tensor(Ids(ids.begin() + 1, ids.end()), at::kLong);
  const std::int64_t count = wanted.size(0);
  const at::Tensor losses =
      at::cross_entropy_loss(logits.narrow(0, 0, count), wanted, {}, at::Reduction::None);
  const std::vector<double> nll = prompt["nll_of_ids_1_to_5"];
  expect_parity("nll", "tinystories", absolute(losses, at::tensor(nll, at::kDouble)), 2e-5);
  for (const auto& top : prompt["next_token_top3"]) {
    EXPECT_NEAR(logits[-1][top["id"].get<std::int64_t>()].item<double>(),
                top["logit"].get<double>(), 1e-4);
  }
  EXPECT_EQ(generate(*model, {ids}, {.max_tokens = 40})[0], prompt["greedy_40_ids"].get<Ids>());
  const auto& story = facts["story"];
  const Ids text = story["ids"];
  const Loss loss = model->loss(batch(text));
  expect_parity(
      "story-loss", "tinystories",
      std::abs(loss.sum.item<double>() / loss.count - story["mean_nll_all"].get<double>()), 2e-5);
}

}  // namespace lora::test
