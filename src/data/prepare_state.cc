// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_state.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/draft.h"
#include "base/error.h"
#include "base/json_text.h"

namespace lora {
namespace {

using Json = nlohmann::json;

Json facts_json(const ImageFacts& facts) {
  Json json = {{"size", {facts.size.width, facts.size.height}},
               {"hash", facts.mark.hash},
               {"mosaic", facts.mark.mosaic},
               {"sharpness", facts.sharpness},
               {"notes", facts.notes}};
  if (facts.embedded) json["embedded"] = {facts.embedded->text, facts.embedded->source};
  if (!facts.model_captions.empty()) json["model_captions"] = facts.model_captions;
  return json;
}

ImageFacts facts_from(const Json& json) {
  ImageFacts facts;
  facts.size = {json.at("size").at(0), json.at("size").at(1)};
  facts.mark.hash = json.at("hash");
  facts.mark.mosaic = json.at("mosaic").get<Mosaic>();
  facts.sharpness = json.at("sharpness");
  facts.notes = json.at("notes").get<std::vector<std::string>>();
  if (json.contains("embedded")) {
    facts.embedded = Caption{json["embedded"].at(0), json["embedded"].at(1)};
  }
  if (json.contains("model_captions")) {
    facts.model_captions = json["model_captions"].get<std::map<std::string, std::string>>();
  }
  return facts;
}

template <typename Value>
void keep_keys(std::map<std::string, Value>& map, const std::set<std::string>& wanted) {
  std::erase_if(map, [&](const auto& entry) { return !wanted.contains(entry.first); });
}

}  // namespace

void require_own_folder(const Path& output) {
  std::filesystem::create_directories(output);
  const bool own = std::filesystem::exists(output / kPrepareState);
  for (const auto& entry : std::filesystem::directory_iterator(output)) {
    const std::string name = entry.path().filename().string();
    if (own || is_draft_name(name)) continue;  // of a run that was killed at once
    fail_usage(output.string(), ": the folder holds other files (found ", name,
               ", expected an empty folder or the result of an earlier run); choose another "
               "--output");
  }
  remove_dead_drafts(output);
}

bool write_if_changed(const Path& path, const std::string& content) {
  if (std::filesystem::exists(path) && read_file(path) == content) return false;
  write_file_atomic(path, content);
  return true;
}

PrepareState::PrepareState(Path path, std::string facts_key)
    : path_(std::move(path)), facts_key_(std::move(facts_key)) {
  existed_ = std::filesystem::exists(path_);
  if (!existed_) return;
  written_ = read_file(path_);
  try {
    const Json json = try_parse_json<Json>(written_).value_or(Json());
    for (const auto& [name, made] : json.at("outputs").items()) {
      outputs[name] = {made.at(0), made.at(1), made.at(2)};
    }
    for (const auto& [name, caption] : json.at("captions").items()) {
      captions[name] = {caption.at(0), caption.at(1), caption.at(2)};
    }
    if (json.at("facts_key") != facts_key_) return;
    for (const auto& [sha, known] : json.at("facts").items()) facts[sha] = facts_from(known);
  } catch (const Json::exception&) {
    facts.clear();  // what cannot be read is only a lost shortcut
  }
}

std::string PrepareState::text() const {
  Json json = {{"facts_key", facts_key_},
               {"facts", Json::object()},
               {"outputs", Json::object()},
               {"captions", Json::object()}};
  for (const auto& [sha, known] : facts) json["facts"][sha] = facts_json(known);
  for (const auto& [name, made] : outputs) {
    json["outputs"][name] = {made.source_sha256, made.settings, made.output_sha256};
  }
  for (const auto& [name, caption] : captions) {
    json["captions"][name] = {caption.text, caption.before, caption.edited};
  }
  return json.dump();
}

void PrepareState::write() {
  std::string now = text();
  if (existed_ && now == written_) return;
  write_file_atomic(path_, now);
  written_ = std::move(now);
  existed_ = true;
}

void PrepareState::write_if_due() {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::seconds(2)) return;
  write();
  last_ = std::chrono::steady_clock::now();
}

void PrepareState::keep_only(const ImageScan& scan, const std::vector<std::string>& names) {
  std::set<std::string> hashes;
  for (const ImageRecord& record : scan.records) hashes.insert(record.sha256);
  std::erase_if(facts, [&](const auto& entry) { return !hashes.contains(entry.first); });
  const std::set<std::string> wanted(names.begin(), names.end());
  keep_keys(outputs, wanted);
  keep_keys(captions, wanted);
}

std::string facts_key(const ImageDataOptions& options) {
  return join("3|", int{options.background[0]}, ",", int{options.background[1]}, ",",
              int{options.background[2]});
}

}  // namespace lora
