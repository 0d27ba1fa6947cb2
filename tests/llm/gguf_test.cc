// SPDX-License-Identifier: Apache-2.0
// Adapters written as GGUF: what llama.cpp computes from them.
#include "io/adapters/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "io/aten.h"
#include "models/models.h"
#include "tests/golden_set.h"

namespace lora {
namespace {

Path temporary(const std::string& content) {
  const Path path = std::filesystem::temp_directory_path() / "lora-gguf-golden.gguf";
  write_file_atomic(path, content);
  return path;
}

at::Tensor tensor_of(const std::string& bytes, const GgufHeader& header, const std::string& name) {
  for (const GgufHeader::Tensor& tensor : header.tensors) {
    if (tensor.name != name) continue;
    EXPECT_EQ(tensor.type, 0u);
    EXPECT_EQ(tensor.offset % 32, 0u);
    const auto rows = static_cast<std::int64_t>(tensor.shape.at(1));
    const auto columns = static_cast<std::int64_t>(tensor.shape.at(0));
    at::Tensor result = at::empty({rows, columns});
    std::memcpy(result.data_ptr(), bytes.data() + header.data_begin + tensor.offset,
                result.nbytes());
    return result;
  }
  ADD_FAILURE() << name << " is missing";
  return {};
}

std::string expected_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// What llama.cpp computes from the file, alpha / rank x B A, is the adapter's delta, with the rows
// of q and k where GGUF has them.
TEST(GoldenGguf, LoadersComputeTheSameDelta) {
  const std::vector<std::string> families = test::families_with_plain_lora();
  ASSERT_FALSE(families.empty());
  for (const std::string& family : families) {
    const Path root = test::llm(family);
    const AdapterFile adapter = read_adapter(root / "lora");
    const GgufBase base = read_gguf_base(root / "model");
    const std::string bytes = encode_gguf(adapter, base);
    const GgufHeader header = read_gguf_header(temporary(bytes));
    EXPECT_EQ(header.values.at("general.type"), "adapter");
    EXPECT_EQ(header.values.at("adapter.type"), "lora");
    EXPECT_EQ(header.values.at("general.architecture"), base.layout.architecture);
    EXPECT_EQ(header.tensors.size(), 2 * adapter.modules.size());
    const float alpha = std::stof(header.values.at("adapter.lora.alpha"));
    for (const AdapterModule& module : adapter.modules) {
      const std::string name = gguf_tensor_name(module.path, base.layout);
      const at::Tensor a = tensor_of(bytes, header, name + ".lora_a");
      const at::Tensor b = tensor_of(bytes, header, name + ".lora_b");
      const at::Tensor delta = at::matmul(b, a) * (alpha / static_cast<float>(b.size(1)));
      const at::Tensor wanted = module.delta();
      const bool q = module.path.ends_with("q_proj"), k = module.path.ends_with("k_proj");
      const bool moved = base.layout.architecture == "llama" && (q || k);
      const std::int64_t size = moved ? wanted.size(0) / (q ? base.heads : base.kv_heads) : 1;
      for (std::int64_t row = 0; row < wanted.size(0); ++row) {
        const std::int64_t head = row / size, inside = row % size;
        const std::int64_t half = moved ? inside / (size / 2) : 0;
        const std::int64_t place = moved ? head * size + 2 * (inside % (size / 2)) + half : row;
        EXPECT_LT((delta[place] - wanted[row]).abs().max().item<float>(), 1e-6f)
            << family << " " << module.path;
      }
    }
  }
}

TEST(GoldenGguf, DoraIsRefused) {
  ASSERT_FALSE(test::families().empty());
  for (const std::string& family : test::families()) {
    const Path root = test::llm(family);
    AdapterFile adapter = read_adapter(root / "lora");
    adapter.use_dora = true;  // whatever the set has; ScalesAreThoseOfPeft compares what was read
    const std::string text =
        expected_error([&] { encode_gguf(adapter, read_gguf_base(root / "model")); });
    EXPECT_NE(text.find("llama.cpp has no DoRA"), std::string::npos) << family << ": " << text;
  }
}

TEST(GoldenGguf, ImageAdaptersAreRefused) {
  const AdapterFile adapter = read_adapter(test::golden() / "sd/lora/b_peft_lora_A_B.safetensors");
  const std::string text = expected_error([&] { encode_gguf(adapter, {}); });
  EXPECT_NE(text.find("use the format diffusers or kohya"), std::string::npos) << text;
}

TEST(Gguf, NamesTheFamiliesWithALayout) {
  const Path file = Path(testing::TempDir()) / "phi.json";
  write_file_atomic(file, R"({"model_type": "phi3"})");
  EXPECT_EQ(expected_error([&] { read_gguf_base(file); }),
            file.string() +
                ": model_type 'phi3' has no known GGUF layout (known: llama, mistral, "
                "qwen2, qwen3, gemma2, gpt2); export as peft and convert with "
                "llama.cpp's own script");
}

}  // namespace
}  // namespace lora
