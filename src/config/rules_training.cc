// SPDX-License-Identifier: Apache-2.0
// Settings that need or exclude each other.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/regex.h"
#include "base/text.h"
#include "base/utf8.h"
#include "config/rules.h"

namespace lora {
namespace {

// `key` was changed from its default although `condition` does not hold.
void needs(const RuleContext& context, bool changed, bool condition, std::string_view key,
           std::string_view what) {
  if (changed && !condition) {
    context.say(key, fmt::format("has no effect without {0}; set {0}, or remove {1}", what, key));
  }
}

void check_continue(const RuleContext& context) {
  Config& config = context.config;
  if (config.increment.retain == "replay" && config.increment.replay == 0) {
    if (context.has("replay")) {
      context.say("retain", "does not fit replay (found replay: 0); give a share such as 0.5");
    }
    config.increment.replay = 0.5;
  }
  if (config.increment.retain == "none" && config.increment.replay > 0) {
    context.say("retain", fmt::format("does not fit replay (found retain: none and replay: {}); "
                                      "remove one of the two",
                                      config.increment.replay));
  }
  if (config.increment.retain.empty())
    config.increment.retain = config.increment.replay > 0 ? "replay" : "none";
  if (config.increment.replay > 0 && !is_warm_start(config)) {
    context.say(context.has("replay") ? "replay" : "retain",
                "there is no parent whose data could be replayed; name a version in "
                "init_lora_weights, or remove it");
  }
  needs(context, !config.increment.expect_shift.empty(), is_warm_start(config), "expect_shift",
        "a version in init_lora_weights");
}

// 2026-01-31 or 2026-01-31 12:00:00; what is no day is refused where the date is read.
void check_date(const RuleContext& context) {
  const std::string& date = context.config.text.template_date;
  std::string shape = date;
  std::ranges::replace_if(
      shape, [](char c) { return c >= '0' && c <= '9'; }, '9');
  if (date.empty() || shape == "9999-99-99" || shape == "9999-99-99 99:99:99") return;
  context.say("template_date", fmt::format("not a date (found '{}', expected 2026-01-31 or "
                                           "2026-01-31 12:00:00); write it so",
                                           date));
}

void check_expression(const RuleContext& context, std::string_view key, const std::string& name) {
  if (const auto mistake = regex_mistake(name)) {
    context.say(key, fmt::format("'{}' is not a regular expression (found {}); mend it, or give a "
                                 "module name such as q_proj",
                                 name, *mistake));
  }
}

void check_expressions(const RuleContext& context) {
  const AdapterConfig& adapter = context.config.adapter;
  for (const std::string& target : adapter.target_modules) {
    if (is_regex(target)) check_expression(context, "target_modules", target);
  }
  for (const auto& [name, rank] : adapter.rank_pattern) {
    check_expression(context, "rank_pattern", name);
  }
  for (const auto& [name, alpha] : adapter.alpha_pattern) {
    check_expression(context, "alpha_pattern", name);
  }
}

void check_length(const RuleContext& context) {
  Config& config = context.config;
  if (config.length.epochs && config.length.max_steps) {
    context.say("max_steps",
                fmt::format("the length is given twice (found epochs: {} and max_steps: {}); "
                            "remove one of the two",
                            *config.length.epochs, *config.length.max_steps));
  }
  if (!config.length.epochs && !config.length.max_steps)
    config.length.epochs = is_image_task(config) ? 10 : 3;
  if (config.optimisation.warmup_steps && config.optimisation.warmup_ratio) {
    context.say("warmup_ratio",
                fmt::format("the warm-up is given twice (found warmup_steps: {} and warmup_ratio: "
                            "{}); remove one of the two",
                            *config.optimisation.warmup_steps, *config.optimisation.warmup_ratio));
  }
  if (config.optimisation.warmup_steps && config.length.max_steps &&
      *config.optimisation.warmup_steps >= *config.length.max_steps) {
    context.say("warmup_steps",
                fmt::format("not shorter than the run (found {}, expected less than max_steps: "
                            "{}); lower it",
                            *config.optimisation.warmup_steps, *config.length.max_steps));
  }
}

void check_optimizer(const RuleContext& context) {
  const Config& config = context.config;
  const std::string& name = config.optimisation.optimizer;
  const bool betas = name == "adamw" || name == "lion";
  needs(context, config.optimisation.adam_beta1.has_value(), betas, "adam_beta1",
        "optimizer: adamw or lion");
  needs(context, config.optimisation.adam_beta2.has_value(), betas, "adam_beta2",
        "optimizer: adamw or lion");
  needs(context, config.optimisation.adam_epsilon != Config{}.optimisation.adam_epsilon,
        name == "adamw", "adam_epsilon", "optimizer: adamw");
  needs(context, config.optimisation.momentum != 0, name == "sgd", "momentum", "optimizer: sgd");
  const std::string& schedule = config.optimisation.lr_scheduler;
  needs(context, config.optimisation.lr_scheduler_cycles != 1, schedule == "cosine_with_restarts",
        "lr_scheduler_cycles", "lr_scheduler: cosine_with_restarts");
  needs(context, config.optimisation.lr_scheduler_power != 1, schedule == "polynomial",
        "lr_scheduler_power", "lr_scheduler: polynomial");
  needs(context, config.optimisation.lr_min_ratio != 0, schedule != "constant", "lr_min_ratio",
        "an lr_scheduler that falls");
  if (config.optimisation.learning_rate && *config.optimisation.learning_rate == 0) {
    context.say("learning_rate",
                "nothing would be learned (found 0, expected greater than 0)"
                "; see `lora help config learning_rate`");
  }
}

void check_machine(const RuleContext& context) {
  const Config& config = context.config;
  needs(context, config.machine.loss_scale.has_value(), config.machine.mixed_precision == "fp16",
        "loss_scale", "mixed_precision: fp16");
  if (config.machine.mixed_precision == "fp16" && config.machine.device == "cpu") {
    context.say("mixed_precision",
                "fp16 needs a GPU (found device: cpu); use bf16, no or auto on the CPU");
  }
}

void check_multiple(const RuleContext& context, std::string_view key, std::int64_t value,
                    std::int64_t of, std::string_view why) {
  if (value % of == 0) return;
  const std::int64_t lower = value / of * of;
  context.say(key, fmt::format("not a multiple of {} (found {}, expected {} or {}){}", of, value,
                               lower, lower + of, why));
}

void check_image(const RuleContext& context) {
  const Config& config = context.config;
  check_multiple(context, "resolution", config.images.resolution, 8,
                 "; the VAE works on blocks of 8 pixels");
  check_multiple(context, "bucket_step", config.images.bucket_step, 8,
                 "; the VAE works on blocks of 8 pixels");
  const Config defaults;
  needs(context, config.images.bucket_min != defaults.images.bucket_min, config.images.buckets,
        "bucket_min", "buckets: true");
  needs(context, config.images.bucket_max != defaults.images.bucket_max, config.images.buckets,
        "bucket_max", "buckets: true");
  needs(context, config.images.bucket_step != defaults.images.bucket_step, config.images.buckets,
        "bucket_step", "buckets: true");
  if (config.images.buckets && (config.images.bucket_min > config.images.resolution ||
                                config.images.bucket_max < config.images.resolution)) {
    context.say("buckets", fmt::format("the edges do not enclose the resolution (found bucket_min: "
                                       "{}, resolution: {}, bucket_max: {}); change one of them",
                                       config.images.bucket_min, config.images.resolution,
                                       config.images.bucket_max));
  }
  const std::int64_t tokens = config.images.max_token_length;
  if (tokens != 75 && tokens != 150 && tokens != 225) {
    context.say("max_token_length",
                fmt::format("unknown choice (found {}, expected one of 75, 150, 225); {}", tokens,
                            tokens == 255 ? "225 is what is meant" : "choose one of them"));
  }
  needs(context, config.images.keep_tokens != 0, config.images.caption_shuffle, "keep_tokens",
        "caption_shuffle: true");
  needs(context, config.optimisation.text_encoder_lr.has_value(), config.images.train_text_encoder,
        "text_encoder_lr", "train_text_encoder: true");
  if (config.images.zero_terminal_snr && config.images.prediction_type == "epsilon") {
    context.say("zero_terminal_snr",
                "does not fit prediction_type: epsilon (the last step holds no signal); use it "
                "with v_prediction models only");
  }
}

void check_prior(const RuleContext& context) {
  const Config& config = context.config;
  const bool on = config.prior.prior_preservation;
  constexpr std::string_view kSwitch = "prior_preservation: true";
  needs(context, !config.prior.class_prompt.empty(), on, "class_prompt", kSwitch);
  needs(context, !config.prior.class_data_dir.empty(), on, "class_data_dir", kSwitch);
  needs(context, config.prior.prior_loss_weight != 1, on, "prior_loss_weight", kSwitch);
  needs(context, config.prior.num_class_images != Config{}.prior.num_class_images, on,
        "num_class_images", kSwitch);
  if (on && config.prior.class_prompt.empty()) {
    context.say("prior_preservation",
                "class_prompt is missing (expected what the class pictures show); add e.g. "
                "`class_prompt: a girl`");
  }
}

void check_watch(const RuleContext& context) {
  const Config& config = context.config;
  const bool validates = config.data.validation_split > 0 || !config.data.validation_data.empty();
  constexpr std::string_view kWhat = "validation_data or validation_split";
  needs(context, config.watch.early_stopping, validates, "early_stopping", kWhat);
  needs(context, config.watch.keep_best.value_or(false), validates, "keep_best", kWhat);
  needs(context, config.watch.eval_steps != 0, validates, "eval_steps", kWhat);
  needs(context, config.watch.early_stopping_threshold != 0, config.watch.early_stopping,
        "early_stopping_threshold", "early_stopping: true");
  needs(context, config.watch.early_stopping_patience != Config{}.watch.early_stopping_patience,
        config.watch.early_stopping, "early_stopping_patience", "early_stopping: true");
  if (config.data.validation_split > 0 && !config.data.validation_data.empty()) {
    context.say("validation_split",
                fmt::format("validation is given twice (found validation_split: {} and "
                            "validation_data: {}); remove one of the two",
                            config.data.validation_split, config.data.validation_data));
  }
}

// One prompts file becomes its lines, so that the resolved configuration holds the prompts.
void read_prompts(const RuleContext& context) {
  std::vector<std::string>& prompts = context.config.sampling.sample_prompts;
  if (prompts.size() != 1 || Path(prompts[0]).extension() != ".txt") return;
  const std::string file = prompts[0];
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    return context.say("sample_prompts",
                       fmt::format("no such file (found '{}', expected a text file with one "
                                   "prompt a line); relative paths start at the working directory",
                                   file));
  }
  prompts.clear();
  const std::string content = read_file(file);
  check_utf8(content, file);
  for (const std::string& line : split(without_bom(content), '\n')) {
    if (!trim(line).empty() && !line.starts_with('#')) prompts.push_back(trim(line));
  }
}

void check_samples(const RuleContext& context) {
  const Config& config = context.config;
  read_prompts(context);
  for (const std::string& prompt : config.sampling.sample_prompts) {
    for (const std::string_view option : {" --n ", " --w ", " --h ", " --d ", " --l ", " --s "}) {
      if (prompt.find(option) == std::string::npos) continue;
      context.say("sample_prompts",
                  fmt::format("options inside a prompt are not read (found '{}' in '{}'); use "
                              "sample_negative, sample_size, sample_seed, sample_guidance and "
                              "sample_steps",
                              trim(option), prompt));
      break;
    }
  }
  needs(context, config.sampling.sample_every != 0, !config.sampling.sample_prompts.empty(),
        "sample_every", "sample_prompts");
  if (config.sampling.sample_size.empty()) return;
  const std::vector<std::string> edges = split(config.sampling.sample_size, 'x');
  const auto edge = [](const std::string& text) {
    const bool digits = !text.empty() && text.size() < 5 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    return digits ? std::stoi(text) : 0;
  };
  if (edges.size() != 2 || edge(edges[0]) < 8 || edge(edges[0]) % 8 != 0 || edge(edges[1]) < 8 ||
      edge(edges[1]) % 8 != 0) {
    context.say("sample_size",
                fmt::format("not a size (found '{}', expected width x height in multiples of 8); "
                            "write e.g. 512x768",
                            config.sampling.sample_size));
  }
}

}  // namespace

void check_training(const RuleContext& context) {
  check_continue(context);
  check_expressions(context);
  check_date(context);
  check_length(context);
  check_optimizer(context);
  check_machine(context);
  check_image(context);
  check_prior(context);
  check_watch(context);
  check_samples(context);
}

}  // namespace lora
