// SPDX-License-Identifier: Apache-2.0
#include "models/sd_prompts.h"

#include "base/error.h"
#include "base/utf8.h"
#include "io/aten.h"
#include "models/sd_kinds.h"

namespace lora {

SdPrompts SdPrompts::load(const Path& base, SdKind kind) {
  const bool folder = std::filesystem::is_directory(base);
  const Path place = folder ? base : base.parent_path();
  if (!std::filesystem::exists(place / "tokenizer")) {
    fail(base.string(), ": ",
         folder ? "no tokenizer in the folder" : "a single checkpoint file holds no tokenizer",
         " (looked for ", (place / "tokenizer").string(),
         "); put vocab.json and merges.txt of CLIP there");
  }
  SdPrompts prompts;
  prompts.first_ = ClipTokenizer::load(place / "tokenizer");
  if (sd_kind(kind).second_encoder) {
    const bool own = std::filesystem::exists(place / "tokenizer_2");
    prompts.second_ = own ? ClipTokenizer::load(place / "tokenizer_2") : prompts.first_;
  }
  return prompts;
}

std::int64_t SdPrompts::length(const std::string& prompt) const {
  return static_cast<std::int64_t>(first_->encode_plain(prompt).size());
}

std::string cut_prompt_note(const SdPrompts& prompts, const std::string& prompt,
                            std::int64_t positions) {
  const std::int64_t length = prompts.length(prompt);
  if (length <= positions) return "";
  constexpr std::size_t kShown = 40;
  std::string shown = prompt.substr(0, kShown);
  while (!shown.empty() && first_invalid_utf8(shown)) shown.pop_back();
  return join("prompt '", shown, prompt.size() > kShown ? "..." : "", "': longer than the text ",
              "encoder reads (found ", length, " tokens, expected at most ", positions,
              "); the rest is left out: shorten it");
}

at::Tensor SdPrompts::ids(const std::vector<std::string>& prompts, std::int64_t positions,
                          bool second) const {
  const ClipTokenizer& tokenizer = second ? *second_ : *first_;
  std::vector<at::Tensor> rows;
  for (const std::string& prompt : prompts) {
    rows.push_back(at::tensor(tokenizer.encode_padded(prompt, positions + 2)));
  }
  return at::stack(rows);
}

TextStates encode_prompts(const StableDiffusion& sd, const SdPrompts& prompts,
                          const std::vector<std::string>& texts, std::int64_t positions,
                          std::int64_t clip_skip) {
  const at::Tensor ids = prompts.ids(texts, positions).to(sd.device());
  at::Tensor ids_2;
  if (prompts.has_second()) ids_2 = prompts.ids(texts, positions, true).to(sd.device());
  return sd.encode_prompt(ids, ids_2, clip_skip);
}

}  // namespace lora
