// SPDX-License-Identifier: Apache-2.0
// Base models and adapters for images, each with one thing wrong: the exact message and exit code.
#include "tests/cli/bad_input.h"

namespace lora::test {
namespace {

std::vector<BadInput> checkpoints() {
  const std::string other = "base_model=@/other";
  return {
      {"kohya_lora_as_base",
       nothing,
       {"base_model=%lora/c_kohya_attn.safetensors"},
       "%lora/c_kohya_attn.safetensors: this is a LoRA (kohya names), not a base model; give it as "
       "init_lora_weights"},
      {"peft_lora_as_base",
       nothing,
       {"base_model=%lora/b_peft_lora_A_B.safetensors"},
       "%lora/b_peft_lora_A_B.safetensors: this is a LoRA (PEFT names), not a base model; give it "
       "as init_lora_weights"},
      {"vae_alone",
       nothing,
       {"base_model=@/base/vae/diffusion_pytorch_model.safetensors"},
       "@/base/vae/diffusion_pytorch_model.safetensors: this is a VAE alone (no "
       "'model.diffusion_model.' tensors); give the whole model"},
      {"unet_alone",
       nothing,
       {"base_model=@/base/unet/diffusion_pytorch_model.safetensors"},
       "@/base/unet/diffusion_pytorch_model.safetensors: this is a UNet alone (no "
       "'model.diffusion_model.' tensors); give the whole model"},
      {"text_encoder_alone",
       nothing,
       {"base_model=@/base/text_encoder/model.safetensors"},
       "@/base/text_encoder/model.safetensors: this is a text encoder alone (no "
       "'model.diffusion_model.' tensors); give the whole model"},
      {"folder_of_a_vae",
       nothing,
       {"base_model=%tiny-sd15/vae"},
       "command line: base_model: one part of a diffusers model (found '%tiny-sd15/vae', expected "
       "the folder above, which holds model_index.json); give that folder"},
      {"pickle",
       [](const Place& p) { p.write("other.ckpt", "PK\x03\x04" + std::string(99, 'x')); },
       {other + ".ckpt"},
       "command line: base_model: a pickle is not read (found '@/other.ckpt'): loading one can run "
       "code; convert it to .safetensors"},
      {"old_pickle",
       [](const Place& p) { p.write("other.pt", "\x80\x02}q" + std::string(99, 'x')); },
       {other + ".pt"},
       "command line: base_model: a pickle is not read (found '@/other.pt'): loading one can run "
       "code; convert it to .safetensors"},
      {"lfs_pointer",
       [](const Place& p) {
         p.write("other.safetensors",
                 "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265146304\n");
       },
       {other + ".safetensors"},
       "@/other.safetensors: this is a Git LFS pointer, not weights (4265146304 bytes are "
       "missing); run `git lfs pull` in its repository"},
      {"truncated_checkpoint",
       [](const Place& p) { p.cut("other.safetensors", sd_file(kSingle), 0.5); },
       {other + ".safetensors"},
       "@/other.safetensors: {checkpoint cut at 0.5}; incomplete download?"},
      {"truncated_header",
       [](const Place& p) { p.cut("other.safetensors", sd_file(kSingle), 0.001); },
       {other + ".safetensors"},
       "@/other.safetensors: {checkpoint cut in the header}; not a safetensors file, or an "
       "incomplete download"},
      {"empty_checkpoint",
       [](const Place& p) { p.write("other.safetensors", ""); },
       {other + ".safetensors"},
       "@/other.safetensors: not a safetensors file (found 0 bytes, expected at least 8); "
       "incomplete download?"},
      {"other_sizes",
       nothing,
       {"base_model=%" + kSingle},
       "%tiny-sd15-single/tiny-sd15.safetensors: tensor "
       "'model.diffusion_model.input_blocks.0.0.weight' has shape [{channels}, 4, 3, 3], expected "
       "[320, 4, 3, 3]; not the kind of model that it seems to be"},
      {"no_vae",
       [](const Place& p) {
         TensorMap tensors = read_tensors(sd_file(kSingle));
         std::erase_if(tensors, [](const auto& entry) {
           return entry.first.starts_with("first_stage_model.");
         });
         p.save("other.safetensors", tensors);
       },
       {other + ".safetensors"},
       "@/other.safetensors: the file has no VAE (found no tensors first_stage_model.*, expected "
       "the whole model); give one with its VAE (many files lack it), or a diffusers folder"},
      {"edm_checkpoint",
       [](const Place& p) {
         TensorMap tensors = read_tensors(sd_file(kSingle));
         tensors["edm_mean"] = at::zeros({4});
         p.save("other.safetensors", tensors);
       },
       {other + ".safetensors"},
       "@/other.safetensors: trained with EDM noise (found the key edm_mean, expected noise or v "
       "prediction); it cannot be the base"},
      {"flow_scheduler",
       [](const Place& p) {
         p.write("base/scheduler/scheduler_config.json",
                 "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3.0}");
       },
       {},
       "@/base/scheduler/scheduler_config.json: _class_name: noise of another kind than that of "
       "Stable Diffusion (found FlowMatchEulerDiscreteScheduler, expected a scheduler with betas "
       "such as DDIMScheduler); a model trained with it cannot be the base"},
      {"language_model_folder",
       nothing,
       {"base_model=%../llm/llama/model"},
       "@/c.yaml:1:1: task_type: does not fit base_model (found text-to-image, expected "
       "text-generation: '%../llm/llama/model' is such a model); remove task_type or give another "
       "base_model"},
      {"language_model_file",
       [](const Place& p) { p.save("other.safetensors", read_weights(llm("llama/model"))); },
       {other + ".safetensors"},
       "@/other.safetensors: this is a language model; task_type text-to-image "
       "needs a Stable Diffusion model"},
      {"flux",
       [](const Place& p) {
         p.save("other.safetensors", {{"double_blocks.0.img_mod.lin.weight", at::zeros({1})}});
       },
       {other + ".safetensors"},
       "@/other.safetensors: this is a Flux model; only SD 1.5, SD 2.x and SDXL are supported"},
      {"inpainting_checkpoint",
       [](const Place& p) {
         p.save("other.safetensors",
                {{"model.diffusion_model.input_blocks.0.0.weight", at::zeros({4, 9, 3, 3})}});
       },
       {other + ".safetensors"},
       "@/other.safetensors: a model with 9 input channels (inpainting, depth or edit), expected "
       "4; give a text-to-image model"},
      {"no_vae_folder",
       [](const Place& p) { p.remove("base/vae"); },
       {},
       "@/base: vae/config.json is missing (model_index.json describes a StableDiffusionPipeline); "
       "not Stable Diffusion, or an incomplete download"},
      {"no_scheduler",
       [](const Place& p) { p.remove("base/scheduler"); },
       {},
       "@/base: scheduler/scheduler_config.json is missing (model_index.json describes a "
       "StableDiffusionPipeline); not Stable Diffusion, or an incomplete download"},
      {"no_tokenizer",
       [](const Place& p) { p.remove("base/tokenizer"); },
       {},
       "@/base: no tokenizer in the folder (looked for @/base/tokenizer); put vocab.json and "
       "merges.txt of CLIP there"},
      {"no_weights",
       [](const Place& p) { p.remove("base/unet/diffusion_pytorch_model.safetensors"); },
       {},
       "@/base/unet: no weights (looked for diffusion_pytorch_model.safetensors and "
       "diffusion_pytorch_model.safetensors.index.json); is this the model's folder?"},
      {"only_a_pickle_inside",
       [](const Place& p) {
         p.remove("base/unet/diffusion_pytorch_model.safetensors");
         p.write("base/unet/diffusion_pytorch_model.bin", "PK");
       },
       {},
       "@/base/unet: holds only a pickle (.bin), which can run code when loaded; convert the model "
       "to safetensors"},
      {"missing_shard",
       [](const Place& p) {
         p.remove("base/unet/diffusion_pytorch_model.safetensors");
         p.write(
             "base/unet/diffusion_pytorch_model.safetensors.index.json",
             R"({"weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00002.safetensors"}})");
       },
       {},
       "@/base/unet/diffusion_pytorch_model.safetensors.index.json: shard "
       "diffusion_pytorch_model-00001-of-00002.safetensors is missing; download the whole model"},
      {"config_not_json",
       [](const Place& p) { p.write("base/unet/config.json", "{"); },
       {},
       "@/base/unet/config.json: this is not valid JSON (found an error at byte 2 of 1); damaged "
       "file, or not Stable Diffusion?"},
      {"wrong_shape",
       [](const Place& p) {
         p.set("base/unet/config.json", "cross_attention_dim", golden_width() + 16);
       },
       {},
       "@/base/unet: tensor 'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight' "
       "has shape [{channels}, {width}], expected [{channels}, {width + 16}]; not the kind of "
       "model that it seems to be"},
      {"missing_tensor",
       [](const Place& p) { p.set("base/unet/config.json", "layers_per_block", 3); },
       {},
       "@/base/unet/diffusion_pytorch_model.safetensors: tensor "
       "'down_blocks.0.resnets.2.norm1.weight' is missing; not the model that config.json "
       "describes, or an incomplete file"},
      {"whole_numbers",
       [](const Place& p) {
         TensorMap vae = read_weights(sd_file("tiny-sd15/vae"));
         vae["decoder.conv_in.weight"] = vae["decoder.conv_in.weight"].to(at::kLong);
         p.save("base/vae/diffusion_pytorch_model.safetensors", vae);
       },
       {},
       "@/base/vae: tensor 'decoder.conv_in.weight': dtype I64, expected F32, BF16 or F16; "
       "quantised weights are not supported"},
      {"inpainting_folder",
       [](const Place& p) { p.set("base/unet/config.json", "in_channels", 9); },
       {},
       "@/base/unet/config.json: a UNet with 9 input channels (expected 4); inpainting, depth and "
       "edit models cannot be the base of a text-to-image LoRA"},
      {"unknown_part_of_unet",
       [](const Place& p) { p.set("base/unet/config.json", "class_embed_type", "timestep"); },
       {},
       "@/base/unet/config.json: class_embed_type = \"timestep\" is not supported; only models "
       "built like SD 1.5, SD 2.x or SDXL are"},
      {"endless_schedule",
       [](const Place& p) {
         p.set("base/scheduler/scheduler_config.json", "num_train_timesteps", 1'000'000'000'000);
       },
       {},
       "@/base/scheduler/scheduler_config.json: 'num_train_timesteps': found 1000000000000, "
       "expected at most 2147483647; damaged file, or not Stable Diffusion?"},
      {"channels_below_one",
       [](const Place& p) {
         p.set("base/unet/config.json", "block_out_channels", {32, -32, 64, 64});
       },
       {},
       "@/base/unet/config.json: 'block_out_channels': found [32,-32,64,64], expected numbers from "
       "1 to 1048575; damaged file, or not Stable Diffusion?"},
      {"unknown_prediction",
       [](const Place& p) {
         p.set("base/scheduler/scheduler_config.json", "prediction_type", "sample");
       },
       {},
       "@/base/scheduler/scheduler_config.json: prediction_type 'sample' is not supported (known: "
       "epsilon, v_prediction)"},
      {"nothing_there",
       nothing,
       {"base_model=@/nowhere"},
       "command line: base_model: no such file or folder (found '@/nowhere', expected a model on "
       "this machine); models are not downloaded: give its folder"},
  };
}

std::vector<BadInput> adapters() {
  const std::string init = "init_lora_weights=@/a.safetensors";
  return {
      {"sd2_adapter",
       [](const Place& p) { p.save("a.safetensors", unet_pair(1024)); },
       {init},
       "@/a.safetensors: this adapter is for Stable Diffusion 2 (cross attention 1024 wide), the "
       "base is another Stable Diffusion model ({width}); choose the adapter's own base model"},
      {"sdxl_adapter",
       nothing,
       {"init_lora_weights=%sdxl/lora_kohya_sgm_fp16.safetensors"},
       "%sdxl/lora_kohya_sgm_fp16.safetensors: this adapter is for another Stable Diffusion model "
       "(cross attention {sdxl width} wide), the base is another Stable Diffusion model ({width}); "
       "choose the adapter's own base model"},
      {"sd1_adapter_on_sdxl",
       nothing,
       {"base_model=%sdxl/tiny-sdxl", "init_lora_weights=%lora/c_kohya_attn.safetensors"},
       "%lora/c_kohya_attn.safetensors: this adapter is for another Stable Diffusion model (cross "
       "attention {width} wide), the base is another Stable Diffusion model ({sdxl width}); choose "
       "the adapter's own base model"},
      {"text_adapter",
       [](const Place& p) {
         p.save("a.safetensors", {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                                   at::zeros({4, 8})},
                                  {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
                                   at::zeros({8, 4})}});
         p.write("adapter_config.json", R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8})");
       },
       {init},
       "@/a.safetensors: this adapter is for a language model, the base is Stable Diffusion; "
       "choose the adapter's own base model"},
      {"loha",
       [](const Place& p) {
         p.save("a.safetensors",
                {{"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", at::zeros({4, 4})}});
       },
       {init},
       "@/a.safetensors: tensor 'lora_unet_mid_block_attentions_0_proj_in.hada_w1_a' belongs to "
       "LoHa (expected LoRA); only LoRA and DoRA adapters can be used here"},
      {"unknown_lora_keys",
       [](const Place& p) {
         p.save("a.safetensors",
                {{"lora_unet_double_blocks_0_img_attn_proj.lora_up.weight", at::zeros({4, 4})}});
       },
       {init},
       "@/a.safetensors: tensor 'lora_unet_double_blocks_0_img_attn_proj.lora_up.weight': a LoRA "
       "tensor of a dialect or model that is not known (known dialects: peft, diffusers-peft, "
       "diffusers, diffusers-linear-layer, diffusers-old, kohya, comfyui, cloneofsimo; known "
       "models: language models, Stable Diffusion 1.x, 2.x, XL); convert the file first"},
      {"no_lora_at_all",
       nothing,
       {"init_lora_weights=@/base/unet/diffusion_pytorch_model.safetensors"},
       "@/base/unet/diffusion_pytorch_model.safetensors: not a LoRA adapter (this is the "
       "weights of a UNet or VAE, expected LoRA tensors); give the adapter's file"},
      {"not_a_number",
       [](const Place& p) {
         TensorMap t = unet_pair(golden_width());
         t[kUnet + ".lora_B.weight"].fill_(NAN);
         p.save("a.safetensors", t);
       },
       {init},
       "@/a.safetensors: module 'unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k' "
       "holds NaN or infinity; the training that wrote the file had failed, use an earlier "
       "version"},
      {"ranks_differ",
       [](const Place& p) { p.save("a.safetensors", unet_pair(golden_width(), 6)); },
       {init},
       "@/a.safetensors: module 'unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k': the "
       "two ranks differ (found down [4, {width}], up [64, 6], expected [rank, in] and [out, "
       "rank]); damaged file?"},
      {"half_a_pair",
       [](const Place& p) {
         TensorMap t = unet_pair(golden_width());
         t.erase(kUnet + ".lora_B.weight");
         p.save("a.safetensors", t);
       },
       {init},
       "@/a.safetensors: module 'unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k': its "
       "lora_B (up) tensor is missing (found only "
       "'unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight'); the file is "
       "incomplete, get it again"},
      {"truncated_adapter",
       [](const Place& p) {
         p.cut("a.safetensors", sd_file("lora/c_kohya_attn.safetensors"), 0.7);
       },
       {init},
       "@/a.safetensors: {adapter cut at 0.7}; incomplete download?"},
      {"adapter_lfs_pointer",
       [](const Place& p) {
         p.write("a.safetensors",
                 "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n");
       },
       {init},
       "@/a.safetensors: this is a Git LFS pointer, not weights (3 bytes are missing); run `git "
       "lfs pull` in its repository"},
      {"adapter_pickle",
       [](const Place& p) { p.write("a.pt", "PK\x03\x04zip"); },
       {"init_lora_weights=@/a.pt"},
       "command line: init_lora_weights: a pickle is not read (found '@/a.pt'): loading one can "
       "run code; convert it to .safetensors"},
      {"adapter_not_there",
       nothing,
       {"init_lora_weights=@/nowhere.safetensors"},
       "command line: init_lora_weights: no such file or folder (found '@/nowhere.safetensors', "
       "expected the adapter to continue from); relative paths start at the working directory"},
      {"fewer_targets",
       nothing,
       {"init_lora_weights=%lora/c_kohya_attn.safetensors", "target_modules=all-linear"},
       "preflight W06: target_modules: {linear layers without adapter} modules that the parent "
       "does not adapt (first: unet.time_embedding.linear_1); remove target_modules to take the "
       "parent's"},
      {"other_rank",
       nothing,
       {"init_lora_weights=%lora/c_kohya_attn.safetensors", "lora_rank={rank x 4}"},
       "preflight W04: lora_rank: differs from the parent's (found {rank x 4}, expected {rank}); "
       "set lora_rank: {rank}, or remove it, or add rank_policy: grow\npreflight W05: lora_alpha: "
       "the effective scale would change every learned change by 0.25 (found 0.25, expected 1); "
       "set lora_alpha: {rank}, or remove it"},
      {"adapter_without_alpha",
       nothing,
       {"init_lora_weights=%lora/b_peft_lora_A_B.safetensors", "lora_rank={rank}"},
       "no error",
       0},
  };
}

class GoldenBadImageModels : public testing::TestWithParam<BadInput> {};

TEST_P(GoldenBadImageModels, HasItsMessage) { expect_row(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Base, GoldenBadImageModels, testing::ValuesIn(checkpoints()),
                         [](const auto& info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(Adapter, GoldenBadImageModels, testing::ValuesIn(adapters()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lora::test
