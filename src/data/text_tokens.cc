// SPDX-License-Identifier: Apache-2.0
// Records to tokenised samples: template and lengths.
#include <algorithm>

#include "base/error.h"
#include "data/text_dataset.h"

namespace lora {
namespace {

bool has_target(const TextSample& sample) {
  return std::any_of(sample.labels.begin(), sample.labels.end(),
                     [](std::int64_t label) { return label != kIgnore; });
}

// Pieces of running text; the first label of each has no token before it to be predicted from.
void add_pieces(TextSamples& out, const TextSample& sample, std::size_t record,
                std::int64_t limit) {
  const auto size = static_cast<std::int64_t>(sample.ids.size());
  for (std::int64_t begin = 0; begin < size; begin += limit) {
    const std::int64_t end = std::min(begin + limit, size);
    if (end - begin < 2) continue;  // one token alone predicts nothing
    TextSample piece;
    piece.ids.assign(sample.ids.begin() + begin, sample.ids.begin() + end);
    piece.labels.assign(sample.labels.begin() + begin, sample.labels.begin() + end);
    piece.labels[0] = kIgnore;
    add_sample(out, std::move(piece), record);
  }
}

// Keeps both ends of the prompt, where its markers stand, and the begin of the answer.
TextSample shorten(const TextSample& sample, std::int64_t limit, TextSamples& counts) {
  const auto size = static_cast<std::int64_t>(sample.ids.size());
  counts.longest = std::max(counts.longest, size);
  if (size <= limit) return sample;
  ++counts.truncated;
  const auto first = std::find_if(sample.labels.begin(), sample.labels.end(),
                                  [](std::int64_t label) { return label != kIgnore; });
  // Trained throughout: the first label alone is not a target, there is no prompt to cut.
  const std::int64_t before = first - sample.labels.begin();
  const std::int64_t prompt = before <= 1 ? 0 : before;
  const Lengths keep = fit_lengths(prompt, size - prompt, limit);
  counts.answers_cut += keep.answer < size - prompt;
  const std::int64_t head = keep.prompt - keep.prompt / 2, tail = keep.prompt / 2;
  TextSample out;
  for (const auto& [from, to] :
       {std::pair(&sample.ids, &out.ids), std::pair(&sample.labels, &out.labels)}) {
    to->assign(from->begin(), from->begin() + head);
    to->insert(to->end(), from->begin() + prompt - tail, from->begin() + prompt + keep.answer);
  }
  out.labels[0] = kIgnore;
  return out;
}

void tokenize_record(const TextRecord& record, std::size_t index, const PromptTemplate& prompt,
                     const TextConfig& config, TextSamples& out) {
  if (!record.tokens.ids.empty()) {
    const std::int64_t vocabulary = prompt.tokenizer().vocabulary();
    TextSample sample = record.tokens;
    for (const std::int64_t id : sample.ids) {
      if (id >= vocabulary) fail("id ", id, " is outside the vocabulary of ", vocabulary);
    }
    sample.labels[0] = kIgnore;
    add_sample(out, shorten(sample, config.max_seq_length, out), index);
  } else if (record.messages.empty()) {
    add_pieces(out, prompt.encode_text(record.text), index, config.max_seq_length);
  } else {
    const Encoded encoded =
        prompt.encode(record.messages, record.variables,
                      {.prompt = config.train_on_prompt, .last_answer = config.mask_history});
    if (!std::ranges::any_of(encoded.samples, has_target)) {
      fail("no answer of it is learned",
           config.mask_history ? " (mask_history: the last alone)" : "");
    }
    if (!encoded.unwritten.empty() && ++out.unwritten == 1) {
      out.first_unwritten = record.at.text() + ": " + encoded.unwritten;
    }
    for (const TextSample& sample : encoded.samples) {
      TextSample fitting = shorten(sample, config.max_seq_length, out);
      if (!has_target(fitting)) {
        fail("no token of the answer is left within max_seq_length ", config.max_seq_length,
             "; raise it");
      }
      add_sample(out, std::move(fitting), index);
    }
  }
}

}  // namespace

void add_sample(TextSamples& to, TextSample sample, std::size_t record) {
  to.tokens += static_cast<std::int64_t>(sample.ids.size());
  for (const std::int64_t label : sample.labels) to.targets += label != kIgnore;
  to.samples.push_back(std::move(sample));
  to.records.push_back(record);
}

Lengths fit_lengths(std::int64_t prompt, std::int64_t answer, std::int64_t limit) {
  std::int64_t answer_room = 0;
  if (answer * 2 < limit) {
    answer_room = limit;
  } else if (prompt * 2 < limit) {
    answer_room = limit - prompt;
  } else {
    answer_room = limit * answer / (prompt + answer);
  }
  const std::int64_t kept_answer = std::min(answer_room, answer);
  return {std::min(std::max<std::int64_t>(limit - kept_answer, 0), prompt), kept_answer};
}

TextSamples tokenize_dataset(const TextDataset& dataset, const PromptTemplate& prompt,
                             const TextConfig& config, std::vector<LeftOut>* left_out) {
  TextSamples out;
  for (std::size_t i = 0; i < dataset.records.size(); ++i) {
    const TextRecord& record = dataset.records[i];
    try {
      tokenize_record(record, i, prompt, config, out);
    } catch (const Error& error) {
      if (left_out == nullptr) fail_usage(record.at.text(), ": ", error.what());
      left_out->push_back({record.at.text(), error.what()});
    }
  }
  if (out.targets == 0) {
    fail_usage(dataset.files.front().string(), ": no token to train on (", dataset.records.size(),
               " records, ", out.tokens, " tokens, no target)");
  }
  return out;
}

}  // namespace lora
