// SPDX-License-Identifier: Apache-2.0
// The safetensors container: 8 bytes little-endian header length, JSON header, data.
// Reads any file the reference library reads, also unpadded headers; every number is checked
// before it is used. No libtorch here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace lora {

enum class DType { boolean, u8, i8, i16, i32, i64, f16, bf16, f32, f64 };

// "F32", "BF16", ... and back; throws Error for a name that is not known.
std::string_view dtype_name(DType dtype);
DType dtype_from_name(std::string_view name, const std::string& where);
std::size_t dtype_size(DType dtype);  // bytes of one element

// One tensor, row-major; `data` points into a mapped file or into memory of the caller.
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;

  std::int64_t elements() const;
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * dtype_size(dtype); }
};

using Metadata = std::map<std::string, std::string>;

// A safetensors file, memory-mapped. Tensors stay valid as long as the object lives.
class SafetensorsFile {
 public:
  // Throws Error naming the file for anything that is not a complete safetensors file: truncated,
  // overlapping or out-of-range offsets, unknown dtype, wrong sizes, duplicate names, a Git LFS
  // pointer, a pickle.
  static std::shared_ptr<const SafetensorsFile> open(const Path& path);

  const Path& path() const { return file_.path(); }
  const std::vector<TensorView>& tensors() const { return tensors_; }  // in name order
  const TensorView* find(std::string_view name) const;
  const Metadata& metadata() const { return metadata_; }

 private:
  explicit SafetensorsFile(const Path& path) : file_(path) {}
  void read_header();

  MappedFile file_;
  std::vector<TensorView> tensors_;
  Metadata metadata_;
};

// The file content as the reference library writes it: metadata first, tensors by element size
// (descending) then name, header padded with blanks to a multiple of 8.
std::string encode_safetensors(std::vector<TensorView> tensors, const Metadata& metadata);

// Atomic write of encode_safetensors.
void write_safetensors(const Path& path, std::vector<TensorView> tensors, const Metadata& metadata);

// SHA-256 over the sorted (name, dtype, shape, bytes): does not change with the metadata.
std::string tensor_sha256(const SafetensorsFile& file);

}  // namespace lora
