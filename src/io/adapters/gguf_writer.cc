// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/table.h"
#include "base/text.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/algebra.h"
#include "io/adapters/gguf.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr std::size_t kAlignment = 32;

struct Architecture {
  std::string_view name;  // model_type of config.json
  std::string_view gguf;
  bool permutes;  // rows of q and k
};
constexpr std::array kArchitectures = {
    Architecture{"llama", "llama", true},    Architecture{"mistral", "llama", true},
    Architecture{"qwen2", "qwen2", false},   Architecture{"qwen3", "qwen3", false},
    Architecture{"gemma2", "gemma2", false}, Architecture{"gpt2", "gpt2", false}};

struct TensorName {
  std::string_view part, gguf;
};
constexpr std::array kLayerNames = {
    TensorName{"self_attn.q_proj", "attn_q"}, TensorName{"self_attn.k_proj", "attn_k"},
    TensorName{"self_attn.v_proj", "attn_v"}, TensorName{"self_attn.o_proj", "attn_output"},
    TensorName{"mlp.gate_proj", "ffn_gate"},  TensorName{"mlp.up_proj", "ffn_up"},
    TensorName{"mlp.down_proj", "ffn_down"},  TensorName{"attn.c_attn", "attn_qkv"},
    TensorName{"attn.c_proj", "attn_output"}, TensorName{"mlp.c_fc", "ffn_up"},
    TensorName{"mlp.c_proj", "ffn_down"}};

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
  const auto& architecture =
      row_of(std::span<const Architecture>(kArchitectures), "architecture", base.model_type);
  std::vector<Part> parts;
  for (const AdapterModule& module : adapter.modules) {
    const std::string name = gguf_tensor_name(module.path);
    if (name.empty()) {
      fail(adapter.path.string(), ": module '", module.path, "' has no tensor in a GGUF of ",
           base.architecture, "; export an adapter without it");
    }
    at::Tensor b = rescale(module, alpha).b.to(at::kFloat).contiguous();
    const bool q = module.path.ends_with(".q_proj"), k = module.path.ends_with(".k_proj");
    const std::int64_t heads = q ? base.heads : base.kv_heads;
    if (architecture.permutes && (q || k)) {
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

GgufBase read_gguf_base(const Path& folder) {
  const Path path = std::filesystem::is_directory(folder) ? folder / "config.json" : folder;
  const std::string where = path.string();
  if (!std::filesystem::exists(path)) {
    fail_usage(where,
               ": no such file; the GGUF names depend on the base model, so give its folder ",
               "with --base");
  }
  constexpr const char* kRemedy = "is this the base model's config.json?";
  const auto json = parse_json_object<nlohmann::json>(read_file(path), where, kRemedy);
  const JsonReader config(json, where, kRemedy);
  GgufBase base;
  base.model_type = config.text("model_type", "");
  const auto* row = find_row(std::span<const Architecture>(kArchitectures), base.model_type);
  if (row == nullptr) {
    fail(where, ": model_type '", base.model_type, "' has no known GGUF layout (known: ",
         join_words(names_of(std::span<const Architecture>(kArchitectures))),
         "); export as peft and convert with llama.cpp's own script");
  }
  base.architecture = row->gguf;
  base.heads = config.whole("num_attention_heads", config.whole("n_head", 0));
  base.kv_heads = config.whole("num_key_value_heads", base.heads);
  const bool tied = base.model_type == "gemma2" || base.model_type == "gpt2";
  base.tied_embeddings = config.flag("tie_word_embeddings", tied);
  return base;
}

std::string gguf_tensor_name(const std::string& module) {
  if (module == "lm_head") return "output.weight";
  const std::vector<std::string> parts = split(module, '.');
  if (parts.size() < 5) return "";
  const bool llama = parts[0] == "model" && parts[1] == "layers";
  const bool gpt2 = parts[0] == "transformer" && parts[1] == "h";
  if (!llama && !gpt2) return "";
  const std::string rest = parts[3] + "." + parts[4];
  for (const TensorName& row : kLayerNames) {
    if (row.part == rest && parts.size() == 5)
      return join("blk.", parts[2], ".", row.gguf, ".weight");
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
  bytes.text_value("general.architecture", base.architecture);
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
