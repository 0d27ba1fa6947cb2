// SPDX-License-Identifier: Apache-2.0
// Config: every setting of a run (groups.h), read from YAML, checked, written.
//
// What each key does, its range, aliases and when to change it: the tables in fields_*.cc, which
// are also `lora help config` and docs/config.md. A std::optional (or an empty list) that is
// absent means "the parent's value, else the default"; after load_config the rules at the end of
// this page hold. No libtorch here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "config/groups.h"

namespace lora {

struct Config {
  std::string task_type;   // "text-generation" or "text-to-image"; never empty after load_config
  std::string base_model;  // folder, or one .safetensors checkpoint (images)
  std::string output_dir;  // the folder of the new version; its last part is the version's name
  std::int64_t seed = 42;

  DataConfig data;
  AdapterConfig adapter;
  IncrementConfig increment;
  OptimisationConfig optimisation;
  LengthConfig length;
  MachineConfig machine;
  TextConfig text;
  ImageConfig images;
  PriorConfig prior;
  WatchConfig watch;
  SamplingConfig sampling;

  bool operator==(const Config&) const = default;
};

// Reads `file`, applies `overrides` ("key=value", later wins), checks everything. Throws Error
// (usage) whose text lists every mistake, one a line:
//   configs/a.yaml:12:3: lora_rnak: unknown key; did you mean 'lora_rank'?
Config load_config(const Path& file, const std::vector<std::string>& overrides = {});

// The text of a configuration's file. Throws Error (usage) where there is none.
std::string read_config(const Path& file);

// The same from text; `name` stands for the file in messages.
Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides = {});

// Gives the absent adapter settings and learning rate their defaults. For runs without a parent;
// a warm start fills them from the parent first.
void fill_defaults(Config& config);

// Every key with its value, as YAML with one comment a group. parse_config of it gives the same
// Config. Absent optionals are left out.
std::string resolved_yaml(const Config& config);

// The value of `key` in a config.resolved.yaml; "" where there is no such file or value.
std::string resolved_value(const Path& file, const std::string& key);

// Text of `lora help config`, `lora help config KEY` (throws Error, usage, for an unknown key) and
// docs/config.md.
std::string config_help();
std::string config_help(std::string_view key);
std::string config_markdown();

// init_lora_weights: true where it is a file, a version folder or a version name. Its other
// values (true, false, gaussian) are initialisation schemes.
bool is_warm_start(const Config& config);

// task_type == "text-to-image".
bool is_image_task(const Config& config);

// True for an entry of target_modules or a key of a pattern that holds a character which module
// names never have (one of \*+?()[]{}|^$): matched against the whole module path.
bool is_regex(std::string_view target);

// Warm-up steps of a run of `total` optimizer steps: as configured; by default 3 % (fresh) or
// 5 %, at least 10 (warm start), at most half of the run.
std::int64_t warmup_steps_of(const Config& config, std::int64_t total);

// The folder that holds the versions: the parent folder of output_dir.
Path output_root(const Config& config);

}  // namespace lora
