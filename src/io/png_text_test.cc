// SPDX-License-Identifier: Apache-2.0
#include "io/png_text.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "io/image.h"

namespace lora {
namespace {

// Type and content of the chunk behind IHDR.
std::pair<std::string, std::string> first_chunk(const std::string& png) {
  std::size_t size = 0;
  for (std::size_t i = 33; i < 37; ++i) size = size << 8U | static_cast<unsigned char>(png[i]);
  return {png.substr(37, 4), png.substr(41, size)};
}

TEST(PngText, IsPlainAsWebUisWriteItAndReadBack) {
  const Path file = Path(testing::TempDir()) / "text.png";
  const Image image{1, 1, {10, 20, 30}};
  const std::string ascii = "a cat\nSteps: 20", other = "un café 猫\nSteps: 20";
  const struct {
    std::string text, type, head;
  } rows[] = {{ascii, "tEXt", std::string("parameters\0", 11)},
              {other, "iTXt", std::string("parameters\0\0\0\0\0", 15)},
              {std::string(4000, 'x'), "tEXt", std::string("parameters\0", 11)}};
  for (const auto& row : rows) {
    write_png(file, image, {{"parameters", row.text}});
    const auto [type, content] = first_chunk(read_file(file));
    EXPECT_EQ(type, row.type);
    EXPECT_EQ(content, row.head + row.text);
    const DecodedImage back = read_image(file);  // checks the CRC as well
    EXPECT_EQ(back.text.at("parameters"), row.text);
    EXPECT_EQ(back.image.rgb, image.rgb);
  }
}

TEST(PngText, KnowsTheChecksum) {
  const std::string png = encode_png({1, 1, {1, 2, 3}}, {{"k", "v"}});
  // zlib's crc32 of b"tEXtk\0v".
  EXPECT_EQ(png.substr(33, 15), std::string("\0\0\0\x03tEXtk\0v\xCB\x04\xF3\x90", 15));
}

TEST(PngText, OtherBytesAreRefused) {
  try {
    with_png_text("GIF89a", {{"k", "v"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "PNG text: these bytes are no PNG (found 6 bytes)");
  }
}

}  // namespace
}  // namespace lora
