// SPDX-License-Identifier: Apache-2.0
// What the configuration names on disk: base model, data, the version to start from, the output.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "base/folders.h"
#include "base/paths.h"
#include "base/text.h"
#include "config/dialect.h"
#include "config/rules.h"
#include "config/version_name.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

bool is_there(const Path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_file_system(const Path& path) {
  std::error_code error;
  return fs::canonical(path, error) == Path("/") && !error;
}

bool is_pickle(const Path& path) {
  const std::string ending = lower_ascii(path.extension().string());
  return ending == ".ckpt" || ending == ".pt" || ending == ".pth" || ending == ".bin";
}

// "text-generation", "text-to-image", or "" after telling why it is neither.
std::string task_of_base(const RuleContext& context) {
  const std::string& text = context.config.base_model;
  const Path path = text;
  const auto refuse = [&](const std::string& message) {
    context.say("base_model", message);
    return std::string();
  };
  if (!is_there(path)) {
    return refuse(
        fmt::format("no such file or folder (found '{}', expected a model on this "
                    "machine); models are not downloaded: give its folder",
                    text));
  }
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    if (is_pickle(path)) {
      return refuse(
          fmt::format("a pickle is not read (found '{}'): loading one can run code; "
                      "convert it to .safetensors",
                      text));
    }
    if (path.extension() == ".safetensors") return "text-to-image";
    return refuse(
        fmt::format("not a base model (found the file '{}', expected a folder or a "
                    ".safetensors checkpoint); give the model's folder",
                    text));
  }
  if (is_there(path / "model_index.json") || is_there(path / "unet")) return "text-to-image";
  if (is_there(path / "config.json")) {
    const bool part = read_file(path / "config.json").find("\"_class_name\"") != std::string::npos;
    if (!part) return "text-generation";
    return refuse(
        fmt::format("one part of a diffusers model (found '{}', expected the folder above, which "
                    "holds model_index.json); give that folder",
                    text));
  }
  if (is_there(path / "adapter_config.json") || is_there(path / "version.json")) {
    return refuse(
        fmt::format("an adapter, not a base model (found '{}'); give the model it was "
                    "trained on, and the adapter in init_lora_weights",
                    text));
  }
  return refuse(
      fmt::format("not a base model (found a folder without config.json and "
                  "model_index.json: '{}'); give the folder that holds them",
                  text));
}

void infer_task(const RuleContext& context) {
  if (context.config.base_model.empty()) return;
  const std::string found = task_of_base(context);
  std::string& task = context.config.task_type;
  if (task.empty()) {
    task = found;
  } else if (!found.empty() && found != task) {
    context.say("task_type",
                fmt::format("does not fit base_model (found {}, expected {}: '{}' is such a "
                            "model); remove task_type or give another base_model",
                            task, found, context.config.base_model));
  }
}

void check_data_paths(const RuleContext& context) {
  const Config& config = context.config;
  const std::pair<std::string_view, const std::string*> paths[] = {
      {"train_data_dir", &config.data.train_data_dir},
      {"metadata_path", &config.data.metadata_path},
      {"validation_data", &config.data.validation_data},
  };
  for (const auto& [key, path] : paths) {
    if (!path->empty() && is_file_system(*path)) {
      context.say(key,
                  fmt::format("the root of a whole file system (found '{}', expected a file or "
                              "folder of training data); name the folder that holds it",
                              *path));
    }
    if (path->empty() || is_there(*path)) continue;
    context.say(key, fmt::format("no such file or folder (found '{}', expected training data); "
                                 "relative paths start at the working directory",
                                 *path));
  }
  if (config.data.train_data_dir.empty() && !config.data.metadata_path.empty() &&
      is_image_task(config)) {
    context.say("train_data_dir",
                "missing (expected the folder of the pictures; metadata_path holds their captions "
                "alone); add `train_data_dir: ...`");
  }
  constexpr std::string_view kRoles[] = {"instruction", "input",      "output", "system",
                                         "history",     "prompt",     "text",   "messages",
                                         "image",       "completion", "caption"};
  std::vector<std::string> roles(std::begin(kRoles), std::end(kRoles));
  if (is_image_task(config)) roles = {"image", "caption"};
  for (const auto& [role, column] : config.data.columns) {
    if (std::ranges::find(roles, role) != roles.end()) continue;
    context.say("columns", fmt::format("unknown role (found '{}', expected one of {}){}", role,
                                       join_words(roles), did_you_mean(role, roles)));
  }
}

// A path or version = warm start, a keyword = initialisation, anything else names both.
void check_init(const RuleContext& context) {
  std::string& value = context.config.adapter.init_lora_weights;
  const std::string word = lower_ascii(value);
  if (word == "true" || word == "false" || word == "gaussian") {
    value = word;
    return;
  }
  if (word.empty()) {
    value = "true";
    return;
  }
  const Path path = value;
  if (is_pickle(path)) {
    return context.say("init_lora_weights",
                       fmt::format("a pickle is not read (found '{}'): loading one can run code; "
                                   "convert it to .safetensors",
                                   value));
  }
  if (is_there(path)) return;
  const Path root = output_root(context.config);
  if (value.find('/') == std::string::npos && is_there(root / value)) return;
  if (is_there(root / ".versions" / "refs" / value)) return;
  if (is_foreign_initialisation(word)) {
    return context.say("init_lora_weights",
                       fmt::format("this initialisation of PEFT is not supported (found '{}', "
                                   "expected true, false or gaussian); leave it out",
                                   value));
  }
  if (path.extension() == ".safetensors" || value.find('/') != std::string::npos) {
    return context.say("init_lora_weights",
                       fmt::format("no such file or folder (found '{}', expected the adapter to "
                                   "continue from); relative paths start at the working directory",
                                   value));
  }
  std::vector<std::string> known = {"true", "false", "gaussian"};
  for (const std::string& name : folders_in(root)) known.push_back(name);
  context.say("init_lora_weights",
              fmt::format("neither a version to continue from nor an initialisation (found '{}', "
                          "expected a path, a version in {}, or true, false, gaussian){}",
                          value, root.string(), did_you_mean(word, known)));
}

// What is read must not grow by what is written, and originals stay alone.
void check_output_apart(const RuleContext& context) {
  const Config& config = context.config;
  const std::pair<std::string_view, const std::string*> places[] = {
      {"train_data_dir", &config.data.train_data_dir},
      {"validation_data", &config.data.validation_data},
      {"class_data_dir", &config.prior.class_data_dir},
      {"base_model", &config.base_model},
  };
  std::error_code ignored;
  for (const auto& [key, place] : places) {
    if (place->empty() || !fs::is_directory(*place, ignored)) continue;
    if (!lies_in(config.output_dir, *place)) continue;
    context.say("output_dir",
                fmt::format("lies in {} (found '{}', expected a folder outside '{}'); choose "
                            "another, e.g. ./output/my_v1",
                            key, config.output_dir, *place));
    return;
  }
}

void check_output(const RuleContext& context) {
  const std::string& text = context.config.output_dir;
  if (text.empty()) return;
  Path path = Path(text).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string problem = version_name_problem(path.filename().string());
  if (!problem.empty()) context.say("output_dir", "its last part " + problem);
  check_output_apart(context);
}

}  // namespace

void check_files(const RuleContext& context) {
  infer_task(context);
  check_data_paths(context);
  check_init(context);
  check_output(context);
}

}  // namespace lora
