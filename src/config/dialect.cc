// SPDX-License-Identifier: Apache-2.0
#include "config/dialect.h"

#include <algorithm>

#include "base/text.h"

namespace lora {
namespace {

struct Advice {
  std::string_view key;
  std::string_view advice;
};

constexpr Advice kAdvice[] = {
    {"bf16", "write 'mixed_precision: bf16'"},
    {"fp16", "write 'mixed_precision: fp16'"},
    {"pure_bf16", "write 'mixed_precision: bf16'"},
    {"v_parameterization", "write 'prediction_type: v_prediction'"},
    {"network_train_unet_only", "leave it out, or write 'train_text_encoder: true'"},
    {"network_dropout", "write 'lora_dropout' (it acts on the adapter's input here)"},
    {"network_module", "leave it out: the adapter is always a LoRA"},
    {"network_args", "write the settings as keys of their own (target_modules, rank_pattern)"},
    {"finetuning_type", "leave it out: the adapter is always a LoRA"},
    {"stage", "leave it out: training is always supervised"},
    {"do_train", "leave it out"},
    {"do_eval", "give validation_data or validation_split instead"},
    {"eval_strategy", "give eval_steps instead (0 = after each epoch)"},
    {"evaluation_strategy", "give eval_steps instead (0 = after each epoch)"},
    {"per_device_eval_batch_size", "leave it out: validation uses batch_size"},
    {"dataset", "name the file or folder itself in train_data_dir"},
    {"dataset_dir", "name the file or folder itself in train_data_dir"},
    {"dataset_config", "name the folder in train_data_dir; its N_name folders are read"},
    {"resume_from_checkpoint", "run `lora train --config FILE --resume`"},
    {"resume", "run `lora train --config FILE --resume`"},
    {"overwrite_output_dir", "leave it out: a version is never overwritten; choose a new name"},
    {"output_name", "leave it out: the last part of output_dir is the name"},
    {"save_model_as", "leave it out: adapters are always safetensors"},
    {"save_precision", "leave it out: adapters are saved in float32"},
    {"logging_dir", "leave it out: logs are in output_dir/logs"},
    {"report_to", "leave it out: TensorBoard files are always written"},
    {"plot_loss", "leave it out: the curves are in TensorBoard"},
    {"preprocessing_num_workers", "write 'threads'"},
    {"dataloader_num_workers", "write 'threads'"},
    {"max_data_loader_n_workers", "write 'threads'"},
    {"xformers", "leave it out: attention is memory-efficient always"},
    {"sdpa", "leave it out: attention is memory-efficient always"},
    {"flash_attn", "leave it out: attention is memory-efficient always"},
    {"load_in_4bit", "leave it out: quantised base models are not available yet"},
    {"load_in_8bit", "leave it out: quantised base models are not available yet"},
    {"quantization_bit", "leave it out: quantised base models are not available yet"},
    {"optimizer_args", "write adam_beta1, adam_beta2, adam_epsilon, weight_decay or momentum"},
    {"caption_extension", "leave it out: .txt, .caption and .json are all read"},
    {"v2", "leave it out: the kind of the model is read from its files"},
    {"is_v2_model", "leave it out: the kind of the model is read from its files"},
    {"model_train_type", "leave it out: the kind of the model is read from its files"},
    {"vae", "leave it out: the VAE of the base model is used; put another one into its folder"},
    {"save_every_n_epochs",
     "leave it out: the version is saved at the end; save_steps writes a state to resume from"},
    {"save_state", "leave it out: save_steps writes a state to resume from"},
    {"sample_every_n_epochs", "write 'sample_every', in steps"},
    {"log_with", "leave it out: TensorBoard files are always written"},
    {"log_prefix", "leave it out: logs are in output_dir/logs"},
    {"lowram", "leave it out: base weights are read from a memory map, each once"},
    {"cache_latents_to_disk", "leave it out: cache_latents keeps them on disk"},
    {"vae_batch_size", "leave it out: pictures are encoded one by one, once"},
    {"persistent_data_loader_workers", "leave it out: there are no worker processes"},
    {"weighted_captions", "leave it out: `lora prepare images` takes weights out of captions"},
    {"network_train_text_encoder_only", "leave it out: the UNet is always trained"},
    {"cache_text_encoder_outputs", "leave it out: they are cached unless they are trained"},
    {"bucket_no_upscale", "leave it out: pictures are only ever shrunk"},
    {"random_crop", "leave it out: crops are taken from the centre"},
    {"color_aug", "leave it out: colours are learned as they are"},
    {"masked_loss", "leave it out: every part of a picture is trained"},
    {"alpha_mask", "leave it out: every part of a picture is trained"},
    {"conv_dim", "leave it out: rank_pattern gives convolutions a rank of their own"},
    {"conv_alpha", "leave it out: alpha_pattern gives convolutions an alpha of their own"},
    {"full_fp16", "write 'mixed_precision: fp16'"},
    {"full_bf16", "write 'mixed_precision: bf16'"},
    {"mem_eff_attn", "leave it out: attention is memory-efficient always"},
    {"train_batch_size_per_gpu", "write 'batch_size'"},
    {"no_half_vae", "leave it out: the VAE computes in float32"},
    {"roles_to_train", "leave it out: answers are learned; or write 'train_on_prompt'"},
    {"train_on_eos", "leave it out: the token that ends an answer is learned"},
    {"train_on_eot", "leave it out: the token that ends an answer is learned"},
    {"assistant_only_loss", "leave it out: answers are learned; or write 'train_on_prompt'"},
    {"completion_only_loss", "leave it out: answers are learned; or write 'train_on_prompt'"},
    {"trust_remote_code", "leave it out: no code of a model is ever run"},
};

struct ChoiceAdvice {
  std::string_view key;
  std::string_view written;  // in lower case
  std::string_view advice;
};

constexpr ChoiceAdvice kChoiceAdvice[] = {
    {"optimizer", "adamw8bit", "write adamw: its state is float32 here"},
    {"optimizer", "pagedadamw8bit", "write adamw: its state is float32 here"},
    {"optimizer", "adamw_8bit", "write adamw: its state is float32 here"},
    {"optimizer", "adamw_bnb_8bit", "write adamw: its state is float32 here"},
    {"optimizer", "paged_adamw_8bit", "write adamw: its state is float32 here"},
    {"optimizer", "lion8bit", "write lion: its state is float32 here"},
    {"optimizer", "pagedlion8bit", "write lion: its state is float32 here"},
    {"optimizer", "sgdnesterov", "write sgd and momentum: 0.9"},
    {"optimizer", "prodigy", "write adamw and a learning_rate: none is chosen by itself"},
    {"optimizer", "dadaptation", "write adamw and a learning_rate: none is chosen by itself"},
    {"optimizer", "dadaptadam", "write adamw and a learning_rate: none is chosen by itself"},
    {"optimizer", "dadaptlion", "write lion and a learning_rate: none is chosen by itself"},
};

struct Synonym {
  std::string_view key;
  std::string_view written;  // in lower case
  std::string_view meaning;
};

constexpr Synonym kSynonyms[] = {
    {"task_type", "text_generation", "text-generation"},
    {"task_type", "causal_lm", "text-generation"},
    {"task_type", "llm", "text-generation"},
    {"task_type", "text_to_image", "text-to-image"},
    {"task_type", "stable-diffusion", "text-to-image"},
    {"optimizer", "adamw_torch", "adamw"},
    {"optimizer", "adamw_torch_fused", "adamw"},
    {"lr_scheduler", "constant_with_warmup", "constant"},
    {"mixed_precision", "false", "no"},
    {"mixed_precision", "fp32", "no"},
    {"mixed_precision", "float32", "no"},
    {"mixed_precision", "bfloat16", "bf16"},
    {"mixed_precision", "float16", "fp16"},
    {"device", "gpu", "cuda"},
    {"target_modules", "all", "all-linear"},
    {"prompt_template", "qwen", "chatml"},
    {"prompt_template", "yi", "chatml"},
    {"prediction_type", "v", "v_prediction"},
    {"prediction_type", "eps", "epsilon"},
    {"sample_sampler", "dpm++_2m", "dpmpp_2m"},
    {"sample_sampler", "dpm++_2m_karras", "dpmpp_2m_karras"},
    {"guard", "false", "off"},
    {"retain", "false", "none"},
};

// What other programs write for a key that is not set.
struct Absent {
  std::string_view key, written;
};
constexpr Absent kAbsent[] = {{"max_steps", "-1"}};

// Declared, but implemented in a later version: refused, never ignored. Delete a row when the
// feature works.
struct Later {
  std::string_view key;
  std::string_view value;
  std::string_view otherwise;  // what to do until then
};

constexpr Later kLater[] = {
    {"rank_policy", "shrink", "keep the parent's rank: remove lora_rank"},
    {"targets_policy", "add", "keep the parent's targets: remove target_modules"},
    {"targets_policy", "freeze", "keep the parent's targets: remove target_modules"},
    {"targets_policy", "drop", "keep the parent's targets: remove target_modules"},
    {"alpha_policy", "rescale", "keep the parent's scale: remove lora_alpha"},
    {"retain", "patch", "protect the parent with replay: 0.5"},
    {"retain", "anchor", "protect the parent with replay: 0.5"},
    {"retain", "distill", "protect the parent with replay: 0.5"},
    {"guard", "keep-best", "watch the parent's data by naming it in validation_data"},
    {"guard", "stop", "watch the parent's data by naming it in validation_data"},
};

constexpr std::string_view kForeignInitialisations[] = {"pissa", "olora",      "loftq",   "eva",
                                                        "corda", "orthogonal", "lora_ga", "mica"};

}  // namespace

std::string_view advice_for(std::string_view foreign_key) {
  for (const Advice& row : kAdvice) {
    if (row.key == foreign_key) return row.advice;
  }
  return "";
}

std::string canonical_choice(const Field& field, const std::string& written) {
  const std::string word = lower_ascii(written);
  for (const Synonym& row : kSynonyms) {
    if (row.key == field.name && row.written == word) return std::string(row.meaning);
  }
  for (const std::string& choice : split(field.choices, ' ')) {
    if (lower_ascii(choice) == word) return choice;
  }
  return written;
}

bool means_absent(std::string_view key, std::string_view written) {
  return std::ranges::any_of(
      kAbsent, [&](const Absent& row) { return row.key == key && row.written == written; });
}

std::string not_available(std::string_view key, std::string_view value) {
  for (const Later& row : kLater) {
    if (row.key == key && row.value == value) {
      return "'" + std::string(value) + "' is not available yet in this version; " +
             std::string(row.otherwise);
    }
  }
  return "";
}

std::string_view advice_for_choice(std::string_view key, std::string_view written) {
  for (const ChoiceAdvice& row : kChoiceAdvice) {
    if (row.key == key && row.written == written) return row.advice;
  }
  return "";
}

bool is_foreign_initialisation(std::string_view value) {
  return value.starts_with("pissa_niter_") ||
         std::ranges::find(kForeignInitialisations, value) != std::end(kForeignInitialisations);
}

}  // namespace lora
