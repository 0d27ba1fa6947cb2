// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <cmath>

#include "data/data_stats.h"
#include "data/near_duplicates.h"

namespace lora {
namespace {

// First byte of U+3000 and above: scripts that are written without blanks between words.
bool stands_alone(unsigned char lead) { return lead >= 0xE3; }

// ASCII letters and digits, and what is above; U+2000 to U+2FFF are punctuation and symbols.
bool is_letter(unsigned char lead) { return lead < 0x80 ? std::isalnum(lead) != 0 : lead != 0xE2; }

std::size_t length_of(unsigned char lead) {
  return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// Words of two letters and more, without those that hold digits; characters of Chinese, Japanese
// and Korean one by one. `text` is normalised, and so valid UTF-8.
std::vector<std::string> counted_words(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  bool digits = false;
  const auto end_word = [&] {
    if (word.size() > 1 && !digits) words.push_back(word);
    word.clear();
    digits = false;
  };
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = length_of(lead);
    if (stands_alone(lead)) {
      end_word();
      words.push_back(text.substr(i, length));
    } else if (is_letter(lead)) {
      word += text.substr(i, length);
      digits = digits || std::isdigit(lead) != 0;
    } else {
      end_word();
    }
    i += length;
  }
  end_word();
  return words;
}

// What the template writes around messages that hold none.
std::vector<std::string> markers_of(const PromptTemplate& prompt) {
  const Message turns[] = {{"user", "question"}, {"assistant", "answer"}};
  return find_markers(prompt.render(turns, false));
}

void count_records(DataStats& stats, const std::vector<TokenisedTexts>& sets) {
  std::vector<const TextRecord*> records;
  for (const TokenisedTexts& set : sets) {
    const auto more = records_of(set.data, set.samples);
    records.insert(records.end(), more.begin(), more.end());
  }
  stats.samples = static_cast<std::int64_t>(records.size());
  TermCounter terms(records.size());
  std::map<std::string, double> markers;
  for (const TextRecord* record : records) {
    const std::string text = content_of(*record);
    for (const std::string& marker : find_markers(text)) ++markers[marker];
    terms.add(counted_words(normalised_text(text)));
  }
  stats.terms = terms.finish();
  for (const auto& [marker, count] : markers) {
    stats.shares["marker " + marker] = count / static_cast<double>(records.size());
  }
}

// Begin, end and lengths of samples that answer a prompt; running text has no end of its own.
class AnswerCounter {
 public:
  explicit AnswerCounter(const PromptTemplate& prompt)
      : bos_(prompt.tokenizer().special().bos), stops_(prompt.stop_ids()) {}

  void add(const TextSample& sample) {
    const auto target = [](std::int64_t label) { return label != kIgnore; };
    const auto first = std::ranges::find_if(sample.labels, target);
    const auto answer = static_cast<double>(std::ranges::count_if(sample.labels, target));
    prompts_.push_back(std::log(static_cast<double>(first - sample.labels.begin()) + 1));
    answers_.push_back(std::log(answer + 1));
    const auto last = std::find_if(sample.labels.rbegin(), sample.labels.rend(), target);
    if (last == sample.labels.rend()) return;
    ends_ += std::ranges::find(stops_, *last) != stops_.end();
    if (!bos_ || sample.ids[0] != *bos_) return;
    ++begins_;
    twice_ += sample.ids.size() > 1 && sample.ids[1] == *bos_;
  }

  void fill(DataStats& stats) const {
    if (answers_.empty()) return;
    const auto all = static_cast<double>(answers_.size());
    stats.shares["ends"] = ends_ / all;
    stats.shares["begins"] = begins_ / all;
    stats.shares["begins_twice"] = twice_ / all;
    const std::size_t step = measured_step(answers_.size());
    for (std::size_t i = 0; i < answers_.size(); i += step) {
      stats.measures["prompt_tokens"].push_back(prompts_[i]);
      stats.measures["answer_tokens"].push_back(answers_[i]);
    }
  }

 private:
  std::optional<std::int64_t> bos_;
  std::vector<std::int64_t> stops_;
  std::vector<double> prompts_, answers_;
  double ends_ = 0, begins_ = 0, twice_ = 0;
};

}  // namespace

DataStats text_stats(const std::vector<TokenisedTexts>& sets, const PromptTemplate& prompt) {
  DataStats stats;
  stats.kind = "texts";
  count_records(stats, sets);
  AnswerCounter answers(prompt);
  bool rendered = false;
  double all = 0, cut = 0, answers_cut = 0;
  for (const auto& [data, samples] : sets) {
    for (std::size_t i = 0; i < samples.samples.size(); ++i) {
      const TextRecord& record = data.records[samples.records[i]];
      rendered = rendered || !record.messages.empty();
      if (record.text.empty()) answers.add(samples.samples[i]);
    }
    all += static_cast<double>(samples.samples.size());
    cut += static_cast<double>(samples.truncated);
    answers_cut += static_cast<double>(samples.answers_cut);
    stats.longest = std::max(stats.longest, samples.longest);
  }
  answers.fill(stats);
  if (rendered) stats.template_markers = markers_of(prompt);
  stats.shares["cut"] = std::min(1.0, cut / std::max(1.0, all));
  stats.shares["answer_cut"] = std::min(1.0, answers_cut / std::max(1.0, all));
  return stats;
}

}  // namespace lora
