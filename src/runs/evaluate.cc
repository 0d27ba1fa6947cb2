// SPDX-License-Identifier: Apache-2.0
#include "runs/evaluate.h"

#include <ATen/core/Reduction.h>
#include <ATen/ops/nll_loss.h>

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "data/text_source.h"
#include "io/aten.h"
#include "train/image_objective.h"

namespace lora {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Rows whose logits stay below 256 MiB.
std::int64_t rows_at_once(const CausalLM& model, std::int64_t length) {
  const std::int64_t row = length * model.vocabulary() * 4;
  return std::clamp<std::int64_t>((std::int64_t{256} << 20) / std::max<std::int64_t>(row, 1), 1,
                                  16);
}

// The scores of one batch, a sample a row, are written from `next` on.
void add_batch(const TextSession& session, const TextBatch& batch, Score& score,
               std::vector<std::size_t>::const_iterator next) {
  const TextTensors tensors = to_tensors(batch, session.machine.device);
  const at::Tensor logits = session.model->logits(tensors).slice(1, 0, batch.length - 1);
  const at::Tensor labels = tensors.labels.slice(1, 1);
  const at::Tensor wanted = labels.ne(kIgnore);
  const at::Tensor log_likely = at::log_softmax(logits.flatten(0, 1), 1);
  const auto loss = [&](std::int64_t reduction) {
    return at::nll_loss(log_likely, labels.flatten(), {}, reduction, kIgnore);
  };
  score.loss_sum += loss(at::Reduction::Sum).item<double>();
  const at::Tensor sums =
      loss(at::Reduction::None).view(labels.sizes()).sum({1}, false, at::kDouble).cpu();
  const at::Tensor counts = wanted.sum({1}).cpu();
  const at::Tensor exact = logits.argmax(-1).eq(labels).logical_or(~wanted).all(1).cpu();
  for (std::int64_t row = 0; row < batch.rows; ++row, ++next) {
    const auto count = static_cast<double>(counts[row].item<std::int64_t>());
    score.samples[*next] = {sums[row].item<double>(), count, exact[row].item<bool>()};
    score.count += count;
  }
}

}  // namespace

double Score::exact_share() const {
  const auto exact = std::ranges::count_if(samples, &SampleScore::exact);
  return static_cast<double>(exact) / static_cast<double>(std::max<std::size_t>(samples.size(), 1));
}

TextSet read_text_set(const TextSession& session, const TextsToRead& from,
                      std::int64_t max_length) {
  TextConfig text;
  text.max_seq_length = max_length > 0 ? max_length : session.model->max_positions();
  TextSet set;
  set.rows = rows_at_once(*session.model, text.max_seq_length);
  UsableTexts texts = read_usable_texts(from, *session.prompt, text);
  for (const std::string& note : texts.notes) info(note);
  set.samples = std::move(texts.samples);
  if (set.samples.truncated > 0) {
    info(join("data: ", set.samples.truncated, " samples are longer than ", text.max_seq_length,
              " tokens and are cut"));
  }
  return set;
}

PictureSet read_picture_set(const ImageSession& session, const Path& folder) {
  ImageDataOptions options;
  options.folder = folder;
  options.images.resolution = session.side();
  options.upscale = true;
  options.captions.clean = false;
  ImageFactsCache facts;
  const ImageScan scan = scan_images(options, facts);
  PictureSet set;
  for (const ImageRecord* record : scan.used()) set.records.push_back(*record);
  set.latents = std::make_unique<LatentCache>(Path(), "", options);
  return set;
}

Score evaluate(const TextSession& session, const TextSet& set) {
  const at::NoGradGuard no_grad;
  const auto start = Clock::now();
  Score score;
  score.samples.resize(set.samples.samples.size());
  const std::vector<std::size_t> order = longest_first(set.samples.samples);
  auto next = order.begin();
  for (const TextBatch& batch : fixed_batches(set.samples.samples, set.rows, kPadId)) {
    add_batch(session, batch, score, next);
    next += batch.rows;
  }
  score.seconds = seconds_since(start);
  return score;
}

Score evaluate(const ImageSession& session, const PictureSet& set) {
  const auto start = Clock::now();
  const NoiseSchedule schedule(session.sd->config().schedule);
  const auto states = [&](const std::string& caption) {
    return encode_prompts(*session.sd, session.prompts, {caption});
  };
  Score score;
  float sum = 0;  // as fixed_noise_loss of all of them adds up
  for (const ImageRecord& record : set.records) {
    const Loss loss = fixed_noise_loss(*session.sd, schedule, {record}, *set.latents, states);
    sum += loss.sum.item<float>();
    score.samples.push_back({loss.sum.item<double>(), loss.count});
    score.count += loss.count;
  }
  score.loss_sum = sum;
  score.seconds = seconds_since(start);
  return score;
}

}  // namespace lora
