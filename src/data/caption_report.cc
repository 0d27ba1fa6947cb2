// SPDX-License-Identifier: Apache-2.0
#include "data/caption_report.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

constexpr std::size_t kShownFolders = 8;

bool is_sidecar(const std::string& source) {
  const std::string ending = lower_ascii(Path(source).extension().string());
  return ending == ".txt" || ending == ".caption" || ending == ".json";
}

// "metadata.csv:4" -> "metadata.csv", "09.txt" -> "caption files".
std::string kind_of_source(const std::string& source) {
  if (is_sidecar(source)) return "caption files";
  for (const char* block : {"png:", "exif:", "iptc:", "xmp:"}) {
    if (source.starts_with(block)) return "the pictures themselves";
  }
  if (source == "model") return "the captioning model";
  if (source == "folder") return "folder names";
  if (source == "file name") return "file names";
  return source.substr(0, source.find(':'));
}

// The name of a file, or of a folder that is no "N_name" of its caption.
bool is_mere_name(const ImageRecord& picture) {
  return picture.found.source == "file name" ||
         (picture.found.source == "folder" && picture.file.concept_name.empty());
}

// Counts the pictures that `is` holds for, and keeps the first.
struct Counted {
  std::size_t count = 0;
  const ImageRecord* first = nullptr;

  void add(const ImageRecord& picture, bool is) {
    if (is && count++ == 0) first = &picture;
  }
};

bool caption_file_is_mute(const ImageRecord& picture) {
  const std::string& source = picture.found.source;
  return !picture.file.beside.empty() && !is_sidecar(source) && source.find(':') == source.npos &&
         source != "edited";
}

}  // namespace

std::string caption_sources(const std::vector<const ImageRecord*>& pictures) {
  std::map<std::string, std::size_t> counts;
  std::size_t without = 0;
  for (const ImageRecord* picture : pictures) {
    if (picture->found.source == "none") {
      ++without;
    } else {
      ++counts[kind_of_source(picture->found.source)];
    }
  }
  std::vector<std::string> parts;
  for (const auto& [source, count] : counts) parts.push_back(join(count, " from ", source));
  if (without > 0) parts.push_back(join(without, " without"));
  return join_words(parts);
}

std::string picture_folders(const std::vector<const ImageRecord*>& pictures) {
  std::map<std::string, std::pair<std::size_t, int>> folders;  // count, repeats
  for (const ImageRecord* picture : pictures) {
    const std::string folder = Path(picture->file.relative).parent_path().generic_string();
    auto& [count, repeats] = folders[folder.empty() ? "." : folder];
    ++count;
    repeats = picture->file.repeats;
  }
  if (folders.size() == 1 && folders.begin()->second.second == 1) return "";
  std::vector<std::string> parts;
  for (const auto& [folder, of] : folders) {
    if (parts.size() == kShownFolders) break;
    const std::string times = of.second > 1 ? join(" (", of.second, " times each)") : "";
    parts.push_back(join(of.first, " in ", folder, times));
  }
  if (folders.size() > parts.size()) {
    parts.push_back(join("and ", folders.size() - parts.size(), " more folders"));
  }
  return join_words(parts);
}

std::vector<std::string> caption_warnings(const std::vector<const ImageRecord*>& pictures) {
  Counted names, empty, lists, mute;
  for (const ImageRecord* picture : pictures) {
    names.add(*picture, is_mere_name(*picture));
    empty.add(*picture, picture->caption.empty());
    lists.add(*picture, picture->found.of > 1);
    mute.add(*picture, caption_file_is_mute(*picture));
  }
  std::vector<std::string> warnings;
  if (names.count > 0) {
    warnings.push_back(join(names.count, " of ", pictures.size(), " captions are names of files ",
                            "or folders (first: ", names.first->file.relative, ": '",
                            names.first->found.text, "'); write NAME.txt beside the pictures, or ",
                            "a metadata.csv, where they should say more"));
  }
  if (empty.count > 0) {
    warnings.push_back(join(empty.count, " pictures have no caption and no name that says what ",
                            "they show; write captions, or give a trigger word"));
  }
  if (lists.count > 0) {
    warnings.push_back(join(lists.count, " pictures have a list of captions (first: ",
                            lists.first->file.relative, ", ", lists.first->found.of,
                            "); the first of each is used"));
  }
  if (mute.count > 0) {
    warnings.push_back(join(mute.count, " files beside pictures hold no caption (first: ",
                            mute.first->file.beside[0].filename().string(),
                            "; expected text, caption, prompt, description or tags)"));
  }
  return warnings;
}

}  // namespace lora
