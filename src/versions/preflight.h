// SPDX-License-Identifier: Apache-2.0
// What is checked before any compute is spent. Each check is a pure function over PreflightInput:
// nothing is read from disk here.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/config.h"
#include "data/data_stats.h"
#include "data/overlap.h"
#include "versions/version.h"

namespace lora {

enum class Verdict { ok, info, warning, error, allowed };
std::string_view verdict_name(Verdict verdict);

// How a check turned out. `message` is a full sentence in the form of all errors.
struct CheckResult {
  std::string id;
  Verdict verdict = Verdict::ok;
  std::string message;
  Exit code = Exit::usage;  // of the program that an error stops
};

// One adapted module of a file.
struct ModuleFacts {
  std::int64_t rank = 0;
  std::optional<double> alpha;  // absent: the file does not say
  bool finite = true;
  bool zero = false;  // B holds zeros only
};

// The version that this run continues from.
struct ParentFacts {
  std::string name;                            // "starli_v1", or the file's name
  Path weights;                                // the adapter file
  std::optional<Version> manifest;             // absent: a foreign file
  std::vector<std::string> problems;           // of verify_version
  std::map<std::string, ModuleFacts> modules;  // as read from the file; empty: not read yet
  bool rslora = false, dora = false;
  std::vector<std::string> replay_problems;  // files that are gone or changed since
  std::optional<DataStats> data;             // absent: the version has no data_stats.json
};

// What the samples need of a language model, and what it has.
struct TextLimits {
  std::int64_t vocabulary = 0, positions = 0;
  bool learned = false;  // the positions: there are no more of them
  std::int64_t longest = 0, largest_id = 0;
  std::string largest_token;  // where its id is beyond the vocabulary
};

// Whether the run can have its folder.
struct FolderFacts {
  std::string refusal;      // of require_free; "" = it can
  Exit code = Exit::usage;  // that of the refusal
};

// What is known of the run at the time of the checks; checks that miss their facts are left out.
struct PreflightInput {
  Config config;  // before defaults and the parent's values were filled in
  std::optional<FolderFacts> folder;
  std::optional<ParentFacts> parent;
  std::optional<std::vector<std::string>> places;  // modules of the model that this run adapts
  std::optional<BaseRecord> base;
  std::optional<TemplateRecord> prompt_template;
  std::optional<std::int64_t> total_steps;  // optimizer steps
  std::optional<std::int64_t> trainable;    // numbers
  std::optional<double> passes;             // over the new data
  std::optional<DataStats> data;            // of the new samples
  std::optional<TextLimits> limits;         // texts
  // Validation samples that are trained on as well; that the parent was trained on; new samples
  // that the parent was trained on.
  std::optional<Overlap> leaked, known_before, trained_before;
  std::int64_t pixels_per_latent = 1;  // edge of the block that is one number of a latent
};

struct CheckRow {
  std::string_view id;
  std::string_view allow;  // word of the key `allow` that lets an error pass; "" = never
  std::string_view help;
  // nullopt: the check does not concern this run.
  std::optional<CheckResult> (*check)(const PreflightInput&);
};

// Every check: of the parent, of the recipe, of what the data hold, of how they are written.
std::span<const CheckRow> parent_checks();
std::span<const CheckRow> run_checks();
std::span<const CheckRow> content_checks();
std::span<const CheckRow> form_checks();
std::vector<CheckRow> all_checks();

// D05, once the parent's adapter is in the model: its loss on new samples against that on its own
// probe. Below 1.05 times there is little to learn; above 3 times the parent will be changed much.
CheckResult novelty(const PreflightInput& input, double old_loss, double new_loss);

// Runs all checks. An error whose name is in config.increment.allow becomes `allowed`; the others
// say how.
std::vector<CheckResult> run_preflight(const PreflightInput& input);
// Those that need neither data nor model: what fails here need not be read.
std::vector<CheckResult> run_first_checks(const PreflightInput& input);

// "checks: 17 ok, 1 warning, 1 error", then a line a check that is neither ok nor an error: errors
// are told by require_passed.
std::string preflight_text(const std::vector<CheckResult>& results);

bool passed(const std::vector<CheckResult>& results);
// Throws Error (usage; integrity where one is) with every error, one a line, where there is any.
void require_passed(const std::vector<CheckResult>& results);

// For version.json.
std::vector<CheckRecord> check_records(const std::vector<CheckResult>& results);

// Absent settings of `config` take the parent's: rank, alpha, dropout, targets, patterns, rsLoRA
// and DoRA from `weights` (alpha such that the scale stays where the rank grows); the learning rate
// becomes 0.4 x `peak` where `peak` is known. fill_defaults does the rest.
void inherit(Config& config, const WeightsRecord& weights, std::optional<double> peak);

// Strength of a module: alpha / rank, or alpha / sqrt(rank) with rslora.
double adapter_scale(double alpha, std::int64_t rank, bool rslora);

}  // namespace lora
