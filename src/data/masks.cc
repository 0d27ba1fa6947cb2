// SPDX-License-Identifier: Apache-2.0
#include "data/masks.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace lora {
namespace {

constexpr std::string_view kEnds[] = {"-masklabel", "-condlabel", "_masklabel",
                                      "_mask",      "-mask",      ".mask"};
constexpr std::string_view kFolders[] = {"mask", "masks", "masklabels"};

// "sub/a-mask.png" -> "sub/a"
std::optional<Path> picture_of(const Path& mask) {
  const std::string stem = mask.stem().string(), lower = lower_ascii(stem);
  for (const std::string_view end : kEnds) {
    if (lower.size() <= end.size() || !lower.ends_with(end)) continue;
    return mask.parent_path() / stem.substr(0, stem.size() - end.size());
  }
  return std::nullopt;
}

bool is_mask_folder(const Path& folder) {
  const std::string name = lower_ascii(folder.filename().string());
  return std::ranges::find(kFolders, name) != std::end(kFolders);
}

}  // namespace

std::set<std::string> masks_among(const std::vector<ImageFile>& pictures) {
  std::set<Path> names;   // without endings
  std::set<Path> around;  // the same, without the folder they lie in
  for (const ImageFile& picture : pictures) {
    const Path name = Path(picture.relative).replace_extension();
    names.insert(name);
    if (!is_mask_folder(name.parent_path())) {
      around.insert(name.parent_path().parent_path() / name.filename());
    }
  }
  std::set<std::string> masks;
  for (const ImageFile& picture : pictures) {
    if (!picture.beside.empty()) continue;
    const Path path = picture.relative, folder = path.parent_path();
    const auto beside = picture_of(path);
    bool mask = beside && names.contains(*beside);
    if (!mask && is_mask_folder(folder)) {
      const Path name = folder.parent_path() / path.stem();
      mask = names.contains(name) || around.contains(name);
    }
    if (mask) masks.insert(picture.relative);
  }
  return masks;
}

}  // namespace lora
