// SPDX-License-Identifier: Apache-2.0
#include "io/bmp.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "base/error.h"
#include "io/image.h"

namespace lora {
namespace {

constexpr double kMany = 1e6;

std::string number(std::uint32_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

struct Header {
  int width = 2, height = 2, bits = 24;
  std::uint32_t compression = 0, colours = 0;
};

// `rest`: bit fields or colour table; then the rows.
std::string bmp(const Header& h, const std::string& rest, const std::string& rows) {
  const auto start = static_cast<std::uint32_t>(14 + 40 + rest.size());
  std::string file = "BM" + number(start + static_cast<std::uint32_t>(rows.size()), 4) +
                     number(0, 4) + number(start, 4) + number(40, 4) +
                     number(static_cast<std::uint32_t>(h.width), 4) +
                     number(static_cast<std::uint32_t>(h.height), 4) + number(1, 2) +
                     number(static_cast<std::uint32_t>(h.bits), 2) + number(h.compression, 4) +
                     std::string(12, '\0') + number(h.colours, 4) + number(0, 4);
  return file + rest + rows;
}

// The colours of a picture from its top, "rrggbb" each; with alpha where there is some.
std::string colours(const std::string& bytes) {
  const Bitmap bitmap = read_bmp(bytes, "a.bmp", kMany);
  std::string text;
  for (std::size_t i = 0; i < bitmap.rgba.size(); i += 4) {
    char pixel[16];
    std::snprintf(pixel, sizeof pixel, "%02x%02x%02x", bitmap.rgba[i], bitmap.rgba[i + 1],
                  bitmap.rgba[i + 2]);
    text += (i == 0 ? "" : " ") + std::string(pixel);
    if (bitmap.alpha) text += "/" + std::to_string(bitmap.rgba[i + 3]);
  }
  return text;
}

std::string raw(const char* text, std::size_t size) { return {text, size}; }

TEST(Bmp, EveryDepthIsRead) {
  const std::string red = raw("\x00\x00\xff", 3), green = raw("\x00\xff\x00", 3),
                    blue = raw("\xff\x00\x00", 3), pad = raw("\0\0", 2), zero = raw("\0", 1);
  // 24 bits, the lowest row first.
  EXPECT_EQ(colours(bmp({}, "", red + green + pad + blue + red + pad)),
            "0000ff ff0000 ff0000 00ff00");
  EXPECT_EQ(colours(bmp({.height = -2}, "", red + green + pad + blue + red + pad)),
            "ff0000 00ff00 0000ff ff0000");
  EXPECT_EQ(colours(bmp({.height = 1, .bits = 32}, "", red + zero + blue + zero)),
            "ff0000 0000ff");
  const std::string table = red + zero + green + zero + blue + zero;
  EXPECT_EQ(colours(bmp({.height = 1, .bits = 8, .colours = 3}, table, raw("\2\1\0\0", 4))),
            "0000ff 00ff00");
  EXPECT_EQ(colours(bmp({.height = 1, .bits = 4, .colours = 3}, table, raw("\x21\0\0\0", 4))),
            "0000ff 00ff00");
  EXPECT_EQ(colours(bmp({.height = 1, .bits = 1, .colours = 2}, table.substr(0, 8),
                        raw("\x40\0\0\0", 4))),
            "ff0000 00ff00");
  EXPECT_EQ(colours(bmp({.height = 1, .bits = 16}, "", raw("\x00\x7c\x1f\x00", 4))),
            "ff0000 0000ff");
  const std::string fields = number(0xf800, 4) + number(0x7e0, 4) + number(0x1f, 4);
  EXPECT_EQ(colours(bmp({.height = 1, .bits = 16, .compression = 3}, fields,
                        raw("\x00\xf8\xe0\x07", 4))),
            "ff0000 00ff00");
}

TEST(Bmp, WhatIsDamagedIsNamed) {
  const auto message = [](const std::string& bytes) {
    try {
      read_bmp(bytes, "a.bmp", kMany);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::string whole = bmp({}, "", std::string(16, 'x'));
  EXPECT_EQ(message(whole), "no error");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string text = message(whole.substr(0, size));
    EXPECT_TRUE(text.starts_with("a.bmp: not a picture that can be read")) << size << text;
  }
  const auto says = [&](const std::string& bytes, const std::string& what) {
    EXPECT_EQ(message(bytes),
              "a.bmp: not a picture that can be read (found a damaged or unusual BMP file: " +
                  what + "); save it as PNG");
  };
  says(bmp({.width = 0}, "", ""), "its size");
  says(bmp({.width = -1}, "", ""), "its size");
  says(bmp({.height = INT32_MIN}, "", ""), "its size");
  says(bmp({.bits = 13}, "", std::string(64, 'x')), "its number of bits");
  says(bmp({.bits = 0}, "", std::string(64, 'x')), "its number of bits");
  says(bmp({.compression = 1}, "", std::string(64, 'x')), "its compression");
  says(bmp({.compression = 3}, "", std::string(64, 'x')), "its bit fields");
  says(bmp({.height = 1, .bits = 8, .colours = 1}, raw("\0\0\0\0", 4), raw("\1\1\0\0", 4)),
       "a colour that is not in its table");
  EXPECT_EQ(message(bmp({.width = 60000, .height = 60000}, "", "")),
            "a.bmp: too large (found 60000x60000, expected at most 1 million pixels); shrink it");
}

TEST(Bmp, IsOneOfTheKindsOfPictures) {
  const Path path = std::filesystem::temp_directory_path() / "bmp.png";  // the name does not count
  write_file_atomic(path, bmp({.width = 1, .height = 1}, "", raw("\x01\x02\x03\x00", 4)));
  const DecodedImage decoded = read_image(path);
  EXPECT_EQ(decoded.format, "bmp");
  EXPECT_EQ(decoded.image.rgb, (std::vector<std::uint8_t>{3, 2, 1}));
  EXPECT_FALSE(decoded.had_alpha);
}

}  // namespace
}  // namespace lora
