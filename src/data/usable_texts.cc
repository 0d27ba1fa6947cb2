// SPDX-License-Identifier: Apache-2.0
#include "data/usable_texts.h"

#include <fmt/format.h>

#include <algorithm>

namespace lora {
namespace {

constexpr std::size_t kNamed = 3;

[[noreturn]] void fail_at(const LeftOut& item) { fail_usage(item.place, ": ", item.reason); }

void require_few(const std::vector<LeftOut>& bad, std::size_t good, const TextsToRead& from) {
  const auto whole = std::ranges::find(bad, true, &LeftOut::whole_file);
  if (whole != bad.end()) fail_at(*whole);
  if (bad.empty()) return;
  const std::size_t all = bad.size() + good;
  const double share = static_cast<double>(bad.size()) / static_cast<double>(all);
  if (good == 0 || from.bad_records == 0) fail_at(bad.front());
  if (share <= from.bad_records) return;
  fail_usage(from.path.string(), ": ", bad.size(), " of ", all,
             " records cannot be used (found ", fmt::format("{:.3g}", 100 * share),
             " %, expected at most ", fmt::format("{:.3g}", 100 * from.bad_records),
             " %); the first: ", bad.front().place, ": ", bad.front().reason,
             "; mend them, or raise bad_records");
}

void add_bad(const std::vector<LeftOut>& bad, std::size_t good, UsableTexts& out) {
  for (std::size_t i = 0; i < std::min(kNamed, bad.size()); ++i) {
    out.notes.push_back(bad[i].place + ": left out: " + bad[i].reason);
  }
  if (bad.empty()) return;
  out.notes.push_back(fmt::format("data: {} of {} records are left out as unusable", bad.size(),
                                  bad.size() + good));
}

void add_remarks(const TextDataset& data, std::vector<std::string>& notes) {
  std::size_t count = 0;
  for (const TextRecord& record : data.records) {
    if (record.remark.empty()) continue;
    if (++count <= kNamed) notes.push_back(record.at.text() + ": " + record.remark);
  }
  if (count > kNamed) notes.push_back(fmt::format("data: {} records are such", count));
}

}  // namespace

UsableTexts read_usable_texts(const TextsToRead& from, const PromptTemplate& prompt,
                              const TextConfig& config) {
  UsableTexts out;
  std::vector<LeftOut> bad;
  try {
    out.data = load_text_dataset(from.path, from.format, from.columns, &bad, from.purpose);
  } catch (const Error&) {
    require_few(bad, 0, from);
    throw;
  }
  const std::size_t read = out.data.records.size() + bad.size();
  require_few(bad, read - bad.size(), from);
  try {
    out.samples = tokenize_dataset(out.data, prompt, config, &bad);
  } catch (const Error&) {
    require_few(bad, read - bad.size(), from);
    throw;
  }
  require_few(bad, read - bad.size(), from);
  out.left_out = static_cast<std::int64_t>(bad.size());
  out.notes = out.data.notes;
  add_bad(bad, read - bad.size(), out);
  add_remarks(out.data, out.notes);
  if (out.samples.unwritten > 0) {
    out.notes.push_back(fmt::format(
        "warning: {} of {} records are not rendered whole, what is missing is not learned (the "
        "first: {} is not written by the template '{}'); use a prompt_template that writes it",
        out.samples.unwritten, out.data.records.size(), out.samples.first_unwritten,
        prompt.name()));
  }
  return out;
}

}  // namespace lora
