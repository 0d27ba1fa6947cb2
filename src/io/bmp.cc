// SPDX-License-Identifier: Apache-2.0
#include "io/bmp.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <limits>

#include "base/error.h"

namespace lora {
namespace {

constexpr std::size_t kFileHeader = 14, kCoreHeader = 12, kInfoHeader = 40;
constexpr std::uint32_t kPlain = 0, kBitFields = 3, kAlphaBitFields = 6;

// Where the bits of a channel stand in a pixel.
struct Field {
  std::uint32_t mask = 0;

  std::uint8_t of(std::uint32_t pixel, std::uint8_t otherwise) const {
    if (mask == 0) return otherwise;
    const std::uint32_t most = mask >> std::countr_zero(mask);
    const std::uint64_t value = (pixel & mask) >> std::countr_zero(mask);
    return static_cast<std::uint8_t>((value * 255 + most / 2) / most);
  }
};

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  Bitmap read(double most_pixels) {
    read_header();
    if (static_cast<double>(width_) * static_cast<double>(height_) > most_pixels) {
      fail(where_, ": too large (found ", width_, "x", height_, ", expected at most ",
           static_cast<int>(most_pixels / 1e6), " million pixels); shrink it");
    }
    read_palette();
    return pixels();
  }

 private:
  [[noreturn]] void damaged(const char* what) const {
    fail(where_, ": not a picture that can be read (found a damaged or unusual BMP file: ", what,
         "); save it as PNG");
  }

  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at + size > bytes_.size()) damaged("it ends too early");
    std::uint32_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes_[at + i]);
    }
    return value;
  }

  void read_header() {
    data_ = number(10, 4);
    header_ = number(kFileHeader, 4);
    const bool core = header_ == kCoreHeader;
    if (!core && header_ < kInfoHeader) damaged("an unknown header");
    const std::size_t side = core ? 2 : 4;
    width_ = static_cast<std::int32_t>(number(18, side));
    height_ = static_cast<std::int32_t>(number(18 + side, side));
    bits_ = number(kFileHeader + (core ? 10 : 14), 2);
    const std::uint32_t compression = core ? kPlain : number(30, 4);
    colours_ = core ? 0 : number(46, 4);
    upside_down_ = height_ > 0;
    if (width_ <= 0 || height_ == 0 || height_ == std::numeric_limits<std::int32_t>::min()) {
      damaged("its size");
    }
    height_ = std::abs(height_);
    const bool fields = compression == kBitFields || compression == kAlphaBitFields;
    if (compression != kPlain && !fields) damaged("its compression");
    fields ? read_fields() : default_fields();
  }

  void read_fields() {
    if (bits_ != 16 && bits_ != 32) damaged("its bit fields");
    for (std::size_t i = 0; i < 3; ++i) fields_[i].mask = number(54 + 4 * i, 4);
    if (header_ >= 56) fields_[3].mask = number(66, 4);
  }

  void default_fields() {
    constexpr std::array<std::uint32_t, 3> k16 = {0x7c00, 0x3e0, 0x1f};
    constexpr std::array<std::uint32_t, 3> k32 = {0xff0000, 0xff00, 0xff};
    for (std::size_t i = 0; i < 3; ++i) fields_[i].mask = bits_ == 16 ? k16[i] : k32[i];
  }

  void read_palette() {
    if (bits_ > 8) return;
    if (bits_ != 1 && bits_ != 4 && bits_ != 8) damaged("its number of bits");
    const std::uint32_t most = 1U << bits_;
    const std::size_t entry = header_ == kCoreHeader ? 3 : 4;
    const std::uint32_t count = colours_ == 0 || colours_ > most ? most : colours_;
    for (std::uint32_t i = 0; i < count; ++i) {
      palette_.push_back(number(kFileHeader + header_ + i * entry, 3));
    }
  }

  Bitmap pixels() {
    if (bits_ > 8 && bits_ != 16 && bits_ != 24 && bits_ != 32) damaged("its number of bits");
    // Rows end at 4 bytes.
    const std::size_t row = (static_cast<std::size_t>(width_) * bits_ + 31) / 32 * 4;
    const std::size_t rows = data_ > bytes_.size() ? 0 : (bytes_.size() - data_) / row;
    if (rows < static_cast<std::size_t>(height_)) damaged("it ends too early");
    Bitmap out{width_, height_, false, {}};
    out.rgba.reserve(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_) * 4);
    for (int y = 0; y < height_; ++y) {
      const int line = upside_down_ ? height_ - 1 - y : y;
      add_row(data_ + static_cast<std::size_t>(line) * row, out);
    }
    return out;
  }

  void add_row(std::size_t at, Bitmap& out) const {
    for (int x = 0; x < width_; ++x) {
      const std::uint32_t pixel = pixel_at(at, static_cast<std::size_t>(x));
      for (std::size_t i = 0; i < 3; ++i) out.rgba.push_back(fields_[i].of(pixel, 0));
      const std::uint8_t alpha = bits_ > 8 ? fields_[3].of(pixel, 255) : 255;
      out.alpha |= alpha < 255;
      out.rgba.push_back(alpha);
    }
  }

  std::uint32_t pixel_at(std::size_t row, std::size_t x) const {
    if (bits_ > 8) return number(row + x * (bits_ / 8), bits_ / 8);
    const std::size_t in_byte = 8 / bits_;
    const std::uint32_t byte = number(row + x / in_byte, 1);
    const std::size_t shift = (in_byte - 1 - x % in_byte) * bits_;
    const std::uint32_t index = byte >> shift & ((1U << bits_) - 1);
    if (index >= palette_.size()) damaged("a colour that is not in its table");
    return palette_[index];
  }

  std::string_view bytes_;
  const std::string& where_;
  std::uint32_t data_ = 0, header_ = 0, bits_ = 0, colours_ = 0;
  std::int32_t width_ = 0, height_ = 0;
  bool upside_down_ = true;
  std::array<Field, 4> fields_;  // red, green, blue, alpha
  std::vector<std::uint32_t> palette_;
};

}  // namespace

Bitmap read_bmp(std::string_view bytes, const std::string& where, double most_pixels) {
  return Reader(bytes, where).read(most_pixels);
}

}  // namespace lora
