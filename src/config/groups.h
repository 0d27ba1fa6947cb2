// SPDX-License-Identifier: Apache-2.0
// The settings of a run, in groups that lower folders take as they are. One key of the (flat) YAML
// file = one member of the same name.
//
// What each key does, its range, aliases and when to change it: the tables in fields_*.cc, which
// are also `lora help config` and docs/config.md. A std::optional (or an empty list) that is
// absent means "the parent's value, else the default". No libtorch here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lora {

// Data.
struct DataConfig {
  std::string train_data_dir;   // file or folder
  std::string metadata_path;    // "" = found in train_data_dir
  std::string validation_data;  // file or folder; "" = validation_split
  double validation_split = 0;  // share of the training samples kept for validation
  std::string dataset_format = "auto";
  std::map<std::string, std::string> columns;  // role -> name in the file
  bool shuffle = true;
  std::int64_t repeats = 1;  // each sample this often an epoch
  double bad_records = 0.5;  // share of the texts that may be left out as unusable

  bool operator==(const DataConfig&) const = default;
};

// The adapter. Absent = the parent's, else the default (fill_defaults).
struct AdapterConfig {
  std::string init_lora_weights = "true";  // path or version = warm start; keyword = initialisation
  std::optional<std::int64_t> lora_rank;
  std::optional<double> lora_alpha;
  std::optional<double> lora_dropout;
  // Module names, presets (attention, mlp, all-linear) or regular expressions (is_regex).
  std::vector<std::string> target_modules;
  std::optional<bool> use_rslora;
  std::optional<bool> use_dora;
  std::map<std::string, std::int64_t> rank_pattern;  // module name or regex -> rank
  std::map<std::string, double> alpha_pattern;

  bool operator==(const AdapterConfig&) const = default;
};

// Continuing from a version.
struct IncrementConfig {
  std::string rank_policy = "keep";
  std::string targets_policy = "keep";
  std::string alpha_policy = "keep";
  double replay = 0;   // share of old samples among those seen, 0 = none
  std::string retain;  // "none" or "replay"; never empty after load_config
  std::string guard = "off";
  std::vector<std::string> allow;         // preflight checks by name that may fail
  std::vector<std::string> expect_shift;  // what is meant to be new in the data

  bool operator==(const IncrementConfig&) const = default;
};

// Optimisation.
struct OptimisationConfig {
  std::optional<double> learning_rate;  // peak; absent: 0.4 x the parent's peak, else the default
  std::string lr_scheduler = "cosine";
  std::int64_t lr_scheduler_cycles = 1;
  double lr_scheduler_power = 1;
  double lr_min_ratio = 0;                   // last learning rate as a share of the peak
  std::optional<std::int64_t> warmup_steps;  // at most one of the two is set
  std::optional<double> warmup_ratio;
  std::string optimizer = "adamw";
  double weight_decay = 0.01;
  std::optional<double> adam_beta1;  // default by optimizer
  std::optional<double> adam_beta2;
  double adam_epsilon = 1e-8;
  double momentum = 0;       // SGD
  double max_grad_norm = 1;  // 0 = no clipping
  double loraplus_lr_ratio = 1;
  std::optional<double> text_encoder_lr;  // images; absent: learning_rate

  bool operator==(const OptimisationConfig&) const = default;
};

// Length of the run.
struct LengthConfig {
  std::optional<double> epochs;  // exactly one of the two is set after load_config
  std::optional<std::int64_t> max_steps;
  std::int64_t batch_size = 1;
  std::int64_t gradient_accumulation_steps = 1;

  bool operator==(const LengthConfig&) const = default;
};

// The machine.
struct MachineConfig {
  std::string device = "auto";           // auto, cpu, cuda
  std::string mixed_precision = "auto";  // auto, bf16, fp16, no
  std::optional<double> loss_scale;      // fp16; absent: dynamic
  bool gradient_checkpointing = false;
  std::int64_t threads = 0;  // 0 = every core this process may use

  bool operator==(const MachineConfig&) const = default;
};

// Text.
struct TextConfig {
  std::string prompt_template = "auto";
  std::int64_t max_seq_length = 1024;
  bool packing = false;
  bool length_bucketing = true;
  bool train_on_prompt = false;
  bool mask_history = false;  // of a conversation the last answer alone is learned
  std::string template_date;  // what templates write as today; "" = the parent's, else now

  bool operator==(const TextConfig&) const = default;
};

// Images.
struct ImageConfig {
  std::int64_t resolution = 512;
  bool buckets = false;
  std::int64_t bucket_min = 256;
  std::int64_t bucket_max = 1024;
  std::int64_t bucket_step = 64;
  bool flip = false;
  bool cache_latents = true;
  std::string trigger_word;
  double caption_dropout = 0;
  bool caption_shuffle = false;
  std::int64_t keep_tokens = 0;
  std::int64_t max_token_length = 75;  // 75, 150 or 225
  std::int64_t clip_skip = 1;
  bool train_text_encoder = false;
  std::string prediction_type = "auto";  // auto, epsilon, v_prediction
  double noise_offset = 0;
  std::optional<double> snr_gamma;  // min-SNR; absent = off
  bool zero_terminal_snr = false;

  bool operator==(const ImageConfig&) const = default;
};

// Prior preservation (images).
struct PriorConfig {
  bool prior_preservation = false;
  double prior_loss_weight = 1;
  std::string class_data_dir;
  std::string class_prompt;
  std::int64_t num_class_images = 100;

  bool operator==(const PriorConfig&) const = default;
};

// Watching.
struct WatchConfig {
  std::int64_t logging_steps = 1;
  std::int64_t eval_steps = 0;  // 0 = after each epoch
  std::int64_t save_steps = 0;  // 0 = only when interrupted
  std::int64_t keep_checkpoints = 1;
  bool early_stopping = false;
  std::int64_t early_stopping_patience = 3;
  double early_stopping_threshold = 0;
  std::optional<bool> keep_best;  // absent: as early_stopping

  bool operator==(const WatchConfig&) const = default;
};

// Samples during training.
struct SamplingConfig {
  std::vector<std::string> sample_prompts;
  std::int64_t sample_every = 0;  // steps; 0 = before the first step and at the end
  std::int64_t sample_seed = 0;
  std::int64_t sample_max_tokens = 64;  // text
  std::string sample_negative;          // images, from here on
  std::int64_t sample_steps = 20;
  double sample_guidance = 7.5;
  std::string sample_sampler = "ddim";
  std::string sample_size;  // "WxH"; "" = resolution

  bool operator==(const SamplingConfig&) const = default;
};

}  // namespace lora
