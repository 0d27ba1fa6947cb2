// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "data/caption_rules.h"
#include "data/data_stats.h"

namespace lora {
namespace {

constexpr std::size_t kTermWords = 4;  // a longer part of a caption is a sentence
constexpr double kCommonTrigger = 0.95;

std::vector<std::string> words_between_blanks(const std::string& text) {
  std::vector<std::string> words = split(text, ' ');
  std::erase(words, "");
  return words;
}

std::vector<std::string> parts_of(const std::string& caption) {
  std::vector<std::string> parts;
  for (const std::string& part : split(lower_ascii(caption), ',')) {
    if (!trim(part).empty()) parts.push_back(trim(part));
  }
  return parts;
}

// Parts of a list as they are; longer parts, which are sentences, by their words.
std::vector<std::string> terms_of(const std::string& caption) {
  std::vector<std::string> terms;
  for (const std::string& part : parts_of(caption)) {
    const std::vector<std::string> words = words_between_blanks(part);
    if (words.size() <= kTermWords) {
      terms.push_back(part);
    } else {
      for (const std::string& word : words) terms.push_back(trim(word));
    }
  }
  return terms;
}

// At least three parts, of few words: "1girl, long hair, side view".
bool is_list(const std::string& caption) {
  const std::vector<std::string> parts = parts_of(caption);
  std::size_t words = 0;
  for (const std::string& part : parts) words += words_between_blanks(part).size();
  return parts.size() >= 3 && words <= kTermWords * parts.size();
}

// The part that nearly all captions begin with; "" where there is none.
std::string common_begin(const std::vector<ImageRecord>& records) {
  std::map<std::string, std::size_t> counts;
  for (const ImageRecord& record : records) {
    const std::vector<std::string> parts = parts_of(record.caption);
    if (!parts.empty()) ++counts[parts[0]];
  }
  for (const auto& [part, count] : counts) {
    if (static_cast<double>(count) >= kCommonTrigger * static_cast<double>(records.size())) {
      return part;
    }
  }
  return "";
}

void measure(DataStats& stats, const ImageRecord& record) {
  const auto add = [&](const char* name, double value) { stats.measures[name].push_back(value); };
  add("brightness", record.look.brightness);
  add("contrast", record.look.contrast);
  add("saturation", record.look.saturation);
  add("colourfulness", record.look.colourfulness);
  // Relative to the contrast: a pale picture is not blurred.
  const double grey = 255 * record.look.contrast;
  add("sharpness", std::log((record.sharpness + 1) / (grey * grey + 1)));
  add("aspect", std::log(static_cast<double>(record.size.width) / record.size.height));
}

}  // namespace

DataStats picture_stats(const std::vector<ImageRecord>& records, const std::string& trigger) {
  DataStats stats;
  stats.kind = "pictures";
  stats.samples = static_cast<std::int64_t>(records.size());
  stats.trigger = lower_ascii(trigger.empty() ? common_begin(records) : trigger);
  TermCounter terms(records.size());
  const double one = 1 / std::max(1.0, static_cast<double>(records.size()));
  const std::size_t step = measured_step(records.size());
  for (const char* name : {"tags", "underscores"}) stats.shares[name] = 0;
  if (!stats.trigger.empty()) stats.shares["trigger"] = stats.shares["trigger_first"] = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string caption = lower_ascii(records[i].caption);
    terms.add(terms_of(caption));
    stats.marks.push_back(records[i].mark);
    if (i % step == 0) measure(stats, records[i]);
    if (is_list(caption)) stats.shares["tags"] += one;
    if (caption.find('_') != std::string::npos) stats.shares["underscores"] += one;
    if (stats.trigger.empty()) continue;
    if (holds_word(caption, stats.trigger)) stats.shares["trigger"] += one;
    if (trigger_parts(caption, stats.trigger) > 0) stats.shares["trigger_first"] += one;
  }
  stats.terms = terms.finish();
  return stats;
}

}  // namespace lora
