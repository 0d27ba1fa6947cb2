// SPDX-License-Identifier: Apache-2.0
// Turns conversations into token ids and labels: the tokenizer's own chat template, a built-in one
// or a .jinja file. Rules: transformers (a rendered text is tokenised without adding special
// tokens again), TRL (the end-of-turn token is trained; generation blocks are the mask).
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/messages.h"
#include "jinja/jinja.h"
#include "tokenizers/tokenizer.h"

namespace lora {

// Which labels of a conversation are targets.
struct Learned {
  bool prompt = false;       // all of them
  bool last_answer = false;  // of the answers, the last alone
};

struct Encoded {
  std::vector<TextSample> samples;
  // The first part of the conversation that the template does not write ("the content of turn 2
  // (assistant)", "the tools"); "" = all of it is there.
  std::string unwritten;
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
  // path of a .jinja file. `date`: what strftime_now tells ("2026-01-31" or "2026-01-31 12:00:00",
  // local time), "" = now. Throws Error (usage) for an unknown name, a broken template, no date.
  PromptTemplate(const std::string& setting, std::shared_ptr<const Tokenizer> tokenizer,
                 const std::string& date = "");

  // The text, with the opening of the next answer if `generation_prompt`. A system message that the
  // template ignores or refuses is put in front of the first user message.
  std::string render(std::span<const Message> messages, bool generation_prompt,
                     const Fields& variables = {}) const;
  // Ids for `lora generate`: the conversation so far and the opening of the answer.
  std::vector<std::int64_t> prompt_ids(std::span<const Message> messages) const;
  // One sample, all answers to be learned trained; or, with a template that rewrites earlier turns
  // (its renderings do not begin with those of the turns before), one sample for every such answer.
  // Targets are the answers and the tokens that end them; the answer begins where the opening that
  // the template writes for it ends, or parts from it ("<think>"). Of a template with generation
  // blocks: what the blocks of these answers wrote. Throws Error (usage) where the template
  // refuses, loses the prompt, or does not write the calls of an answer that is nothing else.
  Encoded encode(std::span<const Message> messages, const Fields& variables = {},
                 Learned learned = {}) const;
  // Running text: what the tokenizer adds by itself, and the end-of-text token.
  TextSample encode_text(const std::string& text) const;

  const std::string& name() const { return template_.name(); }
  const std::string& source() const { return template_.source(); }
  // SHA-256 over the template's text and the ids of a fixed rendered conversation of a fixed date:
  // equal fingerprints mean the same prompt format.
  std::string fingerprint() const;
  // What strftime_now tells, "2026-01-31 12:00:00"; "" where the template does not ask.
  std::string date() const;
  // Tokens that end an answer: the tokenizer's end of text, and what the template puts there.
  std::vector<std::int64_t> stop_ids() const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  struct Habits {  // what the template takes
    bool system = true;
    bool calls = false, calls_without_text = false, arguments_as_text = false;
  };
  struct Conversation {  // as the template can take it
    std::vector<Message> messages;
    const Fields& variables;
    std::vector<std::size_t> answers;  // the turns that are learned
  };
  struct Marked {  // a rendering of the first turns
    std::string text;
    std::size_t turns = 0;
    std::vector<std::size_t> answers = {};  // those of the turns that are learned from it
    std::vector<jinja::Span> spans = {};    // what is learned
    bool ends_open = false;  // the last answer is not followed by an end-of-turn token
  };

  jinja::Rendering render_at(const std::tm& date, std::span<const Message> messages,
                             bool generation_prompt, const Fields& variables) const;
  jinja::Rendering render_once(std::span<const Message> messages, bool generation_prompt,
                               const Fields& variables) const;
  bool writes(std::span<const Message> messages, std::string_view part,
              const Fields& variables) const;
  void probe();
  Habits habits_with(const Fields& variables) const;
  Conversation adapted(std::span<const Message> messages, const Fields& variables) const;
  std::optional<jinja::Span> find_turn(const Conversation& all, std::size_t turn,
                                       const Marked& marked) const;
  bool mark_turn(const Conversation& all, std::size_t turn, Marked& marked) const;
  void mark_blocks(const Conversation& all, std::vector<jinja::Span> blocks, Marked& marked) const;
  std::vector<Marked> mark(const Conversation& all) const;
  std::string unwritten(const Conversation& all, const Marked& marked) const;
  TextSample tokenize(const Marked& marked) const;
  void learn_prompt(const Conversation& all, const Marked& marked, TextSample& sample) const;
  void extend(const Marked& marked, std::size_t span, const TextSample& sample,
              std::size_t& end) const;
  std::size_t tokens_before(const Marked& marked, std::span<const std::int64_t> ids,
                            std::size_t byte) const;
  std::vector<std::int64_t> ids_of(const std::string& text) const;
  bool ends_turn(std::int64_t id) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  jinja::Template template_;
  std::tm date_;
  bool tools_may_be_none_ = true;
  bool needs_variables_ = false;  // refuses even a question without those of the record
  Habits habits_;                 // without variables
};

// Names of the prompt formats whose markers stand in `text` ("[INST]", "<|im_start|>", ...):
// data that is rendered already must not be rendered again (check T02).
std::vector<std::string> find_markers(std::string_view text);

}  // namespace lora
