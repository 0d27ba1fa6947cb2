// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/algebra.h"
#include "io/adapters/gguf.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr std::size_t kAlignment = 32;

// Numbers are little-endian, texts have a 64-bit length in front.
class Bytes {
 public:
  template <typename T>
  void number(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out_.append(raw, sizeof(T));
  }
  void text(std::string_view value) {
    number<std::uint64_t>(value.size());
    out_ += value;
  }
  void text_value(std::string_view key, std::string_view value) {
    text(key);
    number<std::uint32_t>(8);
    text(value);
  }
  void float_value(std::string_view key, float value) {
    text(key);
    number<std::uint32_t>(6);
    number(value);
  }
  void pad() { out_.resize((out_.size() + kAlignment - 1) / kAlignment * kAlignment, '\0'); }
  void append(const at::Tensor& tensor) {
    out_.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
    pad();
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Hugging Face keeps the two halves of a head's rotary pairs apart, Meta (and GGUF) side by side:
// row (half, i) of a head goes to row 2 i + half.
at::Tensor permuted(const at::Tensor& b, std::int64_t heads) {
  const std::int64_t rows = b.size(0) / heads / 2;
  return b.view({heads, 2, rows, b.size(1)}).transpose(1, 2).reshape(b.sizes()).contiguous();
}

void check_exportable(const AdapterFile& adapter, const GgufBase& base) {
  const std::string where = adapter.path.string();
  if (adapter.kind != AdapterKind::llm || adapter.modules.empty()) {
    fail(where, ": an adapter for ", kind_title(adapter.kind), " cannot be written as gguf; use ",
         "the format diffusers or kohya");
  }
  if (adapter.use_dora) {
    fail(where, ": llama.cpp has no DoRA, so it cannot be written as gguf; export it as peft, ",
         "merge it with PEFT's merge_and_unload and convert the model with llama.cpp's script");
  }
  if (!adapter.others.empty()) {
    fail(where, ": tensor '", adapter.others.begin()->first, "' is not LoRA and has no place in a ",
         "GGUF adapter; export an adapter without it");
  }
  if (base.tied_embeddings && adapter.find("lm_head") != nullptr) {
    fail(where, ": lm_head is adapted but the base ties it to the embeddings, where llama.cpp ",
         "ignores it; train without lm_head");
  }
}

struct Part {
  std::string name;
  at::Tensor tensor;
};

std::vector<Part> parts_of(const AdapterFile& adapter, const GgufBase& base, double alpha) {
  std::vector<Part> parts;
  for (const AdapterModule& module : adapter.modules) {
    const std::string name = gguf_tensor_name(module.path, base.layout);
    if (name.empty()) {
      fail(adapter.path.string(), ": module '", module.path, "' has no tensor in a GGUF of ",
           base.layout.architecture, "; export an adapter without it");
    }
    at::Tensor b = rescale(module, alpha).b.to(at::kFloat).contiguous();
    const bool q = module.path.ends_with(".q_proj"), k = module.path.ends_with(".k_proj");
    const std::int64_t heads = q ? base.heads : base.kv_heads;
    if (base.layout.permutes && (q || k)) {
      if (heads < 1 || b.size(0) % (2 * heads) != 0) {
        fail(adapter.path.string(), ": module '", module.path, "': ", b.size(0), " rows cannot be ",
             "shared by ", heads, " heads; is this the adapter's base model?");
      }
      b = permuted(b, heads);
    }
    parts.push_back({name + ".lora_a", module.a.to(at::kFloat).contiguous()});
    parts.push_back({name + ".lora_b", b});
  }
  return parts;
}

}  // namespace

std::string gguf_tensor_name(const std::string& module, const GgufLayout& layout) {
  if (module == "lm_head") return "output.weight";
  if (!module.starts_with(layout.layers)) return "";
  const std::string inner = module.substr(layout.layers.size());  // "0.self_attn.q_proj"
  const std::size_t dot = inner.find('.');
  if (dot == std::string::npos) return "";
  for (const GgufName& row : layout.names) {
    if (inner.substr(dot + 1) == row.module) {
      return join("blk.", inner.substr(0, dot), ".", row.tensor, ".weight");
    }
  }
  return "";
}

std::string encode_gguf(const AdapterFile& adapter, const GgufBase& base) {
  check_exportable(adapter, base);
  const double alpha = common_alpha(adapter);
  const std::vector<Part> parts = parts_of(adapter, base, alpha);
  Bytes bytes;
  for (char c : std::string_view("GGUF")) bytes.number(c);
  bytes.number<std::uint32_t>(3);
  bytes.number<std::uint64_t>(parts.size());
  bytes.number<std::uint64_t>(4);  // how many values follow
  bytes.text_value("general.type", "adapter");
  bytes.text_value("general.architecture", base.layout.architecture);
  bytes.text_value("adapter.type", "lora");
  bytes.float_value("adapter.lora.alpha", static_cast<float>(alpha));
  std::uint64_t offset = 0;
  for (const Part& part : parts) {
    bytes.text(part.name);
    bytes.number<std::uint32_t>(2);
    bytes.number<std::uint64_t>(static_cast<std::uint64_t>(part.tensor.size(1)));
    bytes.number<std::uint64_t>(static_cast<std::uint64_t>(part.tensor.size(0)));
    bytes.number<std::uint32_t>(0);  // float32
    bytes.number<std::uint64_t>(offset);
    offset += (part.tensor.nbytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  bytes.pad();
  for (const Part& part : parts) bytes.append(part.tensor);
  return bytes.take();
}

}  // namespace lora
