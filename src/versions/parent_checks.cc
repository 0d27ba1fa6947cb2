// SPDX-License-Identifier: Apache-2.0
// Preflight of a warm start: does the parent fit this model and this configuration?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "versions/check_results.h"

namespace lora {
namespace {

std::string brief(const std::string& hash) { return hash.substr(0, 8); }

Result parent_unchanged(const PreflightInput& in) {
  if (!in.parent) return std::nullopt;
  const ParentFacts& parent = *in.parent;
  if (!parent.manifest && parent.problems.empty()) {
    return warning(
        fmt::format("init_lora_weights: {} has no version.json (found a file of another "
                    "program); it is taken as it is, lineage: unknown",
                    parent.name));
  }
  if (parent.problems.empty()) return ok(fmt::format("parent {} is as recorded", parent.name));
  return error(
      fmt::format("init_lora_weights: parent {} does not match what was recorded of it "
                  "({}); restore it from a copy",
                  parent.name, join_words(parent.problems, "; ")));
}

Result output_is_new(const PreflightInput& in) {
  if (!in.parent) return std::nullopt;
  if (output_holds_parent(in)) {
    return error(
        fmt::format("output_dir: would overwrite the version you start from (found '{}', "
                    "which holds {}); choose a new name",
                    in.config.output_dir, in.parent->weights.filename().string()));
  }
  return ok("the output is a new folder");
}

// The first few names, for messages.
std::string some(const std::vector<std::string>& names) {
  return names.size() == 1 ? names[0] : fmt::format("first: {}", names[0]);
}

Result coverage(const PreflightInput& in) {
  if (!in.parent || !in.places || in.parent->modules.empty()) return std::nullopt;
  const std::set<std::string> places(in.places->begin(), in.places->end());
  const auto& modules = in.parent->modules;
  std::vector<std::string> homeless, broken;
  bool all_zero = true;
  for (const auto& [name, facts] : modules) {
    if (!places.contains(name)) homeless.push_back(name);
    if (!facts.finite) broken.push_back(name);
    all_zero = all_zero && facts.zero;
  }
  const bool texts = std::ranges::all_of(
      homeless, [](const std::string& name) { return name.starts_with("text_encoder"); });
  if (texts && !homeless.empty() && !in.config.images.train_text_encoder) {
    return error(
        fmt::format("init_lora_weights: {} of {} modules in the file adapt the text encoder, which "
                    "this run does not train ({}); set train_text_encoder: true",
                    homeless.size(), modules.size(), some(homeless)));
  }
  if (homeless.size() == modules.size()) {
    return error(
        fmt::format("init_lora_weights: none of the {} modules in the file has a place in "
                    "this model ({}); it was trained on another kind of model",
                    modules.size(), some(homeless)));
  }
  if (!homeless.empty()) {
    return error(
        fmt::format("init_lora_weights: {} of {} modules in the file have no place in "
                    "this model ({}); give its base model, or remove target_modules",
                    homeless.size(), modules.size(), some(homeless)));
  }
  if (!broken.empty()) {
    return error(
        fmt::format("init_lora_weights: {} of {} modules hold numbers that are not finite "
                    "({}); continue from an earlier version",
                    broken.size(), modules.size(), some(broken)));
  }
  if (all_zero) {
    return error(
        fmt::format("init_lora_weights: all {} modules are zero; the file holds nothing "
                    "that was learned: check that it is the right one",
                    modules.size()));
  }
  return ok(fmt::format("{} of {} modules found their place", modules.size(), modules.size()));
}

// Rank of the parent: from its manifest, else the commonest in the file.
std::optional<std::int64_t> parent_rank(const PreflightInput& in) {
  if (const Version* manifest = manifest_of(in)) return manifest->weights.rank;
  std::map<std::int64_t, int> counts;
  for (const auto& [name, facts] : in.parent->modules) ++counts[facts.rank];
  const auto most = std::ranges::max_element(counts, {}, [](const auto& x) { return x.second; });
  return most == counts.end() ? std::nullopt : std::optional(most->first);
}

Result rank_kept(const PreflightInput& in) {
  if (!in.parent) return std::nullopt;
  const auto rank = parent_rank(in);
  if (!rank) return std::nullopt;
  if (!in.config.adapter.lora_rank || *in.config.adapter.lora_rank == *rank)
    return ok(fmt::format("rank {}", *rank));
  const bool larger = *in.config.adapter.lora_rank > *rank;
  if (larger && in.config.increment.rank_policy == "grow") {
    return CheckResult{"", Verdict::info,
                       fmt::format("lora_rank: the parent's {} grow to {}, computing the same",
                                   *rank, *in.config.adapter.lora_rank)};
  }
  return error(fmt::format(
      "lora_rank: differs from the parent's (found {}, expected {}); set "
      "lora_rank: {}, or remove it{}",
      *in.config.adapter.lora_rank, *rank, *rank, larger ? ", or add rank_policy: grow" : ""));
}

Result scale_kept(const PreflightInput& in) {
  if (!in.parent) return std::nullopt;
  const auto rank = parent_rank(in);
  if (!rank) return std::nullopt;
  std::optional<double> alpha;
  bool rslora = in.parent->rslora;
  if (const Version* manifest = manifest_of(in)) {
    alpha = manifest->weights.alpha;
    rslora = manifest->weights.rslora;
  } else {
    for (const auto& [name, facts] : in.parent->modules) {
      if (facts.rank == *rank) alpha = facts.alpha;
    }
  }
  if (!alpha) {
    if (in.config.adapter.lora_alpha) return ok("alpha as configured: the file does not say");
    return error(
        fmt::format("lora_alpha: {} does not say its alpha, so its strength is not known; "
                    "set lora_alpha (many programs use {}, the rank)",
                    in.parent->name, *rank));
  }
  const double before = adapter_scale(*alpha, *rank, rslora);
  // A grown adapter keeps its scale where lora_alpha does not say otherwise (see inherit).
  if (in.config.increment.rank_policy == "grow" && !in.config.adapter.lora_alpha &&
      in.config.adapter.use_rslora.value_or(rslora) == rslora) {
    return ok(fmt::format("scale {}", before));
  }
  const double after = adapter_scale(in.config.adapter.lora_alpha.value_or(*alpha),
                                     in.config.adapter.lora_rank.value_or(*rank),
                                     in.config.adapter.use_rslora.value_or(rslora));
  if (std::abs(after - before) <= 1e-6 * std::abs(before))
    return ok(fmt::format("scale {}", before));
  return error(
      fmt::format("lora_alpha: the effective scale would change every learned change by "
                  "{:.4g} (found {:.4g}, expected {:.4g}); set lora_alpha: {}, or remove "
                  "it",
                  after / before, after, before, *alpha));
}

Result targets_kept(const PreflightInput& in) {
  if (!in.parent || !in.places || in.parent->modules.empty()) return std::nullopt;
  if (in.config.adapter.target_modules.empty()) return ok("targets as the parent's");
  std::vector<std::string> added;
  for (const std::string& place : *in.places) {
    if (!in.parent->modules.contains(place)) added.push_back(place);
  }
  // Removed modules have no place: W03 tells.
  if (added.empty()) return ok("targets as the parent's");
  return error(
      fmt::format("target_modules: {} modules that the parent does not adapt ({}); remove "
                  "target_modules to take the parent's",
                  added.size(), some(added)));
}

Result base_kept(const PreflightInput& in) {
  const Version* parent = manifest_of(in);
  if (parent == nullptr || !in.base || parent->base.sha256.empty()) return std::nullopt;
  const BaseRecord& old = parent->base;
  if (old.sha256 != in.base->sha256) {
    return error(
        fmt::format("base_model: not the model that {} was trained on (found {} in '{}', "
                    "expected {} as in '{}'); set base_model: {}",
                    parent->name, brief(in.base->sha256), in.base->path, brief(old.sha256),
                    old.path, old.path));
  }
  if (old.tokenizer_sha256 != in.base->tokenizer_sha256) {
    return error(
        fmt::format("base_model: its tokenizer differs from the one {} was trained with "
                    "(found {}, expected {}); restore the tokenizer's files",
                    parent->name, brief(in.base->tokenizer_sha256), brief(old.tokenizer_sha256)));
  }
  if (old.prediction_type != in.base->prediction_type) {
    return error(
        fmt::format("prediction_type: differs from {}'s (found {}, expected {}); set it, "
                    "or remove it",
                    parent->name, in.base->prediction_type, old.prediction_type));
  }
  if (parent->recipe.clip_skip != 0 && is_image_task(in.config) &&
      parent->recipe.clip_skip != in.config.images.clip_skip) {
    return error(
        fmt::format("clip_skip: differs from {}'s (found {}, expected {}); set clip_skip: "
                    "{}",
                    parent->name, in.config.images.clip_skip, parent->recipe.clip_skip,
                    parent->recipe.clip_skip));
  }
  return ok("the base model is the parent's");
}

Result template_kept(const PreflightInput& in) {
  const Version* parent = manifest_of(in);
  if (parent == nullptr || !in.prompt_template || parent->prompt_template.probe_sha256.empty()) {
    return std::nullopt;
  }
  const TemplateRecord& old = parent->prompt_template;
  if (old.probe_sha256 == in.prompt_template->probe_sha256)
    return ok("the template is the parent's");
  // Releases up to 0.1.0 took the day of the run into the probe.
  if (old.date.empty() && !in.prompt_template->date.empty() &&
      old.string_sha256 == in.prompt_template->string_sha256) {
    return ok("the template is the parent's, which wrote another day");
  }
  return error(
      fmt::format("prompt_template: texts are rendered differently than for {} (found {}, "
                  "expected {}); set prompt_template: {}",
                  parent->name, in.prompt_template->name, old.name, old.name));
}

Result same_kind(const PreflightInput& in) {
  const Version* parent = manifest_of(in);
  if (parent == nullptr || parent->task_type.empty()) return std::nullopt;
  if (parent->task_type == in.config.task_type) return ok(parent->task_type);
  return error(
      fmt::format("init_lora_weights: {} is an adapter for {} (this run is {}); name a "
                  "version of the same kind",
                  parent->name, parent->task_type, in.config.task_type));
}

constexpr CheckRow kChecks[] = {
    {"W01", "parent-changed", "the parent is as it was committed", parent_unchanged},
    {"W02", "", "the output is not the parent", output_is_new},
    {"W03", "", "every tensor of the parent finds its place", coverage},
    {"W04", "", "the rank is the parent's", rank_kept},
    {"W05", "", "the scale is the parent's", scale_kept},
    {"W06", "", "the targets are the parent's", targets_kept},
    {"W07", "base-mismatch", "the base model is the parent's", base_kept},
    {"W10", "", "the parent is of the same kind", same_kind},
    {"T01", "template-change", "texts are rendered as the parent's", template_kept},
};

}  // namespace

std::span<const CheckRow> parent_checks() { return kChecks; }

}  // namespace lora
