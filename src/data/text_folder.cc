// SPDX-License-Identifier: Apache-2.0
#include "data/text_folder.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/folders.h"
#include "base/table.h"
#include "base/text.h"
#include "data/text_files.h"
#include "io/compressed.h"

namespace lora {
namespace {

enum class Split { none, training, validation, test };

struct SplitWord {
  const char* name;
  Split split;
};
// The words of the Hugging Face Hub.
constexpr SplitWord kSplitWords[] = {
    {"train", Split::training},        {"training", Split::training},
    {"validation", Split::validation}, {"valid", Split::validation},
    {"val", Split::validation},        {"dev", Split::validation},
    {"test", Split::test},             {"testing", Split::test},
    {"eval", Split::test},             {"evaluation", Split::test},
};

// Stems of files that accompany data; others begin with one and a mark ("README_zh", "LICENSE-2").
constexpr const char* kCompanions[] = {
    "readme",   "license",  "licence",         "copying",      "notice",   "changelog",
    "changes",  "history",  "contributing",    "contributors", "authors",  "citation",
    "security", "datacard", "code_of_conduct", "dataset_card", "copyright"};

struct Unread {
  const char* name;  // the end of the file's name
  const char* kind;
  const char* advice;  // FILE stands for the file
};
constexpr Unread kUnread[] = {
    {".parquet", "Parquet",
     "python3 -c \"import pandas; pandas.read_parquet('FILE').to_json('FILE.jsonl', "
     "orient='records', lines=True)\""},
    {".arrow", "Arrow",
     "python3 -c \"import datasets; datasets.Dataset.from_file('FILE').to_json('FILE.jsonl')\""},
    {".feather", "Arrow",
     "python3 -c \"import pandas; pandas.read_feather('FILE').to_json('FILE.jsonl', "
     "orient='records', lines=True)\""},
    {".tar.gz", "an archive", "tar xf FILE"},
    {".tar.zst", "an archive", "tar xf FILE"},
    {".tar", "an archive", "tar xf FILE"},
    {".tgz", "an archive", "tar xf FILE"},
    {".zip", "an archive", "unzip FILE"},
    {".7z", "an archive", "7z x FILE"},
    {".rar", "an archive", "unrar x FILE"},
    {".bz2", "bzip2", "bunzip2 -k FILE"},
    {".xz", "xz", "unxz -k FILE"},
    {".lz4", "LZ4", "lz4 -d FILE"},
    {".xlsx", "a spreadsheet", "save it as CSV"},
    {".xls", "a spreadsheet", "save it as CSV"},
    {".ods", "a spreadsheet", "save it as CSV"},
    {".tsv", "a table with tabs", "save it as CSV"},
    {".sqlite", "a database", "save its table as CSV"},
    {".db", "a database", "save its table as CSV"},
};

const Unread* unread_kind(const Path& file) {
  const std::string name = lower_ascii(file.filename().string());
  for (const Unread& row : kUnread) {
    if (name.ends_with(row.name)) return &row;
  }
  return nullptr;
}

bool is_companion(const Path& file) {
  const std::string ending = lower_ascii(file.extension().string());
  if (file.filename() == "dataset_info.json" || file.filename() == "dataset_infos.json" ||
      file.filename() == "dataset_dict.json") {
    return true;
  }
  if (ending != ".txt" && ending != ".md" && ending != ".rst" && !ending.empty()) return false;
  const std::string stem = lower_ascii(file.stem().string());
  return std::ranges::any_of(kCompanions, [&](const std::string& name) {
    return stem == name || (stem.starts_with(name) && std::isalnum(static_cast<unsigned char>(
                                                          stem[name.size()])) == 0);
  });
}

Split split_word(const std::string& word) {
  const SplitWord* row = find_row(std::span<const SplitWord>(kSplitWords), word);
  return row == nullptr ? Split::none : row->split;
}

// The first or the last word of a name, without the numbers of its part ("-00000-of-00002").
Split split_in(const std::string& name) {
  std::vector<std::string> words = {""};
  for (const char c : lower_ascii(name)) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalpha(byte) != 0 || byte >= 0x80) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  std::erase_if(words, [](const std::string& word) { return word.empty() || word == "of"; });
  if (words.empty()) return Split::none;
  const Split first = split_word(words.front());
  return first != Split::none ? first : split_word(words.back());
}

// Of a file below the data folder: its own name counts first, then the nearest folder.
Split split_of(const Path& relative) {
  Path stem = relative.filename();
  while (stem.has_extension()) stem = stem.stem();
  if (const Split own = split_in(stem.string()); own != Split::none) return own;
  for (Path folder = relative.parent_path(); !folder.empty(); folder = folder.parent_path()) {
    const Split split = split_word(lower_ascii(folder.filename().string()));
    if (split != Split::none) return split;
  }
  return Split::none;
}

struct Folder {
  std::array<std::vector<Path>, 4> data;  // by Split
  std::vector<Path> companions, unread, others;
  std::vector<std::string> problems;  // "left out a.jsonl: cannot be read (...)"

  std::vector<Path>& of(Split split) { return data[static_cast<std::size_t>(split)]; }
};

Folder look_into(const Path& path) {
  Folder folder;
  for (const auto& [file, relative, problem] : files_below(path)) {
    std::error_code ignored;
    if (!problem.empty()) {
      const bool wanted = is_text_ending(ending_inside(file)) ||
                          std::filesystem::is_directory(file, ignored);
      if (wanted) folder.problems.push_back("left out " + relative + ": " + problem);
    } else if (is_companion(file)) {
      folder.companions.push_back(file);
    } else if (unread_kind(file) != nullptr) {
      folder.unread.push_back(file);
    } else if (is_text_ending(ending_inside(file))) {
      folder.of(split_of(relative)).push_back(file);
    } else {
      folder.others.push_back(file);
    }
  }
  return folder;
}

std::string names_in(std::vector<Path> files, const Path& folder) {
  constexpr std::size_t kNamed = 5;
  std::ranges::sort(files);
  std::vector<std::string> names;
  for (const Path& file : files) {
    if (names.size() < kNamed) names.push_back(file.lexically_relative(folder).generic_string());
  }
  if (files.size() > kNamed) names.push_back(join("and ", files.size() - kNamed, " more"));
  return join_words(names);
}

void append(std::vector<Path>& to, std::vector<Path>& from) {
  to.insert(to.end(), from.begin(), from.end());
  from.clear();
}

// Moves what `purpose` wants out of the folder; what stays is of another split.
std::vector<Path> take(Folder& folder, Purpose purpose) {
  std::vector<Path> out;
  if (purpose == Purpose::training) {
    append(out, folder.of(Split::none));
    append(out, folder.of(Split::training));
    return out;
  }
  const bool test_first = purpose == Purpose::measuring;
  append(out, folder.of(test_first ? Split::test : Split::validation));
  if (out.empty()) append(out, folder.of(test_first ? Split::validation : Split::test));
  if (out.empty()) append(out, folder.of(Split::none));
  if (out.empty()) append(out, folder.of(Split::training));
  return out;
}

void add_notes(const Folder& folder, const Path& path, TextFiles& out) {
  std::vector<Path> held_out;
  for (const std::vector<Path>& files : folder.data) {
    held_out.insert(held_out.end(), files.begin(), files.end());
  }
  const auto note = [&](const std::vector<Path>& files, const char* why) {
    if (files.empty()) return;
    out.notes.push_back(join(path.string(), ": left out: ", names_in(files, path), " (", why, ")"));
  };
  note(held_out, "another split of the data; name the file itself to read it");
  note(folder.companions, "about the data, not data");
  for (const Path& file : folder.unread) {
    out.notes.push_back(join(file.string(), ": left out: ", conversion_of(file)));
  }
  note(folder.others, "no kind of text data");
  out.notes.insert(out.notes.end(), folder.problems.begin(), folder.problems.end());
}

[[noreturn]] void fail_without_files(const Path& path, const TextFiles& found) {
  fail_usage(path.string(), ": no data files (looked for ", text_endings(),
             " in this folder and below; found none)",
             found.notes.empty() ? "" : join("; ", join_words(found.notes, "; ")));
}

}  // namespace

std::string conversion_of(const Path& file) {
  const Unread* row = unread_kind(file);
  if (row == nullptr) return "";
  std::string advice = row->advice;
  for (std::size_t at = 0; (at = advice.find("FILE", at)) != std::string::npos;) {
    advice.replace(at, 4, file.string());
    at += file.string().size();
  }
  return join(row->kind, " is not read; convert it: ", advice);
}

TextFiles find_text_files(const Path& path, Purpose purpose) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    fail_usage(path.string(), ": no such file or folder; check the path");
  }
  if (!std::filesystem::is_directory(path, ignored)) return {{path}, {}};
  Folder folder = look_into(path);
  TextFiles out;
  out.files = take(folder, purpose);
  std::ranges::sort(out.files);
  std::ranges::sort(folder.unread);
  add_notes(folder, path, out);
  if (out.files.empty()) fail_without_files(path, out);
  return out;
}

}  // namespace lora
