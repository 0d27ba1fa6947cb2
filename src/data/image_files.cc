// SPDX-License-Identifier: Apache-2.0
#include "data/image_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/error.h"
#include "base/folders.h"
#include "base/text.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kEndings = {".png",  ".jpg",  ".jpeg", ".webp", ".tif",
                                                      ".tiff", ".avif", ".gif",  ".bmp"};

bool is_picture(const Path& path) {
  const std::string ending = lower_ascii(path.extension().string());
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

// A folder, or a link that leads nowhere, rather than a pipe or a file of another kind.
bool may_hold_pictures(const Path& path) {
  std::error_code error;
  return fs::is_directory(path, error) || (error && !path.has_extension());
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

std::string found_text(const std::map<std::string, int>& endings) {
  std::vector<std::string> parts;
  for (const auto& [ending, count] : endings) {
    parts.push_back(join(count, " ", ending.empty() ? "without ending" : ending));
  }
  return parts.empty() ? "no files at all" : join_words(parts);
}

}  // namespace

std::vector<ImageFile> list_images(const Path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) fail_usage(folder.string(), ": no such folder; check the path");
  if (!fs::is_directory(folder, ignored)) {
    fail_usage(folder.string(), ": is a file, expected a folder of pictures; name its folder");
  }
  std::vector<ImageFile> files;
  std::map<std::string, int> others;
  for (const FoundFile& found : files_below(folder)) {
    const bool picture = is_picture(found.path);
    if (!picture && (found.problem.empty() || !may_hold_pictures(found.path))) {
      ++others[found.path.extension().string()];
      continue;
    }
    ImageFile file{found.path, found.relative, 1, "", found.problem};
    read_kohya_folder(file);
    files.push_back(std::move(file));
  }
  if (files.empty()) {
    fail_usage(folder.string(),
               ": no pictures (looked for .png .jpg .jpeg .webp .tif .tiff .avif .gif "
               ".bmp in it and below; found ",
               found_text(others), "); check the path");
  }
  return files;
}

}  // namespace lora
