// SPDX-License-Identifier: Apache-2.0
// Version: the manifest of one training run, version.json in its folder. Its presence means that
// the version is committed. The id is the SHA-256 of the manifest without the id (compact JSON,
// sorted keys) and covers the parents' ids: an edited ancestor breaks every descendant.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace lora {

inline constexpr std::string_view kManifestName = "version.json";
inline constexpr std::string_view kSumsName = "SHA256SUMS";
inline constexpr std::string_view kWeightsName = "pytorch_lora_weights.safetensors";

struct ParentLink {
  std::string name, id;  // id "" for a file that is no version (lineage unknown)
  std::string file_sha256;
};

// The adapter. Strength of a module: alpha / rank, or alpha / sqrt(rank) with rslora.
struct WeightsRecord {
  std::string file;  // name in the folder
  std::string file_sha256;
  std::string tensor_sha256;  // does not change with the file's metadata
  std::string dtype;
  std::int64_t rank = 0;
  double alpha = 0;
  double dropout = 0;
  bool rslora = false, dora = false;
  std::vector<std::string> targets;                  // as configured
  std::map<std::string, std::int64_t> ranks;         // module -> rank
  std::map<std::string, double> alphas;              // module -> alpha
  std::map<std::string, std::int64_t> rank_pattern;  // as configured
  std::map<std::string, double> alpha_pattern;
};

struct BaseRecord {
  std::string path, format;         // "huggingface", "diffusers", "checkpoint"
  std::string sha256;               // over all weight files
  std::string tokenizer_sha256;     // over the tokenizer's files, "" where there are none
  std::string text_encoder_sha256;  // images, folders
  std::string vae_sha256;
  std::string prediction_type;  // images
  std::int64_t tensors = 0;
};

struct DataRecord {
  std::string manifest_sha256;                     // of data_manifest.tsv
  std::string eval_sha256;                         // of the validation data, "" where there is none
  std::string train_path, metadata_path;           // what replay reads again
  std::string format;                              // how the records were read
  std::map<std::string, std::string> columns;      // as configured
  std::map<std::string, std::string> file_sha256;  // path -> hash of every file that was read
  std::int64_t new_samples = 0, replay_samples = 0;
  std::int64_t left_out = 0;  // texts: records that could not be used
};

struct TemplateRecord {
  std::string name;           // "auto", "llama2", ...
  std::string string_sha256;  // of the template's text
  std::string probe_sha256;   // of the token ids of a fixed rendered conversation
  std::string date;           // what it takes for today, "" where it writes no date
  std::map<std::string, std::int64_t> special_ids;
};

struct RecipeRecord {
  double peak_learning_rate = 0;
  std::string optimizer, schedule, retain, precision;
  double epochs = 0;  // passes over the new data
  std::int64_t warmup_steps = 0, batch_size = 0, accumulation = 0, seed = 0;
  double replay = 0, loraplus_ratio = 1, weight_decay = 0;
  std::int64_t max_seq_length = 0;             // text
  std::int64_t resolution = 0, clip_skip = 0;  // images
};

struct RunRecord {
  std::string created;  // UTC
  std::string tool_version, git_commit, host, device;
  std::int64_t threads = 0, steps = 0, samples_seen = 0;
  double wall_seconds = 0;
};

// One preflight check as it was found.
struct CheckRecord {
  std::string id;       // "W04"
  std::string verdict;  // "ok", "info", "warning", "error", "allowed"
  std::string message;
};

inline constexpr std::int64_t kSchema = 1;

struct Version {
  std::int64_t schema = kSchema;
  std::string name;
  std::int64_t number = 1;  // length of the chain of parents
  std::string id;
  std::string task_type;
  std::string lineage = "root";     // "root", "known", "unknown" (continued from a foreign file)
  std::vector<ParentLink> parents;  // none, one, or several for a merge
  RunRecord run;
  WeightsRecord weights;
  BaseRecord base;
  DataRecord data;
  TemplateRecord prompt_template;
  RecipeRecord recipe;
  std::vector<CheckRecord> preflight;
  std::map<std::string, double> metrics;  // "loss", "validation_loss", "probe_loss", ...
  std::string files_sha256;               // of SHA256SUMS
};

// The manifest as text; computes and writes the id anew.
std::string version_json(const Version& version);

// Reads a manifest and checks schema and id. The id is that of the text as it stands: fields that
// this release does not know stay covered. `where` stands for the file in messages. Throws Error
// (integrity) where it was edited, is of a newer release, or is no manifest.
Version parse_version(const std::string& text, const std::string& where);

// Calls `visit` with every value of the manifest and its path: "recipe.epochs", "parents.0.name",
// "weights.ranks.layers.0.q_proj". Lists of plain values and empty ones are one value. The id is
// left out: it follows from the others.
using FieldVisitor = std::function<void(const std::string& path, const nlohmann::json& value)>;
void for_each_field(const Version& version, const FieldVisitor& visit);

// A field that differs, as JSON text; "" where one of the two has no such field.
struct FieldChange {
  std::string field, before, after;
};

// What changed from one manifest to another, by path.
std::vector<FieldChange> diff_versions(const Version& before, const Version& after);

// The manifest of a folder. Throws Error as parse_version, and where there is none.
Version read_version(const Path& folder);

// True where the folder has a manifest.
bool is_committed(const Path& folder);

}  // namespace lora
