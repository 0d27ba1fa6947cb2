// SPDX-License-Identifier: Apache-2.0
#include "commands/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/reading.h"
#include "commands/cli.h"
#include "commands/image_commands.h"
#include "data/text_source.h"
#include "io/aten.h"
#include "runs/session.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct EvalArguments {
  SessionOptions session;
  std::vector<std::string> versions, data;
  std::string root = "output", format = "auto";
  std::int64_t max_length = 0;
  bool exact_match = false, json = false;
};

// Of one version on one file.
struct Score {
  double loss_sum = 0;
  std::int64_t tokens = 0, samples = 0, exact = 0;
  double seconds = 0;

  double loss() const { return loss_sum / static_cast<double>(std::max<std::int64_t>(tokens, 1)); }
};

EvalArguments parse(const Arguments& arguments) {
  EvalArguments a;
  CLI::App app;
  app.add_option("--base", a.session.base);
  app.add_option("--version", a.versions)->allow_extra_args(false);
  app.add_option("--data", a.data)->allow_extra_args(false);
  app.add_option("--template", a.session.prompt_template);
  app.add_option("--dataset-format", a.format);
  app.add_option("--max-seq-length", a.max_length)->check(CLI::PositiveNumber);
  app.add_option("--dtype", a.session.dtype);
  app.add_option("--threads", a.session.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--root", a.root);
  app.add_flag("--exact-match", a.exact_match);
  app.add_flag("--json", a.json);
  parse_arguments(app, "eval", arguments);
  if (a.session.base.empty()) fail_usage("lora eval: --base is missing; name the base model");
  if (a.data.empty()) fail_usage("lora eval: --data is missing; name the file to measure on");
  return a;
}

// Rows whose logits stay below 256 MiB.
std::int64_t rows_at_once(const CausalLM& model, std::int64_t length) {
  const std::int64_t row = length * model.vocabulary() * 4;
  return std::clamp<std::int64_t>((std::int64_t{256} << 20) / std::max<std::int64_t>(row, 1), 1,
                                  16);
}

// Adds one batch; a row is one sample, exact where every target is the most likely token (which is
// what greedy decoding would have given).
void add_batch(CausalLM& model, const TextBatch& batch, Score& score) {
  const TextTensors tensors = to_tensors(batch, at::kCPU);
  const at::Tensor logits = model.logits(tensors).slice(1, 0, batch.length - 1);
  const at::Tensor labels = tensors.labels.slice(1, 1);
  const at::Tensor wanted = labels.ne(kIgnore);
  const at::Tensor losses = at::cross_entropy_loss(logits.flatten(0, 1), labels.flatten(), {},
                                                   at::Reduction::Sum, kIgnore);
  score.loss_sum += losses.item<double>();
  score.tokens += wanted.sum().item<std::int64_t>();
  const at::Tensor right = logits.argmax(-1).eq(labels).logical_or(wanted.logical_not());
  score.exact += right.all(1).sum().item<std::int64_t>();
  score.samples += batch.rows;
}

Score measure(CausalLM& model, const TextSamples& samples, TextDataOptions options) {
  const at::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  options.batch_size = rows_at_once(model, options.max_seq_length);
  Score score;
  for (const TextBatch& batch : fixed_batches(samples.samples, options)) {
    add_batch(model, batch, score);
  }
  score.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return score;
}

Json score_json(const EvalArguments& a, const std::string& version, const std::string& data,
                const Score& score) {
  Json json = {{"base", a.session.base},
               {"version", version},
               {"data", data},
               {"loss", score.loss()},
               {"perplexity", std::exp(score.loss())},
               {"tokens", score.tokens},
               {"samples", score.samples},
               {"seconds", score.seconds},
               {"exact_match", nullptr}};
  if (a.exact_match) {
    json["exact_match"] = static_cast<double>(score.exact) / static_cast<double>(score.samples);
  }
  return json;
}

std::string exact_text(const Json& json) {
  if (json["exact_match"].is_null()) return "";
  return fmt::format("{:7.1f} %", 100 * json["exact_match"].get<double>());
}

void print_table(const std::vector<Json>& results) {
  std::size_t width = 8;
  for (const Json& r : results) width = std::max(width, r["version"].get<std::string>().size());
  std::cout << fmt::format("{:<{}}  {:>9}  {:>10}  {:>7}  {}{}\n", "version", width, "loss",
                           "perplexity", "tokens",
                           results[0]["exact_match"].is_null() ? "" : "   exact  ", "data");
  for (const Json& r : results) {
    std::cout << fmt::format("{:<{}}  {:>9.4f}  {:>10.2f}  {:>7}  {}  {}\n",
                             r["version"].get<std::string>(), width, r["loss"].get<double>(),
                             r["perplexity"].get<double>(), r["tokens"].get<std::int64_t>(),
                             exact_text(r), r["data"].get<std::string>());
  }
}

}  // namespace

int run_eval(const Arguments& arguments) {
  const EvalArguments a = parse(arguments);
  const std::vector<NamedVersion> versions = name_versions(a.versions, a.root);
  if (is_image_base(a.session.base)) return eval_images(a.session.base, versions, a.data, a.json);
  TextSession session = open_session(a.session);
  TextDataOptions options;
  options.max_seq_length = a.max_length > 0 ? a.max_length : session.model->max_positions();
  options.pad_id = session.tokenizer->special().pad.value_or(0);
  std::vector<TextSamples> files;
  for (const std::string& path : a.data) {
    files.push_back(reading([&] {
      return tokenize_dataset(load_text_dataset(path, a.format), *session.prompt, options);
    }));
  }
  std::vector<Json> results(versions.size() * files.size());
  for (std::size_t v = 0; v < versions.size(); ++v) {
    apply_version(versions[v], session.layers);
    for (std::size_t f = 0; f < files.size(); ++f) {
      const Score score = measure(*session.model, files[f], options);
      results[f * versions.size() + v] = score_json(a, versions[v].label, a.data[f], score);
    }
  }
  if (!a.json) {
    print_table(results);
  } else {
    std::cout << (results.size() == 1 ? results[0] : Json{{"results", results}}).dump(2) << "\n";
  }
  return 0;
}

}  // namespace lora
