// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/onednn.h"

#include <vector>

namespace lora::kernels {

dnnl::engine& onednn_engine() {
  static dnnl::engine one(dnnl::engine::kind::cpu, 0);
  return one;
}

dnnl::memory::data_type onednn_type(at::ScalarType type) {
  return type == at::kFloat ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

void onednn_run(const dnnl::primitive& primitive, std::unordered_map<int, dnnl::memory>& arguments,
                std::size_t scratch) {
  thread_local std::vector<char> room;
  thread_local dnnl::stream stream(onednn_engine());
  if (room.size() < scratch + 64) room.resize(scratch + 64);
  const dnnl::memory::desc desc({static_cast<std::int64_t>(scratch)}, dnnl::memory::data_type::u8,
                                dnnl::memory::format_tag::a);
  arguments[DNNL_ARG_SCRATCHPAD] = dnnl::memory(desc, onednn_engine(), room.data());
  primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace lora::kernels
