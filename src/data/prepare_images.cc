// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_images.h"

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "base/draft.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/text.h"
#include "data/prepare_state.h"
#include "io/csv.h"

namespace lora {
namespace {

constexpr std::string_view kEnding = ".png";

// "a.jpg" -> "a.png"; `long_form`: "a_jpg.png".
std::string output_name(const ImageRecord& record, bool long_form) {
  const Path name = record.file.relative;
  const std::string ending = name.extension().string().substr(1);
  std::string stem = Path(name).replace_extension().generic_string();
  if (long_form) stem += "_" + ending;
  return stem.append(kEnding);
}

// The long form where another picture has the short one.
std::vector<std::string> output_names(const std::vector<const ImageRecord*>& used) {
  std::map<std::string, int> count;
  for (const ImageRecord* record : used) ++count[output_name(*record, false)];
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const ImageRecord* record : used) {
    std::string name = output_name(*record, false);
    if (count[name] > 1) name = output_name(*record, true);
    while (!taken.insert(name).second) name.insert(name.size() - kEnding.size(), "_");
    names.push_back(name);
  }
  return names;
}

void check_folders(const Path& input, const Path& output) {
  if (lies_in(output, input) || lies_in(input, output)) {
    fail_usage(output.string(), ": the output lies in the input (", input.string(),
               ") or around it; choose a folder of its own, originals stay untouched");
  }
}

// A picture whose result could not have its name is left out.
void check_names(ImageScan& scan, const Path& output) {
  const std::vector<std::string> names = output_names(scan.used());
  auto name = names.begin();
  for (ImageRecord& record : scan.records) {
    if (record.verdict != PictureVerdict::used) continue;
    const std::string problem = problem_below(output, *name);
    if (!problem.empty()) {
      record.verdict = PictureVerdict::broken;
      record.problem = join("the name of its result, '", *name, "', ", problem, "; rename it");
    }
    ++name;
  }
}

// Files that somebody has put where the results go are not overwritten.
void require_own_files(const PrepareState& state, const Path& output,
                       const std::vector<std::string>& names) {
  std::error_code ignored;
  for (const std::string& name : names) {
    const auto status = std::filesystem::symlink_status(output / name, ignored);
    if (!std::filesystem::exists(status) || state.outputs.contains(name)) continue;
    fail_usage((output / name).string(), ": is not the result of an earlier run, and a picture of ",
               "this name is to be written; move it away, or choose another --output");
  }
}

bool is_current(const PreparedOutput& made, const Path& path, const ImageRecord& record,
                const std::string& settings) {
  return made.source_sha256 == record.sha256 && made.settings == settings &&
         std::filesystem::exists(path) && sha256_file(path) == made.output_sha256;
}

// True where the file is what an earlier run wrote, or may be (killed before it noted the hash).
bool is_own(const PreparedOutput& made, const Path& path) {
  std::error_code ignored;
  const auto status = std::filesystem::symlink_status(path, ignored);
  return std::filesystem::is_regular_file(status) &&
         (made.output_sha256.empty() || sha256_file(path) == made.output_sha256);
}

// Outputs of an earlier run whose picture is gone or no longer used. The names come from a file:
// only what lies below the output and holds what was written there is removed.
std::size_t remove_stale(const PrepareState& state, const Path& output,
                         const std::vector<std::string>& names) {
  const std::set<std::string> wanted(names.begin(), names.end());
  std::size_t removed = 0;
  for (const auto& [name, made] : state.outputs) {
    if (wanted.contains(name) || !name.ends_with(kEnding)) continue;
    if (!problem_below(output, name).empty() || !is_own(made, output / name)) continue;
    removed += std::filesystem::remove(output / name);
    std::error_code not_empty;
    for (Path folder = Path(name).parent_path(); !folder.empty(); folder = folder.parent_path()) {
      std::filesystem::remove(output / folder, not_empty);
    }
  }
  return removed;
}

// What a killed run may leave: files that were never renamed to their names.
void remove_unfinished(const Path& output, const std::vector<std::string>& names) {
  std::set<Path> folders = {output};
  for (const std::string& name : names) folders.insert((output / name).parent_path());
  for (const Path& folder : folders) remove_dead_drafts(folder);
}

std::string report_tsv(const ImageScan& scan) {
  std::string text = "file\tverdict\twidth\theight\tcaption_source\tnotes\n";
  for (const ImageRecord& record : scan.records) {
    std::string notes = join_words(record.notes, "; ");
    if (!record.problem.empty()) notes.insert(0, record.problem + (notes.empty() ? "" : "; "));
    text += join(record.file.relative, '\t', picture_verdict_name(record.verdict), '\t',
                 record.size.width, '\t', record.size.height, '\t', record.found.source, '\t',
                 notes, '\n');
  }
  return text;
}

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

// The text in metadata.csv or .jsonl where somebody has changed it since it was written.
std::optional<std::string> edited_text(const std::vector<CaptionTable>& tables,
                                       const std::string& name, const WrittenCaption& written) {
  bool there = false;
  for (const CaptionTable& table : tables) {
    const Caption* entry = table.entry(name);
    if (entry == nullptr || trim(entry->text).empty()) continue;
    there |= &table == &tables.front();  // a row that is gone from metadata.csv is given up
    if (entry->text != written.text && entry->text != written.before) return entry->text;
  }
  return there && written.edited ? std::optional(written.text) : std::nullopt;
}

// Edited captions stay; the others are noted as what is going to be written.
std::size_t keep_edits(ImageScan& scan, const std::vector<std::string>& names, const Path& csv,
                       PrepareState& state) {
  std::vector<CaptionTable> tables;
  for (const Path& path : {csv, Path(csv).replace_extension(".jsonl")}) {
    tables.push_back(std::filesystem::exists(path) ? CaptionTable::read(path) : CaptionTable());
  }
  std::size_t edited = 0, i = 0;
  for (ImageRecord& record : scan.records) {
    if (record.verdict != PictureVerdict::used) continue;
    const auto [known, fresh] = state.captions.try_emplace(names[i++]);
    WrittenCaption& written = known->second;
    const auto text = fresh ? std::nullopt : edited_text(tables, known->first, written);
    if (text) {
      record.caption = *text;
      record.found = {*text, "edited"};
      ++edited;
    }
    written.text = record.caption;
    written.edited = text.has_value();
  }
  return edited;
}

// Texts, in an order in which a kill at any point is no edit in the eyes of the next run.
void write_captions(PrepareReport& report, const Path& csv, PrepareState& state) {
  report.edited = keep_edits(report.scan, report.outputs, csv, state);
  state.keep_only(report.scan, report.outputs);
  state.write();
  write_metadata(csv, report.scan, report.outputs);
  for (auto& [name, caption] : state.captions) caption.before = caption.text;
  state.write();
}

// Progress that saves what is known now and then.
ImageProgress saving(PrepareState& state, const ImageProgress& progress) {
  return [&state, &progress](std::string_view what, std::size_t done, std::size_t all) {
    state.write_if_due();
    if (progress) progress(what, done, all);
  };
}

void write_pictures(PrepareReport& report, const ImageDataOptions& options, const Path& output,
                    PrepareState& state, const ImageProgress& progress) {
  const auto used = report.scan.used();
  const std::string settings = pixel_settings(options);
  for (const std::string& name : report.outputs) state.outputs.try_emplace(name);
  state.write();     // a run that is killed now knows its own files
  std::mutex mutex;  // over report, state and progress
  std::size_t done = 0;
  parallel_for(used.size(), [&](std::size_t i) {
    const std::string& name = report.outputs[i];
    std::unique_lock lock(mutex);
    const PreparedOutput made = state.outputs.at(name);
    lock.unlock();
    const bool current = is_current(made, output / name, *used[i], settings);
    std::string png;
    if (!current) {
      png = encode_png(training_image(*used[i], options));
      write_file_atomic(below(output, name), png);
    }
    lock.lock();
    ++(current ? report.unchanged : report.written);
    if (!current) state.outputs[name] = {used[i]->sha256, settings, sha256(png)};
    progress("writing pictures", ++done, used.size());
  });
}

}  // namespace

PrepareReport prepare_images(const ImageDataOptions& options, const Path& output,
                             const ImageProgress& progress) {
  check_folders(options.folder, output);
  list_images(options.folder);  // before anything is made
  require_own_folder(output);
  PrepareState state(output / kPrepareState, facts_key(options));
  state.write();
  const ImageProgress watched = saving(state, progress);
  PrepareReport report;
  report.scan = scan_images(options, state.facts, watched);
  check_names(report.scan, output);
  report.outputs = output_names(report.scan.used());
  require_own_files(state, output, report.outputs);
  remove_unfinished(output, report.outputs);
  write_pictures(report, options, output, state, watched);
  report.removed = remove_stale(state, output, report.outputs);
  write_captions(report, output / "metadata.csv", state);
  write_if_changed(output / "prepare_report.tsv", report_tsv(report.scan));
  return report;
}

PrepareReport label_images(ImageDataOptions options, const Path& csv,
                           const ImageProgress& progress) {
  if (csv.extension() != ".csv") {
    fail_usage(csv.string(), ": not the name of a table (found '", csv.extension().string(),
               "', expected .csv); write metadata.csv");
  }
  const Path memory = csv.parent_path() / ("." + csv.stem().string() + ".state.json");
  options.result = csv;
  PrepareState state(memory, facts_key(options));
  for (const Path& file : {csv, Path(csv).replace_extension(".jsonl")}) {
    if (state.existed() || !std::filesystem::exists(file)) continue;
    fail_usage(file.string(), ": exists and is not the result of an earlier `lora label` (its ",
               "captions would be lost); name another file, and this one with --metadata");
  }
  PrepareReport report;
  report.scan = scan_images(options, state.facts, saving(state, progress));
  for (const ImageRecord* record : report.scan.used()) {
    report.outputs.push_back(record->file.relative);
  }
  write_captions(report, csv, state);
  return report;
}

}  // namespace lora
