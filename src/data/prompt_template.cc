// SPDX-License-Identifier: Apache-2.0
#include "data/prompt_template.h"

#include <algorithm>

#include "base/table.h"

namespace lora {
namespace {

using Messages = std::span<const Message>;

jinja::Template choose(const std::string& setting, const Tokenizer& tokenizer) {
  if (setting == "auto" && !tokenizer.chat_template().empty()) {
    return {tokenizer.chat_template(), "of the tokenizer"};
  }
  const std::string name = setting == "auto" ? "plain" : setting;
  if (const TemplateRow* row = find_row(prompt_templates(), name)) return {row->source, name};
  const Path file(setting);
  if (std::filesystem::is_regular_file(file)) return {read_file(file), setting};
  const std::vector<std::string> names = names_of(prompt_templates());
  fail_usage("prompt_template '", setting, "': neither a built-in name nor a file (known: auto, ",
             join_words(names), ")", did_you_mean(setting, names));
}

bool blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// End of `text` without the white space there.
std::size_t end_without_blanks(std::string_view text, std::size_t begin) {
  std::size_t end = text.size();
  while (end > begin && blank(text[end - 1])) --end;
  return end;
}

std::string without_blanks(std::string_view text) {
  std::size_t begin = 0;
  while (begin < text.size() && blank(text[begin])) ++begin;
  return std::string(text.substr(begin, end_without_blanks(text, begin) - begin));
}

std::size_t common_prefix(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

const Message kProbe[] = {{"system", "Answer briefly."},
                          {"user", "What is 2 + 2?"},
                          {"assistant", "It is 4."},
                          {"user", "And 3 + 3?"},
                          {"assistant", "It is 6."}};

}  // namespace

PromptTemplate::PromptTemplate(const std::string& setting,
                               std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)), template_(choose(setting, *tokenizer_)) {
  takes_system_ = takes_system();
}

jinja::Rendering PromptTemplate::render_once(Messages messages, bool generation_prompt) const {
  jinja::List list;
  for (const Message& message : messages) {
    list.push_back(jinja::make_dict({{"role", message.role}, {"content", message.content}}));
  }
  return template_.render(jinja::make_dict({{"messages", std::move(list)},
                                            {"bos_token", tokenizer_->bos_token()},
                                            {"eos_token", tokenizer_->eos_token()},
                                            {"add_generation_prompt", generation_prompt}}));
}

bool PromptTemplate::takes_system() const {
  const Message probe[] = {{"system", "Zyx system probe"}, {"user", "x"}};
  try {
    return render_once(probe, true).text.find(probe[0].content) != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

std::vector<Message> PromptTemplate::adapted(Messages messages) const {
  std::vector<Message> out(messages.begin(), messages.end());
  if (takes_system_ || out.size() < 2 || out[0].role != "system") return out;
  out[1].content = out[0].content + "\n" + out[1].content;
  out.erase(out.begin());
  return out;
}

std::string PromptTemplate::render(Messages messages, bool generation_prompt) const {
  return render_once(adapted(messages), generation_prompt).text;
}

std::vector<std::int64_t> PromptTemplate::ids_of(const std::string& text) const {
  std::vector<std::int64_t> ids =
      tokenizer_->encode(text, {.add_special = false, .parse_special = true});
  const std::optional<std::int64_t> bos = tokenizer_->special().bos;
  while (bos && ids.size() > 1 && ids[0] == *bos && ids[1] == *bos) ids.erase(ids.begin());
  return ids;
}

std::vector<std::int64_t> PromptTemplate::prompt_ids(Messages messages) const {
  return ids_of(render(messages, true));
}

bool PromptTemplate::ends_turn(std::int64_t id) const {
  if (id == tokenizer_->special().eos) return true;
  const std::string token = tokenizer_->token_of(id);
  return token.size() > 2 && token.front() == '<' && token.back() == '>' &&
         !token.starts_with("<0x") && tokenizer_->id_of(token) == id;
}

// Adds the span of the assistant message `turn` by comparing renderings; false where the
// rendering of the whole does not begin with that of the turns up to it.
bool PromptTemplate::mark_turn(Messages messages, std::size_t turn, Marked& marked) const {
  const std::string done =
      turn + 1 == messages.size() ? marked.text : render_once(messages.first(turn + 1), false).text;
  // The opening of an answer may hold more than the answers of the past ("<think>").
  std::string prompt = render_once(messages.first(turn), true).text;
  if (!done.starts_with(prompt)) prompt = render_once(messages.first(turn), false).text;
  if (!done.starts_with(prompt)) {
    // White space at the end of an opening may be written differently ("<|assistant|>\n").
    prompt.resize(end_without_blanks(prompt, 0));
  }
  if (!marked.text.starts_with(done.substr(0, end_without_blanks(done, 0))) ||
      !done.starts_with(prompt)) {
    return false;
  }
  const std::size_t end = end_without_blanks(done, prompt.size());
  marked.spans.push_back({prompt.size(), end});
  const std::string answer = without_blanks(messages[turn].content);
  marked.ends_open =
      end == end_without_blanks(marked.text, 0) &&
      std::string_view(marked.text).substr(prompt.size(), end - prompt.size()).ends_with(answer);
  return true;
}

std::vector<PromptTemplate::Marked> PromptTemplate::mark(Messages messages) const {
  jinja::Rendering rendering = render_once(messages, false);
  Marked all{std::move(rendering.text), {}};
  if (template_.has_generation_blocks()) {
    all.spans = std::move(rendering.generated);
    return {all};
  }
  bool whole = true;
  for (std::size_t i = 0; whole && i < messages.size(); ++i) {
    if (messages[i].role == "assistant") whole = i > 0 && mark_turn(messages, i, all);
  }
  if (whole) return {all};
  std::vector<Marked> turns;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    Messages until = messages.first(i + 1);
    Marked one{render_once(until, false).text, {}};
    if (i == 0 || !mark_turn(until, i, one)) {
      fail_usage("template '", name(), "': the answer of turn ", i + 1,
                 " does not follow its prompt (the rendering with the answer does not begin with "
                 "the rendering without it); use a template with generation blocks, or another "
                 "prompt_template");
    }
    turns.push_back(std::move(one));
  }
  return turns;
}

TextSample PromptTemplate::tokenize(const Marked& marked, bool train_on_prompt) const {
  TextSample sample;
  sample.ids = ids_of(marked.text);
  if (marked.ends_open && tokenizer_->special().eos) {
    sample.ids = ids_of(marked.text.substr(0, end_without_blanks(marked.text, 0)));
    sample.ids.push_back(*tokenizer_->special().eos);
  }
  std::vector<std::int64_t>& ids = sample.ids;
  sample.labels.assign(ids.size(), kIgnore);
  // A token that straddles the begin of an answer belongs to it, one at its end does not.
  const auto tokens_before = [&](std::size_t byte) {
    return byte >= marked.text.size() ? ids.size()
                                      : common_prefix(ids, ids_of(marked.text.substr(0, byte)));
  };
  for (std::size_t s = 0; s < marked.spans.size(); ++s) {
    const jinja::Span& span = marked.spans[s];
    const std::size_t begin = tokens_before(span.begin);
    std::size_t end = tokens_before(span.end);
    if (marked.ends_open && s + 1 == marked.spans.size()) end = ids.size();
    const bool closed = end > begin && ends_turn(ids[end - 1]);
    if (end > begin && !closed && end < ids.size() && ends_turn(ids[end])) ++end;
    for (std::size_t i = begin; i < end; ++i) sample.labels[i] = ids[i];
  }
  if (train_on_prompt) sample.labels = ids;
  if (!ids.empty()) sample.labels[0] = kIgnore;
  return sample;
}

std::vector<TextSample> PromptTemplate::encode(Messages messages, bool train_on_prompt) const {
  const std::vector<Message> turns = adapted(messages);
  std::vector<TextSample> out;
  for (const Marked& marked : mark(turns)) out.push_back(tokenize(marked, train_on_prompt));
  return out;
}

TextSample PromptTemplate::encode_text(const std::string& text) const {
  TextSample sample;
  sample.ids = tokenizer_->encode(text, {.add_special = true, .parse_special = true});
  const std::optional<std::int64_t> eos = tokenizer_->special().eos;
  if (eos && (sample.ids.empty() || sample.ids.back() != *eos)) sample.ids.push_back(*eos);
  sample.labels = sample.ids;
  if (!sample.ids.empty()) sample.labels[0] = kIgnore;
  return sample;
}

std::string PromptTemplate::fingerprint() const {
  Sha256 hash;
  hash.update(source());
  for (const std::int64_t id : prompt_ids(Messages(kProbe).first(4))) {
    hash.update("\n" + std::to_string(id));
  }
  return hash.hex();
}

std::vector<std::int64_t> PromptTemplate::stop_ids() const {
  std::vector<std::int64_t> out;
  if (tokenizer_->special().eos) out.push_back(*tokenizer_->special().eos);
  for (const TextSample& sample : encode(Messages(kProbe).subspan(1, 2), false)) {
    for (std::size_t i = sample.ids.size(); i-- > 0;) {
      if (sample.labels[i] == kIgnore) continue;
      const bool known = std::find(out.begin(), out.end(), sample.ids[i]) != out.end();
      if (!known && ends_turn(sample.ids[i])) out.push_back(sample.ids[i]);
      break;
    }
  }
  return out;
}

}  // namespace lora
