// SPDX-License-Identifier: Apache-2.0
#include "tests/sd/sd_support.h"

namespace lora {
namespace {

using test::expect_golden;
using test::load_golden;
using test::sd_golden;

TEST(GoldenSdUnet, all_sizes_and_timesteps) {
  const std::string file = "forward/unet.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const auto model = load_golden("tiny-sd15");
  const at::NoGradGuard no_gradient;
  const auto forward = test::golden_json("forward/forward.json");
  for (const auto& [name, unused] : forward["unet_cases"].items()) {
    const TextStates text = {expected.at(name + ".encoder_hidden_states"), {}};
    const at::Tensor epsilon =
        model->predict(expected.at(name + ".latents"), expected.at(name + ".timesteps"), text);
    expect_golden(file, name + ".epsilon", name + ".epsilon", epsilon, expected);
  }
}

TEST(GoldenSdUnet, every_block) {
  const std::string file = "forward/unet_blocks.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const TensorMap inputs = read_tensors(sd_golden("forward/unet.safetensors"));
  const auto model = load_golden("tiny-sd15");
  const at::NoGradGuard no_gradient;
  const test::Recorder recorder;
  model->predict(inputs.at("square.latents"), inputs.at("square.timesteps"),
                 {inputs.at("square.encoder_hidden_states"), {}});
  test::Worst worst(file);
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(recorder.outputs().contains(name)) << name;
    const double allowed = name == "time_proj" ? 1e-5 : test::tolerance(file, name);
    worst.add(name, recorder.outputs().at(name), tensor, allowed);
  }
}

TEST(GoldenSdUnet, looking_inside_changes_nothing) {
  const TensorMap inputs = read_tensors(sd_golden("forward/unet.safetensors"));
  const auto model = load_golden("tiny-sd15");
  const at::NoGradGuard no_gradient;
  const auto epsilon = [&] {
    return model->predict(inputs.at("square.latents"), inputs.at("square.timesteps"),
                          {inputs.at("square.encoder_hidden_states"), {}});
  };
  const at::Tensor unseen = epsilon();
  const test::Recorder recorder;
  EXPECT_TRUE(epsilon().equal(unseen));
}

// Single modules near the eps of their normalisations.
TEST(GoldenSdUnet, small_signals) {
  const std::string file = "forward/small_signal.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const auto model = load_golden("tiny-sd15");
  const at::NoGradGuard no_gradient;
  const auto check = [&](const std::string& name, const auto& run) {
    at::Tensor input = expected.at(name + ".input");
    if (input.dim() == 4) input = input.contiguous(at::MemoryFormat::ChannelsLast);
    expect_golden(file, name + ".output", name + ".output", run(input), expected);
  };
  const UNet& unet = model->unet();
  const std::string attention = "unet.down_blocks.0.attentions.0";
  const at::Tensor text = expected.at(attention + ".encoder_states");
  const SpatialTransformer& transformer = unet.down()[0].attentions[0];
  check("unet.conv_norm_out", [&](const at::Tensor& x) { return unet.norm_out()(x); });
  check(attention, [&](const at::Tensor& x) { return transformer.forward(x, text); });
  check(attention + ".transformer_blocks.0",
        [&](const at::Tensor& x) { return transformer.blocks[0].forward(x, text); });
  const std::string resnet = "unet.down_blocks.1.resnets.0";
  check(resnet, [&](const at::Tensor& x) {
    return unet.down()[1].resnets[0].forward(x, at::silu(expected.at(resnet + ".temb")));
  });
  check("vae.encoder.conv_norm_out",
        [&](const at::Tensor& x) { return model->vae()->encoder().norm_out(x); });
  check("vae.encoder.down_blocks.1.resnets.0", [&](const at::Tensor& x) {
    return model->vae()->encoder().stages[1].resnets[0].forward(x, {});
  });
  check("vae.decoder.mid_block.attentions.0",
        [&](const at::Tensor& x) { return model->vae()->decoder().attention.forward(x); });
  check("text.layers.0", [&](const at::Tensor& x) { return model->text()->layer(0, x); });
  check("text.final_layer_norm", [&](const at::Tensor& x) { return model->text()->final_norm(x); });
}

TEST(GoldenSdUnet, checkpointing_changes_no_gradient) {
  const TensorMap inputs = read_tensors(sd_golden("forward/unet.safetensors"));
  const auto model = load_golden("tiny-sd15");
  std::vector<at::Tensor> gradients, outputs;
  for (const bool on : {false, true}) {
    model->set_checkpointing(on);
    at::Tensor text = inputs.at("square.encoder_hidden_states").clone().set_requires_grad(true);
    const at::Tensor y =
        model->predict(inputs.at("square.latents"), inputs.at("square.timesteps"), {text, {}});
    y.square().sum().backward();
    outputs.push_back(y.detach());
    gradients.push_back(text.grad());
  }
  EXPECT_TRUE(outputs[0].equal(outputs[1]));
  EXPECT_LT(test::largest_difference(gradients[0], gradients[1]), 1e-5);
}

TEST(GoldenSdUnet, bfloat16_stays_near) {
  const TensorMap inputs = read_tensors(sd_golden("forward/unet.safetensors"));
  const auto model = load_golden("tiny-sd15", at::kBFloat16);
  const at::NoGradGuard no_gradient;
  const at::Tensor y = model->predict(inputs.at("square.latents"), inputs.at("square.timesteps"),
                                      {inputs.at("square.encoder_hidden_states"), {}});
  const at::Tensor& expected = inputs.at("square.epsilon");
  const double relative = ((y - expected).norm() / expected.norm()).item<double>();
  test::report("forward/unet.safetensors:square.epsilon in bfloat16 (relative)", relative, 0.03);
  EXPECT_LT(relative, 0.03);
}

}  // namespace
}  // namespace lora
