// SPDX-License-Identifier: Apache-2.0
// Awkward and broken pictures, captions and tables, each with what becomes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <vips/vips8>

#include "base/error.h"
#include "base/text.h"
#include "tests/picture_folder.h"

namespace lora {
namespace {

using vips::VImage;
using vips::VOption;

constexpr int kWidth = 80, kHeight = 72;

// Rising red to the right, rising green to the bottom, half blue.
Image gradient() {
  Image image{kWidth, kHeight, std::vector<std::uint8_t>(kWidth * kHeight * 3)};
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      std::uint8_t* p = image.row(y) + x * 3;
      p[0] = static_cast<std::uint8_t>(x * 3);
      p[1] = static_cast<std::uint8_t>(y * 3);
      p[2] = 128;
    }
  }
  return image;
}

VImage as_vips(Image& image) {
  return VImage::new_from_memory(image.rgb.data(), image.rgb.size(), image.width, image.height, 3,
                                 VIPS_FORMAT_UCHAR)
      .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
}

// Writes the gradient as libvips writes files of that ending, after `change`.
void save(const Path& path, const std::function<VImage(VImage)>& change = {},
          VOption* options = nullptr) {
  Image image = gradient();
  VImage picture = as_vips(image);
  if (change) picture = change(picture);
  picture.write_to_file(path.c_str(), options);
}

void save_bytes(const Path& path, const std::string& bytes) { write_file_atomic(path, bytes); }

// A file cut after a share of its bytes.
void save_cut(const Path& path, double share) {
  save(path);
  const std::string bytes = read_file(path);
  save_bytes(path, bytes.substr(0, static_cast<std::size_t>(share * double(bytes.size()))));
}

struct Case {
  const char* name;  // of the test
  const char* file;
  std::function<void(const Path&)> write;
  PictureVerdict verdict = PictureVerdict::used;
  std::string text;  // the problem; of pictures that are used: the notes
};

void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

std::string not_readable(const std::string& found) {
  return "not a picture that can be read (found " + found +
         ", expected PNG, JPEG, WebP, TIFF, AVIF, GIF or BMP); replace or remove it";
}

VImage to_16_bit(const VImage& image) {
  return (image * 257)
      .cast(VIPS_FORMAT_USHORT)
      .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_RGB16));
}

VImage to_grey(const VImage& image) { return image.colourspace(VIPS_INTERPRETATION_B_W); }

VImage to_cmyk(const VImage& image) {
  return image.icc_export(VImage::option()->set("output_profile", "cmyk"));
}

VImage with_alpha(const VImage& image) { return image.bandjoin(255); }

VImage with_16_bit_alpha(const VImage& image) {
  return to_16_bit(image).bandjoin(65535).copy(
      VImage::option()->set("interpretation", VIPS_INTERPRETATION_RGB16));
}

// Of sRGB, so that the colours stay.
// Its colours change a little: the profile has a black point of its own.
VImage with_profile(const VImage& image, int depth = 16) {
  const VImage colour = image.extract_band(0, VImage::option()->set("n", 3));
  const VImage tagged =
      colour.icc_export(VImage::option()->set("output_profile", "srgb")->set("depth", depth));
  return image.has_alpha() ? tagged.bandjoin(image.extract_band(3)) : tagged;
}

VImage turned(VImage image) {
  image = image.rot90();
  image.set("orientation", 8);  // to be turned back by 270 degrees
  return image;
}

// A PNG of 60000 x 60000 in a hundred bytes.
std::string bomb() {
  const std::string_view digits =
      "89504e470d0a1a0a0000000d494844520000ea600000ea6008020000000fb0e2150000000b494441"
      "54789c636080020000090001fb52b8a90000000049454e44ae426082";
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

const std::vector<Case>& cases() {
  using enum PictureVerdict;
  static const std::vector<Case> all = {
      {"png", "a.png", [](const Path& p) { save(p); }},
      {"jpeg", "a.jpg", [](const Path& p) { save(p); }},
      {"webp", "a.webp", [](const Path& p) { save(p); }},
      {"tiff", "a.tif", [](const Path& p) { save(p); }},
      {"avif", "a.avif", [](const Path& p) { save(p); }},
      {"gif", "a.gif", [](const Path& p) { save(p); }},
      {"capital_ending", "A.PNG",
       [](const Path& p) {
         save(Path(p).replace_extension(".png"));
         std::filesystem::rename(Path(p).replace_extension(".png"), p);
       }},
      {"wrong_ending", "a.jpg",
       [](const Path& p) {
         save(Path(p).replace_extension(".png"));
         std::filesystem::rename(Path(p).replace_extension(".png"), p);
       }},
      {"sixteen_bit", "a.png", [](const Path& p) { save(p, to_16_bit); }},
      {"sixteen_bit_tiff", "a.tif", [](const Path& p) { save(p, to_16_bit); }},
      {"alpha", "a.png", [](const Path& p) { save(p, with_alpha); }, used,
       "transparency flattened"},
      {"sixteen_bit_with_alpha", "a.png", [](const Path& p) { save(p, with_16_bit_alpha); }, used,
       "transparency flattened"},
      {"sixteen_bit_with_profile", "a.png",
       [](const Path& p) {
         save(p, [](const VImage& image) { return with_profile(to_16_bit(image)); });
       },
       used, "converted to sRGB"},
      {"sixteen_bit_with_alpha_and_profile", "a.png",
       [](const Path& p) {
         save(p, [](const VImage& image) { return with_profile(with_16_bit_alpha(image)); });
       },
       used, "converted to sRGB, transparency flattened"},
      {"cmyk", "a.tif", [](const Path& p) { save(p, to_cmyk); }, used, "converted to sRGB"},
      {"cmyk_jpeg", "a.jpg", [](const Path& p) { save(p, to_cmyk); }, used, "converted to sRGB"},
      {"turned_by_exif", "a.jpg", [](const Path& p) { save(p, turned); }, used, "rotated (EXIF)"},
      {"animation", "a.gif",
       [](const Path& p) {
         save(p, [](const VImage& image) {
           VImage both = image.join(image.rot180(), VIPS_DIRECTION_VERTICAL);
           both.set("page-height", kHeight);
           return both;
         });
       },
       used, "transparency flattened, first of 2 frames"},
      {"truncated_jpeg", "a.jpg", [](const Path& p) { save_cut(p, 0.6); }, broken,
       not_readable("a damaged or incomplete JPEG file")},
      {"truncated_png", "a.png", [](const Path& p) { save_cut(p, 0.5); }, broken,
       not_readable("a damaged or incomplete PNG file")},
      {"truncated_webp", "a.webp", [](const Path& p) { save_cut(p, 0.5); }, broken,
       not_readable("a damaged or incomplete WebP file")},
      {"truncated_avif", "a.avif", [](const Path& p) { save_cut(p, 0.5); }, broken,
       not_readable("a damaged or incomplete AVIF or HEIF file")},
      {"avif_called_heic", "a.heic",
       [](const Path& p) {
         save(Path(p).replace_extension(".avif"));
         std::filesystem::rename(Path(p).replace_extension(".avif"), p);
       }},
      {"jpeg_called_jfif", "a.jfif",
       [](const Path& p) {
         save(Path(p).replace_extension(".jpg"));
         std::filesystem::rename(Path(p).replace_extension(".jpg"), p);
       }},
      {"damaged_jpeg_xl", "a.jxl",
       [](const Path& p) { save_bytes(p, std::string("\0\0\0\x0cJXL \r\n\x87\n\0\0", 14)); },
       broken,
       not_readable("a JPEG XL file that is damaged, or that this libvips does not read")},
      {"only_the_header", "a.png", [](const Path& p) { save_cut(p, 0.01); }, broken,
       not_readable("a damaged or incomplete PNG file")},
      {"no_bytes", "a.png", [](const Path& p) { save_bytes(p, ""); }, broken,
       "the file is empty (found 0 bytes, expected a picture); replace or remove it"},
      {"zero_bytes", "a.png", [](const Path& p) { save_bytes(p, std::string(5000, '\0')); }, broken,
       not_readable("unknown content")},
      {"text", "a.png", [](const Path& p) { save_bytes(p, "a diary\n"); }, broken,
       not_readable("a text file")},
      {"web_page", "a.jpg", [](const Path& p) { save_bytes(p, "<html>404</html>\n"); }, broken,
       not_readable("a page of HTML, SVG or XML")},
      {"drawing_that_could_load_files", "a.png",
       [](const Path& p) {
         save_bytes(p, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"99\" height=\"99\"/>");
       },
       broken, not_readable("a page of HTML, SVG or XML")},
      {"document", "a.png", [](const Path& p) { save_bytes(p, "%PDF-1.4\n"); }, broken,
       not_readable("a PDF document")},
      {"lfs_pointer", "a.png",
       [](const Path& p) {
         save_bytes(p, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
       },
       broken, not_readable("a Git LFS pointer: run `git lfs pull`")},
      {"bomb", "a.png", [](const Path& p) { save_bytes(p, bomb()); }, broken,
       "too large (found 60000x60000, expected at most 250 million pixels); shrink it"},
      {"one_pixel", "a.png",
       [](const Path& p) {
         save(p, [](const VImage& image) { return image.extract_area(0, 0, 1, 1); });
       },
       too_small,
       "1x1 is smaller than 64; lower the resolution, or enlarge it (`lora prepare images "
       "--upscale`)"},
      {"sliver", "a.png",
       [](const Path& p) {
         save(p, [](const VImage& image) { return image.extract_area(0, 0, 80, 3); });
       },
       too_small,
       "80x3 is smaller than 64; lower the resolution, or enlarge it (`lora prepare images "
       "--upscale`)"},
  };
  return all;
}

// A folder with one good picture.
Path folder_of(const std::string& name) {
  Image other = gradient();
  std::reverse(other.rgb.begin(), other.rgb.end());
  return test::folder_with(other, "lora_bad_pictures_" + name);
}

class BadPicture : public testing::TestWithParam<Case> {};

TEST_P(BadPicture, HasItsVerdict) {
  const Case& row = GetParam();
  const Path folder = folder_of(row.name);
  row.write(folder / row.file);
  const ImageScan found = test::scan_folder(folder);
  ASSERT_EQ(found.records.size(), 2U);
  const ImageRecord& record = found.records[0];
  EXPECT_EQ(record.verdict, row.verdict) << record.problem;
  if (row.verdict != PictureVerdict::used) {
    EXPECT_EQ(record.problem, row.text);
    return;
  }
  std::vector<std::string> notes;
  for (const std::string& note : record.notes) {
    if (!note.starts_with("looks blurred")) notes.push_back(note);
  }
  EXPECT_EQ(join_words(notes), row.text);
  // Upright, in colour, at the right places: dark at the top left, red right, green below.
  EXPECT_EQ(record.size, (Size{kWidth, kHeight}));
  const Image image = read_image(folder / row.file).image;
  const int tolerance = row.text.starts_with("converted to sRGB") ? 75 : 20;
  const auto near = [&](int x, int y, int channel, int expected) {
    EXPECT_NEAR(image.row(y)[x * 3 + channel], expected, tolerance)
        << x << "," << y << " channel " << channel;
  };
  near(5, 5, 0, 15);
  near(75, 5, 0, 225);
  near(5, 65, 1, 195);
  near(5, 65, 0, 15);
}

INSTANTIATE_TEST_SUITE_P(File, BadPicture, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

// Half of 16 bits of transparency lets half of the background through, with and without a profile.
TEST(BadPictures, SixteenBitsOfTransparencyAreEight) {
  const Path folder = folder_of("half");
  const auto half = [](const VImage& image) {
    return to_16_bit(image).bandjoin(32768).copy(
        VImage::option()->set("interpretation", VIPS_INTERPRETATION_RGB16));
  };
  save(folder / "a.png", half);
  save(folder / "b.png", [&](const VImage& image) { return with_profile(half(image)); });
  const auto eight = [](const VImage& image) { return image.bandjoin(128); };
  save(folder / "c.png", eight);
  save(folder / "d.png", [&](const VImage& image) { return with_profile(eight(image), 8); });
  for (const auto& [wide, narrow] : {std::pair{"a.png", "c.png"}, std::pair{"b.png", "d.png"}}) {
    const Image image = read_image(folder / wide).image, same = read_image(folder / narrow).image;
    for (const std::size_t at : {0, 3000, 9000, 17000}) {
      EXPECT_NEAR(image.rgb.at(at), same.rgb.at(at), 3) << wide << " " << at;
    }
  }
}

TEST(BadPictures, GreyPicturesAreRead) {
  const Path folder = folder_of("grey");
  save(folder / "a.png", to_grey);
  save(folder / "b.jpg", to_grey);
  save(folder / "c.png", [](const VImage& image) {
    return (to_grey(image) * 257)
        .cast(VIPS_FORMAT_USHORT)
        .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_GREY16));
  });
  save(folder / "d.tif",
       [](const VImage& image) { return to_grey(image).cast(VIPS_FORMAT_FLOAT); });
  for (const char* name : {"a.png", "b.jpg", "c.png", "d.tif"}) {
    const Image image = read_image(folder / name).image;
    const std::uint8_t* p = image.row(65) + 75 * 3;
    EXPECT_EQ(p[0], p[1]) << name;
    EXPECT_EQ(p[1], p[2]) << name;
    EXPECT_NEAR(p[0], read_image(folder / "a.png").image.row(65)[75 * 3], 4) << name;
  }
}

}  // namespace
}  // namespace lora
