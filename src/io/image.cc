// SPDX-License-Identifier: Apache-2.0
#include "io/image.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <mutex>
#include <vips/vips8>

#include "base/error.h"
#include "base/text.h"
#include "io/bmp.h"
#include "io/png_text.h"

namespace lora {
namespace {

using vips::VImage;

struct Kind {
  std::string_view format;
  std::size_t at;
  std::string_view bytes;  // what such a file holds there
  const char* operation;   // of libvips; null: read here
  const char* class_name;  // of the operation, and of those that read from memory
};

// The kinds of pictures that are read, and how they are known.
constexpr Kind kKinds[] = {
    {"png", 0, "\x89PNG", "pngload", "VipsForeignLoadPng"},
    {"jpeg", 0, "\xff\xd8\xff", "jpegload", "VipsForeignLoadJpeg"},
    {"webp", 8, "WEBP", "webpload", "VipsForeignLoadWebp"},
    {"tiff", 0, std::string_view("II*\0", 4), "tiffload", "VipsForeignLoadTiff"},
    {"tiff", 0, std::string_view("MM\0*", 4), "tiffload", "VipsForeignLoadTiff"},
    {"tiff", 0, std::string_view("II+\0", 4), "tiffload", "VipsForeignLoadTiff"},
    {"tiff", 0, std::string_view("MM\0+", 4), "tiffload", "VipsForeignLoadTiff"},
    {"heif", 4, "ftyp", "heifload", "VipsForeignLoadHeif"},
    {"jxl", 0, "\xff\x0a", "jxlload", "VipsForeignLoadJxl"},
    {"jxl", 0, std::string_view("\0\0\0\x0cJXL ", 8), "jxlload", "VipsForeignLoadJxl"},
    {"gif", 0, "GIF8", "gifload", "VipsForeignLoadNsgif"},
    {"bmp", 0, "BM", nullptr, nullptr}};

// libvips knows many more kinds; some of their readers start programs, read other files or believe
// any size (SVG, PDF, what ImageMagick reads, FITS).
void block_loaders() {
  vips_operation_block_set("VipsForeignLoad", 1);
  for (const Kind& kind : kKinds) {
    if (kind.class_name != nullptr) vips_operation_block_set(kind.class_name, 0);
  }
}

void start_vips() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (VIPS_INIT("lora") != 0) fail("libvips: cannot be initialised: ", vips_error_buffer());
    vips_cache_set_max(0);    // files change between calls
    block_loaders();
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

// A module of libvips, which may be missing.
constexpr std::string_view kJpegXl =
    "a JPEG XL file that is damaged, or that this libvips does not read";

// What files begin with, and what that says.
constexpr Magic kMagic[] = {{0, "\x89PNG", "a damaged or incomplete PNG file"},
                            {0, "\xff\xd8", "a damaged or incomplete JPEG file"},
                            {8, "WEBP", "a damaged or incomplete WebP file"},
                            {0, "II*", "a damaged or incomplete TIFF file"},
                            {0, "MM", "a damaged or incomplete TIFF file"},
                            {4, "ftyp", "a damaged or incomplete AVIF or HEIF file"},
                            {0, "\xff\x0a", kJpegXl},
                            {0, std::string_view("\0\0\0\x0cJXL ", 8), kJpegXl},
                            {0, "GIF8", "a damaged or incomplete GIF file"},
                            {0, "BM", "a damaged or incomplete BMP file"},
                            {0, "version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"},
                            {0, "%PDF", "a PDF document"},
                            {0, "PK", "a ZIP archive"}};

std::string first_bytes(const Path& path) {
  std::string start(256, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  return start;
}

bool holds(const std::string& start, std::size_t at, std::string_view bytes) {
  return start.size() > at && std::string_view(start).substr(at).starts_with(bytes);
}

// Names what a file is by its first bytes. (libvips' own words go into a buffer that all threads
// share: they may be those of another file.)
std::string what_file(const std::string& start) {
  for (const Magic& magic : kMagic) {
    if (holds(start, magic.at, magic.bytes)) return std::string(magic.name);
  }
  const bool text = std::ranges::all_of(start, [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
  if (text && start.starts_with('<')) return "a page of HTML, SVG or XML";
  return text ? "a text file" : "unknown content";
}

[[noreturn]] void fail_unreadable(const Path& path) {
  vips_error_clear();
  fail(path.string(), ": not a picture that can be read (found ", what_file(first_bytes(path)),
       ", expected PNG, JPEG, WebP, TIFF, AVIF, GIF or BMP); replace or remove it");
}

std::string reason(const vips::VError& error) {
  std::string text = error.what();
  vips_error_clear();
  return trim(text.substr(0, text.find('\n')));
}

constexpr double kMostPixels = 250e6;

// Only the header has been read so far.
void check_size(const Path& path, const VImage& image) {
  if (static_cast<double>(image.width()) * image.height() <= kMostPixels) return;
  fail(path.string(), ": too large (found ", image.width(), "x", image.height(),
       ", expected at most ", static_cast<int>(kMostPixels / 1e6), " million pixels); shrink it");
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

VImage colours_to_srgb(VImage image, DecodedImage& out) {
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

// Profiles know nothing of transparency: libvips would leave 16 bits of it beside 8 of colour.
VImage to_srgb(const VImage& image, DecodedImage& out) {
  const bool wide_alpha = image.has_alpha() && image.format() == VIPS_FORMAT_USHORT;
  if (!wide_alpha) return colours_to_srgb(image, out);
  const int colours = image.bands() - 1;
  const VImage alpha = (image.extract_band(colours) / 257).rint().cast(VIPS_FORMAT_UCHAR);
  const VImage colour = colours_to_srgb(
      image.extract_band(0, VImage::option()->set("n", colours)), out);
  return colour.cast(VIPS_FORMAT_UCHAR).bandjoin(alpha);
}

VImage without_alpha(VImage image, const ImageOptions& options, DecodedImage& out) {
  if (!image.has_alpha()) return image;
  out.had_alpha = true;
  if (options.drop_alpha) return image.extract_band(0, VImage::option()->set("n", 3));
  const std::vector<double> colour(options.background.begin(), options.background.end());
  return image.flatten(VImage::option()->set("background", colour));
}

VImage open_bmp(const Path& path) {
  const Bitmap bitmap = read_bmp(read_file(path), path.string(), kMostPixels);
  const VImage image =
      VImage::new_from_memory(const_cast<std::uint8_t*>(bitmap.rgba.data()), bitmap.rgba.size(),
                              bitmap.width, bitmap.height, 4, VIPS_FORMAT_UCHAR)
          .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB))
          .copy_memory();
  return bitmap.alpha ? image : image.extract_band(0, VImage::option()->set("n", 3));
}

// What a file is, its first bytes decide before libvips sees it; its name does not count.
VImage open(const Path& path, std::string& format) {
  const std::string start = first_bytes(path);
  const auto kind = std::ranges::find_if(
      kKinds, [&](const Kind& row) { return holds(start, row.at, row.bytes); });
  if (kind == std::end(kKinds)) fail_unreadable(path);
  format = kind->format;
  if (kind->operation == nullptr) return open_bmp(path);
  VImage image;
  // fail_on error: a truncated file is an error, not a grey half.
  VImage::call(kind->operation, VImage::option()
                                    ->set("filename", path.c_str())
                                    ->set("out", &image)
                                    ->set("access", VIPS_ACCESS_RANDOM)
                                    ->set("fail_on", VIPS_FAIL_ON_TRUNCATED));
  check_size(path, image);
  return image;
}

Image pixels_of(const VImage& image) {
  std::size_t size = 0;
  const std::unique_ptr<void, decltype(&g_free)> data(image.write_to_memory(&size), g_free);
  const auto* bytes = static_cast<const std::uint8_t*>(data.get());
  return {image.width(), image.height(), std::vector<std::uint8_t>(bytes, bytes + size)};
}

// Not a copy: the result is written before `image` goes.
VImage as_vips(const Image& image) {
  return VImage::new_from_memory(const_cast<std::uint8_t*>(image.rgb.data()), image.rgb.size(),
                                 image.width, image.height, 3, VIPS_FORMAT_UCHAR)
      .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
}

}  // namespace

DecodedImage read_image(const Path& path, const ImageOptions& options) {
  start_vips();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) fail(path.string(), ": no such file; check the path");
  if (!std::filesystem::is_regular_file(path, error)) {
    fail(path.string(), ": is a pipe, device or folder, expected a picture; remove it");
  }
  if (std::filesystem::is_empty(path, error)) {
    fail(path.string(), ": the file is empty (found 0 bytes, expected a picture); replace or ",
         "remove it");
  }
  try {
    DecodedImage out;
    VImage image = open(path, out.format);
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
    const VImage part = as_vips(image).smartcrop(
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
    VipsBlob* blob = as_vips(image).pngsave_buffer();
    std::size_t size = 0;
    const void* data = vips_blob_get(blob, &size);
    std::string bytes(static_cast<const char*>(data), size);
    vips_area_unref(VIPS_AREA(blob));
    return with_png_text(bytes, text);  // libvips would compress them
  } catch (const vips::VError& error) {
    fail("PNG: cannot encode a picture of ", image.width, "x", image.height, ": ", reason(error));
  }
}

void write_png(const Path& path, const Image& image,
               const std::map<std::string, std::string>& text) {
  write_file_atomic(path, encode_png(image, text));
}

}  // namespace lora
