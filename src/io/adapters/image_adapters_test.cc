// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/kohya_names.h"
#include "io/aten.h"
#include "tests/paths.h"

namespace lora {
namespace {

Path sd(const std::string& name) { return test::golden() / "sd" / name; }

nlohmann::json json_of(const Path& path) { return nlohmann::json::parse(read_file(path)); }

Path temporary(const std::string& name, const std::string& content) {
  const Path path = std::filesystem::temp_directory_path() / ("lora-image-adapter-" + name);
  write_file_atomic(path, content);
  return path;
}

// Largest difference of the deltas of `some` from those of `all`, relative to the largest entry.
double difference(const AdapterFile& some, const AdapterFile& all) {
  double worst = 0;
  for (const AdapterModule& module : some.modules) {
    const AdapterModule* other = all.find(module.path);
    if (other == nullptr) return INFINITY;
    const at::Tensor wanted = other->delta();
    const double error = (module.delta() - wanted).abs().max().item<double>();
    worst = std::max(worst, error / wanted.abs().max().item<double>());
  }
  return worst;
}

TEST(GoldenImageAdapters, DialectsOfOneAdapterAreOneFunction) {
  const AdapterFile a = read_adapter(sd("lora/a_diffusers_lora_down_up.safetensors"));
  const auto counts = json_of(sd("lora/lora.json"))["module_counts"];
  EXPECT_EQ(a.modules.size(), counts["attention"].get<std::size_t>());
  EXPECT_EQ(a.dialect, "diffusers");
  const std::map<std::string, std::string> same = {{"b_peft_lora_A_B", "diffusers-peft"},
                                                   {"c_kohya_attn", "kohya"},
                                                   {"e_processor_to_q_lora", "diffusers-old"}};
  for (const auto& [name, dialect] : same) {
    const AdapterFile other = read_adapter(sd("lora/" + name + ".safetensors"));
    EXPECT_EQ(other.dialect, dialect);
    EXPECT_EQ(other.modules.size(), a.modules.size()) << name;
    EXPECT_EQ(difference(other, a), 0) << name;
    EXPECT_EQ(difference(a, other), 0) << name;
    EXPECT_EQ(other.kind, AdapterKind::sd15) << name;
  }
  const AdapterFile half = read_adapter(sd("lora/c_kohya_attn_fp16.safetensors"));
  EXPECT_LT(difference(half, a), 2e-3);
  EXPECT_EQ(half.modules[0].a.scalar_type(), at::kHalf);
  const AdapterFile few = read_adapter(sd("lora/c_kohya_attn_few_bf16.safetensors"));
  EXPECT_EQ(3 * few.modules.size(), SafetensorsFile::open(few.path)->tensors().size());
  EXPECT_LT(few.modules.size(), a.modules.size());
  EXPECT_LT(difference(few, a), 2e-2);
}

TEST(GoldenImageAdapters, AlphaOfEveryDialect) {
  const auto alpha = json_of(sd("lora/lora.json"))["alpha"];
  const AdapterFile d = read_adapter(sd("lora/d_kohya_full_te_conv.safetensors"));
  const auto counts = json_of(sd("lora/lora.json"))["module_counts"];
  EXPECT_EQ(d.modules.size(), counts["kohya_unet_with_conv3x3"].get<std::size_t>() +
                                  counts["kohya_text_encoder"].get<std::size_t>());
  for (const AdapterModule& module : d.modules) {
    EXPECT_EQ(module.alpha, alpha["d, g"].get<double>());
    EXPECT_EQ(module.scale, module.alpha / static_cast<double>(module.rank()));
  }
  const AdapterFile g = read_adapter(sd("lora/g_peft_conv_te_folded_alpha.safetensors"));
  int exponent = 0;
  const bool exact = std::frexp(d.modules[0].scale, &exponent) == 0.5;  // a power of two
  EXPECT_LE(difference(g, d), exact ? 0 : 1e-6);
  const AdapterFile f = read_adapter(sd("lora/f_peft_metadata_alpha_1.safetensors"));
  for (const AdapterModule& module : f.modules) {
    EXPECT_EQ(module.alpha, alpha["f"].get<double>());
    EXPECT_TRUE(module.alpha_known);
  }
  const AdapterFile j = read_adapter(sd("lora/j_kohya_mixed_rank.safetensors"));
  for (const AdapterModule& module : j.modules) {
    EXPECT_EQ(module.scale, alpha["j"].get<double>() / static_cast<double>(module.rank()));
  }
  EXPECT_GT(j.max_rank(), j.modules[0].rank());
  const AdapterFile h = read_adapter(sd("lora/h_te_lora_linear_layer.safetensors"));
  const AdapterFile i = read_adapter(sd("lora/i_te_without_text_model_prefix.safetensors"));
  EXPECT_EQ(difference(h, i), 0);
  EXPECT_EQ(h.modules.size(), i.modules.size());
}

TEST(GoldenImageAdapters, DeltasAreThoseOfTheMergedModel) {
  const AdapterFile d = read_adapter(sd("lora/d_kohya_full_te_conv.safetensors"));
  const TensorMap merged = read_tensors(sd("lora/merged.safetensors"));
  const nlohmann::json cases = json_of(sd("lora/lora.json"))["merged"];
  for (const auto& [name, entry] : cases.items()) {
    const AdapterModule* module =
        d.find(entry["component"].get<std::string>() + "." + entry["module"].get<std::string>());
    ASSERT_NE(module, nullptr) << name;
    EXPECT_EQ(module->weight_shape(), merged.at(name + ".base").sizes().vec()) << name;
    const at::Tensor wanted = merged.at(name + ".delta");
    EXPECT_LT((module->delta() - wanted).abs().max().item<float>(),
              1e-6f * wanted.abs().max().item<float>())
        << name;
  }
}

TEST(GoldenImageAdapters, SdxlNamesBothWays) {
  const nlohmann::json rows = json_of(sd("sdxl/lora_names.json"))["rows"];
  for (const auto& row : rows) {
    const std::string path = row[0].get<std::string>() + "." + row[1].get<std::string>();
    EXPECT_EQ(kohya_of_path(path, true), row[2].get<std::string>());
    EXPECT_EQ(path_of_kohya(row[2].get<std::string>()), path);
    if (!row[3].is_null()) {
      EXPECT_EQ(path_of_kohya(row[3].get<std::string>()), path);
    }
  }
  const AdapterFile kohya = read_adapter(sd("sdxl/lora_kohya_sgm_fp16.safetensors"));
  EXPECT_EQ(kohya.kind, AdapterKind::sdxl);
  EXPECT_EQ(kohya.modules.size(), rows.size());
  const AdapterFile plain = read_adapter(sd("sdxl/lora_diffusers_attn.safetensors"));
  EXPECT_EQ(plain.kind, AdapterKind::sdxl);
  for (const AdapterModule& module : plain.modules) {
    EXPECT_NE(kohya.find(module.path), nullptr) << module.path;
    EXPECT_EQ(module.scale, 1);
  }
}

TEST(ImageAdapters, BlockNumbersAreLimited) {
  for (const std::string number : {"1000", "99999999999999999999"}) {
    const std::string path = "down_blocks." + number + ".attentions.0.proj_in";
    try {
      kohya_of_path("unet." + path, true);
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "module 'unet." + path + "': no UNet has so many blocks (found " +
                                  number + ", expected at most 999); damaged file?");
    }
  }
}

TEST(GoldenImageAdapters, DiffusersFilesAreWrittenByteForByte) {
  for (const char* name : {"b_peft_lora_A_B", "g_peft_conv_te_folded_alpha"}) {
    const Path path = sd(std::string("lora/") + name + ".safetensors");
    EXPECT_EQ(encode_diffusers(read_adapter(path)), read_file(path)) << name;
  }
}

TEST(GoldenImageAdapters, EveryFileSurvivesEveryWriter) {
  std::vector<Path> files;
  const nlohmann::json cases = json_of(sd("lora/lora.json"))["cases"];
  for (const auto& [name, unused] : cases.items()) {
    files.push_back(sd("lora/" + name + ".safetensors"));
  }
  ASSERT_FALSE(files.empty());
  files.push_back(sd("sdxl/lora_kohya_sgm_fp16.safetensors"));
  files.push_back(sd("train/init_kohya_style.safetensors"));
  for (const Path& path : files) {
    const AdapterFile adapter = read_adapter(path);
    if (adapter.modules[0].delta().abs().max().item<float>() == 0) continue;
    const AdapterFile diffusers =
        read_adapter(temporary("d.safetensors", encode_diffusers(adapter)));
    const AdapterFile kohya =
        read_adapter(temporary("k.safetensors", encode_kohya(adapter, {"starli", "512x512"})));
    for (const AdapterFile* again : {&diffusers, &kohya}) {
      ASSERT_EQ(again->modules.size(), adapter.modules.size()) << path;
      EXPECT_LT(difference(*again, adapter), 1e-6) << path;
      EXPECT_EQ(again->kind, adapter.kind) << path;
    }
    for (std::size_t i = 0; i < adapter.modules.size(); ++i) {
      EXPECT_EQ(diffusers.modules[i].alpha, adapter.modules[i].alpha) << path;
      EXPECT_EQ(diffusers.modules[i].scale, adapter.modules[i].scale) << path;
    }
  }
}

TEST(GoldenImageAdapters, KohyaFilesCarryWhatWebUisRead) {
  const AdapterFile adapter = read_adapter(sd("sdxl/lora_kohya_sgm_fp16.safetensors"));
  const Path path =
      temporary("meta.safetensors", encode_kohya(adapter, {"starli_v2", "1024x1024"}));
  const auto file = SafetensorsFile::open(path);
  const Metadata& metadata = file->metadata();
  EXPECT_EQ(metadata.at("ss_base_model_version"), "sdxl_base_v1-0");
  EXPECT_EQ(metadata.at("ss_network_module"), "networks.lora");
  EXPECT_EQ(metadata.at("ss_network_dim"), std::to_string(adapter.max_rank()));
  EXPECT_EQ(metadata.at("ss_output_name"), "starli_v2");
  EXPECT_EQ(metadata.at("modelspec.architecture"), "stable-diffusion-xl-v1-base/lora");
  EXPECT_FALSE(metadata.contains("lora_adapter_metadata"));  // diffusers refuses it here
  const std::string bytes = read_file(path);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(metadata.at("sshs_model_hash"), sha256(std::string_view(bytes).substr(8 + header)));
  EXPECT_EQ(metadata.at("sshs_legacy_hash").size(), 8u);
}

TEST(ImageAdapters, LoConCoreAndDoraOfKohyaFiles) {
  at::manual_seed(1);
  const std::string name = "lora_unet_down_blocks_0_resnets_0_conv1";
  TensorMap tensors;
  tensors[name + ".lora_down.weight"] = at::randn({3, 5, 1, 1});
  tensors[name + ".lora_mid.weight"] = at::randn({3, 3, 3, 3});
  tensors[name + ".lora_up.weight"] = at::randn({7, 3, 1, 1});
  tensors[name + ".alpha"] = at::full({}, 2, at::kInt);
  tensors[name + ".dora_scale"] = at::rand({7, 1, 1, 1});
  const Path path = temporary("mid.safetensors", "");
  write_tensors(path, tensors);
  const AdapterFile adapter = read_adapter(path);
  ASSERT_EQ(adapter.modules.size(), 1u);
  const AdapterModule& module = adapter.modules[0];
  EXPECT_EQ(module.path, "unet.down_blocks.0.resnets.0.conv1");
  EXPECT_EQ(module.magnitude.sizes().vec(), std::vector<std::int64_t>{7});
  // The three convolutions one after the other are one with the kernel delta().
  const at::Tensor x = at::randn({1, 5, 6, 6});
  at::Tensor y = at::conv2d(x, tensors[name + ".lora_down.weight"]);
  y = at::conv2d(y, tensors[name + ".lora_mid.weight"], {}, 1, 1);
  y = at::conv2d(y, tensors[name + ".lora_up.weight"]) * (2.0 / 3);
  EXPECT_LT((at::conv2d(x, module.delta(), {}, 1, 1) - y).abs().max().item<float>(), 1e-4f);
  const AdapterFile again =
      read_adapter(temporary("mid2.safetensors", encode_kohya(adapter, {"x"})));
  EXPECT_LT(difference(again, adapter), 1e-6);
  EXPECT_TRUE(at::equal(again.modules[0].magnitude, module.magnitude));
}

TEST(DataAdapters, RealImageAdapters) {
  struct Row {
    const char *file, *dialect;
    AdapterKind kind;
    std::size_t modules, others;
    double rank;
  };
  const Row rows[] = {
      {"brain-mri-sd-lora", "diffusers", AdapterKind::sd15, 128, 0, 4},
      {"pokemon-diffusers", "diffusers-old", AdapterKind::sd15, 128, 0, 4},
      {"rick_and_morty_lora", "diffusers-old", AdapterKind::sd15, 128, 0, 4},
      {"vfph55-my_lora", "diffusers", AdapterKind::sd2, 128, 0, 4},
      {"cloneofsimo/analog_svd_rank4.safetensors", "cloneofsimo", AdapterKind::sd15, 192, 0, 4},
      {"cloneofsimo/lora_disney.safetensors", "cloneofsimo", AdapterKind::sd15, 192, 2, 1}};
  for (const Row& row : rows) {
    const Path path = test::data() / "adapters" / row.file;
    LORA_SKIP_WITHOUT(path);
    const AdapterFile adapter = read_adapter(path);
    EXPECT_EQ(adapter.dialect, row.dialect) << row.file;
    EXPECT_EQ(adapter.kind, row.kind) << row.file;
    EXPECT_EQ(adapter.modules.size(), row.modules) << row.file;
    EXPECT_EQ(adapter.others.size(), row.others) << row.file;
    for (const AdapterModule& module : adapter.modules) {
      EXPECT_EQ(module.scale, 1) << row.file;
      EXPECT_EQ(static_cast<double>(module.rank()), row.rank) << row.file;
    }
  }
}

// The positional names must fall on layers of the right size in Stable Diffusion 1.5.
TEST(DataAdapters, CloneofsimoNamesFitTheWidthsOfTheUNet) {
  const Path path = test::data() / "adapters/cloneofsimo/analog_svd_rank4.safetensors";
  LORA_SKIP_WITHOUT(path);
  const AdapterFile attention = read_adapter(test::data() / "adapters/pokemon-diffusers");
  const AdapterFile adapter = read_adapter(path);
  std::size_t compared = 0;
  for (const AdapterModule& module : attention.modules) {
    const AdapterModule* other = adapter.find(module.path);
    ASSERT_NE(other, nullptr) << module.path;
    EXPECT_EQ(other->weight_shape(), module.weight_shape()) << module.path;
    ++compared;
  }
  EXPECT_EQ(compared, 128u);
}

}  // namespace
}  // namespace lora
