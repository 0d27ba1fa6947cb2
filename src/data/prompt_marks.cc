// SPDX-License-Identifier: Apache-2.0
// Which part of a rendered conversation is learned.
#include <algorithm>
#include <cctype>

#include "data/prompt_template.h"

namespace lora {
namespace {

using Messages = std::span<const Message>;
using Ids = std::span<const std::int64_t>;

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

// How many elements two sequences begin with alike.
template <typename Sequence>
std::size_t common(Sequence a, Sequence b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

// The end of `part` in `text` where the two are alike but for white space.
std::optional<std::size_t> end_but_for_blanks(std::string_view text, std::string_view part) {
  std::size_t at = 0;
  for (const char c : part) {
    if (blank(c)) continue;
    while (at < text.size() && blank(text[at])) ++at;
    if (at == text.size() || text[at++] != c) return std::nullopt;
  }
  const std::string_view tail = part.substr(end_without_blanks(part, 0));
  return at + common(text.substr(at), tail);
}

// Where an answer begins in `done`, which does not begin with `opening`, what the template writes
// to open it: where both are alike but for white space, at the end of the opening; where the
// opening goes on with what finished answers lack ("<think>"), where they part. `before`: the turns
// before it, without the opening. `other`: `done` with another answer, since this one may begin as
// the opening goes on ("<b>").
std::optional<std::size_t> begin_apart(std::string_view done, std::string_view opening,
                                       std::string_view before, std::string_view other) {
  if (const auto end = end_but_for_blanks(done, opening)) return end;
  const std::size_t least = end_without_blanks(before, 0);
  if (!done.starts_with(before.substr(0, least))) return std::nullopt;
  return std::max(least, std::min(common(done, opening), common(other, opening)));
}

std::string squeezed(std::string_view text) {
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out), [](char c) { return !blank(c); });
  return out;
}

// Whether `text` holds `part`, as it is but for white space, or as JSON.
bool holds(const std::string& text, const std::string& part) {
  const std::string wanted = without_blanks(part);
  if (wanted.empty() || text.find(wanted) != std::string::npos) return true;
  const std::string json = jinja::to_json(wanted);
  if (text.find(json.substr(1, json.size() - 2)) != std::string::npos) return true;
  return squeezed(text).find(squeezed(wanted)) != std::string::npos;
}

std::size_t count_answers(Messages messages) {
  return static_cast<std::size_t>(std::ranges::count(messages, "assistant", &Message::role));
}

std::vector<std::size_t> wanted_answers(Messages messages, bool last_alone) {
  std::vector<std::size_t> wanted;
  std::size_t last = messages.size();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    if (messages[i].trained) wanted.push_back(i);
    last = i;
  }
  if (last_alone) std::erase_if(wanted, [&](std::size_t turn) { return turn != last; });
  return wanted;
}

}  // namespace

// The place of the answer `turn` by comparing renderings; nullopt where the marked rendering does
// not begin with that of the turns up to it.
std::optional<jinja::Span> PromptTemplate::find_turn(const Conversation& all, std::size_t turn,
                                                     const Marked& marked) const {
  if (turn == 0) return std::nullopt;
  const Messages messages = all.messages;
  const auto render = [&](std::size_t turns, bool opened) {
    return render_once(messages.first(turns), opened, all.variables).text;
  };
  const std::string done = turn + 1 == marked.turns ? marked.text : render(turn + 1, false);
  if (!marked.text.starts_with(std::string_view(done).substr(0, end_without_blanks(done, 0)))) {
    return std::nullopt;
  }
  const auto finished = [&](const std::string& answer) {  // another answer in its place
    std::vector<Message> other(messages.begin(), messages.begin() + static_cast<int>(turn));
    other.push_back({"assistant", answer});
    return render_once(other, false, all.variables).text;
  };
  const std::string opening = render(turn, true);
  const std::optional<std::size_t> begin =
      done.starts_with(opening) ? opening.size()
                                : begin_apart(done, opening, render(turn, false), finished("\x01"));
  if (!begin) return std::nullopt;
  return jinja::Span{*begin, end_without_blanks(done, *begin)};
}

bool PromptTemplate::mark_turn(const Conversation& all, std::size_t turn, Marked& marked) const {
  const std::optional<jinja::Span> span = find_turn(all, turn, marked);
  if (!span) return false;
  marked.spans.push_back(*span);
  marked.answers.push_back(turn);
  const std::string answer = without_blanks(all.messages[turn].content);
  const std::string_view written =
      std::string_view(marked.text).substr(span->begin, span->end - span->begin);
  marked.ends_open = span->end == end_without_blanks(marked.text, 0) && written.ends_with(answer);
  // Behind calls alone the end shows in a marker.
  if (marked.ends_open && answer.empty()) {
    const auto ids = ids_of(marked.text.substr(0, span->end));
    marked.ends_open = !ids.empty() && !ends_turn(ids.back()) && !written.ends_with('>');
  }
  return true;
}

// With generation blocks: those of the answers that are learned.
void PromptTemplate::mark_blocks(const Conversation& all, std::vector<jinja::Span> blocks,
                                 Marked& marked) const {
  std::erase_if(blocks, [](const jinja::Span& block) { return block.begin == block.end; });
  marked.answers = all.answers;
  const std::size_t answers = count_answers(all.messages);
  if (all.answers.size() == answers) {
    marked.spans = std::move(blocks);
    return;
  }
  if (blocks.size() != answers) {
    fail_usage("template '", name(), "': which generation block belongs to which answer is not ",
               "known (found ", blocks.size(), " blocks, expected ", answers,
               "), and some answers are not to be learned; use another prompt_template");
  }
  std::size_t block = 0;
  for (std::size_t i = 0; i < all.messages.size(); ++i) {
    if (all.messages[i].role != "assistant") continue;
    if (std::ranges::find(all.answers, i) != all.answers.end()) {
      marked.spans.push_back(blocks[block]);
    }
    ++block;
  }
}

std::vector<PromptTemplate::Marked> PromptTemplate::mark(const Conversation& all) const {
  const Messages messages = all.messages;
  jinja::Rendering rendering = render_once(messages, false, all.variables);
  Marked whole{.text = std::move(rendering.text), .turns = messages.size()};
  if (template_.has_generation_blocks()) {
    mark_blocks(all, std::move(rendering.generated), whole);
    return {whole};
  }
  const bool found = std::ranges::all_of(
      all.answers, [&](std::size_t turn) { return mark_turn(all, turn, whole); });
  if (found) return {whole};
  std::vector<Marked> turns;
  for (const std::size_t turn : all.answers) {
    Marked one{.text = render_once(messages.first(turn + 1), false, all.variables).text,
               .turns = turn + 1};
    if (!mark_turn(all, turn, one)) {
      fail_usage("template '", name(), "': the answer of turn ", turn + 1,
                 " does not follow its prompt (the rendering with the answer does not begin with "
                 "the rendering without it); use a template with generation blocks, or another "
                 "prompt_template");
    }
    turns.push_back(std::move(one));
  }
  return turns;
}

std::string PromptTemplate::unwritten(const Conversation& all, const Marked& marked) const {
  for (std::size_t i = 0; i < marked.turns; ++i) {
    const Message& message = all.messages[i];
    const bool answer = message.role == "assistant";
    // Answers of the past may be shortened: what is learned of them is in a sample of its own.
    if (answer && std::ranges::find(marked.answers, i) == marked.answers.end()) continue;
    const auto part = [&](std::string_view field) {
      return join("the ", field, " of turn ", i + 1, " (", message.role, ")");
    };
    for (const auto& [field, text] : spoken_fields(message)) {
      if (holds(marked.text, text)) continue;
      if (field == "tool_calls" && without_blanks(message.content).empty()) {
        fail("the template '", name(), "' does not write the tool_calls of turn ", i + 1,
             ", which is nothing else; use a prompt_template with calls");
      }
      return part(field);
    }
    if (!holds(marked.text, message.content)) return part("content");
  }
  const jinja::Value* tools = find_field(all.variables, "tools");
  if (tools == nullptr) return "";
  const std::vector<std::string> names = tool_names(*tools);
  const bool there = std::ranges::all_of(
      names, [&](const std::string& tool) { return holds(marked.text, tool); });
  return there ? "" : "the tools";
}

// A token that straddles the begin of an answer belongs to it, one at its end does not.
std::size_t PromptTemplate::tokens_before(const Marked& marked, std::span<const std::int64_t> ids,
                                          std::size_t byte) const {
  return byte >= marked.text.size() ? ids.size()
                                    : common<Ids>(ids, ids_of(marked.text.substr(0, byte)));
}

// Takes the token that ends the turn into an answer that stops before it.
void PromptTemplate::extend(const Marked& marked, std::size_t span, const TextSample& sample,
                            std::size_t& end) const {
  if (marked.ends_open && span + 1 == marked.spans.size()) {
    end = sample.ids.size();
    return;
  }
  // A block may hold the line end behind its end token too.
  const jinja::Span& part = marked.spans[span];
  const std::size_t bare = end_without_blanks(std::string_view(marked.text).substr(0, part.end),
                                              part.begin);
  const std::size_t last = bare == part.end ? end : tokens_before(marked, sample.ids, bare);
  const bool closed = last > 0 && ends_turn(sample.ids[last - 1]);
  if (!closed && end < sample.ids.size() && ends_turn(sample.ids[end])) ++end;
}

TextSample PromptTemplate::tokenize(const Marked& marked) const {
  TextSample sample;
  sample.ids = ids_of(marked.text);
  if (marked.ends_open && tokenizer_->special().eos) {
    sample.ids = ids_of(marked.text.substr(0, end_without_blanks(marked.text, 0)));
    sample.ids.push_back(*tokenizer_->special().eos);
  }
  const std::vector<std::int64_t>& ids = sample.ids;
  sample.labels.assign(ids.size(), kIgnore);
  for (std::size_t s = 0; s < marked.spans.size(); ++s) {
    const std::size_t begin = tokens_before(marked, ids, marked.spans[s].begin);
    std::size_t end = tokens_before(marked, ids, marked.spans[s].end);
    if (end > begin) extend(marked, s, sample, end);
    for (std::size_t i = begin; i < end; ++i) sample.labels[i] = ids[i];
  }
  if (!ids.empty()) sample.labels[0] = kIgnore;
  return sample;
}

// Every label but those of the answers that the record excludes.
void PromptTemplate::learn_prompt(const Conversation& all, const Marked& marked,
                                  TextSample& sample) const {
  const std::vector<std::int64_t>& ids = sample.ids;
  sample.labels = ids;
  for (std::size_t i = 0; i < marked.turns; ++i) {
    if (!all.messages[i].excluded) continue;
    const std::optional<jinja::Span> span = find_turn(all, i, marked);
    if (!span) {
      fail_usage("template '", name(), "': turn ", i + 1,
                 ", which is not to be learned, is written differently when others follow; set "
                 "train_on_prompt: false");
    }
    const std::size_t end = tokens_before(marked, ids, span->end);
    for (std::size_t t = tokens_before(marked, ids, span->begin); t < end; ++t) {
      sample.labels[t] = kIgnore;
    }
  }
  if (!ids.empty()) sample.labels[0] = kIgnore;
}

Encoded PromptTemplate::encode(Messages messages, const Fields& variables,
                               Learned learned) const {
  Conversation all = adapted(messages, variables);
  all.answers = wanted_answers(all.messages, learned.last_answer);
  Encoded out;
  for (const Marked& marked : mark(all)) {
    if (out.unwritten.empty()) out.unwritten = unwritten(all, marked);
    out.samples.push_back(tokenize(marked));
    if (learned.prompt) learn_prompt(all, marked, out.samples.back());
  }
  return out;
}

}  // namespace lora
