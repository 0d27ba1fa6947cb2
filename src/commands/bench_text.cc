// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/memory.h"
#include "base/table.h"
#include "commands/bench.h"
#include "commands/cli.h"
#include "data/batch.h"
#include "models/models.h"
#include "nn/kernels/choice.h"
#include "train/optimizers.h"
#include "train/threads.h"

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

struct DtypeRow {
  std::string_view name;
  at::ScalarType type;
};

constexpr DtypeRow kDtypes[] = {{"bf16", at::kBFloat16}, {"f32", at::kFloat}};

constexpr std::int64_t kVocabulary = 32000;
constexpr std::int64_t kRank = 8;

struct Options {
  std::string preset = "llama-110m", dtype = "bf16", targets = "q_proj,v_proj";
  std::int64_t batch = 4, length = 512, steps = 5;
  double labelled = 0.5;
  int threads = 0;
  bool checkpointing = false, json = false, plain = false;
};

Options parse(const Arguments& arguments) {
  Options o;
  CLI::App app;
  app.add_option("--preset", o.preset);
  app.add_option("--dtype", o.dtype);
  app.add_option("--targets", o.targets);
  app.add_option("--batch", o.batch)->check(CLI::Range(1, 4096));
  app.add_option("--length", o.length)->check(CLI::Range(2, 1 << 20));
  app.add_option("--steps", o.steps)->check(CLI::Range(1, 1000000));
  app.add_option("--labelled", o.labelled)->check(CLI::Range(0.0, 1.0));
  app.add_option("--threads", o.threads)->check(CLI::Range(0, 4096));
  app.add_flag("--checkpointing", o.checkpointing);
  app.add_flag("--plain", o.plain);
  app.add_flag("--json", o.json);
  parse_arguments(app, "bench text", arguments);
  return o;
}

std::unique_ptr<CausalLM> make_model(const Options& o, at::ScalarType type) {
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
  auto model = random_causal_lm(config, {.dtype = type}, 0);
  model->set_checkpointing(o.checkpointing);
  return model;
}

// Fresh adapters of rank 8, alpha 16 on the layers whose last name is among the targets
// ("all-linear": on every layer).
std::vector<Parameter> add_adapters(CausalLM& model, const std::string& targets) {
  std::vector<Parameter> parameters;
  const std::string wanted = "," + targets + ",";
  model.for_each_layer([&](const std::string& name, Layer& layer) {
    const std::string last = name.substr(name.rfind('.') + 1);
    if (targets != "all-linear" && wanted.find("," + last + ",") == std::string::npos) return;
    const double bound = 1 / std::sqrt(static_cast<double>(layer.in_features()));
    layer.adapter = std::make_shared<Adapter>(
        Adapter{.a = at::empty({kRank, layer.in_features()}).uniform_(-bound, bound),
                .b = at::zeros({layer.out_features(), kRank}),
                .alpha = 16,
                .scale = 16.0 / kRank});
    layer.adapter->a.requires_grad_(true);
    layer.adapter->b.requires_grad_(true);
    parameters.push_back({name + ".lora_A.weight", layer.adapter->a});
    parameters.push_back({name + ".lora_B.weight", layer.adapter->b});
  });
  if (parameters.empty()) {
    fail_usage("--targets: no layer is called '", targets,
               "' (known: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, "
               "all-linear)");
  }
  return parameters;
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
  return to_tensors(batch, at::kCPU);
}

struct Run {
  // Without the first step, unless it is the only one. CPU seconds are those of all threads: on a
  // machine that others use, they say more than the clock.
  std::vector<double> seconds, cpu_seconds;
  double loss = 0;  // of the last step
};

double cpu_clock() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

Run train(CausalLM& model, const TextTensors& batch, ParameterPool& pool, std::int64_t steps) {
  const auto optimizer = make_optimizer("adamw");
  const TrainingMode training(true);
  Run run;
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto start = std::chrono::steady_clock::now();
    const double cpu_start = cpu_clock();
    pool.zero_gradients();
    const Loss loss = model.loss(batch);
    const at::Tensor mean = loss.sum / loss.count;
    mean.backward();
    optimizer->step(pool, 2e-4);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (step > 0 || steps == 1) {
      run.seconds.push_back(elapsed.count());
      run.cpu_seconds.push_back(cpu_clock() - cpu_start);
    }
    run.loss = mean.item<double>();
  }
  return run;
}

Json report(const Options& o, const CausalLM& model, const Run& run) {
  const Json facts = machine_facts();
  Json result = step_times(run.seconds);
  result.update(facts);
  result["cpu_s"] = step_times(run.cpu_seconds)["step_s"];
  const double tokens = static_cast<double>(o.batch * o.length);
  const double step = result["step_s"].get<double>();
  const double work = 4.0 * static_cast<double>(model.parameters() - model.embedding_parameters());
  result["preset"] = o.preset;
  result["dtype"] = o.dtype;
  result["batch"] = o.batch;
  result["length"] = o.length;
  result["labelled"] = o.labelled;
  result["targets"] = o.targets;
  result["checkpointing"] = o.checkpointing;
  result["plain"] = o.plain;
  result["parameters"] = model.parameters();
  result["loss"] = run.loss;
  result["tokens_per_s"] = tokens / step;
  result["gflops"] = work * tokens / step / 1e9;
  result["peak_gb"] = peak_memory_gib();
  return result;
}

std::string text_of(const Json& r) {
  return machine_text(r) +
         fmt::format(
             "{} ({:.0f} M parameters), {}, batch {} x {} tokens, {:.0f} % labelled, LoRA r={} on "
             "{}{}{}\n"
             "  step       {:.3f} s median of {}, {:.3f} s best; {:.3f} CPU seconds\n"
             "  speed      {:.0f} tokens/s, {:.0f} GFLOP/s useful\n"
             "  memory     {:.2f} GiB peak\n",
             r["preset"].get<std::string>(), r["parameters"].get<double>() / 1e6,
             r["dtype"].get<std::string>(), r["batch"].get<int>(), r["length"].get<int>(),
             r["labelled"].get<double>() * 100, kRank, r["targets"].get<std::string>(),
             r["checkpointing"].get<bool>() ? ", checkpointing" : "",
             r["plain"].get<bool>() ? ", plain operators" : "", r["step_s"].get<double>(),
             r["steps"].get<int>(), r["best_s"].get<double>(), r["cpu_s"].get<double>(),
             r["tokens_per_s"].get<double>(), r["gflops"].get<double>(),
             r["peak_gb"].get<double>());
}

}  // namespace

int bench_text(const Arguments& arguments) {
  const Options o = parse(arguments);
  const at::ScalarType type = row_of(std::span<const DtypeRow>(kDtypes), "--dtype", o.dtype).type;
  set_threads(o.threads);
  at::manual_seed(0);
  const kernels::FusedKernels fused(!o.plain);
  const auto model = make_model(o, type);
  ParameterPool pool(add_adapters(*model, o.targets));
  const Run run = train(*model, make_batch(o), pool, o.steps);
  const Json result = report(o, *model, run);
  std::fputs((o.json ? result.dump() + "\n" : text_of(result)).c_str(), stdout);
  return 0;
}

}  // namespace lora
