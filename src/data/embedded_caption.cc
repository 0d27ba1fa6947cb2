// SPDX-License-Identifier: Apache-2.0
// Captions inside a picture: PNG text chunks (libvips), EXIF, IPTC and XMP (exiv2).
#include <algorithm>
#include <array>
#include <exiv2/exiv2.hpp>
#include <mutex>

#include "base/text.h"
#include "base/utf8.h"
#include "data/captions.h"

namespace lora {
namespace {

// WebUIs write "prompt\nNegative prompt: ...\nSteps: ...": the caption is the prompt.
std::string prompt_of_parameters(const std::string& text) {
  const std::string lines = "\n" + text;  // a prompt may be empty
  std::size_t end = lines.size();
  for (const char* mark : {"\nNegative prompt:", "\nSteps:"}) {
    end = std::min(end, lines.find(mark));
  }
  return trim(lines.substr(0, end));
}

std::optional<Caption> from_png(const std::map<std::string, std::string>& text) {
  for (const char* key : {"parameters", "Description", "Caption", "caption", "Comment"}) {
    const auto at = text.find(key);
    if (at == text.end()) continue;
    const bool parameters = at->first == "parameters";
    const std::string value = parameters ? prompt_of_parameters(at->second) : trim(at->second);
    if (!first_invalid_utf8(value) && !is_program_text(value)) {
      return Caption{value, "png:" + at->first};
    }
  }
  return std::nullopt;
}

struct Field {
  const char* key;
  const char* source;
};
constexpr std::array<Field, 3> kExif = {{{"Exif.Image.ImageDescription", "exif:ImageDescription"},
                                         {"Exif.Photo.UserComment", "exif:UserComment"},
                                         {"Exif.Image.XPComment", "exif:XPComment"}}};

// Drops what EXIF puts before the text: charset="Unicode" ...
std::string exif_text(const Exiv2::Exifdatum& datum) {
  if (const auto* comment = dynamic_cast<const Exiv2::CommentValue*>(&datum.value())) {
    return comment->comment();
  }
  // Some programs write the block as bytes.
  const bool bytes = datum.typeId() == Exiv2::unsignedByte || datum.typeId() == Exiv2::undefined;
  if (datum.key() != "Exif.Photo.UserComment" || !bytes) return datum.print();
  std::vector<Exiv2::byte> block(static_cast<std::size_t>(datum.size()));
  datum.copy(block.data(), Exiv2::littleEndian);
  Exiv2::CommentValue value;
  value.read(block.data(), static_cast<long>(block.size()), Exiv2::littleEndian);
  return value.comment();
}

template <typename Data, typename Key, typename ToText>
std::optional<Caption> find(const Data& data, const char* name, const char* source, ToText text) {
  const auto at = data.findKey(Key(name));
  if (at == data.end()) return std::nullopt;
  const std::string value = trim(text(*at));
  if (first_invalid_utf8(value) || is_program_text(value)) return std::nullopt;
  return Caption{value, source};
}

// lang="x-default" text
std::string xmp_text(const Exiv2::Xmpdatum& datum) {
  if (const auto* value = dynamic_cast<const Exiv2::LangAltValue*>(&datum.value())) {
    return value->toString("x-default");
  }
  return datum.toString();
}

std::optional<Caption> from_metadata(Exiv2::Image& image) {
  for (const Field& field : kExif) {
    if (auto found = find<Exiv2::ExifData, Exiv2::ExifKey>(image.exifData(), field.key,
                                                           field.source, exif_text)) {
      const bool parameters = ("\n" + found->text).find("\nSteps:") != std::string::npos;
      if (parameters) found->text = prompt_of_parameters(found->text);
      if (!found->text.empty()) return found;
    }
  }
  const auto plain = [](const Exiv2::Iptcdatum& datum) { return datum.toString(); };
  if (auto found = find<Exiv2::IptcData, Exiv2::IptcKey>(
          image.iptcData(), "Iptc.Application2.Caption", "iptc:Caption", plain)) {
    return found;
  }
  return find<Exiv2::XmpData, Exiv2::XmpKey>(image.xmpData(), "Xmp.dc.description",
                                             "xmp:description", xmp_text);
}

}  // namespace

std::optional<Caption> embedded_caption(const Path& path,
                                        const std::map<std::string, std::string>& png_text) {
  if (auto found = from_png(png_text)) return found;
  static std::mutex mutex;  // exiv2's XMP parser serves one thread at a time
  const std::lock_guard lock(mutex);
  try {
    Exiv2::LogMsg::setLevel(Exiv2::LogMsg::mute);
    const auto image = Exiv2::ImageFactory::open(path.string());
    image->readMetadata();
    return from_metadata(*image);
  } catch (const std::exception&) {
    return std::nullopt;  // damaged metadata is no reason to lose the picture
  }
}

}  // namespace lora
