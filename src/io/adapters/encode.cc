// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/encode.h"

#include "io/aten.h"

namespace lora {

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

}  // namespace lora
