// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_images.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "io/csv.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct Made {
  std::string source_sha256, settings, output_sha256;
};

// The memory between two runs: facts by picture, and what each output was made from.
struct State {
  ImageFactsCache facts;
  std::map<std::string, Made> outputs;  // by file_name
};

Json facts_json(const ImageFacts& facts) {
  Json json = {{"size", {facts.size.width, facts.size.height}},
               {"hash", facts.hash},
               {"sharpness", facts.sharpness},
               {"notes", facts.notes}};
  if (facts.embedded) json["embedded"] = {facts.embedded->text, facts.embedded->source};
  if (facts.model_caption) json["model_caption"] = *facts.model_caption;
  return json;
}

ImageFacts facts_from(const Json& json) {
  ImageFacts facts;
  facts.size = {json.at("size").at(0), json.at("size").at(1)};
  facts.hash = json.at("hash");
  facts.sharpness = json.at("sharpness");
  facts.notes = json.at("notes").get<std::vector<std::string>>();
  if (json.contains("embedded")) {
    facts.embedded = Caption{json["embedded"].at(0), json["embedded"].at(1)};
  }
  if (json.contains("model_caption")) facts.model_caption = json["model_caption"];
  return facts;
}

// What changes the facts: the background shows through when the hash is made; the model.
std::string facts_key(const ImageDataOptions& options) {
  return join("1|", int{options.background[0]}, ",", int{options.background[1]}, ",",
              int{options.background[2]}, "|", options.captioner_name);
}

State read_state(const Path& path, const ImageDataOptions& options) {
  State state;
  if (!std::filesystem::exists(path)) return state;
  try {
    const Json json = Json::parse(read_file(path));
    for (const auto& [name, made] : json.at("outputs").items()) {
      state.outputs[name] = {made.at(0), made.at(1), made.at(2)};
    }
    if (json.at("facts_key") != facts_key(options)) return state;
    for (const auto& [sha, facts] : json.at("facts").items()) state.facts[sha] = facts_from(facts);
  } catch (const Json::exception&) {
    return {};  // a state that cannot be read is only a lost shortcut
  }
  return state;
}

void write_state(const Path& path, const State& state, const ImageDataOptions& options) {
  Json json = {
      {"facts_key", facts_key(options)}, {"facts", Json::object()}, {"outputs", Json::object()}};
  for (const auto& [sha, facts] : state.facts) json["facts"][sha] = facts_json(facts);
  for (const auto& [name, made] : state.outputs) {
    json["outputs"][name] = {made.source_sha256, made.settings, made.output_sha256};
  }
  write_file_atomic(path, json.dump());
}

void write_if_changed(const Path& path, const std::string& content) {
  if (std::filesystem::exists(path) && read_file(path) == content) return;
  write_file_atomic(path, content);
}

// "a.jpg" -> "a.png"; "a_jpg.png" where another picture has that name.
std::vector<std::string> output_names(const std::vector<const ImageRecord*>& used) {
  std::map<std::string, int> count;
  const auto plain = [](const ImageRecord& record) {
    return Path(record.file.relative).replace_extension(".png").generic_string();
  };
  for (const ImageRecord* record : used) ++count[plain(*record)];
  std::vector<std::string> names;
  for (const ImageRecord* record : used) {
    const Path path(record->file.relative);
    const std::string ending = path.extension().string().substr(1);
    names.push_back(count[plain(*record)] == 1
                        ? plain(*record)
                        : (path.parent_path() / (path.stem().string() + "_" + ending + ".png"))
                              .generic_string());
  }
  return names;
}

void check_folders(const Path& input, const Path& output) {
  const Path from = std::filesystem::weakly_canonical(input);
  const Path to = std::filesystem::weakly_canonical(output);
  const auto inside = [](const Path& inner, const Path& outer) {
    const auto [a, b] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
    return a == outer.end();
  };
  if (inside(to, from) || inside(from, to)) {
    fail_usage(output.string(), ": the output lies in the input (", input.string(),
               ") or around it; choose a folder of its own, originals stay untouched");
  }
}

bool is_current(const State& state, const Path& path, const std::string& name,
                const ImageRecord& record, const std::string& settings) {
  const auto made = state.outputs.find(name);
  return made != state.outputs.end() && made->second.source_sha256 == record.sha256 &&
         made->second.settings == settings && std::filesystem::exists(path) &&
         sha256_file(path) == made->second.output_sha256;
}

// Outputs of an earlier run whose picture is gone or no longer used.
std::size_t remove_stale(State& state, const Path& output, const std::vector<std::string>& names) {
  const std::set<std::string> wanted(names.begin(), names.end());
  std::size_t removed = 0;
  for (auto at = state.outputs.begin(); at != state.outputs.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    removed += std::filesystem::remove(output / at->first);
    at = state.outputs.erase(at);
  }
  return removed;
}

std::string report_tsv(const ImageScan& scan) {
  std::string text = "file\tverdict\twidth\theight\tcaption_source\tnotes\n";
  for (const ImageRecord& record : scan.records) {
    std::string notes = join_words(record.notes, "; ");
    if (!record.problem.empty()) notes = record.problem + (notes.empty() ? "" : "; " + notes);
    text += join(record.file.relative, '\t', picture_verdict_name(record.verdict), '\t',
                 record.size.width, '\t', record.size.height, '\t', record.found.source, '\t',
                 notes, '\n');
  }
  return text;
}

}  // namespace

void write_metadata(const Path& csv, const ImageScan& scan, const std::vector<std::string>& names) {
  std::string table = csv_line({"file_name", "text", "source", "original"});
  std::string lines;
  const auto used = scan.used();
  for (std::size_t i = 0; i < used.size(); ++i) {
    const ImageRecord& r = *used[i];
    table += csv_line({names[i], r.caption, r.found.source, r.file.relative});
    const nlohmann::ordered_json json = {{"file_name", names[i]},
                                         {"text", r.caption},
                                         {"source", r.found.source},
                                         {"original", r.file.relative}};
    lines += json.dump() + "\n";
  }
  write_if_changed(csv, table);
  write_if_changed(Path(csv).replace_extension(".jsonl"), lines);
}

PrepareReport prepare_images(const ImageDataOptions& options, const Path& output,
                             const ImageProgress& progress) {
  check_folders(options.folder, output);
  const Path state_path = output / ".prepare.json";
  State state = read_state(state_path, options);
  PrepareReport report;
  report.scan = scan_images(options, state.facts, progress);
  const auto used = report.scan.used();
  report.outputs = output_names(used);
  const std::string settings = pixel_settings(options);
  for (std::size_t i = 0; i < used.size(); ++i) {
    const std::string& name = report.outputs[i];
    if (is_current(state, output / name, name, *used[i], settings)) {
      ++report.unchanged;
      continue;
    }
    const std::string png = encode_png(training_image(*used[i], options));
    write_file_atomic(output / name, png);
    state.outputs[name] = {used[i]->sha256, settings, sha256(png)};
    ++report.written;
    if (report.written % 64 == 0) write_state(state_path, state, options);
  }
  report.removed = remove_stale(state, output, report.outputs);
  write_metadata(output / "metadata.csv", report.scan, report.outputs);
  write_if_changed(output / "prepare_report.tsv", report_tsv(report.scan));
  if (report.written + report.removed > 0 || !std::filesystem::exists(state_path)) {
    write_state(state_path, state, options);
  }
  return report;
}

}  // namespace lora
