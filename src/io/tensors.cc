// SPDX-License-Identifier: Apache-2.0
#include "io/tensors.h"

#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "io/aten.h"

namespace lora {
namespace {

struct Pair {
  DType file;
  at::ScalarType torch;
};

constexpr Pair kTypes[] = {{DType::boolean, at::kBool}, {DType::u8, at::kByte},
                           {DType::i8, at::kChar},      {DType::i16, at::kShort},
                           {DType::i32, at::kInt},      {DType::i64, at::kLong},
                           {DType::f16, at::kHalf},     {DType::bf16, at::kBFloat16},
                           {DType::f32, at::kFloat},    {DType::f64, at::kDouble}};

}  // namespace

at::ScalarType scalar_type(DType dtype) {
  for (const Pair& pair : kTypes) {
    if (pair.file == dtype) return pair.torch;
  }
  fail("dtype ", dtype_name(dtype), ": no tensor type");
}

DType dtype_of(const at::Tensor& tensor) {
  for (const Pair& pair : kTypes) {
    if (pair.torch == tensor.scalar_type()) return pair.file;
  }
  fail("tensor type ", at::toString(tensor.scalar_type()), ": cannot be stored");
}

std::string shape_text(at::IntArrayRef shape) {
  std::vector<std::string> sizes;
  for (std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join_words(sizes) + "]";
}

at::Tensor map_tensor(std::shared_ptr<const SafetensorsFile> file, const TensorView& view) {
  void* data = const_cast<std::byte*>(view.data);
  const auto options = at::TensorOptions().dtype(scalar_type(view.dtype));
  if (view.elements() == 0) return at::empty(view.shape, options);
  if (reinterpret_cast<std::uintptr_t>(data) % dtype_size(view.dtype) != 0) {
    at::Tensor copy = at::empty(view.shape, options);
    std::memcpy(copy.data_ptr(), data, view.bytes());
    return copy;
  }
  return at::from_blob(
      data, view.shape, [file = std::move(file)](void*) {}, options);
}

TensorMap read_tensors(const Path& path) {
  const auto file = SafetensorsFile::open(path);
  TensorMap tensors;
  for (const TensorView& view : file->tensors()) {
    tensors[view.name] = map_tensor(file, view).clone();
  }
  return tensors;
}

std::string encode_tensors(const TensorMap& tensors, const Metadata& metadata) {
  std::vector<at::Tensor> alive;
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    alive.push_back(tensor.detach().cpu().contiguous());
    views.push_back({name, dtype_of(tensor), tensor.sizes().vec(),
                     static_cast<const std::byte*>(alive.back().data_ptr())});
  }
  return encode_safetensors(std::move(views), metadata);
}

void write_tensors(const Path& path, const TensorMap& tensors, const Metadata& metadata) {
  write_file_atomic(path, encode_tensors(tensors, metadata));
}

}  // namespace lora
