// SPDX-License-Identifier: Apache-2.0
// Settings, data and command lines for images, each with one thing wrong: the exact message and
// exit code.
#include "tests/cli/bad_input.h"

namespace lora::test {
namespace {

std::vector<BadInput> settings() {
  return {
      {"resolution_too_small",
       nothing,
       {"resolution=4"},
       "command line: resolution: out of range (found '4', expected 8 to 8192); see `lora help "
       "config resolution`"},
      {"resolution_no_multiple",
       nothing,
       {"resolution=65"},
       "command line: resolution: not a multiple of 8 (found 65, expected 64 or 72); the VAE works "
       "on blocks of 8 pixels"},
      {"bucket_step",
       nothing,
       {"buckets=true", "bucket_step=0"},
       "command line: bucket_step: out of range (found '0', expected 8 to 1024); see `lora help "
       "config bucket_step`\ncommand line: buckets: the edges do not enclose the resolution (found "
       "bucket_min: 256, resolution: 64, bucket_max: 1024); change one of them"},
      {"clip_skip",
       nothing,
       {"clip_skip=0"},
       "command line: clip_skip: out of range (found '0', expected 1 to 12); see `lora help config "
       "clip_skip`"},
      {"clip_skip_too_deep",
       nothing,
       {"clip_skip=12"},
       "clip_skip: deeper than the text encoder (found 12, expected at most {layers}, its layers); "
       "use 1 or 2"},
      {"caption_dropout",
       nothing,
       {"caption_dropout=2"},
       "command line: caption_dropout: out of range (found '2', expected 0 to 1); see `lora help "
       "config caption_dropout`"},
      {"noise_offset",
       nothing,
       {"noise_offset=-1"},
       "command line: noise_offset: out of range (found '-1', expected 0 to 1); see `lora help "
       "config noise_offset`"},
      {"snr_gamma",
       nothing,
       {"snr_gamma=0"},
       "command line: snr_gamma: out of range (found '0', expected greater than 0); see `lora help "
       "config snr_gamma`"},
      {"sampler",
       nothing,
       {"sample_sampler=dpm++"},
       "command line: sample_sampler: unknown choice (found 'dpm++', expected one of ddim, euler, "
       "euler_a, dpmpp_2m, dpmpp_2m_karras, pndm); choose one of them"},
      {"prior_without_prompt",
       nothing,
       {"prior_preservation=true"},
       "command line: prior_preservation: class_prompt is missing (expected what the class "
       "pictures show); add e.g. `class_prompt: a girl`"},
      {"text_encoder_rate_alone",
       nothing,
       {"text_encoder_lr=1e-4"},
       "command line: text_encoder_lr: has no effect without train_text_encoder: true; set "
       "train_text_encoder: true, or remove text_encoder_lr"},
      {"no_pictures",
       [](const Place& p) { p.remove("data/a.png"); },
       {},
       "@/data: no pictures (looked for .png .jpg .jpeg .jfif .jpe .webp .tif .tiff .avif .heic .heif "
       ".jxl .gif .bmp in it and below; found 1 .txt); check the path"},
      {"no_data",
       nothing,
       {"train_data_dir=@/none"},
       "command line: train_data_dir: no such file or folder (found '@/none', expected training "
       "data); relative paths start at the working directory"},
      {"all_pictures_too_small",
       nothing,
       {"resolution=128"},
       "@/data: none of 1 pictures can be used:\n  a.png: 64x64 is smaller than 128; lower the "
       "resolution, or enlarge it (`lora prepare images --upscale`)"},
      {"all_pictures_broken",
       [](const Place& p) { p.write("data/a.png", "x"); },
       {},
       "@/data: none of 1 pictures can be used:\n  a.png: not a picture that can be read (found a "
       "text file, expected PNG, JPEG, WebP, TIFF, AVIF, GIF or BMP); replace or remove it"},
      {"broken_table",
       [](const Place& p) { p.write("data/metadata.csv", "file_name,text\n\"a.png,x\n"); },
       {},
       "@/data/metadata.csv:2: a quote is not closed or stands inside a cell; write \"...\" around "
       "the whole cell and \"\" for a quote in it"},
      {"unknown_target",
       nothing,
       {"target_modules=to_w"},
       "target_modules: 'to_w' names no module of this model (it has conv, conv1, conv2, conv_in, "
       "conv_out, conv_shortcut, linear_1, linear_2, net.2, proj, proj_in, proj_out, "
       "time_emb_proj, to_k, to_out.0, to_q, to_v); use these names, or attention, mlp, "
       "all-linear"},
      {"export_as_peft",
       nothing,
       {"lora", "export", "--version", "%lora/c_kohya_attn.safetensors", "--format", "peft",
        "--output", "@/out"},
       "%lora/c_kohya_attn.safetensors: an adapter for Stable Diffusion 1.5 cannot be written as a "
       "PEFT folder; use the format diffusers or kohya"},
      {"export_as_gguf",
       nothing,
       {"lora", "export", "--version", "%lora/c_kohya_attn.safetensors", "--format", "gguf",
        "--output", "@/out.gguf", "--base", "@/base"},
       "%lora/c_kohya_attn.safetensors: an adapter for Stable Diffusion 1.5 cannot be written as "
       "GGUF; use the format diffusers or kohya"},
      {"generate_with_text_words",
       nothing,
       {"lora", "generate", "--base", "@/base", "--prompt", "a", "--output", "@/o.png", "--size",
        "100"},
       "--size: '100' is no size (expected WIDTHxHEIGHT, such as 512x768)"},
      {"generate_odd_size",
       nothing,
       {"lora", "generate", "--base", "@/base", "--prompt", "a", "--output", "@/o.png", "--size",
        "100x100"},
       "size 100x100: not multiples of 8 (expected such as 512x768); change the size"},
      {"generate_with_other_adapter",
       [](const Place& p) { p.save("a.safetensors", unet_pair(1024)); },
       {"lora", "generate", "--base", "@/base", "--version", "@/a.safetensors", "--prompt", "a",
        "--output", "@/o.png", "--size", "64x64", "--steps", "1"},
       "@/a.safetensors: this adapter is for Stable Diffusion 2 (cross attention 1024 wide), the "
       "base is another Stable Diffusion model ({width}); choose the adapter's own base model"},
      {"generate_from_broken_base",
       [](const Place& p) { p.remove("base/vae"); },
       {"lora", "generate", "--base", "@/base", "--prompt", "a", "--output", "@/o.png"},
       "@/base: vae/config.json is missing (model_index.json describes a StableDiffusionPipeline); "
       "not Stable Diffusion, or an incomplete download"},
      {"label_without_model",
       nothing,
       {"lora", "label", "--input", "@/data", "--output", "@/m.csv", "--model", "@/base"},
       "@/base: no config.json; a captioning model is a BLIP folder in the Hugging Face layout"},
      {"label_no_table",
       nothing,
       {"lora", "label", "--input", "@/data", "--output", "@/m.txt"},
       "@/m.txt: not the name of a table (found '.txt', expected .csv); write metadata.csv"},
      {"prepare_into_input",
       nothing,
       {"lora", "prepare", "images", "--input", "@/data", "--output", "@/data/out"},
       "@/data/out: the output lies in the input (@/data) or around it; choose a folder of its "
       "own, originals stay untouched"},
      {"inspect_broken",
       [](const Place& p) {
         p.cut("a.safetensors", sd_file("lora/c_kohya_attn.safetensors"), 0.7);
       },
       {"lora", "inspect", "@/a.safetensors"},
       "@/a.safetensors: {adapter cut at 0.7}; incomplete download?"},
  };
}

class GoldenBadImageSettings : public testing::TestWithParam<BadInput> {};

TEST_P(GoldenBadImageSettings, HasItsMessage) { expect_row(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Row, GoldenBadImageSettings, testing::ValuesIn(settings()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lora::test
