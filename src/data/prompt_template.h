// SPDX-License-Identifier: Apache-2.0
// Turns conversations into token ids and labels: the tokenizer's own chat template, a built-in one
// or a .jinja file. Rules: transformers (a rendered text is tokenised without adding special
// tokens again), TRL (the end-of-turn token is trained; generation blocks are the mask).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "jinja/jinja.h"
#include "tokenizers/tokenizer.h"

namespace lora {

struct Message {
  std::string role;  // "system", "user", "assistant" or what the template knows beside these
  std::string content;
};

struct TemplateRow {
  const char* name;
  const char* help;
  const char* source;  // Jinja
};
std::span<const TemplateRow> prompt_templates();

class PromptTemplate {
 public:
  // `setting`: "auto" (the tokenizer's own template, else "plain"), a name of the table, or the
  // path of a .jinja file. Throws Error (usage) for an unknown name or a broken template.
  PromptTemplate(const std::string& setting, std::shared_ptr<const Tokenizer> tokenizer);

  // The text, with the opening of the next answer if `generation_prompt`. A system message that the
  // template ignores or refuses is put in front of the first user message.
  std::string render(std::span<const Message> messages, bool generation_prompt) const;
  // Ids for `lora generate`: the conversation so far and the opening of the answer.
  std::vector<std::int64_t> prompt_ids(std::span<const Message> messages) const;
  // One sample, all assistant turns trained; or, with a template that rewrites earlier turns
  // (its renderings do not begin with those of the turns before), one sample for every turn.
  // Every label is a target if `train_on_prompt`, else those of the answers and the tokens that
  // end them. Throws Error (usage) where the template refuses or loses the prompt.
  std::vector<TextSample> encode(std::span<const Message> messages, bool train_on_prompt) const;
  // Running text: what the tokenizer adds by itself, and the end-of-text token.
  TextSample encode_text(const std::string& text) const;

  const std::string& name() const { return template_.name(); }
  const std::string& source() const { return template_.source(); }
  // SHA-256 over the template's text and the ids of a fixed rendered conversation: equal
  // fingerprints mean the same prompt format.
  std::string fingerprint() const;
  // Tokens that end an answer: the tokenizer's end of text, and what the template puts there.
  std::vector<std::int64_t> stop_ids() const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  struct Marked {  // a rendering and the parts of it that are trained
    std::string text;
    std::vector<jinja::Span> spans;
    bool ends_open = false;  // the last answer is not followed by an end-of-turn token
  };
  jinja::Rendering render_once(std::span<const Message> messages, bool generation_prompt) const;
  std::vector<Message> adapted(std::span<const Message> messages) const;
  bool takes_system() const;
  bool mark_turn(std::span<const Message> messages, std::size_t turn, Marked& marked) const;
  std::vector<Marked> mark(std::span<const Message> messages) const;
  TextSample tokenize(const Marked& marked, bool train_on_prompt) const;
  std::vector<std::int64_t> ids_of(const std::string& text) const;
  bool ends_turn(std::int64_t id) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  jinja::Template template_;
  bool takes_system_ = true;
};

// Names of the prompt formats whose markers stand in `text` ("[INST]", "<|im_start|>", ...):
// data that is rendered already must not be rendered again (check T02).
std::vector<std::string> find_markers(std::string_view text);

}  // namespace lora
