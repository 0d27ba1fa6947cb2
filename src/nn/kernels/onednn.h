// SPDX-License-Identifier: Apache-2.0
// What the users of oneDNN share.
#pragma once

#include <ATen/core/Tensor.h>

#include <dnnl.hpp>
#include <unordered_map>

namespace lora::kernels {

dnnl::engine& onednn_engine();

dnnl::memory::data_type onednn_type(at::ScalarType type);  // float32 or bfloat16

// Runs a primitive whose scratchpad (bytes) is given by the user, and waits.
void onednn_run(const dnnl::primitive& primitive, std::unordered_map<int, dnnl::memory>& arguments,
                std::size_t scratch);

}  // namespace lora::kernels
