// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/table.h"
#include "commands/bench.h"
#include "data/batch.h"
#include "io/aten.h"
#include "models/models.h"
#include "nn/backends.h"

namespace lora {
namespace {

using Json = nlohmann::json;

// Sizes of a llama; vocabulary 32000, head not tied.
struct PresetRow {
  std::string_view name;
  int hidden, intermediate, layers, heads, kv_heads;
};

constexpr PresetRow kPresets[] = {
    {"llama-15m", 288, 768, 6, 6, 6},
    {"llama-110m", 768, 2048, 12, 12, 12},
    {"llama-1b", 2048, 5632, 22, 32, 4},
    {"llama-7b", 4096, 11008, 32, 32, 32},
};

constexpr std::int64_t kVocabulary = 32000;
struct Options : BenchOptions {
  explicit Options(const CommandLine& line)
      : BenchOptions(line), length(line.whole("--length")), labelled(line.real("--labelled")) {}

  std::int64_t length;
  double labelled;
};

std::unique_ptr<CausalLM> make_model(const Options& o) {
  const PresetRow& preset = row_of(std::span<const PresetRow>(kPresets), "--preset", o.preset);
  const Json config = {{"model_type", "llama"},
                       {"vocab_size", kVocabulary},
                       {"hidden_size", preset.hidden},
                       {"intermediate_size", preset.intermediate},
                       {"num_hidden_layers", preset.layers},
                       {"num_attention_heads", preset.heads},
                       {"num_key_value_heads", preset.kv_heads},
                       {"max_position_embeddings", std::max<std::int64_t>(2048, o.length)},
                       {"rms_norm_eps", 1e-6},
                       {"hidden_act", "silu"},
                       {"tie_word_embeddings", false}};
  auto model = random_causal_lm(config, {.dtype = o.type(), .device = o.machine.device}, 0);
  model->set_checkpointing(o.checkpointing);
  return model;
}

// Random tokens; the last part of each row is labelled, as in instruction tuning.
TextTensors make_batch(const Options& o) {
  TextBatch batch{.rows = o.batch, .length = o.length};
  const at::Tensor ids = at::randint(0, kVocabulary, {o.batch * o.length}, at::kLong);
  const auto* id = ids.data_ptr<std::int64_t>();
  const auto first = static_cast<std::int64_t>(std::lround((1 - o.labelled) * o.length));
  for (std::int64_t i = 0; i < o.batch * o.length; ++i) {
    const std::int64_t position = i % o.length;
    batch.ids.push_back(id[i]);
    batch.labels.push_back(position == 0 || position < first ? kIgnore : id[i]);
    batch.positions.push_back(position);
    batch.documents.push_back(1);
  }
  return to_tensors(batch, o.machine.device);
}

Json report(const Options& o, const CausalLM& model, const BenchRun& run) {
  Json result = bench_report(o, run, model.parameters());
  const double speed = static_cast<double>(o.batch * o.length) / result["step_s"].get<double>();
  const double work = 4.0 * static_cast<double>(model.parameters() - model.embedding_parameters());
  result["length"] = o.length;
  result["labelled"] = o.labelled;
  result["tokens_per_s"] = speed;
  result["gflops"] = work * speed / 1e9;
  return result;
}

}  // namespace

int bench_text(const Arguments& arguments) {
  const Options o(CommandLine("bench text", arguments));
  const FusedKernels fused(!o.plain);
  const auto model = make_model(o);
  ParameterPool pool(bench_adapters(*model, o.targets, 2.0 * kBenchRank));
  const TextTensors batch = make_batch(o);
  const BenchRun run = timed_steps(pool, o, [&] { return model->loss(batch); });
  const Json result = report(o, *model, run);
  print_report(
      o, result,
      fmt::format("batch {} x {} tokens, {:.0f} % labelled", o.batch, o.length, o.labelled * 100),
      fmt::format("{:.0f} tokens/s, {:.0f} GFLOP/s useful", result["tokens_per_s"].get<double>(),
                  result["gflops"].get<double>()));
  return 0;
}

}  // namespace lora
