// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>

#include "base/error.h"
#include "io/adapters/gguf.h"

namespace lora {
namespace {

enum : std::uint32_t { kFloat32 = 6, kBool = 7, kText = 8, kArray = 9, kFloat64 = 12 };
// Bytes of the numeric types 0 (uint8) to 12 (float64); 0 where the size is not fixed.
constexpr std::array<std::uint64_t, 13> kSizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }

  std::string text() {
    const auto size = number<std::uint64_t>();
    return {reinterpret_cast<const char*>(take(size)), size};
  }

  // One value as text.
  std::string value(std::uint32_t type, int depth = 0) {
    switch (type) {
      case 0:
        return join(static_cast<int>(number<std::uint8_t>()));
      case 1:
        return join(static_cast<int>(number<std::int8_t>()));
      case 2:
        return join(number<std::uint16_t>());
      case 3:
        return join(number<std::int16_t>());
      case 4:
        return join(number<std::uint32_t>());
      case 5:
        return join(number<std::int32_t>());
      case kFloat32:
        return join(number<float>());
      case kBool:
        return number<std::uint8_t>() != 0 ? "true" : "false";
      case kText:
        return text();
      case kArray:
        return array(depth);
      case 10:
        return join(number<std::uint64_t>());
      case 11:
        return join(number<std::int64_t>());
      case kFloat64:
        return join(number<double>());
      default:
        fail(where_, ": value type ", type, " is not known; damaged file?");
    }
  }

  void align(std::uint64_t alignment) { at_ = (at_ + alignment - 1) / alignment * alignment; }
  std::uint64_t position() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }

 private:
  const std::byte* take(std::uint64_t size) {
    if (size > left()) {
      fail(where_, ": the header ends beyond the file (found ", bytes_.size(),
           " bytes); incomplete download?");
    }
    at_ += size;
    return bytes_.data() + at_ - size;
  }

  std::string array(int depth) {
    const auto type = number<std::uint32_t>();
    const auto count = number<std::uint64_t>();
    if (type < kSizes.size() && kSizes[type] != 0) {
      if (count > left() / kSizes[type]) take(left() + 1);
      take(count * kSizes[type]);
    } else {
      if (depth > 3) fail(where_, ": arrays are nested too deeply; damaged file?");
      for (std::uint64_t i = 0; i < count; ++i) value(type, depth + 1);
    }
    return join("[", count, " values]");
  }

  std::span<const std::byte> bytes_;
  std::string where_;
  std::uint64_t at_ = 0;
};

std::uint64_t alignment_of(const GgufHeader& header, const std::string& where) {
  const auto at = header.values.find("general.alignment");
  if (at == header.values.end()) return 32;
  const bool digits = !at->second.empty() && at->second.size() < 6 &&
                      at->second.find_first_not_of("0123456789") == std::string::npos;
  const std::uint64_t alignment = digits ? std::stoull(at->second) : 0;
  if (alignment == 0) fail(where, ": general.alignment is ", at->second, "; damaged file?");
  return alignment;
}

GgufHeader::Tensor read_tensor(Cursor& cursor, const std::string& where) {
  GgufHeader::Tensor tensor;
  tensor.name = cursor.text();
  const auto dims = cursor.number<std::uint32_t>();
  if (dims > 8)
    fail(where, ": tensor '", tensor.name, "' has ", dims, " dimensions; damaged file?");
  for (std::uint32_t i = 0; i < dims; ++i) tensor.shape.push_back(cursor.number<std::uint64_t>());
  tensor.type = cursor.number<std::uint32_t>();
  tensor.offset = cursor.number<std::uint64_t>();
  return tensor;
}

}  // namespace

GgufHeader read_gguf_header(const Path& path) {
  const MappedFile file(path);
  const std::string where = path.string();
  Cursor cursor(file.bytes(), where);
  if (file.bytes().size() < 24 || std::memcmp(file.bytes().data(), "GGUF", 4) != 0) {
    fail(where, ": not a GGUF file (its first bytes are not GGUF); check the path");
  }
  cursor.number<std::uint32_t>();
  GgufHeader header;
  header.version = cursor.number<std::uint32_t>();
  if (header.version != 2 && header.version != 3) {
    fail(where, ": GGUF version ", header.version, " is not known (expected 2 or 3)");
  }
  const auto tensors = cursor.number<std::uint64_t>();
  const auto values = cursor.number<std::uint64_t>();
  for (std::uint64_t i = 0; i < values; ++i) {
    const std::string key = cursor.text();
    header.values[key] = cursor.value(cursor.number<std::uint32_t>());
  }
  for (std::uint64_t i = 0; i < tensors; ++i) {
    header.tensors.push_back(read_tensor(cursor, where));
  }
  cursor.align(alignment_of(header, where));
  header.data_begin = cursor.position();
  return header;
}

}  // namespace lora
