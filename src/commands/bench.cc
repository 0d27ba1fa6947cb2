// SPDX-License-Identifier: Apache-2.0
#include "commands/bench.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dnnl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/memory.h"
#include "base/table.h"
#include "base/text.h"
#include "io/aten.h"
#include "nn/new_adapter.h"
#include "train/adapter_parameters.h"
#include "train/step.h"

namespace lora {
namespace {

struct BenchRow {
  std::string_view name;
  int (*run)(const Arguments&);
};

constexpr BenchRow kKinds[] = {
    {"text", bench_text},
    {"image", bench_image},
};

#if defined(NDEBUG) && defined(__OPTIMIZE__)
constexpr bool kOptimised = true;
#else
constexpr bool kOptimised = false;
#endif

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

double cpu_clock() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

}  // namespace

int run_bench(const Arguments& arguments) {
  if (arguments.empty())
    fail_usage(
        "lora bench: what to measure is missing; type `lora bench text` or `lora bench image`");
  const Arguments rest(arguments.begin() + 1, arguments.end());
  return row_of(std::span<const BenchRow>(kKinds), "lora bench", arguments[0]).run(rest);
}

BenchOptions::BenchOptions(const CommandLine& line)
    : preset(line.text("--preset")),
      dtype(line.text("--dtype")),
      targets(line.text("--targets")),
      batch(line.whole("--batch")),
      steps(line.whole("--steps")),
      machine(
          choose_machine({.device = line.text("--device"), .threads = line.whole("--threads")})),
      checkpointing(line.given("--checkpointing")),
      plain(line.given("--plain")),
      json(line.given("--json")) {
  at::manual_seed(0);
}

at::ScalarType BenchOptions::type() const { return dtype == "f32" ? at::kFloat : at::kBFloat16; }

std::vector<Parameter> bench_adapters(Network& model, const std::string& targets, double alpha) {
  const AdapterConfig config{
      .lora_rank = kBenchRank, .lora_alpha = alpha, .target_modules = split(targets, ',')};
  const std::vector<NamedLayer> chosen = target_layers(config, layers_of(model));
  create_adapters(config, 0, chosen);
  return adapter_parameters(chosen, "");
}

BenchRun timed_steps(ParameterPool& pool, const BenchOptions& options,
                     const std::function<Loss()>& next) {
  const OptimisationConfig config{.learning_rate = 2e-4, .optimizer = "adamw"};
  const auto optimizer = make_optimizer(config);
  const LossScaler unscaled;
  const TrainingMode training(true);
  BenchRun run;
  for (std::int64_t i = 0; i < options.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double cpu_start = cpu_clock();
    StepSum step;
    pool.zero_gradients();
    add_micro_batch(step, next(), unscaled);
    divide_and_clip(pool, step.count, unscaled, config.max_grad_norm);
    optimizer->step(pool, *config.learning_rate);
    run.loss = step.loss.item<double>() / std::max(step.count, 1.0);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (i == 0 && options.steps > 1) continue;
    run.seconds.push_back(elapsed.count());
    run.cpu_seconds.push_back(cpu_clock() - cpu_start);
  }
  return run;
}

nlohmann::json bench_report(const BenchOptions& options, const BenchRun& run,
                            std::int64_t parameters) {
  nlohmann::json result = step_times(run.seconds);
  result.update(machine_facts());
  result["cpu_s"] = step_times(run.cpu_seconds)["step_s"];
  result["device"] = options.machine.device.str();
  result["preset"] = options.preset;
  result["dtype"] = options.dtype;
  result["batch"] = options.batch;
  result["targets"] = options.targets;
  result["checkpointing"] = options.checkpointing;
  result["plain"] = options.plain;
  result["parameters"] = parameters;
  result["loss"] = run.loss;
  result["peak_gb"] = peak_memory_gib();
  return result;
}

void print_report(const BenchOptions& options, const nlohmann::json& r, const std::string& work,
                  const std::string& speed) {
  if (options.json) {
    std::fputs((r.dump() + "\n").c_str(), stdout);
    return;
  }
  const std::string text =
      machine_text(r) +
      fmt::format("{} ({:.0f} M parameters), {}, {}, LoRA r={} on {}{}{}\n", options.preset,
                  r["parameters"].get<double>() / 1e6, options.dtype, work, kBenchRank,
                  options.targets, options.checkpointing ? ", checkpointing" : "",
                  options.plain ? ", plain operators" : "") +
      fmt::format("  step       {:.3f} s median of {}, {:.3f} s best; {:.3f} CPU seconds\n",
                  r["step_s"].get<double>(), r["steps"].get<int>(), r["best_s"].get<double>(),
                  r["cpu_s"].get<double>()) +
      fmt::format("  speed      {}\n  memory     {:.2f} GiB peak\n", speed,
                  r["peak_gb"].get<double>());
  std::fputs(text.c_str(), stdout);
}

nlohmann::json step_times(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {{"step_s", seconds[seconds.size() / 2]},
          {"best_s", seconds.front()},
          {"steps", seconds.size()}};
}

nlohmann::json machine_facts() {
  const dnnl_version_t* dnnl = dnnl_version();
  return {{"cpu", processor()},
          {"threads", at::get_num_threads()},
          {"optimised", kOptimised},
          {"compiler", __VERSION__},
          {"libtorch", TORCH_VERSION},
          {"onednn", fmt::format("{}.{}.{}", dnnl->major, dnnl->minor, dnnl->patch)}};
}

std::string machine_text(const nlohmann::json& facts) {
  std::string text = fmt::format(
      "{}, {} threads; libtorch {}, oneDNN {}, compiler {}\n", facts["cpu"].get<std::string>(),
      facts["threads"].get<int>(), facts["libtorch"].get<std::string>(),
      facts["onednn"].get<std::string>(), facts["compiler"].get<std::string>());
  if (!facts["optimised"].get<bool>()) {
    text +=
        "WARNING: not an optimised build (or assertions are on): the times mean nothing; "
        "build the preset `release`\n";
  }
  return text;
}

}  // namespace lora
