// SPDX-License-Identifier: Apache-2.0
// Keys of the task, the data, the adapter and the parent version.
#include "config/fields.h"

namespace lora {
namespace {

constexpr Field kTask[] = {
    {.name = "task_type",
     .member = in_run<&Config::task_type>,
     .help = "What is trained. Guessed from base_model when absent, and checked against it.",
     .choices = "text-generation text-to-image",
     .absent = "guessed from base_model"},
    {.name = "base_model",
     .member = in_run<&Config::base_model>,
     .help = "The frozen model: a Hugging Face folder (text), or a diffusers folder or one "
             ".safetensors checkpoint (images). Required.",
     .aliases = "model_name_or_path pretrained_model_name_or_path base_model_name_or_path"},
    {.name = "output_dir",
     .member = in_run<&Config::output_dir>,
     .help = "The folder of the new version, e.g. ./output/starli_v1; its last part is the "
             "version's name. A folder that exists is refused: versions are never overwritten. "
             "Required."},
};

constexpr Field kData[] = {
    {.name = "train_data_dir",
     .member = in_data<&DataConfig::train_data_dir>,
     .help = "Training data: a file or folder of texts (JSON, JSONL, CSV, TXT), or a folder of "
             "images with captions. Required, unless metadata_path names a file of texts.",
     .aliases = "train_data train_file instance_data_dir"},
    {.name = "metadata_path",
     .member = in_data<&DataConfig::metadata_path>,
     .help = "Images: a metadata.csv or metadata.jsonl elsewhere. Texts: the file that is read, "
             "instead of train_data_dir.",
     .aliases = "metadata_file",
     .absent = "looked for in train_data_dir"},
    {.name = "validation_data",
     .member = in_data<&DataConfig::validation_data>,
     .help = "Data on which the validation loss is measured; never trained on.",
     .aliases = "validation_file val_data",
     .absent = "validation_split"},
    {.name = "validation_split",
     .member = in_data<&DataConfig::validation_split>,
     .help = "Share of the training samples that is kept for validation. With fewer than 100 "
             "samples prefer a file of your own in validation_data.",
     .aliases = "val_size val_set_size",
     .range = between(0, 0.9)},
    {.name = "dataset_format",
     .member = in_data<&DataConfig::dataset_format>,
     .help = "How records are read; auto looks at the names in the first record. `tokens` is "
             "JSONL with input_ids and labels.",
     .choices = "auto alpaca sharegpt messages prompt_completion text tokens",
     .task = Task::text},
    {.name = "columns",
     .member = in_data<&DataConfig::columns>,
     .help = "Names of the columns where they are not the usual ones, role to name: "
             "{instruction: question, output: answer}. Roles: instruction, input, output, system, "
             "history, prompt, completion, text, messages, image, caption."},
    {.name = "bad_records",
     .member = in_data<&DataConfig::bad_records>,
     .help = "Share of the records that may be unusable (no answer, an unknown role, broken JSON, "
             "a template that refuses). They are left out, named and counted; more of them stop "
             "the run. 0: each stops it.",
     .range = between(0, 1),
     .task = Task::text},
    {.name = "shuffle",
     .member = in_data<&DataConfig::shuffle>,
     .help = "Another order in every epoch, fixed by the seed. Switch off to repeat a run "
             "elsewhere sample for sample."},
    {.name = "repeats",
     .member = in_data<&DataConfig::repeats>,
     .help = "Each sample is used this often in an epoch. Folders named N_name have their own.",
     .aliases = "num_repeats dataset_repeats",
     .range = between(1, 10000)},
};

constexpr Field kAdapter[] = {
    {.name = "init_lora_weights",
     .member = in_adapter<&AdapterConfig::init_lora_weights>,
     .help = "A path (adapter file or version folder) or a version's name: continue from it. "
             "true: A random, B zero. gaussian: A normal with deviation 1/rank, B zero. false: "
             "both random, for tests.",
     .aliases = "network_weights adapter_name_or_path"},
    {.name = "lora_rank",
     .member = in_adapter<&AdapterConfig::lora_rank>,
     .help = "Width of the adapter. 4 to 16 learns a character or a style of answer; more for "
             "large data sets; more forgets more.",
     .aliases = "r rank lora_r network_dim",
     .range = between(1, 4096),
     .absent = "the parent's, else 8"},
    {.name = "lora_alpha",
     .member = in_adapter<&AdapterConfig::lora_alpha>,
     .help = "Strength: what is learned is multiplied by alpha / rank (alpha / sqrt(rank) with "
             "use_rslora).",
     .aliases = "network_alpha",
     .range = above(0),
     .absent = "the parent's, else 2 x lora_rank for text, lora_rank for images"},
    {.name = "lora_dropout",
     .member = in_adapter<&AdapterConfig::lora_dropout>,
     .help = "Dropout on the adapter's input. 0.05 to 0.1 helps small data sets.",
     .range = between(0, 0.95),
     .absent = "the parent's, else 0"},
    {.name = "target_modules",
     .member = in_adapter<&AdapterConfig::target_modules>,
     .help = "Which layers get an adapter: names (q_proj, v_proj), a preset (attention, mlp, "
             "all-linear) or a regular expression on the whole path. all-linear learns most.",
     .aliases = "lora_target lora_target_modules",
     .absent =
         "the parent's, else q_proj, v_proj for text (GPT-2: c_attn) and attention for images"},
    {.name = "use_rslora",
     .member = in_adapter<&AdapterConfig::use_rslora>,
     .help = "Scale alpha / sqrt(rank): keeps large ranks effective (arXiv 2312.03732).",
     .absent = "the parent's, else false"},
    {.name = "use_dora",
     .member = in_adapter<&AdapterConfig::use_dora>,
     .help = "DoRA: trains a magnitude per output too (arXiv 2402.09353). Often a little better, "
             "about a third slower.",
     .absent = "the parent's, else false"},
    {.name = "rank_pattern",
     .member = in_adapter<&AdapterConfig::rank_pattern>,
     .help = "Another rank for some modules, name or regular expression to rank: {down_proj: 16}.",
     .range = between(1, 4096),
     .absent = "the parent's, else none"},
    {.name = "alpha_pattern",
     .member = in_adapter<&AdapterConfig::alpha_pattern>,
     .help = "Another alpha for some modules, name or regular expression to alpha.",
     .range = above(0),
     .absent = "the parent's, else none"},
};

constexpr Field kContinue[] = {
    {.name = "rank_policy",
     .member = in_increment<&IncrementConfig::rank_policy>,
     .help = "What happens where lora_rank differs from the parent's: keep refuses, grow widens a "
             "smaller parent, which then computes the same.",
     .choices = "keep grow shrink"},
    {.name = "targets_policy",
     .member = in_increment<&IncrementConfig::targets_policy>,
     .help = "What happens where target_modules differ from the parent's: keep refuses.",
     .choices = "keep add freeze drop"},
    {.name = "alpha_policy",
     .member = in_increment<&IncrementConfig::alpha_policy>,
     .help = "What happens where the scale differs from the parent's: keep refuses.",
     .choices = "keep rescale"},
    {.name = "replay",
     .member = in_increment<&IncrementConfig::replay>,
     .help = "Share of the parent's training samples among those seen, drawn anew in every epoch "
             "from the data that its manifest names. The surest protection of what v1 learned: "
             "0.5 for small sets, 0.05 to 0.1 for large ones.",
     .range = between(0, 0.95)},
    {.name = "retain",
     .member = in_increment<&IncrementConfig::retain>,
     .help = "How the parent's knowledge is protected. `retain: replay` alone means replay: 0.5.",
     .choices = "none replay patch anchor distill",
     .absent = "replay where replay is greater than 0, else none"},
    {.name = "guard",
     .member = in_increment<&IncrementConfig::guard>,
     .help = "Watches the loss on the parent's data during the run.",
     .choices = "off keep-best stop"},
    {.name = "allow",
     .member = in_increment<&IncrementConfig::allow>,
     .help = "Preflight errors that may pass, by name; recorded in version.json. The error names "
             "the word to write here.",
     .choices = "parent-changed learning-rate epochs base-mismatch template-change eval-overlap "
                "markers answer-end truncation trigger",
     .absent = "none"},
    {.name = "expect_shift",
     .member = in_increment<&IncrementConfig::expect_shift>,
     .help = "What is meant to be new in this data, so that preflight does not warn of it: words "
             "of its captions or texts ([side view]), or brightness, contrast, saturation, "
             "colourfulness, sharpness, aspect.",
     .absent = "none"},
};

}  // namespace

std::span<const Field> task_fields() { return kTask; }
std::span<const Field> data_fields() { return kData; }
std::span<const Field> adapter_fields() { return kAdapter; }
std::span<const Field> continue_fields() { return kContinue; }

}  // namespace lora
