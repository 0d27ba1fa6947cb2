// SPDX-License-Identifier: Apache-2.0
// Preflight of what the data hold: copies, and what is new or missing beside the parent's data.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "versions/check_results.h"

namespace lora {
namespace {

constexpr double kShifted = 0.25;  // of the samples have a term that they had not, or the reverse
constexpr double kForeign = 0.5;   // divergence: the smaller part of the words is common
constexpr std::size_t kNamed = 3;

std::string part(const Overlap& overlap) {
  return fmt::format("{} of {} (first: {})", overlap.found, overlap.of, overlap.first);
}

Result no_copies(const PreflightInput& in) {
  if (in.leaked && in.leaked->found > 0) {
    return error(fmt::format(
        "{}: the validation loss would tell nothing of samples that are trained on as well (found "
        "{}, expected none); remove these from one of the two sets",
        in.config.data.validation_data.empty() ? "validation_split" : "validation_data",
        part(*in.leaked)));
  }
  if (in.known_before && in.known_before->found > 0) {
    return warning(fmt::format("validation: {} was trained on samples of it, {}; judge by others",
                               in.parent->name, part(*in.known_before)));
  }
  if (in.trained_before && in.trained_before->found > 0) {
    const Overlap& overlap = *in.trained_before;
    const double share = static_cast<double>(overlap.found) / static_cast<double>(overlap.of);
    std::string message =
        fmt::format("train_data_dir: {:.0f} % of the samples are in {}'s data already, {}",
                    percent(share), in.parent->name, part(overlap));
    return share < 0.01 ? notice(std::move(message)) : warning(std::move(message));
  }
  if (!in.leaked && !in.trained_before) return std::nullopt;
  return ok("no sample stands in two sets");
}

struct MeasureRow {
  const char *name, *more, *less;
};
constexpr MeasureRow kLooks[] = {
    {"brightness", "brighter", "darker"},
    {"contrast", "richer in contrast", "poorer in contrast"},
    {"saturation", "more saturated", "less saturated"},
    {"colourfulness", "more colourful", "less colourful"},
    {"sharpness", "sharper", "blurrier"},
};

bool is_expected(const PreflightInput& in, const std::string& term) {
  return std::ranges::any_of(in.config.increment.expect_shift, [&](const std::string& word) {
    return term.find(lower_ascii(word)) != std::string::npos;
  });
}

Result pictures_look_alike(const PreflightInput& in) {
  const DataStats* old = old_data(in);
  if (old == nullptr || old->kind != "pictures") return std::nullopt;
  std::vector<Shift> shifts;
  std::vector<double> p;
  for (const MeasureRow& row : kLooks) {
    const auto before = old->measures.find(row.name), now = in.data->measures.find(row.name);
    const bool both = before != old->measures.end() && now != in.data->measures.end();
    shifts.push_back(both ? shift_of(before->second, now->second) : Shift{});
    p.push_back(shifts.back().p);
  }
  p = holm(p);
  std::vector<std::string> found, names;
  for (std::size_t i = 0; i < shifts.size(); ++i) {
    const MeasureRow& row = kLooks[i];
    const double effect = shifts[i].effect;
    if (p[i] >= kRareShift || std::abs(effect) < kLargeShift || is_expected(in, row.name)) continue;
    found.push_back(
        fmt::format("{:.1f} sd {}", std::abs(effect), effect > 0 ? row.more : row.less));
    names.emplace_back(row.name);
  }
  if (found.empty()) return ok(fmt::format("the pictures look like {}'s", in.parent->name));
  return warning(
      fmt::format("train_data_dir: the new pictures are {} than {}'s, which would be learned as "
                  "well; even them out, or, if this is meant, set expect_shift: [{}]",
                  join_words(found, " and "), in.parent->name, join_words(names)));
}

struct TermShift {
  std::string term;
  double before = 0, now = 0;
  double size() const { return std::abs(now - before); }
};

double share_of(const DataStats& data, const std::string& term) {
  const auto found = data.terms.samples.find(term);
  const auto all = std::max(1.0, static_cast<double>(data.samples));
  return found == data.terms.samples.end() ? 0 : static_cast<double>(found->second) / all;
}

// Terms that kShifted more or fewer of the samples have, the largest differences first.
std::vector<TermShift> shifted_terms(const DataStats& old, const DataStats& fresh) {
  std::vector<TermShift> shifts;
  for (const DataStats* data : {&old, &fresh}) {
    for (const auto& [term, count] : data->terms.samples) {
      if (data == &fresh && old.terms.samples.contains(term)) continue;
      const TermShift shift{term, share_of(old, term), share_of(fresh, term)};
      if (shift.size() >= kShifted) shifts.push_back(shift);
    }
  }
  std::ranges::stable_sort(shifts, std::greater<>(), &TermShift::size);
  return shifts;
}

// The largest of one direction: more than before, or fewer.
std::vector<TermShift> largest(const std::vector<TermShift>& shifts, bool more) {
  std::vector<TermShift> some;
  for (const TermShift& shift : shifts) {
    if (some.size() < kNamed && (shift.now > shift.before) == more) some.push_back(shift);
  }
  return some;
}

// "more: clock (0 -> 100 %); fewer: lamp (100 -> 0 %)"
std::string describe(const std::vector<TermShift>& shifts) {
  std::vector<std::string> sides;
  for (const bool more : {true, false}) {
    std::vector<std::string> parts;
    for (const TermShift& shift : largest(shifts, more)) {
      parts.push_back(fmt::format("{} ({:.0f} -> {:.0f} %)", shift.term, percent(shift.before),
                                  percent(shift.now)));
    }
    if (!parts.empty()) sides.push_back((more ? "more: " : "fewer: ") + join_words(parts));
  }
  return join_words(sides, "; ");
}

// What to write into expect_shift: what is new, or, where there is nothing, what is missing.
std::string key_terms(const std::vector<TermShift>& shifts) {
  std::vector<TermShift> some = largest(shifts, true);
  if (some.empty()) some = largest(shifts, false);
  std::vector<std::string> terms;
  for (const TermShift& shift : some) terms.push_back(shift.term);
  return join_words(terms);
}

Result content_is_known(const PreflightInput& in) {
  if (!in.parent || !in.data) return std::nullopt;
  const DataStats* old = old_data(in);
  if (old == nullptr) {
    return notice(fmt::format("{} has no {} of such data; the data cannot be compared with it",
                              in.parent->name, kStatsName));
  }
  const double found = divergence(old->terms, in.data->terms);
  if (found <= likely_divergence(old->terms, old->samples, in.data->samples)) {
    return ok(fmt::format("the words are those of {}'s data", in.parent->name));
  }
  const std::vector<TermShift> shifts = shifted_terms(*old, *in.data);
  const bool declared = std::ranges::any_of(
      shifts, [&](const TermShift& shift) { return is_expected(in, shift.term); });
  const std::string what = old->kind == "pictures" ? "captions" : "texts";
  if (shifts.empty()) {
    return notice(
        fmt::format("the words of the {} differ a little from {}'s", what, in.parent->name));
  }
  if (found > kForeign && !declared) {
    return warning(
        fmt::format("train_data_dir: the new {} have little in common with {}'s: {}; if this is "
                    "meant, set expect_shift: [{}]",
                    what, in.parent->name, describe(shifts), key_terms(shifts)));
  }
  return notice(fmt::format("other {} than {}'s{}: {}", what, in.parent->name,
                            declared ? ", as declared" : "", describe(shifts)));
}

// Terms of the parent that are wholly absent, where that is no chance.
std::vector<TermShift> lost_terms(const PreflightInput& in, const DataStats& old) {
  std::vector<TermShift> lost = shifted_terms(old, *in.data);
  const auto tests = static_cast<double>(lost.size());
  std::erase_if(lost, [&](const TermShift& shift) {
    const double chance = std::pow(1 - shift.before, static_cast<double>(in.data->samples));
    return shift.now > 0 || chance * tests >= kRareShift || is_expected(in, shift.term);
  });
  return lost;
}

Result nothing_is_lost(const PreflightInput& in) {
  const DataStats* old = old_data(in);
  if (old == nullptr) return std::nullopt;
  if (in.config.increment.replay > 0) return ok("replay shows what the new data lack");
  const std::vector<TermShift> lost = lost_terms(in, *old);
  if (lost.empty()) return ok(fmt::format("nothing of {}'s data is missing", in.parent->name));
  const std::string& name = in.parent->name;
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::min(kNamed, lost.size()); ++i) {
    parts.push_back(
        fmt::format("'{}' (in {:.0f} % of {}'s)", lost[i].term, percent(lost[i].before), name));
  }
  return warning(
      fmt::format("train_data_dir: nothing in the new data shows {}: what {} learned of it is at "
                  "risk; set replay: 0.5",
                  join_words(parts), name));
}

constexpr CheckRow kChecks[] = {
    {"D01", "eval-overlap", "no sample stands in two sets", no_copies},
    {"D02", "", "new pictures look like the parent's", pictures_look_alike},
    {"D03", "", "new captions or texts are known, or declared in expect_shift", content_is_known},
    {"D04", "", "what the parent's data showed is shown again", nothing_is_lost},
};

}  // namespace

std::span<const CheckRow> content_checks() { return kChecks; }

CheckResult novelty(const PreflightInput& in, double old_loss, double new_loss) {
  constexpr double kLittle = 1.05, kFar = 3;
  const double ratio = new_loss / std::max(old_loss, 1e-12);
  const std::string& name = in.parent->name;
  CheckResult result = ok("");
  const std::string found = fmt::format(
      "{}'s loss on the new data is {:.2f} times that on its own "
      "(found {:.4g}, its own {:.4g})",
      name, ratio, new_loss, old_loss);
  if (ratio < kLittle) {
    result = warning("train_data_dir: " + found + ": there is little to learn");
  } else if (ratio > kFar && in.config.increment.replay == 0) {
    result = warning("train_data_dir: " + found + ": much will be overwritten; set replay: 0.5");
  } else {
    result = ok(found);
  }
  result.id = "D05";
  return result;
}

}  // namespace lora
