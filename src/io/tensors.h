// SPDX-License-Identifier: Apache-2.0
// Between files and ATen tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "io/safetensors.h"

namespace lora {

using TensorMap = std::map<std::string, at::Tensor>;

at::ScalarType scalar_type(DType dtype);
DType dtype_of(const at::Tensor& tensor);

// A tensor over the mapped bytes, without a copy; keeps the file alive. Read-only: never write to
// it. (Unaligned data, legal in old files, is copied.)
at::Tensor map_tensor(std::shared_ptr<const SafetensorsFile> file, const TensorView& view);

// Every tensor of a file, copied into memory of its own.
TensorMap read_tensors(const Path& path);

// "[4, 320]"
std::string shape_text(at::IntArrayRef shape);

// encode_safetensors over tensors of any device and layout.
std::string encode_tensors(const TensorMap& tensors, const Metadata& metadata);

// Atomic write; tensors are made contiguous on the CPU. Default metadata {"format": "pt"}.
void write_tensors(const Path& path, const TensorMap& tensors,
                   const Metadata& metadata = {{"format", "pt"}});

}  // namespace lora
