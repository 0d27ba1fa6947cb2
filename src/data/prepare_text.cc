// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json_text.h"
#include "base/shown.h"
#include "base/text.h"
#include "data/held_out.h"
#include "data/near_duplicates.h"
#include "data/prepare_state.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

// Line ends of Windows, blanks and line ends after the text.
std::string cleaned(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool before_line_end = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (!before_line_end) out += text[i];
  }
  out.erase(out.find_last_not_of(" \t\r\n") + 1);
  return out;
}

void clean(TextRecord& record) {
  record.text = cleaned(record.text);
  for (Message& message : record.messages) message.content = cleaned(message.content);
}

void add_fields(ordered_json& json, const Fields& fields) {
  for (const auto& [name, value] : fields) {
    if (value.undefined()) continue;
    json[name] = try_parse_json<ordered_json>(jinja::to_json(value)).value_or(ordered_json());
  }
}

ordered_json turn_json(const Message& message) {
  if (message.call_as_text) return {{"role", "function_call"}, {"content", message.content}};
  ordered_json turn = {{"role", message.role}, {"content", message.content}};
  if (const jinja::Value* content = find_field(message.more, "content");
      content != nullptr && content->undefined()) {
    turn.erase("content");
  }
  add_fields(turn, message.more);
  if (!message.trained && message.role == "assistant") turn["train"] = false;
  return turn;
}

std::string json_line(const TextRecord& record) {
  ordered_json json;
  if (!record.tokens.ids.empty()) {
    json = {{"input_ids", record.tokens.ids}, {"labels", record.tokens.labels}};
  } else if (record.messages.empty()) {
    json = {{"text", record.text}};
  } else {
    json["messages"] = ordered_json::array();
    for (const Message& message : record.messages) json["messages"].push_back(turn_json(message));
    for (const auto& field : record.variables) {
      add_fields(field.first == "tools" ? json : json["chat_template_kwargs"], {field});
    }
  }
  return json.dump() + "\n";
}

// The parts of a record that are compared apart.
struct Parts {
  std::string system, text, questions, answers;
};

Parts parts_of(const TextRecord& record) {
  Parts parts;
  parts.text = record.text;
  for (const Message& message : record.messages) {
    const std::string text = whole_text(message);
    if (message.role == "system") {
      parts.system += text;
      continue;
    }
    parts.text += message.role + ":\n" + text;
    (message.role == "assistant" ? parts.answers : parts.questions) += text;
  }
  for (const std::int64_t id : record.tokens.ids) parts.text += join(id, " ");
  return parts;
}

// Finds records that were seen before. Each system message has an index of its own: a long one
// would make all records alike.
class Duplicates {
 public:
  explicit Duplicates(double similarity) : similarity_(similarity) {}

  // The note on a duplicate; otherwise the record is remembered.
  std::optional<TextNote> check(const TextRecord& record) {
    const Parts parts = parts_of(record);
    auto& [texts, seen] =
        groups_.try_emplace(normalised_text(parts.system), similarity_).first->second;
    // Many questions on one long text differ little as a whole, and so do short questions with one
    // long answer: each side must be alike.
    const auto found = texts.find(parts.text, [&, &seen = seen](std::size_t i) {
      return text_similarity(seen[i].answers, parts.answers) >= similarity_ &&
             text_similarity(seen[i].questions, parts.questions) >= similarity_;
    });
    if (!found) {
      texts.add(parts.text);
      seen.push_back({record.at.text(), parts.questions, parts.answers});
      return std::nullopt;
    }
    const std::string& other = seen[found->index].place;
    if (found->equal) return TextNote{record.at.text(), "duplicate", "equal to " + other};
    return TextNote{record.at.text(), "near-duplicate",
                    fmt::format("{:.0f} % like {}", found->similarity * 100, other)};
  }

 private:
  struct Seen {
    std::string place, questions, answers;
  };
  struct Group {
    explicit Group(double similarity) : texts(similarity) {}
    NearDuplicates texts;
    std::vector<Seen> seen;
  };
  double similarity_;
  std::map<std::string, Group> groups_;
};

// Marks of a prompt format inside a text: it would be rendered twice.
std::string odd_marks(const TextRecord& record) {
  std::set<std::string> found;
  const auto look = [&](const std::string& text) {
    for (const std::string& name : find_markers(text)) found.insert(name);
  };
  look(record.text);
  for (const Message& message : record.messages) look(message.content);
  return join_words({found.begin(), found.end()});
}

std::int64_t characters_of(const TextRecord& record) {
  const Parts parts = parts_of(record);
  const auto is_start = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return std::count_if(parts.text.begin(), parts.text.end(), is_start) +
         std::count_if(parts.system.begin(), parts.system.end(), is_start);
}

// Moves the records with the smallest hashes.
void divide(PreparedText& prepared, const PrepareTextOptions& options) {
  std::vector<TextRecord>& all = prepared.train.records;
  if (options.validation_split <= 0) return;
  require_two_to_divide("--validation-split", all.size());
  const auto share = static_cast<std::size_t>(
      std::llround(static_cast<double>(all.size()) * options.validation_split));
  const std::size_t wanted = std::clamp<std::size_t>(share, 1, all.size() - 1);
  std::vector<std::string> hashes;
  for (const TextRecord& record : all) hashes.push_back(sha256(join(options.seed, record.sha256)));
  std::vector<std::string> sorted = hashes;
  std::sort(sorted.begin(), sorted.end());
  std::vector<TextRecord> kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool moves = hashes[i] < sorted[wanted];
    (moves ? prepared.validation.records : kept).push_back(std::move(all[i]));
  }
  all = std::move(kept);
}

std::string lines_of(const TextDataset& dataset) {
  std::string text;
  for (const TextRecord& record : dataset.records) text += json_line(record);
  return text;
}

std::string report_of(const PreparedText& prepared) {
  std::string text = "place\tverdict\treason\n";
  for (const TextNote& note : prepared.notes) {
    text += join(shown(note.place), '\t', note.verdict, '\t', shown(note.reason), '\n');
  }
  return text;
}

// Files of an earlier run by name: the hashes they may have.
using Known = std::map<std::string, std::set<std::string>>;

Known read_known(const Path& output) {
  Known known;
  if (!std::filesystem::exists(output / kPrepareState)) return known;
  const auto json = try_parse_json<ordered_json>(read_file(output / kPrepareState))
                        .value_or(ordered_json());
  if (!json.is_object()) return known;
  for (const auto& [name, hashes] : json.items()) {
    for (const auto& hash : hashes) {
      if (hash.is_string()) known[name].insert(hash.get<std::string>());
    }
  }
  return known;
}

void write_known(const Path& output, const Known& known) {
  const nlohmann::json json = known;
  write_if_changed(output / kPrepareState, json.dump() + "\n");
}

// One of the files that this program writes there: the names come from a file.
bool is_own_file(const Path& output, const std::string& name) {
  constexpr std::string_view kNames[] = {"train.jsonl", "validation.jsonl", "prepare_report.tsv"};
  std::error_code ignored;
  return std::ranges::find(kNames, name) != std::end(kNames) &&
         std::filesystem::is_regular_file(
             std::filesystem::symlink_status(output / name, ignored));
}

void check_folder(const Path& output, const Known& known,
                  const std::map<std::string, std::string>& files) {
  require_own_folder(output);
  for (const auto& [name, content] : files) {
    const Path path = output / name;
    if (!std::filesystem::exists(path)) continue;
    const std::string hash = sha256_file(path);
    const auto at = known.find(name);
    if (hash == sha256(content) || (at != known.end() && at->second.contains(hash))) continue;
    fail_usage(path.string(), ": was changed by hand since it was prepared, and the texts have ",
               "changed too; move it away, or choose another --output");
  }
}

}  // namespace

Spread spread_of(std::vector<std::int64_t> lengths) {
  if (lengths.empty()) return {};
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&](double share) {
    return lengths[static_cast<std::size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  return {lengths.front(), at(0.5), at(0.95), lengths.back()};
}

PreparedText prepare_text(const PrepareTextOptions& options) {
  PreparedText prepared;
  std::vector<LeftOut> broken;
  prepared.train = load_text_dataset(options.input, options.format, options.columns, &broken);
  for (const LeftOut& item : broken) prepared.notes.push_back({item.place, "broken", item.reason});
  for (const std::string& note : prepared.train.notes) {
    prepared.notes.push_back({options.input.string(), "note", note});
  }
  prepared.read = prepared.train.records.size() + broken.size();
  Duplicates duplicates(options.similarity);
  std::vector<TextRecord> kept;
  std::vector<std::int64_t> lengths;
  for (TextRecord& record : prepared.train.records) {
    clean(record);
    auto note = duplicates.check(record);
    if (note && options.keep_duplicates) note->verdict = "note";
    if (note) prepared.notes.push_back(*note);
    if (note && !options.keep_duplicates) continue;
    const std::string marks = odd_marks(record);
    if (!marks.empty()) {
      prepared.notes.push_back({record.at.text(), "note",
                                join("holds marks of a prompt format (", marks,
                                     "); remove them, the template adds its own")});
    }
    lengths.push_back(characters_of(record));
    kept.push_back(std::move(record));
  }
  prepared.train.records = std::move(kept);
  prepared.left_out = prepared.read - prepared.train.records.size();
  prepared.characters = spread_of(lengths);
  divide(prepared, options);
  return prepared;
}

std::size_t write_prepared_text(const PreparedText& prepared, const Path& output) {
  std::map<std::string, std::string> files = {{"train.jsonl", lines_of(prepared.train)},
                                              {"prepare_report.tsv", report_of(prepared)}};
  if (!prepared.validation.records.empty()) {
    files["validation.jsonl"] = lines_of(prepared.validation);
  }
  Known known = read_known(output);
  check_folder(output, known, files);
  Known next;
  for (const auto& [name, content] : files) {
    next[name] = {sha256(content)};
    known[name].insert(sha256(content));
  }
  write_known(output, known);  // a kill from here on leaves files that the next run knows
  std::size_t changed = 0;
  for (const auto& [name, content] : files) changed += write_if_changed(output / name, content);
  for (const auto& [name, hashes] : known) {
    const Path path = output / name;
    if (files.contains(name) || !is_own_file(output, name)) continue;
    if (hashes.contains(sha256_file(path))) changed += std::filesystem::remove(path);
  }
  write_known(output, next);
  return changed;
}

}  // namespace lora
