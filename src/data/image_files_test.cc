// SPDX-License-Identifier: Apache-2.0
// Which files of a folder are pictures, and what is said of the others.
#include "data/image_files.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lora {
namespace {

struct Folder {
  const char* name;
  std::vector<std::string> files;
  std::string pictures;
  std::string left_out;
};

void PrintTo(const Folder& row, std::ostream* out) { *out << row.name; }

const std::vector<Folder>& folders() {
  static const std::vector<Folder> all = {
      {"endings",
       {"a.jfif", "b.JPE", "c.heic", "d.jxl", "e.PNG", "f.heif", "g.webp"},
       "a.jfif, b.JPE, c.heic, d.jxl, e.PNG, f.heif, g.webp",
       ""},
      {"other_kinds",
       {"a.png", "b.psd", "c.psd", "d.mp4", "e"},
       "a.png",
       "not read: 1 without ending (e), 1 .mp4 (d.mp4), 2 .psd (first: b.psd)"},
      {"masks_beside",
       {"a.png", "a-masklabel.png", "b.jpg", "b_mask.PNG", "c.png", "c-mask.png", "c-mask.txt"},
       "a.png, b.jpg, c-mask.png, c.png",
       "left out: 2 masks (first: a-masklabel.png): every part of a picture is trained; no loss "
       "here uses masks"},
      {"masks_in_a_folder",
       {"images/a.png", "masks/a.png", "x/b.png", "x/mask/b.png", "masks/none.png"},
       "images/a.png, masks/none.png, x/b.png",
       "left out: 2 masks (first: masks/a.png; 2 folders): every part of a picture is trained; no "
       "loss here uses masks"},
      {"a_mask_alone", {"cat_mask.png", "mask.png"}, "cat_mask.png, mask.png", ""},
      {"project",
       {"img/10_zq toy/a.png", "log/x.png", "model/sample/e1.png", "reg/1_toy/r.png",
        "extra/b.png"},
       "extra/b.png, img/10_zq toy/a.png",
       "left out: 3 pictures in the folders log, model and reg of a project (first: log/x.png; 3 "
       "folders): class pictures, samples and logs are not trained; name a folder of them to train "
       "on it"},
      {"no_project", {"img/a.png", "model/b.png"}, "img/a.png, model/b.png", ""},
      {"folders_of_systems",
       {"a.png", "__MACOSX/b.png", "@eaDir/a.png/thumb.jpg", ".hidden/c.png", "._a.png",
        "Thumbs.db", "desktop.ini", "a.npz"},
       "a.png",
       ""},
  };
  return all;
}

class ImageFolders : public testing::TestWithParam<Folder> {};

TEST_P(ImageFolders, AreRead) {
  const Folder& row = GetParam();
  const Path folder =
      std::filesystem::temp_directory_path() / ("lora_image_files_" + std::string(row.name));
  std::filesystem::remove_all(folder);
  for (const std::string& name : row.files) write_file_atomic(folder / name, "x");
  const ImageFolder found = list_images(folder);
  std::vector<std::string> pictures;
  for (const ImageFile& file : found.pictures) pictures.push_back(file.relative);
  EXPECT_EQ(join_words(pictures), row.pictures);
  EXPECT_EQ(join_words(found.left_out), row.left_out);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Folder, ImageFolders, testing::ValuesIn(folders()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lora
