// SPDX-License-Identifier: Apache-2.0
#include "models/blip.h"

#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/aten.h"
#include "io/tensors.h"

namespace lora {
namespace {

Path folder() { return Path(LORA_SOURCE_DIR) / "tests/fixtures/blip"; }

void expect_near(const std::string& what, const at::Tensor& ours, const at::Tensor& wanted,
                 double tolerance) {
  ASSERT_EQ(ours.sizes(), wanted.sizes()) << what;
  const double error = ((ours - wanted).abs().max() / wanted.abs().max()).item<double>();
  std::cout << "parity: blip " << what << " " << error << " " << tolerance << "\n";
  EXPECT_LE(error, tolerance) << what;
}

}  // namespace

TEST(GoldenBlip, ComputesWhatTransformersComputes) {
  const at::NoGradGuard no_grad;
  const auto blip = Blip::load(folder() / "model");
  const TensorMap wanted = read_tensors(folder() / "expected.safetensors");
  const auto expected = nlohmann::json::parse(read_file(folder() / "expected.json"));
  int i = 0;
  for (const auto& one : expected["cases"]) {
    const std::string key = std::to_string(i++);
    const Image image = read_image(folder() / one["image"].get<std::string>()).image;
    const at::Tensor pixels = blip->pixels(image);
    // The reference resizes with another bicubic (no clipping to 8 bits between the passes): one
    // step of 255, which normalisation makes 0.0151; the largest value is about 2.1.
    const at::Tensor& reference = wanted.at(key + ".pixel_values");
    expect_near("pixels", pixels, reference, 8e-3);
    const at::Tensor states = blip->encode(reference);
    expect_near("vision", states, wanted.at(key + ".vision"), 1e-5);
    const auto ids = one["decoder_ids"].get<std::vector<std::int64_t>>();
    expect_near("logits", blip->decode(at::tensor(ids).unsqueeze(0), states),
                wanted.at(key + ".logits"), 1e-5);
    for (const auto& run : one["runs"]) {
      const SearchOptions options{.beams = run["beams"],
                                  .min_length = run["min_length"],
                                  .max_length = run["max_length"],
                                  .length_penalty = run["length_penalty"]};
      EXPECT_EQ(blip->caption_ids(reference, options), run["ids"].get<Sequence>()) << run;
    }
    EXPECT_FALSE(blip->caption(image).empty());
  }
}

TEST(Blip, NamesWhatIsNotACaptioningModel) {
  try {
    Blip::load(folder());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(
        std::string(error.what()),
        folder().string() +
            ": no config.json; a captioning model is a BLIP folder in the Hugging Face layout");
  }
}

}  // namespace lora
