// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/algebra.h"
#include "io/adapters/kohya_names.h"
#include "io/aten.h"
#include "io/tensors.h"

namespace lora {
namespace {

void check_image(const AdapterFile& adapter, const char* format) {
  if (!adapter_kind(adapter.kind).images() || adapter.modules.empty()) {
    fail(adapter.path.string(), ": an adapter for ", kind_title(adapter.kind),
         " cannot be written as ", format, "; use the format peft or gguf");
  }
}

// What encode_diffusers remembers of the scales that it folds.
nlohmann::json alpha_record(const AdapterFile& adapter, double usual) {
  nlohmann::json pattern = nlohmann::json::object();
  for (const AdapterModule& module : adapter.modules) {
    if (module.alpha != usual) pattern[module.path] = module.alpha;
  }
  return {{"alpha", usual}, {"alpha_pattern", pattern}, {"use_rslora", adapter.use_rslora}};
}

std::string number_text(double value) {
  const nlohmann::json json = value;
  return json.dump();  // "8.0", as Python prints a float
}

bool has_large_kernels(const AdapterFile& adapter) {
  return std::any_of(adapter.modules.begin(), adapter.modules.end(), [](const auto& module) {
    const auto shape = module.weight_shape();
    return shape.size() == 4 && (shape[2] > 1 || shape[3] > 1);
  });
}

Metadata kohya_metadata(const AdapterFile& adapter, const KohyaInfo& info, double alpha) {
  const AdapterKindRow& kind = adapter_kind(adapter.kind);
  const bool v = info.prediction_type == "v";
  const std::string rank = std::to_string(adapter.max_rank());
  Metadata all = info.extra;
  const auto put = [&](const std::string& key, std::string_view value) {
    if (!value.empty()) all[key] = value;
  };
  put("format", "pt");
  put("ss_v2", kind.kohya_v2 ? "True" : "False");
  put("ss_base_model_version", v ? kind.kohya_base_v : kind.kohya_base);
  // networks.lora has no magnitudes and would drop them; LyCORIS knows them.
  put("ss_network_module", adapter.use_dora ? "lycoris.kohya" : "networks.lora");
  put("ss_network_dim", rank);
  put("ss_network_alpha", number_text(alpha));
  nlohmann::json arguments = nlohmann::json::object();
  if (has_large_kernels(adapter)) {
    arguments = {{"conv_dim", rank}, {"conv_alpha", number_text(alpha)}};
  }
  if (adapter.use_dora) arguments.update({{"algo", "lora"}, {"dora_wd", "True"}});
  if (!arguments.empty()) put("ss_network_args", arguments.dump());
  put("ss_output_name", info.name);
  put("modelspec.sai_model_spec", "1.0.1");
  put("modelspec.architecture", v ? kind.modelspec_v : kind.modelspec);
  put("modelspec.implementation", "diffusers");
  put("modelspec.title", info.name);
  put("modelspec.resolution", info.resolution);
  put("modelspec.date", info.date);
  put("modelspec.prediction_type", v ? "v" : "epsilon");
  return all;
}

// sshs_model_hash: SHA-256 of the tensor data. sshs_legacy_hash: of 64 KiB from 1 MiB on in the
// file with only the ss_* entries. (kohya sd-scripts, Apache-2.0: what WebUIs identify files by.)
void add_hashes(const TensorMap& tensors, Metadata& metadata) {
  Metadata ss;
  for (const auto& [key, value] : metadata) {
    if (key.starts_with("ss_")) ss[key] = value;
  }
  const std::string bytes = encode_tensors(tensors, ss);
  std::uint64_t header = 0;
  for (std::size_t i = 8; i-- > 0;) header = header << 8 | static_cast<unsigned char>(bytes[i]);
  const std::string_view all = bytes;
  metadata["sshs_model_hash"] = sha256(all.substr(8 + header));
  const std::size_t start = std::min<std::size_t>(0x100000, all.size());
  metadata["sshs_legacy_hash"] = sha256(all.substr(start, 0x10000)).substr(0, 8);
}

}  // namespace

// The first three read no dora_scale. ComfyUI divides by the norms of the base's rows, not of the
// sum's; A1111's WebUI by those of columns.
std::string kohya_dora_caution(const std::string& file) {
  return join(file, ": a DoRA: kohya sd-scripts, diffusers and stable-diffusion.cpp drop the ",
              "magnitudes of such a file, ComfyUI and A1111's WebUI norm otherwise: other ",
              "pictures than here; use pytorch_lora_weights.safetensors with diffusers, or train ",
              "with use_dora: false");
}

double common_alpha(const AdapterFile& adapter) {
  std::map<double, int> count;
  for (const AdapterModule& module : adapter.modules) {
    ++count[adapter.use_rslora ? module.scale * static_cast<double>(module.rank()) : module.alpha];
  }
  return std::max_element(count.begin(), count.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

std::string encode_diffusers(const AdapterFile& adapter, const Metadata& extra) {
  check_image(adapter, "diffusers");
  TensorMap tensors = adapter.others;
  bool scaled = false;
  for (const AdapterModule& module : adapter.modules) {
    const AdapterModule plain = without_core(rescale(module, static_cast<double>(module.rank())));
    tensors[module.path + ".lora_A.weight"] = plain.a;
    tensors[module.path + ".lora_B.weight"] = plain.b;
    if (module.magnitude.defined()) {  // PEFT keeps that of a convolution as [1, out, 1, 1]
      tensors[module.path + ".lora_magnitude_vector"] =
          module.is_conv() ? module.magnitude.view({1, -1, 1, 1}) : module.magnitude;
    }
    scaled = scaled || module.scale != 1;
  }
  Metadata metadata = extra;
  metadata["format"] = "pt";
  if (scaled || adapter.use_rslora) {
    metadata["lora_scripts"] = alpha_record(adapter, adapter.modules[0].alpha).dump();
  }
  return encode_tensors(tensors, metadata);
}

std::string encode_kohya(const AdapterFile& adapter, const KohyaInfo& info) {
  check_image(adapter, "kohya");
  const double alpha = common_alpha(adapter);
  TensorMap tensors = adapter.others;
  for (const AdapterModule& given : adapter.modules) {
    const AdapterModule module = without_core(rescale(given, alpha));
    const std::string name = kohya_of_path(module.path, adapter_kind(adapter.kind).kohya_sgm);
    tensors[name + ".lora_down.weight"] = module.a;
    tensors[name + ".lora_up.weight"] = module.b;
    tensors[name + ".alpha"] = at::full({}, alpha, at::kFloat);
    if (module.magnitude.defined()) {
      std::vector<std::int64_t> shape(module.weight_shape().size(), 1);
      shape[0] = -1;
      tensors[name + ".dora_scale"] = module.magnitude.view(shape);
    }
  }
  Metadata metadata = kohya_metadata(adapter, info, alpha);
  add_hashes(tensors, metadata);
  return encode_tensors(tensors, metadata);
}

}  // namespace lora
