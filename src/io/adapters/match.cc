// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/match.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "io/adapters/bundled.h"

namespace lora {
namespace {

std::vector<std::int64_t> trimmed(at::IntArrayRef shape) {
  std::vector<std::int64_t> sizes = shape.vec();
  while (sizes.size() > 2 && sizes.back() == 1) sizes.pop_back();
  return sizes;
}

// Width of the text states that a UNet's cross attention reads; 0 for other models.
std::int64_t model_width(const std::vector<LayerShape>& layers) {
  for (const LayerShape& layer : layers) {
    if (layer.name.ends_with(".attn2.to_k") && layer.shape.size() > 1) return layer.shape[1];
  }
  return 0;
}

std::string family(std::int64_t width) {
  switch (width) {
    case 768:
      return "Stable Diffusion 1.5";
    case 1024:
      return "Stable Diffusion 2";
    case 2048:
      return "Stable Diffusion XL";
    default:
      return "another Stable Diffusion model";
  }
}

bool is_image_model(const std::vector<LayerShape>& layers) {
  return std::any_of(layers.begin(), layers.end(), [](const LayerShape& layer) {
    return layer.name.starts_with("unet.") || layer.name.starts_with("text_encoder");
  });
}

std::string examples(const std::vector<std::string>& names) {
  return names.empty() ? "" : join(" (first: ", names[0], ")");
}

std::string range(double low, double high) {
  return low == high ? join(low) : join(low, " to ", high);
}

}  // namespace

void check_family(const AdapterFile& adapter, const std::vector<LayerShape>& layers) {
  const std::string where = adapter.path.string();
  const bool image = is_image_model(layers);
  const bool wants_image = adapter_kind(adapter.kind).images();
  if (image != wants_image) {
    fail(where, ": this adapter is for ", kind_title(adapter.kind), ", the base is ",
         image ? "Stable Diffusion" : "a language model", "; choose the adapter's own base model");
  }
  const std::int64_t theirs = adapter.cross_attention_width(), ours = model_width(layers);
  if (theirs != 0 && ours != 0 && theirs != ours) {
    fail(where, ": this adapter is for ", family(theirs), " (cross attention ", theirs,
         " wide), the base is ", family(ours), " (", ours,
         "); choose the adapter's own base model");
  }
}

bool same_weight_shape(at::IntArrayRef a, at::IntArrayRef b) { return trimmed(a) == trimmed(b); }

AdapterMatch match_adapter(const AdapterFile& adapter, const std::vector<LayerShape>& layers) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < layers.size(); ++i) places[layers[i].name] = i;
  AdapterMatch match;
  std::set<std::string> found;
  for (std::size_t i = 0; i < adapter.modules.size(); ++i) {
    const AdapterModule& module = adapter.modules[i];
    const auto at = places.find(module.path);
    if (at == places.end()) {
      match.unexpected.push_back(module.path);
      continue;
    }
    found.insert(module.path);
    const bool fits = same_weight_shape(module.weight_shape(), layers[at->second].shape);
    (fits ? match.matched : match.misshapen).push_back({i, at->second});
  }
  for (const LayerShape& layer : layers) {
    if (layer.expected && !found.contains(layer.name)) match.missing.push_back(layer.name);
  }
  for (const auto& [name, tensor] : adapter.others) {
    if (!is_bundled_embedding(name)) match.other_tensors.push_back(name);
  }
  return match;
}

void require_complete(const AdapterMatch& match, const AdapterFile& adapter,
                      const std::vector<LayerShape>& layers, bool ignore_others) {
  const std::string where = adapter.path.string();
  check_family(adapter, layers);
  if (!match.misshapen.empty()) {
    const auto& pair = match.misshapen[0];
    fail(where, ": ", match.misshapen.size(), " of ", adapter.modules.size(),
         " modules in the file have another shape than this model (first: ",
         adapter.modules[pair.module].path, ", found ",
         shape_text(adapter.modules[pair.module].weight_shape()), ", expected ",
         shape_text(layers[pair.layer].shape), "); choose the adapter's own base model");
  }
  if (!match.unexpected.empty()) {
    fail(where, ": ", match.unexpected.size(), " of ", adapter.modules.size(),
         " modules in the file have no place in this model", examples(match.unexpected),
         "; choose the adapter's own base model");
  }
  if (!match.missing.empty()) {
    fail(where, ": ", match.missing.size(), " modules of this model that target_modules names ",
         "are not in the file", examples(match.missing),
         "; use the target_modules that the adapter was trained with");
  }
  if (!ignore_others && !match.other_tensors.empty()) {
    fail(where, ": ", match.other_tensors.size(), " tensors are not LoRA (",
         join_words(match.other_tensors), ") and would be lost; continue with an adapter without ",
         "them");
  }
}

std::string summary(const AdapterMatch& match, const AdapterFile& adapter) {
  std::set<double> ranks, scales;
  std::size_t tensors = 0;
  for (const auto& pair : match.matched) {
    const AdapterModule& module = adapter.modules[pair.module];
    ranks.insert(static_cast<double>(module.rank()));
    scales.insert(module.scale);
    tensors += module.magnitude.defined() ? 3 : 2;
  }
  if (ranks.empty()) return join("0 of ", adapter.modules.size(), " modules");
  return join(match.matched.size(), " of ", adapter.modules.size(), " modules (", tensors,
              " tensors), rank ", range(*ranks.begin(), *ranks.rbegin()), ", scale ",
              range(*scales.begin(), *scales.rbegin()));
}

}  // namespace lora
