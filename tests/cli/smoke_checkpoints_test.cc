// SPDX-License-Identifier: Apache-2.0
// Single files of Stable Diffusion: told, and trained on. They have the published sizes, from which
// the program knows what they are; so the tests' files hold zeros that take no room on the disk.
#include <fstream>

#include "models/clip_text.h"
#include "models/sd_checkpoint.h"
#include "models/unet.h"
#include "models/vae.h"
#include "tests/cli/smoke.h"

namespace lora::test {
namespace {

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

// Notes what a part of the model asks for, under the names of single files.
class Listing : public WeightSource {
 public:
  Listing(SdPart part, const SdConfig& config, Shapes& shapes)
      : part_(part), config_(config), shapes_(shapes) {}

  std::string where() const override { return "listing"; }
  bool has(const std::string&) const override { return true; }
  at::Tensor take(const std::string& name, at::IntArrayRef shape) override {
    const std::string original = original_name(part_, config_, name);
    std::vector<std::int64_t> stored = shape.vec();
    // Query, key and value are one.
    if (original.find(".attn.in_proj_") != std::string::npos) stored[0] *= 3;
    shapes_[original] = stored;
    return at::empty(shape, at::TensorOptions(at::Device(at::kMeta)).dtype(at::kBFloat16));
  }

 private:
  SdPart part_;
  const SdConfig& config_;
  Shapes& shapes_;
};

template <typename Part, typename PartConfig>
void list_part(SdPart part, const PartConfig& of_part, const SdConfig& config, Shapes& shapes) {
  Listing listing(part, config, shapes);
  Modules modules(listing, {.dtype = at::kBFloat16, .device = at::Device(at::kMeta)});
  const Part unused(of_part, modules);
}

Shapes shapes_of_file(SdKind kind) {
  const SdConfig config = sd_preset(kind);
  Shapes shapes;
  list_part<UNet>(SdPart::unet, config.unet, config, shapes);
  list_part<Vae>(SdPart::vae, config.vae, config, shapes);
  list_part<ClipText>(SdPart::text, config.text, config, shapes);
  if (sd_kind(kind).second_encoder) {
    list_part<ClipText>(SdPart::text_2, config.text_2, config, shapes);
  }
  return shapes;
}

constexpr double kPredicted = 3;
constexpr std::uint16_t kPredictedBits = 0x4040;  // 3 in bfloat16

std::string little_endian(std::uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
  return bytes;
}

// A model that predicts kPredicted whatever it is given. Returns its numbers.
std::int64_t write_checkpoint(const Path& path, SdKind kind) {
  const std::string bias_name = "model.diffusion_model.out.2.bias";
  Json header = {{"__metadata__", {{"modelspec.prediction_type", "epsilon"}}}};
  std::int64_t numbers = 0, bias = 0;
  for (const auto& [name, shape] : shapes_of_file(kind)) {
    if (name == bias_name) bias = numbers;
    const std::int64_t begin = numbers;
    numbers += c10::multiply_integers(shape);
    header[name] = {
        {"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {2 * begin, 2 * numbers}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  text = little_endian(text.size(), 8) + text;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.seekp(static_cast<std::streamoff>(text.size()) + 2 * bias);
  for (int channel = 0; channel < 4; ++channel) file << little_endian(kPredictedBits, 2);
  file.close();
  fs::resize_file(path, text.size() + 2 * static_cast<std::uint64_t>(numbers));
  return numbers;
}

// SDXL is told only: a step of it takes 8 GB.
TEST(CliSmokeCheckpoints, SingleFilesAreTrainedOn) {
  const Workplace place;
  write_captioned(place, "pictures");
  fs::copy(inputs() / "sd/tiny-sd15/tokenizer", place / "tokenizer");
  const LongPrompt prompt = long_prompt();
  place.write("c.yaml", join("task_type: text-to-image\ntrain_data_dir: pictures\nresolution: 64\n",
                             "lora_rank: 1\nmax_steps: 1\nthreads: 1\nmixed_precision: bf16\n",
                             "sample_negative: '", prompt.text, "'\n"));
  std::vector<Words> commands;
  for (const SdKind kind : {SdKind::sd1, SdKind::sd2}) {
    const std::string name = join("sd", commands.size() + 1);
    write_checkpoint(place / (name + ".safetensors"), kind);
    commands.push_back({"train", "--config", "c.yaml", "--json", "output_dir=output/" + name,
                        "base_model=" + name + ".safetensors"});
  }
  const std::vector<Ran> results = run_each(place, commands);
  for (std::size_t i = 0; i < results.size(); ++i) {
    SCOPED_TRACE(sd_kinds()[i]->name);
    const Json json = json_of(results[i]);
    if (json.empty()) continue;
    EXPECT_EQ(json.at("steps"), 1);
    // Of 256 numbers: (prediction - noise)^2.
    EXPECT_NEAR(json.at("metrics").at("loss").get<double>(), kPredicted * kPredicted + 1, 2);
    EXPECT_THAT(results[i].err, testing::HasSubstr(join("\nmodel: ", sd_kinds()[i]->name, ", ")));
    EXPECT_THAT(results[i].err, testing::HasSubstr(prompt.note));
  }
}

TEST(CliSmokeCheckpoints, SingleFilesOfEveryKindAreTold) {
  const Workplace place;
  std::vector<Words> commands;
  std::vector<std::int64_t> numbers;
  for (const SdKindRow* row : sd_kinds()) {
    const std::string name = join("kind", commands.size(), ".safetensors");
    numbers.push_back(write_checkpoint(place / name, row->kind));
    commands.push_back({"inspect", name, "--json"});
  }
  const std::vector<Ran> results = run_each(place, commands);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Json json = json_of(results[i]);
    EXPECT_EQ(json.at("type"), "checkpoint");
    EXPECT_EQ(json.at("for"), kind_title(sd_kinds()[i]->adapter));
    EXPECT_EQ(json.at("parameters"), numbers[i]);
  }
}

}  // namespace
}  // namespace lora::test
