// SPDX-License-Identifier: Apache-2.0
// Preflight of how the data are written: markers, ends, captions, lengths, sizes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "versions/check_results.h"

namespace lora {
namespace {

constexpr double kNearlyAll = 0.9, kNearlyNone = 0.1;
constexpr double kEnds = 0.1;      // difference of the shares that end or begin alike
constexpr double kCut = 0.05;      // of the samples may be cut
constexpr double kStyle = 0.5;     // difference of the shares of captions of one style
constexpr double kTrigger = 0.95;  // of the captions have it
constexpr double kLeftOut = 0.2;   // of the pictures may be too small

std::int64_t count_of(const DataStats& data, double share) {
  return std::llround(share * static_cast<double>(data.samples));
}

// T02 of one marker.
Result marker_is_like_before(const PreflightInput& in, const std::string& marker) {
  const std::string name = "marker " + marker;
  const double now = in.data->share(name).value_or(0);
  const auto& written = in.data->template_markers;
  if (now >= kNearlyNone && std::ranges::find(written, marker) != written.end()) {
    const Version* parent = manifest_of(in);
    const bool may_be_plain = parent == nullptr || parent->prompt_template.name == "plain";
    return error(
        fmt::format("prompt_template: {} would stand twice around the texts (found it in {:.0f} % "
                    "of the samples, and the template {} writes it); remove it from the data{}",
                    marker, percent(now), in.config.text.prompt_template,
                    may_be_plain ? ", or set prompt_template: plain" : ""));
  }
  if (const DataStats* old = old_data(in)) {
    const double before = old->share(name).value_or(0);
    const bool gone = before >= kNearlyAll && now <= kNearlyNone;
    if (gone || (now >= kNearlyAll && before <= kNearlyNone)) {
      return error(
          fmt::format("train_data_dir: {:.0f} % of {}'s samples contain {}, {:.0f} % of the new "
                      "ones; {} the new data",
                      percent(before), in.parent->name, marker, percent(now),
                      gone ? "write it into" : "remove it from"));
    }
  }
  if (now > kNearlyNone && now < kNearlyAll) {
    return warning(
        fmt::format("train_data_dir: {:.0f} % of the samples contain {}, the others do not; write "
                    "all of them alike",
                    percent(now), marker));
  }
  return std::nullopt;
}

std::set<std::string> markers_in(const DataStats* data) {
  std::set<std::string> names;
  if (data == nullptr) return names;
  for (const auto& [name, share] : data->shares) {
    if (name.starts_with("marker ")) names.insert(name.substr(7));
  }
  return names;
}

Result markers_are_like_before(const PreflightInput& in) {
  if (!in.data || in.data->kind != "texts") return std::nullopt;
  std::set<std::string> markers = markers_in(&*in.data);
  markers.merge(markers_in(old_data(in)));
  CheckResult worst = ok("no prompt format is mixed with another");
  for (const std::string& marker : markers) {
    const Result result = marker_is_like_before(in, marker);
    if (result && result->verdict > worst.verdict) worst = *result;
  }
  return worst;
}

Result answers_end_like_before(const PreflightInput& in) {
  const DataStats* old = old_data(in);
  if (old == nullptr || !old->share("ends") || !in.data->share("ends")) return std::nullopt;
  const double before = *old->share("ends"), now = *in.data->share("ends");
  if (std::abs(now - before) > kEnds) {
    const bool cut = in.data->share("answer_cut").value_or(0) > 0;
    return error(fmt::format(
        "train_data_dir: answers do not end as {}'s did (found the end token behind {:.0f} % of "
        "them, expected {:.0f} %); {}",
        in.parent->name, percent(now), percent(before),
        cut ? fmt::format("they are cut: set max_seq_length: {}", in.data->longest)
            : "label the end token in all of them, or in none"));
  }
  for (const char* name : {"begins", "begins_twice"}) {
    const double was = old->share(name).value_or(0), is = in.data->share(name).value_or(0);
    if (std::abs(is - was) <= kEnds) continue;
    return error(
        fmt::format("train_data_dir: the token for the begin stands {} in {:.0f} % of the samples "
                    "(expected {:.0f} %, as {}); write the new data alike",
                    std::string(name) == "begins" ? "first" : "twice", percent(is), percent(was),
                    in.parent->name));
  }
  return ok(fmt::format("{:.0f} % of the answers end with the end token", percent(now)));
}

Result trigger_is_there(const PreflightInput& in, const DataStats& old) {
  const DataStats& data = *in.data;
  if (old.share("trigger").value_or(0) < kTrigger || old.trigger != data.trigger) return {};
  const double now = data.share("trigger").value_or(0);
  if (now >= kTrigger) return {};
  std::string message = fmt::format(
      "trigger_word: '{0}' is missing in {1} of {2} captions ({3}: in all); set trigger_word: {0}",
      old.trigger, count_of(data, 1 - now), data.samples, in.parent->name);
  return now < 0.5 ? error(std::move(message)) : warning(std::move(message));
}

struct StyleRow {
  const char *share, *much, *little;  // what the captions are where many, where few have it
};
constexpr StyleRow kStyles[] = {
    {"tags", "lists of tags", "sentences"},
    {"underscores", "written with '_' for blanks", "written with blanks"},
    {"trigger_first", "with the trigger first", "with the trigger elsewhere"},
};

Result captions_are_like_before(const PreflightInput& in) {
  const DataStats* old = old_data(in);
  if (old == nullptr || old->kind != "pictures") return std::nullopt;
  if (Result missing = trigger_is_there(in, *old)) return missing;
  for (const StyleRow& row : kStyles) {
    const auto before = old->share(row.share), now = in.data->share(row.share);
    if (!before || !now || std::abs(*now - *before) <= kStyle) continue;
    const bool more = *now > *before;
    return warning(
        fmt::format("train_data_dir: the captions are {} ({:.0f} %; {}'s were {}, {:.0f} %); write "
                    "them alike",
                    more ? row.much : row.little, percent(more ? *now : 1 - *now), in.parent->name,
                    more ? row.little : row.much, percent(more ? 1 - *before : *before)));
  }
  return ok(fmt::format("the captions are written like {}'s", in.parent->name));
}

Result captions_fit(const PreflightInput& in) {
  const double cut = in.data->share("cut").value_or(0);
  if (cut <= kCut) return ok("captions are used whole");
  const std::int64_t enough = (in.data->longest + 74) / 75 * 75;
  return warning(fmt::format(
      "max_token_length: {} of {} captions lose their end (found up to {} tokens, "
      "expected at most {}); {}",
      count_of(*in.data, cut), in.data->samples, in.data->longest,
      in.config.images.max_token_length,
      enough <= 225 ? fmt::format("set max_token_length: {}", enough) : "shorten them"));
}

Result samples_fit(const PreflightInput& in) {
  if (!in.data) return std::nullopt;
  if (in.data->kind == "pictures") return captions_fit(in);
  const double cut = in.data->share("cut").value_or(0);
  const double answers = in.data->share("answer_cut").value_or(0);
  if (cut <= kCut) return ok(fmt::format("the longest sample has {} tokens", in.data->longest));
  std::string message = fmt::format(
      "max_seq_length: {:.0f} % of the {} are cut (the longest sample has {} tokens, "
      "expected at most {}); set max_seq_length: {}",
      percent(answers > kCut ? answers : cut), answers > kCut ? "answers" : "prompts",
      in.data->longest, in.config.text.max_seq_length, in.data->longest);
  return answers > kCut ? error(std::move(message)) : warning(std::move(message));
}

Result tokens_have_rows(const PreflightInput& in) {
  if (!in.limits) return std::nullopt;
  const TextLimits& limits = *in.limits;
  if (limits.largest_id < limits.vocabulary) return ok("every token of the data has its row");
  return error(fmt::format(
      "train_data_dir: token '{}' has no row in the model (found id {}, expected 0 to {}); take "
      "the tokenizer that belongs to the model, or remove the token from the data",
      limits.largest_token, limits.largest_id, limits.vocabulary - 1));
}

Result samples_fit_the_model(const PreflightInput& in) {
  if (!in.limits) return std::nullopt;
  const TextLimits& limits = *in.limits;
  if (limits.longest <= limits.positions) {
    return ok(fmt::format("the model has {} positions", limits.positions));
  }
  std::string message = fmt::format(
      "max_seq_length: samples of up to {} tokens go into a model of {} positions{}; set "
      "max_seq_length: {}",
      limits.longest, limits.positions,
      limits.learned ? "" : ", beyond which it was not trained and is not used", limits.positions);
  return limits.learned ? error(std::move(message)) : warning(std::move(message));
}

Result size_fits_the_model(const PreflightInput& in) {
  const std::int64_t block = in.pixels_per_latent;
  for (const auto& [key, value] : {std::pair("resolution", in.config.images.resolution),
                                   std::pair("bucket_step", in.config.images.bucket_step)}) {
    if (value % block == 0) continue;
    return error(
        fmt::format("{0}: not a multiple of the {1} pixels that this VAE takes together (found "
                    "{2}); set {0}: {3}",
                    key, block, value, std::max(value / block, std::int64_t{1}) * block));
  }
  return {};
}

Result size_is_as_before(const PreflightInput& in) {
  if (!is_image_task(in.config)) return std::nullopt;
  if (Result misfit = size_fits_the_model(in)) return misfit;
  const DataStats* old = old_data(in);
  const Version* parent = manifest_of(in);
  if (old == nullptr && parent == nullptr) return std::nullopt;
  std::map<std::string, std::int64_t> before, now;
  if (old != nullptr) {
    before = old->settings;
    now = in.data->settings;
  } else if (parent->recipe.resolution > 0) {
    before["resolution"] = parent->recipe.resolution;
    now["resolution"] = in.config.images.resolution;
  }
  for (const auto& [key, value] : before) {
    if (!now.contains(key) || now[key] == value) continue;
    const auto text = [&key = key](std::int64_t number) {
      return key != "buckets" ? std::to_string(number) : number != 0 ? "true" : "false";
    };
    return warning(fmt::format("{0}: {1} was trained with {2}, this run with {3}; set {0}: {2}",
                               key, in.parent->name, text(value), text(now[key])));
  }
  return ok(fmt::format("resolution {}", in.config.images.resolution));
}

// Pictures of other proportions lose other parts to the crop.
Result shape_is_as_before(const PreflightInput& in) {
  const DataStats* old = old_data(in);
  const auto& expected = in.config.increment.expect_shift;
  if (old == nullptr || std::ranges::find(expected, "aspect") != expected.end()) return {};
  const auto before = old->measures.find("aspect"), now = in.data->measures.find("aspect");
  if (before == old->measures.end() || now == in.data->measures.end()) return {};
  const Shift shift = shift_of(before->second, now->second);
  if (shift.p >= kRareShift || std::abs(shift.effect) < kLargeShift) return {};
  return warning(fmt::format(
      "train_data_dir: the new pictures are {} than {}'s ({:.1f} sd of width / height), "
      "so that other parts are cropped; if this is meant, set expect_shift: [aspect]",
      shift.effect > 0 ? "wider" : "taller", in.parent->name, std::abs(shift.effect)));
}

Result pictures_fit(const PreflightInput& in) {
  if (!in.data || in.data->kind != "pictures") return std::nullopt;
  const std::int64_t all = in.data->samples + in.data->too_small;
  if (static_cast<double>(in.data->too_small) > kLeftOut * static_cast<double>(all)) {
    return warning(fmt::format(
        "resolution: {} of {} pictures are smaller than {} and are left out; lower "
        "resolution, or enlarge them with `lora prepare images --upscale`",
        in.data->too_small, all,
        in.config.images.buckets ? in.config.images.bucket_min : in.config.images.resolution));
  }
  if (Result shape = shape_is_as_before(in)) return shape;
  return ok("the pictures fit the resolution");
}

constexpr CheckRow kChecks[] = {
    {"T02", "markers", "markers of prompt formats stand in all samples or in none",
     markers_are_like_before},
    {"T03", "answer-end", "answers begin and end as the parent's", answers_end_like_before},
    {"T04", "trigger", "captions are written as the parent's", captions_are_like_before},
    {"T05", "truncation", "samples fit max_seq_length", samples_fit},
    {"T06", "", "every token has its row in the model", tokens_have_rows},
    {"T07", "", "samples fit the model's positions", samples_fit_the_model},
    {"P01", "", "the size is the parent's", size_is_as_before},
    {"P02", "", "the pictures fit the size", pictures_fit},
};

}  // namespace

std::span<const CheckRow> form_checks() { return kChecks; }

}  // namespace lora
