// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/shown.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "commands/columns.h"
#include "config/config.h"
#include "data/prompt_template.h"

namespace lora {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShown = 20;  // notes on the screen; all are in the report

struct TextArguments {
  std::string output, base, prompt_template;
  std::int64_t max_seq_length = 0;
  PrepareTextOptions text;
  bool json = false;
};

TextArguments take(const CommandLine& line) {
  return {.output = line.text("--output"),
          .base = line.text("--base"),
          .prompt_template = line.text("--template"),
          .max_seq_length = line.whole("--max-seq-length"),
          .text = {.input = line.text("--input"),
                   .format = line.text("--format"),
                   .similarity = line.real("--similarity"),
                   .keep_duplicates = line.given("--keep-duplicates"),
                   .validation_split = line.real("--validation-split"),
                   .seed = line.whole("--seed")},
          .json = line.given("--json")};
}

// Keys of a training configuration, where one is given; options on the line win.
void take_config(TextArguments& a, const CommandLine& line) {
  if (!line.given("--config")) return;
  const Config config = load_config(line.text("--config"));
  const auto absent = [&](const char* name) { return !line.given(name); };
  if (absent("--input")) {
    a.text.input =
        config.data.metadata_path.empty() ? config.data.train_data_dir : config.data.metadata_path;
  }
  if (absent("--output")) {
    Path input = a.text.input.lexically_normal();
    if (!input.has_filename()) input = input.parent_path();  // "data/"
    a.output = input.replace_extension().string() + "_prepared";
  }
  if (absent("--format")) a.text.format = config.data.dataset_format;
  if (absent("--column")) a.text.columns = config.data.columns;
  if (absent("--validation-split")) a.text.validation_split = config.data.validation_split;
  if (absent("--seed")) a.text.seed = config.seed;
  if (absent("--base")) a.base = config.base_model;
  if (absent("--template")) a.prompt_template = config.text.prompt_template;
  if (absent("--max-seq-length")) a.max_seq_length = config.text.max_seq_length;
}

TextArguments parse(const Arguments& arguments) {
  const CommandLine line("prepare text", arguments);
  TextArguments a = take(line);
  take_config(a, line);
  for (const auto& [role, name] : columns_of("prepare text", line.list("--column"))) {
    a.text.columns[role] = name;
  }
  return a;
}

struct TokenLengths {
  Spread spread;
  std::size_t samples = 0, too_long = 0;
};

TokenLengths token_lengths(const PreparedText& prepared, const TextArguments& a) {
  const PromptTemplate prompt(a.prompt_template, Tokenizer::load(a.base));
  const TextConfig whole{.max_seq_length = 1 << 30};
  std::vector<std::int64_t> lengths;
  TokenLengths out;
  for (const TextDataset* part : {&prepared.train, &prepared.validation}) {
    if (part->records.empty()) continue;
    const TextSamples all = tokenize_dataset(*part, prompt, whole);
    for (std::size_t i = 0; i < all.samples.size(); ++i) {
      lengths.push_back(static_cast<std::int64_t>(all.samples[i].ids.size()));
      // Running text is divided, not cut.
      const bool running = !part->records[all.records[i]].text.empty();
      out.too_long += !running && lengths.back() > a.max_seq_length;
    }
  }
  out.samples = lengths.size();
  out.spread = spread_of(lengths);
  return out;
}

Json spread_json(const Spread& s) {
  return {{"shortest", s.shortest}, {"median", s.median}, {"p95", s.p95}, {"longest", s.longest}};
}

Json result_json(const PreparedText& prepared, const TextArguments& a, std::size_t changed,
                 const std::optional<TokenLengths>& tokens) {
  Json json = {{"output", a.output},
               {"format", prepared.train.format},
               {"read", prepared.read},
               {"left_out", prepared.left_out},
               {"train", prepared.train.records.size()},
               {"validation", prepared.validation.records.size()},
               {"files_changed", changed},
               {"characters", spread_json(prepared.characters)},
               {"notes", Json::array()}};
  for (const TextNote& note : prepared.notes) {
    json["notes"].push_back(
        {{"place", note.place}, {"verdict", note.verdict}, {"reason", note.reason}});
  }
  if (tokens) {
    json["tokens"] = spread_json(tokens->spread);
    json["tokens"]["max_seq_length"] = a.max_seq_length;
    json["tokens"]["samples"] = tokens->samples;
    json["tokens"]["too_long"] = tokens->too_long;
  }
  return json;
}

void print_spread(const char* what, const Spread& s) {
  say(fmt::format("{:<10}shortest {}, median {}, 95 % up to {}, longest {}", what, s.shortest,
                  s.median, s.p95, s.longest));
}

// "data/a.jsonl:5" -> "data/a.jsonl", "data/b.json: record 5" -> "data/b.json"
std::string file_of(const std::string& place) { return place.substr(0, place.rfind(':')); }

// One line for each kind of finding in a file; how many more there are.
void print_notes(const std::vector<TextNote>& notes, const std::string& output) {
  std::vector<std::pair<const TextNote*, std::size_t>> kinds;
  std::map<std::string, std::size_t> known;
  for (const TextNote& note : notes) {
    const auto [at, fresh] = known.try_emplace(
        join(file_of(note.place), '|', note.verdict, '|', note.reason), kinds.size());
    if (fresh) kinds.emplace_back(&note, 0);
    ++kinds[at->second].second;
  }
  std::size_t lines = 0, told = 0;
  for (const auto& [note, count] : kinds) {
    if (++lines > kShown) break;
    told += count;
    const bool kept = note->verdict == "note";
    const std::string more =
        count > 1 ? join(" (and ", count - 1, " more like it in this file)") : "";
    say(shown(join(kept ? "note      " : "left out  ", note->place,
                   kept ? ": " : " (" + note->verdict + "): ", note->reason, more)));
  }
  if (told < notes.size()) {
    say(shown(join("          and ", notes.size() - told, " more in ", output,
                   "/prepare_report.tsv")));
  }
}

void print_result(const PreparedText& prepared, const TextArguments& a,
                  const std::optional<TokenLengths>& tokens) {
  std::map<std::string, std::size_t> counts;
  for (const TextNote& note : prepared.notes) ++counts[note.verdict];
  print_notes(prepared.notes, a.output);
  print_spread("length", prepared.characters);
  if (tokens) {
    print_spread("tokens", tokens->spread);
    say(fmt::format(
        "          {} of {} samples ({:.1f} %) are longer than max_seq_length "
        "{} and would be cut",
        tokens->too_long, tokens->samples,
        100.0 * static_cast<double>(tokens->too_long) /
            static_cast<double>(std::max<std::size_t>(1, tokens->samples)),
        a.max_seq_length));
  }
  const std::size_t train = prepared.train.records.size();
  const std::size_t validation = prepared.validation.records.size();
  std::string line = join(train + validation, " of ", prepared.read, " records in ", a.output,
                          " (train ", train, ", validation ", validation);
  for (const auto& [verdict, count] : counts) {
    if (verdict != "note") line += join("; ", count, " ", verdict);
  }
  say(shown(line + ")"));
}

}  // namespace

int run_prepare_text(const Arguments& arguments) {
  const TextArguments a = parse(arguments);
  const PreparedText prepared = prepare_text(a.text);
  std::optional<TokenLengths> tokens;
  if (!a.base.empty()) tokens = token_lengths(prepared, a);
  const std::size_t changed = write_prepared_text(prepared, a.output);
  if (a.json) {
    say_json(result_json(prepared, a, changed, tokens));
  } else {
    print_result(prepared, a, tokens);
  }
  return 0;
}

}  // namespace lora
