// SPDX-License-Identifier: Apache-2.0
#include "commands/bench.h"

#include <ATen/Parallel.h>
#include <dnnl.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/table.h"

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

}  // namespace

int run_bench(const Arguments& arguments) {
  if (arguments.empty())
    fail_usage(
        "lora bench: what to measure is missing; type `lora bench text` or `lora bench image`");
  const Arguments rest(arguments.begin() + 1, arguments.end());
  return row_of(std::span<const BenchRow>(kKinds), "lora bench", arguments[0]).run(rest);
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
