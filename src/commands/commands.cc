// SPDX-License-Identifier: Apache-2.0
#include "commands/commands.h"

#include "base/table.h"

namespace lora {
namespace {

constexpr CommandRow kCommands[] = {
    {"train", "lora train --config FILE [key=value ...] [--check] [--resume] [--json]",
     "preflight, train, publish a version"},
    {"prepare",
     "lora prepare images --input DIR --output DIR [--resolution N] [--buckets] [--upscale]\n"
     "    [--caption auto|DIR] [--trigger WORD] [--prefix TEXT] [--suffix TEXT] [--no-clean]\n"
     "    [--metadata FILE] [--background white|black|grey|#rrggbb] [--smart-crop]\n"
     "    [--keep-duplicates] [--min-sharpness X] [--bucket-min N] [--bucket-max N]\n"
     "    [--bucket-step N] [--json]\n"
     "lora prepare text --input FILE|DIR --output DIR [--format NAME] [--column ROLE=NAME ...]\n"
     "    [--similarity 0.8] [--keep-duplicates] [--validation-split X] [--seed N]\n"
     "    [--base DIR] [--template NAME] [--max-seq-length N] [--json]\n"
     "lora prepare --config FILE [--output DIR] [options as above]",
     "make a folder of pictures or texts ready: sizes, captions, one JSONL, no duplicates"},
    {"label",
     "lora label --input DIR --output metadata.csv [--model DIR] [--metadata FILE]\n"
     "    [--trigger WORD] [--prefix TEXT] [--suffix TEXT] [--no-clean] [--json]",
     "captions only: metadata.csv for a folder of pictures"},
    {"generate",
     "lora generate --base DIR|FILE [--version V[:WEIGHT] ...] --prompt TEXT [--json]\n"
     "  text:   [--system TEXT] [--template NAME] [--raw] [--max-tokens N] [--temperature T]\n"
     "          [--top-k N] [--top-p P] [--repetition-penalty R] [--seed N] [--dtype f32|bf16]\n"
     "  images: --output FILE.png|FOLDER [--negative TEXT] [--steps N] [--guidance G]\n"
     "          [--sampler NAME] [--seed N] [--size WxH] [--count N]\n"
     "  both:   [--root DIR]",
     "text or pictures from a prompt; several versions side by side ('base' = no adapter)"},
    {"eval",
     "lora eval --base DIR [--version V ...] --data FILE [--data FILE ...] [--template NAME]\n"
     "    [--exact-match] [--max-seq-length N] [--dtype f32|bf16] [--root DIR] [--json]",
     "loss, perplexity and exact match of versions on data files"},
    {"export",
     "lora export --version V --format peft|gguf|diffusers|kohya --output PATH [--base DIR]\n"
     "    [--root DIR]",
     "write a version in another program's format"},
    {"import", "lora import FILE_OR_DIR --output DIR [--base DIR] [--alpha N] [--ignore-others]",
     "make a version from another program's adapter"},
    {"inspect", "lora inspect FILE_OR_DIR [--root DIR] [--json]",
     "what an adapter, a version, a base model or a GGUF file is"},
    {"log", "lora log [--root DIR] [--json]",
     "the versions below the output folder (./output), oldest first"},
    {"show", "lora show V [--root DIR] [--json]",
     "one version: where it comes from, adapter, recipe, figures, preflight findings"},
    {"verify", "lora verify [V ...] [--root DIR] [--json]",
     "hashes versions again and compares with what was recorded; exit code 3 on a mismatch"},
    {"bench",
     "lora bench text [--preset llama-15m|llama-110m|llama-1b|llama-7b] [--batch B] [--length T]\n"
     "    [--labelled F] [--targets q_proj,v_proj|all-linear] [--dtype bf16|f32] [--steps N]\n"
     "    [--threads N] [--checkpointing] [--plain] [--json]\n"
     "lora bench image [--preset sd15|sd21|sdxl] [--resolution N] [--batch B]\n"
     "    [--targets to_q,to_k,to_v,to_out.0|all-linear] [--dtype bf16|f32] [--steps N]\n"
     "    [--threads N] [--checkpointing] [--plain] [--json]",
     "real training steps of a random model of a known size: how fast is this machine?"},
    {"help", "lora help [VERB | config [KEY | --markdown]]",
     "this list, one command, or every configuration key"},
};

}  // namespace

std::span<const CommandRow> command_rows() { return kCommands; }

std::string help_text() {
  std::string text =
      "lora: trains LoRA adapters for language models and Stable Diffusion from one YAML file,\n"
      "and continues from the last adapter.\n\ncommands:\n";
  for (const CommandRow& row : kCommands) {
    text += join("  ", row.name, std::string(12 - row.name.size(), ' '), row.help, "\n");
  }
  return text + "\n`lora help VERB` shows one command, `lora help config` every key.\n";
}

std::string help_text(std::string_view verb) {
  const CommandRow& row = row_of(command_rows(), "command", verb);
  return join(row.help, "\n\n", row.usage, "\n");
}

}  // namespace lora
