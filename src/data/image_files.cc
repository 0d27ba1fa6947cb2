// SPDX-License-Identifier: Apache-2.0
#include "data/image_files.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/error.h"
#include "base/folders.h"
#include "base/text.h"
#include "data/masks.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEndings[] = {".png",  ".jpg",  ".jpeg", ".jfif", ".jpe",
                                         ".webp", ".tif",  ".tiff", ".avif", ".heic",
                                         ".heif", ".jxl",  ".gif",  ".bmp"};
constexpr std::string_view kSidecars[] = {".txt", ".caption", ".json"};
constexpr std::string_view kTables[] = {"metadata.csv", "metadata.jsonl"};

// What systems, and this and other programs, put beside pictures.
constexpr std::string_view kSystemFolders[] = {"__macosx", "@eadir", "$recycle.bin"};
constexpr std::string_view kUsualFiles[] = {"thumbs.db", "desktop.ini", "prepare_report.tsv",
                                            "readme.md", "license",     "license.txt"};
constexpr std::string_view kUsualEndings[] = {".npz"};  // latents of other trainers

template <typename Words>
bool is_one_of(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != std::end(words);
}

std::string ending_of(const Path& path) { return lower_ascii(path.extension().string()); }
std::string folder_of(const std::string& relative) {
  return Path(relative).parent_path().generic_string();
}

// The innermost folder called "N_name" decides.
void read_kohya_folder(ImageFile& file) {
  for (const Path& part : Path(file.relative).parent_path()) {
    const std::string name = part.string();
    const std::size_t bar = name.find('_');
    int repeats = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), repeats);
    const bool matches = error == std::errc() && bar != std::string::npos && repeats > 0 &&
                         end == name.data() + bar && bar + 1 < name.size();
    if (!matches) continue;
    file.repeats = repeats;
    file.concept_name = name.substr(bar + 1);
  }
}

struct OtherFile {
  Path path;
  std::string relative;
  std::string problem;  // why it cannot be read; "" = it can
  bool read = false;
};

struct Listing {
  std::vector<ImageFile> pictures;
  std::vector<OtherFile> others;
};

// A folder, or a link that leads nowhere, rather than a pipe or a file of another kind.
bool may_hold_pictures(const Path& path) {
  std::error_code error;
  return fs::is_directory(path, error) || (error && !path.has_extension());
}

bool in_system_folder(const std::string& relative) {
  return std::ranges::any_of(Path(relative).parent_path(), [](const Path& part) {
    return is_one_of(kSystemFolders, lower_ascii(part.string()));
  });
}

Listing walk(const Path& folder) {
  Listing found;
  for (const FoundFile& file : files_below(folder)) {
    if (in_system_folder(file.relative)) continue;
    if (is_one_of(kEndings, ending_of(file.path)) ||
        (!file.problem.empty() && may_hold_pictures(file.path))) {
      found.pictures.push_back({file.path, file.relative, 1, "", file.problem, {}});
      read_kohya_folder(found.pictures.back());
    } else {
      found.others.push_back({file.path, file.relative, file.problem});
    }
  }
  return found;
}

// Gives every picture the files beside it that may hold its caption.
void find_sidecars(Listing& found) {
  std::map<std::string, OtherFile*> by_name;  // with the ending in lower case
  for (OtherFile& other : found.others) {
    const std::string ending = ending_of(other.path);
    if (!is_one_of(kSidecars, ending)) continue;
    const std::string stem = Path(other.relative).replace_extension().generic_string();
    by_name.try_emplace(stem + ending, &other);
  }
  for (ImageFile& picture : found.pictures) {
    const std::string stem = Path(picture.relative).replace_extension().generic_string();
    for (const std::string_view ending : kSidecars) {
      for (const std::string& name : {stem, picture.relative}) {
        const auto at = by_name.find(name + std::string(ending));
        if (at == by_name.end()) continue;
        const OtherFile& caption = *at->second;
        if (!caption.problem.empty() && picture.problem.empty()) {
          picture.problem = join(caption.relative, " ", caption.problem);
        }
        picture.beside.push_back(caption.path);
        at->second->read = true;
      }
    }
  }
}

// metadata.csv, else metadata.jsonl, of each folder; what `lora prepare` writes holds both.
std::vector<Path> find_tables(Listing& found) {
  std::map<std::string, Path> tables;  // by folder
  for (const std::string_view name : kTables) {
    for (OtherFile& other : found.others) {
      if (lower_ascii(other.path.filename().string()) != name) continue;
      if (!other.problem.empty()) {
        fail_usage(other.path.string(), ": ", other.problem, "; mend it or take it away");
      }
      other.read = true;
      tables.try_emplace(folder_of(other.relative), other.path);
    }
  }
  std::vector<Path> paths;
  for (const auto& [folder, path] : tables) paths.push_back(path);
  return paths;
}

std::string top_of(const std::string& relative) {
  const std::size_t end = relative.find('/');
  return end == std::string::npos ? "" : lower_ascii(relative.substr(0, end));
}

// "2 masks (first: ...)": removes what `is_out` names and tells of it.
template <typename Predicate>
void leave_out(std::vector<ImageFile>& pictures, Predicate is_out, const std::string& what,
               const std::string& why, std::vector<std::string>& told) {
  const auto out = std::ranges::stable_partition(pictures, [&](const ImageFile& picture) {
    return !is_out(picture);
  });
  if (out.empty()) return;
  std::set<std::string> folders;
  for (const ImageFile& picture : out) folders.insert(folder_of(picture.relative));
  told.push_back(join("left out: ", out.size(), " ", what, " (first: ", out.begin()->relative,
                      folders.size() > 1 ? join("; ", folders.size(), " folders") : "", "): ",
                      why));
  pictures.erase(out.begin(), out.end());
}

// The layout of kohya's GUI: pictures in img/N_name; class pictures, samples and logs beside img.
void leave_project_parts(std::vector<ImageFile>& pictures, std::vector<std::string>& told) {
  constexpr std::string_view kParts[] = {"log", "logs", "model", "models", "reg"};
  const bool project = std::ranges::any_of(pictures, [](const ImageFile& picture) {
    return top_of(picture.relative) == "img" && !picture.concept_name.empty();
  });
  if (!project) return;
  leave_out(
      pictures,
      [&](const ImageFile& picture) { return is_one_of(kParts, top_of(picture.relative)); },
      "pictures in the folders log, model and reg of a project",
      "class pictures, samples and logs are not trained; name a folder of them to train on it",
      told);
}

// What was not read, by ending.
void tell_others(const Listing& found, std::vector<std::string>& told) {
  std::map<std::string, std::pair<std::size_t, std::string>> endings;  // count, first
  for (const OtherFile& other : found.others) {
    const std::string name = lower_ascii(other.path.filename().string());
    const std::string ending = ending_of(other.path);
    if (other.read || is_one_of(kUsualFiles, name) || is_one_of(kUsualEndings, ending)) continue;
    auto& [count, first] = endings[ending];
    if (count++ == 0) first = other.relative;
  }
  if (endings.empty()) return;
  std::vector<std::string> parts;
  for (const auto& [ending, files] : endings) {
    parts.push_back(join(files.first, " ", ending.empty() ? "without ending" : ending, " (",
                         files.first > 1 ? "first: " : "", files.second, ")"));
  }
  told.push_back("not read: " + join_words(parts));
}

std::string found_text(const std::vector<OtherFile>& others) {
  std::map<std::string, int> endings;
  for (const OtherFile& other : others) ++endings[other.path.extension().string()];
  std::vector<std::string> parts;
  for (const auto& [ending, count] : endings) {
    parts.push_back(join(count, " ", ending.empty() ? "without ending" : ending));
  }
  return parts.empty() ? "no files at all" : join_words(parts);
}

std::string endings_text() {
  const std::vector<std::string> words(std::begin(kEndings), std::end(kEndings));
  return join_words(words, " ");
}

}  // namespace

ImageFolder list_images(const Path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) fail_usage(folder.string(), ": no such folder; check the path");
  if (!fs::is_directory(folder, ignored)) {
    fail_usage(folder.string(), ": is a file, expected a folder of pictures; name its folder");
  }
  Listing found = walk(folder);
  if (found.pictures.empty()) {
    fail_usage(folder.string(), ": no pictures (looked for ", endings_text(),
               " in it and below; found ", found_text(found.others), "); check the path");
  }
  find_sidecars(found);
  ImageFolder result;
  result.tables = find_tables(found);
  const std::set<std::string> masks = masks_among(found.pictures);
  leave_out(
      found.pictures,
      [&](const ImageFile& picture) { return masks.contains(picture.relative); }, "masks",
      "every part of a picture is trained; no loss here uses masks", result.left_out);
  leave_project_parts(found.pictures, result.left_out);
  tell_others(found, result.left_out);
  result.pictures = std::move(found.pictures);
  return result;
}

}  // namespace lora
