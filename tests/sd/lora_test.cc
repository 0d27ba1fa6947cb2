// SPDX-License-Identifier: Apache-2.0
// Every dialect of LoRA files against the outputs of diffusers with that file loaded, and real
// adapters on bases that they do and do not fit.
#include "io/adapters/adapter_file.h"
#include "io/adapters/match.h"
#include "tests/sd/sd_support.h"
#include "train/adapter_parameters.h"

namespace lora {
namespace {

using nlohmann::json;
using test::golden_json;
using test::load_golden;
using test::sd_golden;
using test::tolerance;

// A model that takes one adapter file after another.
class Wearer {
 public:
  explicit Wearer(std::unique_ptr<StableDiffusion> model)
      : model_(std::move(model)), layers_(layers_of(*model_)) {}

  // Nothing is left of an earlier file.
  AdapterFile wear(const Path& path) {
    for (const NamedLayer& layer : layers_) layer.layer->adapters.clear();
    const AdapterFile adapter = read_adapter(path);
    const auto shapes = shapes_of(layers_);
    const AdapterMatch match = match_adapter(adapter, shapes);
    require_complete(match, adapter, shapes);
    attach(adapter, match, layers_);
    return adapter;
  }
  const Layer& layer(const std::string& name) const {
    for (const NamedLayer& named : layers_) {
      if (named.name == name) return *named.layer;
    }
    throw std::runtime_error("no layer " + name);
  }
  const StableDiffusion& model() const { return *model_; }

 private:
  std::unique_ptr<StableDiffusion> model_;
  std::vector<NamedLayer> layers_;
};

TEST(GoldenSdLora, EveryDialect) {
  const std::string file = "lora/expected.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const at::NoGradGuard no_grad;
  Wearer wearer(load_golden("tiny-sd15"));
  const auto check = [&](const std::string& name) {
    const TextStates text = wearer.model().encode_prompt(expected.at("input_ids"));
    const auto states = expected.find("text." + name);
    const bool own = states != expected.end();
    test::expect_near(file + ":text." + name, text.hidden,
                      own ? states->second : expected.at("text.base"), tolerance(file, "text.*"));
    const at::Tensor epsilon =
        wearer.model().predict(expected.at("latents"), expected.at("timesteps"), text);
    test::expect_near(file + ":unet." + name, epsilon, expected.at("unet." + name),
                      tolerance(file, "unet.*"));
  };
  check("base");
  const json golden = golden_json("lora/lora.json");
  for (const auto& [name, unused] : golden.at("cases").items()) {
    wearer.wear(sd_golden("lora/" + name + ".safetensors"));
    check(name);
  }
}

TEST(GoldenSdLora, MergedWeights) {
  const std::string file = "lora/merged.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  Wearer wearer(load_golden("tiny-sd15"));
  wearer.wear(sd_golden("lora/d_kohya_full_te_conv.safetensors"));
  const json golden = golden_json("lora/lora.json");
  for (const auto& [name, place] : golden.at("merged").items()) {
    const Layer& layer = wearer.layer(place.at("component").get<std::string>() + "." +
                                      place.at("module").get<std::string>());
    const double allowed = tolerance(file, name + ".merged");
    const at::Tensor delta = adapter_delta(layer);
    EXPECT_TRUE(
        layer.weight.dense().reshape_as(delta).equal(expected.at(name + ".base").reshape_as(delta)));
    test::expect_near(file + ":" + name + ".delta", delta,
                      expected.at(name + ".delta").reshape_as(delta), allowed);
    test::expect_near(file + ":" + name + ".merged", layer.weight.dense().reshape_as(delta) + delta,
                      expected.at(name + ".merged").reshape_as(delta), allowed);
  }
}

TEST(GoldenSdLora, Sdxl) {
  const std::string file = "sdxl/lora_expected.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const TensorMap given = read_tensors(sd_golden("sdxl/forward.safetensors"));
  const at::NoGradGuard no_grad;
  Wearer wearer(load_golden("sdxl/tiny-sdxl"));
  const json golden = golden_json("sdxl/sdxl.json");
  for (const auto& [name, unused] : golden.at("cases").items()) {
    wearer.wear(sd_golden("sdxl/" + name + ".safetensors"));
    const auto check = [&, &name = name](const std::string& what, const at::Tensor& measured) {
      test::expect_near(file + ":" + name + "." + what, measured, expected.at(name + "." + what),
                        tolerance(file, what));
    };
    const TextStates text =
        wearer.model().encode_prompt(given.at("input_ids"), given.at("input_ids_2"));
    const std::int64_t first = expected.at(name + ".hidden_states_1_penultimate").size(2);
    check("hidden_states_1_penultimate", text.hidden.slice(2, 0, first));
    check("hidden_states_2_penultimate", text.hidden.slice(2, first));
    check("pooled_2", text.pooled);
    check("epsilon", wearer.model().predict(given.at("latents"), given.at("timesteps"), text,
                                            given.at("time_ids")));
  }
}

// The layers of full-size Stable Diffusion 1.5 by name and shape, without its weights in memory.
std::vector<LayerShape> sd15_layers() {
  const Path path = test::data() / "adapters" / "pokemon-diffusers";
  std::vector<LayerShape> layers;
  for (const AdapterModule& module : read_adapter(path).modules) {
    layers.push_back({module.path, module.weight_shape()});
  }
  return layers;
}

TEST(DataSdLora, AnAdapterForStableDiffusion2IsRefusedOn15) {
  const Path adapters = test::data() / "adapters";
  const Path path = adapters / "vfph55-my_lora" / "pytorch_lora_weights.safetensors";
  LORA_SKIP_WITHOUT(path);
  LORA_SKIP_WITHOUT(adapters / "pokemon-diffusers");
  const AdapterFile adapter = read_adapter(path);
  EXPECT_EQ(adapter.cross_attention_width(), 1024);
  const std::vector<LayerShape> layers = sd15_layers();
  const AdapterMatch match = match_adapter(adapter, layers);
  EXPECT_FALSE(match.misshapen.empty());
  try {
    require_complete(match, adapter, layers);
    FAIL() << "the adapter was taken";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              path.string() +
                  ": this adapter is for Stable Diffusion 2 (cross attention 1024 wide), the base "
                  "is Stable Diffusion 1.5 (768); choose the adapter's own base model");
  }
}

TEST(DataSdLora, AdaptersFor15FitEachOther) {
  const Path adapters = test::data() / "adapters";
  LORA_SKIP_WITHOUT(adapters / "pokemon-diffusers");
  LORA_SKIP_WITHOUT(adapters / "rick_and_morty_lora");
  const AdapterFile adapter = read_adapter(adapters / "rick_and_morty_lora");
  const std::vector<LayerShape> layers = sd15_layers();
  const AdapterMatch match = match_adapter(adapter, layers);
  EXPECT_TRUE(match.complete());
  EXPECT_EQ(match.matched.size(), adapter.modules.size());
  EXPECT_NO_THROW(require_complete(match, adapter, layers));
}

}  // namespace
}  // namespace lora
