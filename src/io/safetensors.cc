// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_text.h"

namespace lora {
namespace {

using Json = nlohmann::json;  // finding a name among many must be fast

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

// In the order of the reference writer: within a size it sorts by this rank, largest first.
constexpr std::array<DTypeRow, 10> kDTypes = {{{DType::boolean, "BOOL", 1},
                                               {DType::u8, "U8", 1},
                                               {DType::i8, "I8", 1},
                                               {DType::i16, "I16", 2},
                                               {DType::f16, "F16", 2},
                                               {DType::bf16, "BF16", 2},
                                               {DType::i32, "I32", 4},
                                               {DType::f32, "F32", 4},
                                               {DType::f64, "F64", 8},
                                               {DType::i64, "I64", 8}}};

const DTypeRow& row(DType dtype) {
  for (const DTypeRow& r : kDTypes) {
    if (r.dtype == dtype) return r;
  }
  fail("dtype ", static_cast<int>(dtype), ": unknown");
}

std::ptrdiff_t rank(DType dtype) { return &row(dtype) - kDTypes.data(); }

// Names what the file is where it is something people often have instead of weights.
void check_kind(std::string_view bytes, const std::string& where) {
  if (bytes.starts_with("version https://git-lfs")) {
    const std::size_t at = bytes.find("\nsize ");
    const bool known = at != std::string_view::npos;
    const std::string size(known ? bytes.substr(at + 6, bytes.find('\n', at + 1) - at - 6) : "?");
    fail(where, ": this is a Git LFS pointer, not weights (", size,
         " bytes are missing); run `git lfs pull` in its repository");
  }
  const bool zip = bytes.starts_with("PK\x03\x04");
  const bool pickle = bytes.size() > 1 && bytes[0] == '\x80' && bytes[1] > 0 && bytes[1] < 6;
  // The length of a header may begin with the same two bytes: 1152 does.
  const bool header = bytes.size() > 8 && bytes[8] == '{';
  if (zip || (pickle && !header)) {
    fail(where,
         ": this is a pickle (.ckpt, .bin, .pt), which can run code when loaded; convert it to "
         ".safetensors with the program it came from");
  }
  if (bytes.size() < 8) {
    fail(where, ": not a safetensors file (found ", bytes.size(),
         " bytes, expected at least 8); incomplete download?");
  }
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// Rejects a repeated name, which nlohmann would silently overwrite.
Json parse_header(std::string_view text, const std::string& where) {
  std::set<std::string> names;
  const auto unique = [&](const std::string& name) {
    if (!names.insert(name).second) {
      fail(where, ": tensor '", name, "' occurs twice in the header");
    }
  };
  return parse_json<Json>(text, where + ": the header", "not a safetensors file or a damaged one",
                          unique);
}

std::uint64_t unsigned_number(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned()) {
    fail(where, ": found ", value.dump(), ", expected a whole number of at least 0; damaged file?");
  }
  return value.get<std::uint64_t>();
}

struct Entry {
  TensorView view;
  std::uint64_t begin, end;
};

std::uint64_t byte_count(const TensorView& view, const std::string& where) {
  std::uint64_t count = dtype_size(view.dtype);
  for (std::int64_t size : view.shape) {
    const auto extent = static_cast<std::uint64_t>(size);
    if (extent != 0 && count > std::numeric_limits<std::int64_t>::max() / extent) {
      fail(where, ": the shape is too large; damaged file?");
    }
    count *= extent;
  }
  return count;
}

Entry parse_entry(const std::string& name, const Json& json, const std::string& file) {
  const std::string where = file + ": tensor '" + name + "'";
  if (!json.is_object() || !json.contains("dtype") || !json["dtype"].is_string() ||
      !json.contains("shape") || !json["shape"].is_array() || !json.contains("data_offsets") ||
      !json["data_offsets"].is_array() || json["data_offsets"].size() != 2) {
    fail(where, ": the header entry needs dtype, shape and data_offsets; damaged file?");
  }
  Entry entry;
  entry.view.name = name;
  entry.view.dtype = dtype_from_name(json["dtype"].get<std::string>(), where);
  for (const Json& size : json["shape"]) {
    entry.view.shape.push_back(static_cast<std::int64_t>(unsigned_number(size, where)));
    if (entry.view.shape.back() < 0) fail(where, ": the shape is too large; damaged file?");
  }
  entry.begin = unsigned_number(json["data_offsets"][0], where);
  entry.end = unsigned_number(json["data_offsets"][1], where);
  const std::uint64_t expected = byte_count(entry.view, where);
  if (entry.end < entry.begin || entry.end - entry.begin != expected) {
    fail(where, ": its shape and dtype need ", expected, " bytes, its data_offsets are [",
         entry.begin, ", ", entry.end, "]; damaged file?");
  }
  return entry;
}

// Offsets must cover the data without gaps or overlap.
void check_layout(std::vector<Entry>& entries, std::uint64_t data_size, const std::string& where) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t position = 0;
  for (const Entry& entry : entries) {
    if (entry.end > data_size) {
      fail(where, ": tensor '", entry.view.name, "': data ends at byte ", entry.end,
           " but the file has ", data_size, "; incomplete download?");
    }
    if (entry.begin != position) {
      fail(where, ": tensor '", entry.view.name, "': data begins at byte ", entry.begin,
           ", expected ", position, " (", entry.begin < position ? "overlap" : "gap",
           "); damaged file?");
    }
    position = entry.end;
  }
  if (position != data_size) {
    fail(where, ": ", data_size - position, " bytes after the last tensor (found ", data_size,
         " bytes of data, expected ", position, "); damaged file?");
  }
}

}  // namespace

std::string_view dtype_name(DType dtype) { return row(dtype).name; }
std::size_t dtype_size(DType dtype) { return row(dtype).size; }

DType dtype_from_name(std::string_view name, const std::string& where) {
  for (const DTypeRow& r : kDTypes) {
    if (r.name == name) return r.dtype;
  }
  fail(where, ": dtype '", name, "' is not supported (known: F64, F32, F16, BF16, integers)");
}

std::int64_t TensorView::elements() const {
  std::int64_t count = 1;
  for (std::int64_t size : shape) count *= size;
  return count;
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const Path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(path));
  file->read_header();
  return file;
}

void SafetensorsFile::read_header() {
  const std::string where = path().string();
  const auto raw = file_.bytes();
  const std::string_view bytes(reinterpret_cast<const char*>(raw.data()), raw.size());
  check_kind(bytes, where);
  const std::uint64_t length = little_endian(bytes);
  if (length > bytes.size() - 8 || length > 100'000'000) {
    fail(where, ": the header claims ", length, " bytes but the file has ", bytes.size() - 8,
         " after its length; not a safetensors file, or an incomplete download");
  }
  const Json header = parse_header(bytes.substr(8, length), where);
  if (!header.is_object()) fail(where, ": the header is not a JSON object; damaged file?");
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name != "__metadata__") {
      entries.push_back(parse_entry(name, json, where));
      continue;
    }
    for (const auto& [key, value] : json.items()) {
      if (!value.is_string()) fail(where, ": metadata '", key, "' is not a text; damaged file?");
      metadata_[key] = value.get<std::string>();
    }
  }
  check_layout(entries, bytes.size() - 8 - length, where);
  for (Entry& entry : entries) {
    entry.view.data = raw.data() + 8 + length + entry.begin;
    tensors_.push_back(std::move(entry.view));
  }
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorView& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

std::string encode_safetensors(std::vector<TensorView> tensors, const Metadata& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(-rank(a.dtype), a.name) < std::pair(-rank(b.dtype), b.name);
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t position = 0;
  for (const TensorView& tensor : tensors) {
    const std::size_t end = position + tensor.bytes();
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string out;
  out.reserve(8 + text.size() + position);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(text.size() >> (8 * i) & 255);
  out += text;
  for (const TensorView& tensor : tensors) {
    out.append(reinterpret_cast<const char*>(tensor.data), tensor.bytes());
  }
  return out;
}

void write_safetensors(const Path& path, std::vector<TensorView> tensors,
                       const Metadata& metadata) {
  write_file_atomic(path, encode_safetensors(std::move(tensors), metadata));
}

std::string tensor_sha256(const SafetensorsFile& file) {
  Sha256 hash;
  for (const TensorView& tensor : file.tensors()) {
    std::string head = join(tensor.name, '\0', dtype_name(tensor.dtype));
    for (std::int64_t size : tensor.shape) head += join('\0', size);
    hash.update(head + '\0');
    hash.update(tensor.data, tensor.bytes());
  }
  return hash.hex();
}

}  // namespace lora
