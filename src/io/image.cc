// SPDX-License-Identifier: Apache-2.0
#include "io/image.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <mutex>
#include <vips/vips8>

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

using vips::VImage;

void start_vips() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (VIPS_INIT("lora") != 0) fail("libvips: cannot be initialised: ", vips_error_buffer());
    vips_cache_set_max(0);    // files change between calls
    vips_concurrency_set(1);  // callers read several pictures at once
    // Its warnings about damaged files reach the user as our errors.
    g_log_set_handler(
        "VIPS", G_LOG_LEVEL_WARNING, [](const gchar*, GLogLevelFlags, const gchar*, gpointer) {},
        nullptr);
  });
}

struct Magic {
  std::size_t at;
  std::string_view bytes, name;
};

// What files begin with, and what that says.
constexpr Magic kMagic[] = {{0, "\x89PNG", "a damaged or incomplete PNG file"},
                            {0, "\xff\xd8", "a damaged or incomplete JPEG file"},
                            {8, "WEBP", "a damaged or incomplete WebP file"},
                            {0, "II*", "a damaged or incomplete TIFF file"},
                            {0, "MM", "a damaged or incomplete TIFF file"},
                            {4, "ftyp", "a damaged or incomplete AVIF or HEIF file"},
                            {0, "GIF8", "a damaged or incomplete GIF file"},
                            {0, "BM", "a damaged or incomplete BMP file"},
                            {0, "version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"},
                            {0, "%PDF", "a PDF document"},
                            {0, "PK", "a ZIP archive"}};

// Names what a file is by its first bytes. (libvips' own words go into a buffer that all threads
// share: they may be those of another file.)
std::string what_file(const Path& path) {
  std::string start(256, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  for (const Magic& magic : kMagic) {
    if (start.substr(std::min(magic.at, start.size())).starts_with(magic.bytes)) {
      return std::string(magic.name);
    }
  }
  const bool text = std::ranges::all_of(start, [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
  if (text && start.starts_with('<')) return "a page of HTML, SVG or XML";
  return text ? "a text file" : "unknown content";
}

[[noreturn]] void fail_unreadable(const Path& path) {
  vips_error_clear();
  fail(path.string(), ": not a picture that can be read (found ", what_file(path),
       ", expected PNG, JPEG, WebP, TIFF, AVIF, GIF or BMP); replace or remove it");
}

std::string reason(const vips::VError& error) {
  std::string text = error.what();
  vips_error_clear();
  return trim(text.substr(0, text.find('\n')));
}

constexpr double kMostPixels = 250e6;

constexpr std::string_view kFormats[] = {"png", "jpeg", "webp", "tiff", "heif", "gif", "magick"};

bool begins_with(const Path& path, std::string_view magic) {
  std::string start(magic.size(), '\0');
  std::ifstream(path, std::ios::binary)
      .read(start.data(), static_cast<std::streamsize>(start.size()));
  return start == magic;
}

// libvips knows a format by its content and knows many: of these some run scripts or read other
// files (SVG, PDF, what ImageMagick reads), so only those that are meant are read. BMP is
// ImageMagick's here.
void check_kind(const Path& path, const std::string& format, const VImage& image) {
  const bool known = std::ranges::find(kFormats, format) != std::end(kFormats);
  if (!known || (format == "magick" && !begins_with(path, "BM"))) fail_unreadable(path);
  // Only the header has been read so far.
  if (static_cast<double>(image.width()) * image.height() > kMostPixels) {
    fail(path.string(), ": too large (found ", image.width(), "x", image.height(),
         ", expected at most ", static_cast<int>(kMostPixels / 1e6), " million pixels); shrink it");
  }
}

std::string format_of(const VImage& image) {
  if (image.get_typeof("vips-loader") == 0) return "unknown";
  std::string loader = image.get_string("vips-loader");
  return loader.substr(0, loader.find("load"));
}

// Fields "png-comment-N-KEYWORD".
std::map<std::string, std::string> png_text(const VImage& image) {
  std::map<std::string, std::string> text;
  gchar** fields = vips_image_get_fields(image.get_image());
  for (gchar** field = fields; *field != nullptr; ++field) {
    const std::string name = *field;
    if (!name.starts_with("png-comment-")) continue;
    text[name.substr(name.find('-', 12) + 1)] = image.get_string(*field);
  }
  g_strfreev(fields);
  return text;
}

VImage to_srgb(VImage image, DecodedImage& out) {
  if (image.get_typeof(VIPS_META_ICC_NAME) != 0) {
    try {
      image = image.icc_transform("srgb", VImage::option()->set("embedded", true));
      out.was_converted = true;
    } catch (const vips::VError&) {
      vips_error_clear();  // a broken profile: the pixel values stand as they are
    }
  }
  if (image.interpretation() != VIPS_INTERPRETATION_sRGB) {
    out.was_converted |= image.interpretation() == VIPS_INTERPRETATION_CMYK;
    image = image.colourspace(VIPS_INTERPRETATION_sRGB);
  }
  return image;
}

VImage without_alpha(VImage image, const ImageOptions& options, DecodedImage& out) {
  if (!image.has_alpha()) return image;
  out.had_alpha = true;
  if (options.drop_alpha) return image.extract_band(0, VImage::option()->set("n", 3));
  const std::vector<double> colour(options.background.begin(), options.background.end());
  return image.flatten(VImage::option()->set("background", colour));
}

VImage open(const Path& path) {
  // fail_on error: a truncated file is an error, not a grey half.
  return VImage::new_from_file(
      path.c_str(),
      VImage::option()->set("access", VIPS_ACCESS_RANDOM)->set("fail_on", VIPS_FAIL_ON_TRUNCATED));
}

Image pixels_of(const VImage& image) {
  std::size_t size = 0;
  const std::unique_ptr<void, decltype(&g_free)> data(image.write_to_memory(&size), g_free);
  const auto* bytes = static_cast<const std::uint8_t*>(data.get());
  return {image.width(), image.height(), std::vector<std::uint8_t>(bytes, bytes + size)};
}

VImage as_vips(const Image& image, const std::map<std::string, std::string>& text) {
  // Not a copy: the result is written before `image` goes.
  VImage out =
      VImage::new_from_memory(const_cast<std::uint8_t*>(image.rgb.data()), image.rgb.size(),
                              image.width, image.height, 3, VIPS_FORMAT_UCHAR)
          .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
  int i = 0;
  for (const auto& [key, value] : text) {
    out.set(join("png-comment-", i++, "-", key).c_str(), value.c_str());
  }
  return out;
}

}  // namespace

DecodedImage read_image(const Path& path, const ImageOptions& options) {
  start_vips();
  if (!std::filesystem::exists(path)) fail(path.string(), ": no such file; check the path");
  if (std::filesystem::is_empty(path)) {
    fail(path.string(), ": the file is empty (found 0 bytes, expected a picture); replace or ",
         "remove it");
  }
  try {
    DecodedImage out;
    VImage image = open(path);
    out.format = format_of(image);
    check_kind(path, out.format, image);
    out.text = png_text(image);
    if (image.get_typeof("n-pages") != 0) out.pages = image.get_int("n-pages");
    if (image.get_typeof("orientation") != 0) out.was_rotated = image.get_int("orientation") > 1;
    image = without_alpha(to_srgb(image.autorot(), out), options, out);
    if (image.format() != VIPS_FORMAT_UCHAR) image = image.cast(VIPS_FORMAT_UCHAR);
    if (image.bands() == 1) image = image.bandjoin(image).bandjoin(image.extract_band(0));
    if (image.bands() != 3) {
      fail(path.string(), ": ", image.bands(), " colour bands, expected 3; convert it to RGB");
    }
    out.image = pixels_of(image);
    return out;
  } catch (const vips::VError&) {
    fail_unreadable(path);
  }
}

Image resize(const Image& image, int width, int height) {
  if (width == image.width && height == image.height) return image;
  const bool shrinks = width <= image.width && height <= image.height;
  return shrinks ? resize_area(image, width, height) : resize_lanczos(image, width, height);
}

Image crop(const Image& image, int left, int top, int width, int height) {
  if (left < 0 || top < 0 || left + width > image.width || top + height > image.height) {
    fail("crop: ", width, "x", height, " at ", left, ",", top, " does not lie inside ", image.width,
         "x", image.height);
  }
  Image out{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height * 3)};
  for (int y = 0; y < height; ++y) {
    std::memcpy(out.row(y), image.row(top + y) + left * 3, static_cast<std::size_t>(width) * 3);
  }
  return out;
}

Image flip_horizontally(const Image& image) {
  Image out = image;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      std::copy_n(image.row(y) + x * 3, 3, out.row(y) + (image.width - 1 - x) * 3);
    }
  }
  return out;
}

Image crop_attention(const Image& image, int width, int height) {
  start_vips();
  try {
    const VImage part = as_vips(image, {}).smartcrop(
        width, height, VImage::option()->set("interesting", VIPS_INTERESTING_ATTENTION));
    return pixels_of(part);
  } catch (const vips::VError& error) {
    fail("smart crop: ", width, "x", height, " of ", image.width, "x", image.height, ": ",
         reason(error));
  }
}

std::string encode_png(const Image& image, const std::map<std::string, std::string>& text) {
  start_vips();
  try {
    VipsBlob* blob = as_vips(image, text).pngsave_buffer();
    std::size_t size = 0;
    const void* data = vips_blob_get(blob, &size);
    std::string bytes(static_cast<const char*>(data), size);
    vips_area_unref(VIPS_AREA(blob));
    return bytes;
  } catch (const vips::VError& error) {
    fail("PNG: cannot encode a picture of ", image.width, "x", image.height, ": ", reason(error));
  }
}

void write_png(const Path& path, const Image& image,
               const std::map<std::string, std::string>& text) {
  write_file_atomic(path, encode_png(image, text));
}

}  // namespace lora
