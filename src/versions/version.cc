// SPDX-License-Identifier: Apache-2.0
#include "versions/version.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/error.h"
#include "base/json_text.h"
#include "base/paths.h"
#include "base/shown.h"

namespace lora {
namespace {

using nlohmann::json;

// Each part is written and read by one list of (name, member): `v` is called with both.
template <typename Visit>
void visit(ParentLink& x, Visit v) {
  v("name", x.name), v("id", x.id), v("file_sha256", x.file_sha256);
}

template <typename Visit>
void visit(WeightsRecord& x, Visit v) {
  v("file", x.file), v("file_sha256", x.file_sha256), v("tensor_sha256", x.tensor_sha256);
  v("dtype", x.dtype), v("rank", x.rank), v("alpha", x.alpha), v("dropout", x.dropout);
  v("rslora", x.rslora), v("dora", x.dora), v("targets", x.targets), v("ranks", x.ranks);
  v("alphas", x.alphas), v("rank_pattern", x.rank_pattern), v("alpha_pattern", x.alpha_pattern);
}

template <typename Visit>
void visit(BaseRecord& x, Visit v) {
  v("path", x.path), v("format", x.format), v("sha256", x.sha256), v("tensors", x.tensors);
  v("tokenizer_sha256", x.tokenizer_sha256), v("text_encoder_sha256", x.text_encoder_sha256);
  v("vae_sha256", x.vae_sha256), v("prediction_type", x.prediction_type);
}

template <typename Visit>
void visit(DataRecord& x, Visit v) {
  v("manifest_sha256", x.manifest_sha256), v("eval_sha256", x.eval_sha256);
  v("train_path", x.train_path), v("metadata_path", x.metadata_path), v("format", x.format);
  v("columns", x.columns), v("file_sha256", x.file_sha256), v("new_samples", x.new_samples);
  v("replay_samples", x.replay_samples), v("left_out", x.left_out);
}

template <typename Visit>
void visit(TemplateRecord& x, Visit v) {
  v("name", x.name), v("string_sha256", x.string_sha256), v("probe_sha256", x.probe_sha256);
  v("date", x.date), v("special_ids", x.special_ids);
}

template <typename Visit>
void visit(RecipeRecord& x, Visit v) {
  v("peak_learning_rate", x.peak_learning_rate), v("optimizer", x.optimizer);
  v("schedule", x.schedule), v("epochs", x.epochs), v("warmup_steps", x.warmup_steps);
  v("batch_size", x.batch_size), v("accumulation", x.accumulation), v("seed", x.seed);
  v("replay", x.replay), v("loraplus_ratio", x.loraplus_ratio);
  v("weight_decay", x.weight_decay), v("retain", x.retain), v("precision", x.precision);
  v("max_seq_length", x.max_seq_length), v("resolution", x.resolution);
  v("clip_skip", x.clip_skip);
}

template <typename Visit>
void visit(RunRecord& x, Visit v) {
  v("created", x.created), v("tool_version", x.tool_version), v("git_commit", x.git_commit);
  v("host", x.host), v("device", x.device), v("threads", x.threads), v("steps", x.steps);
  v("samples_seen", x.samples_seen), v("wall_seconds", x.wall_seconds);
}

template <typename Visit>
void visit(CheckRecord& x, Visit v) {
  v("id", x.id), v("verdict", x.verdict), v("message", x.message);
}

template <typename Visit>
void visit(Version& x, Visit v) {
  v("schema", x.schema), v("name", x.name), v("number", x.number), v("task_type", x.task_type);
  v("lineage", x.lineage), v("parents", x.parents), v("run", x.run), v("weights", x.weights);
  v("base", x.base), v("data", x.data), v("template", x.prompt_template), v("recipe", x.recipe);
  v("preflight", x.preflight), v("metrics", x.metrics), v("files_sha256", x.files_sha256);
}

struct Nothing {
  template <typename T>
  void operator()(const char*, T&) const {}
};

template <typename T>
concept Record = requires(T x) {
  visit(x, Nothing{});
};

template <typename T>
json to_value(T& value) {
  if constexpr (Record<T>) {
    json out = json::object();
    visit(value, [&](const char* name, auto& member) { out[name] = to_value(member); });
    return out;
  } else if constexpr (requires { requires Record<typename T::value_type>; }) {
    json out = json::array();
    for (auto& item : value) out.push_back(to_value(item));
    return out;
  } else {
    return value;
  }
}

[[noreturn]] void wrong(const std::string& expected, const json& found) {
  throw json::type_error::create(302, "expected " + expected + ", found " + found.dump(), &found);
}

// json::get converts what is no such number, or does not fit, without a word.
template <typename T>
void check_number(const json& in, const T&) {
  if constexpr (std::is_same_v<T, double>) {
    if (!in.is_number()) wrong("a number", in);
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if (!in.is_number_integer()) wrong("a whole number", in);
  }
}

// Names that are absent keep their default: manifests of other releases stay readable.
template <typename T>
void from_value(const json& in, T& value) {
  if constexpr (Record<T>) {
    visit(value, [&](const char* name, auto& member) {
      if (in.contains(name)) from_value(in.at(name), member);
    });
  } else if constexpr (requires { requires Record<typename T::value_type>; }) {
    for (const json& item : in) from_value(item, value.emplace_back());
  } else {
    check_number(in, value);
    value = in.get<T>();
  }
}

std::string id_of(json manifest) {
  manifest.erase("id");
  return sha256(manifest.dump());
}

// The release that wrote it, where its manifest says so in the place of this one's.
std::string tool_of(const json& manifest) {
  const auto run = manifest.find("run");
  if (run == manifest.end() || !run->is_object()) return "?";
  const auto tool = run->find("tool_version");
  return tool != run->end() && tool->is_string() ? tool->get<std::string>() : "?";
}

// Before the id is looked at: another schema may compute it in another way.
void check_schema(const json& manifest, const std::string& where) {
  const auto found = manifest.find("schema");
  if (found == manifest.end()) return;  // the default
  if (found->is_number_integer() && *found >= 1 && *found <= kSchema) return;
  fail_integrity(where, ": a manifest that this release does not know (found schema ",
                 found->dump(), ", written by lora ", tool_of(manifest), ", expected schema ",
                 kSchema, "); use the release that wrote it, or a newer one");
}

// Names of files and folders are looked for in the version's folder and beside it, nowhere else.
void check_names(const Version& version, const std::string& where) {
  const auto check = [&](const char* field, const std::string& name) {
    if (name.empty() || (name_problem(name).empty() && name.find('/') == std::string::npos)) return;
    fail_integrity(where, ": ", field, " is no name (found '", name,
                   "', expected one without '/'); this manifest was not written by lora");
  };
  check("name", version.name);
  check("weights.file", version.weights.file);
  for (const ParentLink& parent : version.parents) {
    if (!parent.id.empty()) check("a parent", parent.name);  // the others are files, for people
  }
}

// Paths of the user's may hold any bytes, JSON only UTF-8.
json with_utf8(const json& value) {
  if (value.is_string()) return with_bytes_escaped(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value;
  json out = value.is_array() ? json::array() : json::object();
  if (value.is_array()) {
    for (const json& item : value) out.push_back(with_utf8(item));
  } else {
    for (const auto& [key, item] : value.items()) out[with_bytes_escaped(key)] = with_utf8(item);
  }
  return out;
}

void visit_values(const std::string& path, const json& value, const FieldVisitor& visit) {
  const bool records = value.is_array() && !value.empty() && value[0].is_structured();
  if (!records && (!value.is_object() || value.empty())) return visit(path, value);
  for (const auto& [key, member] : value.items()) {
    visit_values(path.empty() ? key : path + "." + key, member, visit);
  }
}

}  // namespace

void for_each_field(const Version& version, const FieldVisitor& visit) {
  Version copy = version;
  visit_values("", to_value(copy), visit);
}

std::vector<FieldChange> diff_versions(const Version& before, const Version& after) {
  std::map<std::string, FieldChange> changes;
  for_each_field(before, [&](const std::string& path, const json& value) {
    changes[path] = {path, value.dump(), ""};
  });
  for_each_field(after, [&](const std::string& path, const json& value) {
    FieldChange& change = changes[path];
    change = {path, change.before, value.dump()};
  });
  std::vector<FieldChange> changed;
  for (auto& [path, change] : changes) {
    if (change.before != change.after) changed.push_back(std::move(change));
  }
  return changed;
}

std::string version_json(const Version& version) {
  Version copy = version;
  json manifest = with_utf8(to_value(copy));
  manifest["id"] = id_of(manifest);
  return manifest.dump(2) + "\n";
}

Version parse_version(const std::string& text, const std::string& where) {
  const json manifest = try_parse_json<json>(text).value_or(json());
  if (!manifest.is_object() || !manifest.contains("id") || !manifest["id"].is_string()) {
    fail_integrity(where, ": not a manifest of a version (found ", text.size(),
                   " bytes, expected JSON with an id); restore the folder from a copy");
  }
  check_schema(manifest, where);
  const std::string recorded = manifest["id"];
  const std::string computed = id_of(manifest);
  if (recorded != computed) {
    fail_integrity(where, ": the manifest was changed after the commit (found id ",
                   computed.substr(0, 12), ", expected ", recorded.substr(0, 12),
                   "); restore the folder from a copy");
  }
  Version version;
  try {
    from_value(manifest, version);
  } catch (const json::exception& error) {
    fail_integrity(where, ": not a manifest that this program reads (", error.what(),
                   "); use the program that wrote it");
  }
  check_names(version, where);
  version.id = recorded;
  return version;
}

Version read_version(const Path& folder) {
  const Path file = folder / kManifestName;
  if (!is_committed(folder)) {
    fail(folder.string(), ": not a committed version (no ", kManifestName,
         "); finish the run with --resume, or name another version");
  }
  return parse_version(read_file(file), file.string());
}

bool is_committed(const Path& folder) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(folder / kManifestName, ignored);
}

}  // namespace lora
