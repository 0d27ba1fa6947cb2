// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/reading.h"
#include "base/shown.h"
#include "cli/command_line.h"
#include "runs/describe.h"
#include "versions/store.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

// "4 (128 modules), 8 (64 modules)"
std::string counts(const Json& json, const char* what) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    const std::string number = key.ends_with(".0") ? key.substr(0, key.size() - 2) : key;
    text += fmt::format("{}{} ({} {})", text.empty() ? "" : ", ", number, value.dump(), what);
  }
  return text;
}

void line(const char* name, const std::string& text) {
  if (!text.empty()) say(fmt::format("{:<12}{}", name, shown(text)));
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_groups(const char* title, const Json& groups) {
  for (const auto& [name, group] : groups.items()) {
    line(title,
         fmt::format("{:<22}{:>4} modules   |dW| {:.6g}", name, group["modules"].get<std::size_t>(),
                     group["delta_norm"].get<double>()));
    title = "";
  }
}

void print_metadata(const Json& metadata) {
  constexpr std::size_t kShown = 16, kWidth = 70;
  std::size_t shown = 0;
  for (const auto& [key, value] : metadata.items()) {
    if (++shown > kShown) continue;
    const std::string text = text_of(value);
    line("metadata", key + " = " + (text.size() > kWidth ? text.substr(0, kWidth) + "..." : text));
  }
  if (shown > kShown) {
    line("metadata", fmt::format("{} more entries (--json shows them)", shown - kShown));
  }
}

void print_adapter(const Json& json) {
  line("file", text_of(json["file"]));
  line("adapter", fmt::format("{}, for {}", text_of(json["dialect"]), text_of(json["for"])));
  line("modules",
       fmt::format("{} ({} parameters)", json["modules"].dump(), json["parameters"].dump()));
  line("rank", counts(json["ranks"], "modules"));
  line("alpha", counts(json["alphas"], "modules") + (json["alpha_known"] ? "" : ", assumed"));
  line("scale", counts(json["scales"], "modules"));
  line("dtype", counts(json["dtypes"], "tensors"));
  if (json["use_rslora"]) line("rsLoRA", "yes: scale = alpha / sqrt(rank)");
  if (json["use_dora"]) line("DoRA", "yes");
  print_groups("components", json["components"]);
  print_groups("targets", json["targets"]);
  line("base model", text_of(json["base_model"]));
  for (const Json& tensor : json["other_tensors"]) {
    line("not LoRA", fmt::format("{} {} {}", text_of(tensor["name"]), text_of(tensor["dtype"]),
                                 tensor["shape"].dump()));
  }
  print_metadata(json["metadata"]);
  line("tensors", "sha256 " + text_of(json["tensor_sha256"]));
  for (const Json& warning : json["warnings"]) line("note", text_of(warning));
}

void print_version(const Json& version) {
  for (const auto& [key, value] : version.items()) {
    if (value.is_primitive() && !value.is_null()) line("version", key + " = " + text_of(value));
  }
}

void print_tree(const Json& json, const std::string& indent) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object() && !value.empty()) {
      say(indent + shown(key));
      print_tree(value, indent + "  ");
    } else if (key == "tensor_list") {
      for (const Json& tensor : value) {
        say(indent + shown(text_of(tensor["name"])) + " " + tensor["shape"].dump());
      }
    } else {
      say(indent + shown(key) + "  " + shown(text_of(value)));
    }
  }
}

}  // namespace

int run_inspect(const Arguments& arguments) {
  const CommandLine line("inspect", arguments);
  Path path = line.text("path");
  if (!std::filesystem::exists(path)) path = locate_version(path, line.text("--root")).folder;
  const Json json = reading([&] { return describe(path); });
  if (line.given("--json")) {
    say_json(json);
    return 0;
  }
  if (!json.contains("dialect")) {
    print_tree(json, "");
    return 0;
  }
  if (json.contains("version")) print_version(json["version"]);
  print_adapter(json);
  return 0;
}

}  // namespace lora
