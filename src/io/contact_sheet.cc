// SPDX-License-Identifier: Apache-2.0
#include "io/contact_sheet.h"

#include <algorithm>
#include <cstring>
#include <vips/vips8>

#include "base/error.h"

namespace lora {
namespace {

constexpr int kGap = 6, kLabelWidth = 150, kLeast = 128;

Image white(int width, int height) {
  return {width, height,
          std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height * 3, 255)};
}

void paste(Image& sheet, const Image& image, int left, int top) {
  const int rows = std::min(image.height, sheet.height - top);
  const auto bytes = static_cast<std::size_t>(std::min(image.width, sheet.width - left)) * 3;
  for (int y = 0; y < rows; ++y) std::memcpy(sheet.row(top + y) + left * 3, image.row(y), bytes);
}

Image enlarged(const Image& image, int factor) {
  Image out = white(image.width * factor, image.height * factor);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      std::memcpy(out.row(y) + x * 3, image.row(y / factor) + x / factor * 3, 3);
    }
  }
  return out;
}

// Pango reads markup: the three signs that would be one are spelled out.
std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Image text_image(const std::string& text, int width) {
  try {
    if (text.empty()) return white(width, 1);
    const vips::VImage mask = vips::VImage::text(
        escaped(text).c_str(),
        vips::VImage::option()->set("font", "sans 10")->set("width", width)->set("dpi", 96));
    std::size_t size = 0;
    void* data = mask.write_to_memory(&size);
    Image out = white(mask.width(), mask.height());
    for (std::size_t i = 0; i < size; ++i) {
      const auto grey = static_cast<std::uint8_t>(255 - static_cast<std::uint8_t*>(data)[i]);
      std::memset(out.rgb.data() + i * 3, grey, 3);
    }
    g_free(data);
    return out;
  } catch (const vips::VError&) {
    vips_error_clear();
    return white(width, 1);  // no font on this machine: the sheet goes without words
  }
}

Image contact_sheet(const std::vector<std::string>& columns, const std::vector<SheetRow>& rows) {
  if (rows.empty() || rows.front().images.empty()) fail("contact sheet: no pictures");
  const Image& first = rows.front().images.front();
  const int factor = std::max(1, (kLeast + first.width - 1) / first.width);
  const int w = first.width * factor, h = first.height * factor;
  std::vector<Image> titles;
  int title_height = 0;
  for (const std::string& column : columns) {
    titles.push_back(text_image(column, w));
    title_height = std::max(title_height, titles.back().height);
  }
  const auto across = static_cast<int>(rows.front().images.size());
  Image sheet = white(kLabelWidth + across * (w + kGap) + kGap,
                      title_height + 2 * kGap + static_cast<int>(rows.size()) * (h + kGap));
  for (std::size_t c = 0; c < titles.size(); ++c) {
    paste(sheet, titles[c], kLabelWidth + static_cast<int>(c) * (w + kGap), kGap);
  }
  int top = title_height + 2 * kGap;
  for (const SheetRow& row : rows) {
    const Image label = text_image(row.label, kLabelWidth - 2 * kGap);
    paste(sheet, label, kGap, top + std::max(0, (h - label.height) / 2));
    int left = kLabelWidth;
    for (const Image& image : row.images) {
      if (image.width > 0) paste(sheet, factor > 1 ? enlarged(image, factor) : image, left, top);
      left += w + kGap;
    }
    top += h + kGap;
  }
  return sheet;
}

}  // namespace lora
