// SPDX-License-Identifier: Apache-2.0
// Continuing from adapters of other programs, and what ours say of themselves.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "io/aten.h"
#include "io/tensors.h"
#include "tests/cli/run.h"
#include "tests/paths.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

// A PEFT folder whose file adapts q_proj of layer 1 alone; its configuration says why.
void write_partial(const Path& folder, json more) {
  const std::string head = "base_model.model.model.layers.1.self_attn.q_proj.lora_";
  json config = {{"peft_type", "LORA"}, {"task_type", "CAUSAL_LM"}, {"r", 2}, {"lora_alpha", 4}};
  config.update(more);
  fs::create_directories(folder);
  write_tensors(folder / "adapter_model.safetensors",
                {{head + "A.weight", at::full({2, 192}, 0.01)},
                 {head + "B.weight", at::full({192, 2}, 0.02)}});
  std::ofstream(folder / "adapter_config.json") << config.dump();
}

TEST(CliForeignParent, ItsFileDecidesTheModules) {
  const json list = {"q_proj"};
  const std::pair<const char*, json> rows[] = {
      {"regex", {{"target_modules", R"(.*layers\.1\.self_attn\.q_proj)"}}},
      {"layers", {{"target_modules", list}, {"layers_to_transform", {1}}}},
      {"excluded", {{"target_modules", list}, {"exclude_modules", R"(.*layers\.[02345]\..*)"}}},
      {"unsaid", json::object()}};
  for (const auto& [name, more] : rows) {
    write_partial(workplace() / name, more);
    const Ran run = workplace().train(
        "v2.yaml", {join("init_lora_weights=./", name), join("output_dir=./output/of_", name),
                    "replay=0", "learning_rate=1e-4", "max_steps=1"});
    ASSERT_EQ(run.code, 0) << name << run.err;
    EXPECT_THAT(run.err, HasSubstr("warm start: 1 of 1 modules (2 tensors), rank 2, scale 2"));
    const json config =
        json::parse(workplace().read(join("output/of_", name, "/adapter_config.json")));
    EXPECT_EQ(config.at("target_modules"), json({"layers.1.self_attn.q_proj"})) << name;
    EXPECT_THAT(workplace().read(join("output/of_", name, "/config.resolved.yaml")),
                HasSubstr("target_modules: [layers.1.self_attn.q_proj]"));
  }
  // Named targets must be those of the file.
  const Ran more = workplace().train("v2.yaml", {"init_lora_weights=./layers", "replay=0",
                                                 "target_modules=q_proj", "--check"});
  EXPECT_EQ(more.code, 2);
  EXPECT_THAT(more.err, HasSubstr("preflight W06: target_modules: 5 modules that the parent does "
                                  "not adapt"));
}

TEST(CliForeignParent, OurConfigurationNamesJustOurModules) {
  const Workplace& place = workplace();
  const Ran run =
      place.train("v1.yaml", {"output_dir=./output/first", "max_steps=1",
                              R"(target_modules=.*layers\.[01]\.self_attn\.(q|v)_proj)"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(json::parse(place.read("output/first/adapter_config.json")).at("target_modules"),
            json({"layers.0.self_attn.q_proj", "layers.0.self_attn.v_proj",
                  "layers.1.self_attn.q_proj", "layers.1.self_attn.v_proj"}));
  fs::create_directories(place / "of_peft");  // as another program would get it
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors"}) {
    fs::copy(place / "output/first" / file, place / "of_peft" / file);
  }
  const Ran next = place.train("v2.yaml", {"init_lora_weights=./of_peft", "replay=0",
                                           "learning_rate=1e-4", "--check"});
  EXPECT_EQ(next.code, 0) << next.err;
  EXPECT_THAT(next.err, HasSubstr("adapter: 4 modules,"));
}

TEST(CliForeignParent, APatternThatMeansNoModuleIsRefused) {
  for (const char* setting : {"rank_pattern={qproj: 16}", "alpha_pattern={qproj: 16}"}) {
    const Ran run = workplace().train("v1.yaml", {"output_dir=./output/p", setting, "--check"});
    EXPECT_EQ(run.code, 2);
    const std::string key = std::string(setting).substr(0, std::string(setting).find('='));
    EXPECT_THAT(run.err, HasSubstr("lora: " + key +
                                   ": 'qproj' means no module that is trained (these are q_proj, "
                                   "v_proj); use these names, or remove it\n"));
  }
}

TEST(CliForeignParent, MetadataPathIsTheDataOfTexts) {
  const Workplace& place = workplace();
  place.write("meta.yaml", "base_model: " + place.base() +
                               "\nmetadata_path: new.jsonl\noutput_dir: ./output/m\nmax_steps: 2\n"
                               "mixed_precision: no\n");
  const Ran alone = place.train("meta.yaml", {"--check"});
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(alone.err, HasSubstr("data: 24 samples of new.jsonl"));
  const Ran both = place.train("meta.yaml", {"train_data_dir=old.jsonl", "--check"});
  EXPECT_EQ(both.code, 0) << both.err;
  EXPECT_THAT(both.err, HasSubstr("data: 24 samples of new.jsonl"));
}

// A tiny Stable Diffusion.
Ran train_images(std::vector<std::string> more) {
  const Path sd = golden() / "sd";
  workplace().write("images.yaml",
                    join("base_model: ", (sd / "tiny-sd15").string(), "\ntrain_data_dir: ",
                         (sd / "train_image/images").string(), "\noutput_dir: ./output/image\n",
                         "resolution: 64\nmax_steps: 1\nmixed_precision: no\n",
                         "learning_rate: 1e-4\n"));
  return workplace().train("images.yaml", std::move(more));
}

TEST(CliForeignParent, BlocksAndTextEncoderAreThoseOfTheFile) {
  const std::string lora = "init_lora_weights=" + (golden() / "sd/lora").string();
  const Ran few = train_images({lora + "/c_kohya_attn_few_bf16.safetensors", "--check"});
  EXPECT_EQ(few.code, 0) << few.err;
  EXPECT_THAT(few.err, HasSubstr("adapter: 24 modules,"));
  const Ran both = train_images({lora + "/d_kohya_full_te_conv.safetensors"});
  EXPECT_EQ(both.code, 0) << both.err;
  EXPECT_THAT(workplace().read("output/image/config.resolved.yaml"),
              HasSubstr("train_text_encoder: true"));
  EXPECT_THAT(workplace().read("output/image/image.safetensors"), HasSubstr("lora_te_text_model"));
  const Ran text = train_images(
      {lora + "/h_te_lora_linear_layer.safetensors", "output_dir=./output/text", "--check"});
  EXPECT_EQ(text.code, 2);
  EXPECT_THAT(text.err, HasSubstr("preflight W03: init_lora_weights: "));
  EXPECT_THAT(text.err, HasSubstr(" adapt the text encoder, which this run does not train (first: "
                                  "text_encoder."));
  EXPECT_THAT(text.err, HasSubstr("); set train_text_encoder: true\n"));
}

TEST(CliForeignParent, ADoraForImagesIsTold) {
  const std::string told =
      ".safetensors: a DoRA: kohya sd-scripts, diffusers and stable-diffusion.cpp drop the "
      "magnitudes of such a file, ComfyUI and A1111's WebUI norm otherwise: other pictures than "
      "here; use pytorch_lora_weights.safetensors with diffusers, or train with use_dora: false\n";
  const Ran run = train_images({"use_dora=true", "lora_rank=2", "output_dir=./output/dora"});
  ASSERT_EQ(run.code, 0) << run.err;
  const std::size_t first = run.err.find("dora" + told);  // before the first step and at the end
  ASSERT_NE(first, std::string::npos) << run.err;
  EXPECT_NE(run.err.find("dora" + told, first + 1), std::string::npos) << run.err;
  const Ran exported = workplace().lora(
      {"export", "--version", "output/dora", "--format", "kohya", "--output", "webui.safetensors"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_THAT(exported.err, HasSubstr("webui" + told));
  const Ran other = workplace().lora({"export", "--version", "output/dora", "--format",
                                      "diffusers", "--output", "other.safetensors"});
  EXPECT_THAT(other.err, Not(HasSubstr("DoRA")));
}

}  // namespace
}  // namespace lora::test
