// SPDX-License-Identifier: Apache-2.0
#include "train/image_objective.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "data/shuffle.h"
#include "io/aten.h"
#include "models/sd_kinds.h"
#include "train/watch.h"

namespace lora {
namespace {

constexpr std::int64_t kStrata = 4;

at::Generator generator_of(std::int64_t seed, std::string_view purpose, std::int64_t number) {
  return at::detail::createCPUGenerator(Random(seed, purpose, number).next());
}

// Rows of states under each other.
TextStates stack(const std::vector<TextStates>& rows) {
  std::vector<at::Tensor> hidden, pooled;
  for (const TextStates& row : rows) {
    hidden.push_back(row.hidden);
    if (row.pooled.defined()) pooled.push_back(row.pooled);
  }
  return {at::cat(hidden), pooled.empty() ? at::Tensor() : at::cat(pooled)};
}

}  // namespace

at::Tensor picture_time_ids(const ImageRecord& record) {
  const Fit& fit = record.fit;
  const auto f = [](int value) { return static_cast<float>(value); };
  return at::tensor({f(record.size.height), f(record.size.width), f(fit.top), f(fit.left),
                     f(fit.bucket.height), f(fit.bucket.width)})
      .unsqueeze(0);
}

std::vector<NamedLayer> learning_layers(const StableDiffusion& sd, std::int64_t clip_skip,
                                        const std::vector<NamedLayer>& layers) {
  const std::int64_t from_end = std::max<std::int64_t>(clip_skip, sd_kind(sd.kind()).from_end);
  std::vector<NamedLayer> learning = layers;
  for (std::int64_t left_out = 1; left_out < from_end; ++left_out) {
    const std::string head =
        join("text_encoder.text_model.encoder.layers.", sd.config().text.layers - left_out, ".");
    std::erase_if(learning, [&](const NamedLayer& layer) { return layer.name.starts_with(head); });
  }
  return learning;
}

ImageObjective::ImageObjective(ImageTask task)
    : task_(std::move(task)), schedule_(task_.schedule) {}

const ImageSet& ImageObjective::set_of(ImageRole role) const {
  return role == ImageRole::fresh ? task_.fresh : role == ImageRole::old ? task_.old : task_.prior;
}

TextStates ImageObjective::text_of(const std::vector<std::string>& captions) {
  const auto encode = [&](const std::vector<std::string>& texts) {
    return encode_prompts(task_.sd, task_.prompts, texts, task_.positions, task_.clip_skip);
  };
  if (task_.train_text) return encode(captions);
  const at::NoGradGuard no_grad;
  std::vector<TextStates> rows;
  for (const std::string& caption : captions) {
    const auto [at, fresh] = text_cache_.try_emplace(caption);
    if (fresh) at->second = encode({caption});
    rows.push_back(at->second);
  }
  return stack(rows);
}

// Items of one size; class pictures alone count as samples of their own. Random numbers are drawn
// on the CPU in a fixed order.
Loss ImageObjective::loss_of(const std::vector<ImageItem>& items, std::int64_t number) {
  at::Generator generator = generator_of(task_.seed, "noise", number);
  std::vector<at::Tensor> latents, ids;
  std::vector<std::string> captions;
  DiffusionBatch batch;
  for (const ImageItem& item : items) {
    const ImageSet& set = set_of(item.role);
    const ImageRecord& record = set.records[item.index];
    const LatentDistribution& known = set.cache->of(task_.sd, record, item.flipped);
    latents.push_back(known.sample(at::randn(known.mean.sizes(), generator, at::kFloat)));
    captions.push_back(item.caption);
    if (sd_kind(task_.sd.kind()).second_encoder) ids.push_back(picture_time_ids(record));
    batch.prior += item.role == ImageRole::prior;
  }
  if (batch.prior == static_cast<std::int64_t>(items.size())) batch.prior = 0;
  batch.latents = at::cat(latents) * task_.sd.latent_scale();
  const auto count = static_cast<std::int64_t>(items.size());
  batch.noise = at::randn(batch.latents.sizes(), generator, at::kFloat);
  if (task_.noise_offset > 0) {
    const at::Tensor offset = at::randn({count, 4, 1, 1}, generator, at::kFloat);
    batch.noise = offset_noise(batch.noise, offset, at::scalar_tensor(task_.noise_offset));
  }
  batch.timesteps = at::randint(0, schedule_.steps(), {count}, generator, at::kLong);
  if (!ids.empty()) batch.time_ids = at::cat(ids).to(task_.sd.device());
  batch.text = text_of(captions);
  batch.latents = batch.latents.to(task_.sd.device());
  batch.noise = batch.noise.to(task_.sd.device());
  batch.timesteps = batch.timesteps.to(task_.sd.device());
  return diffusion_loss(task_.sd, schedule_, batch, task_.loss);
}

Loss ImageObjective::next() {
  const std::vector<ImageItem> items = task_.source.next();
  const std::int64_t number = task_.source.order().number();
  std::vector<std::string> names;
  std::vector<ImageItem> own, prior;
  for (const ImageItem& item : items) {
    names.push_back(set_of(item.role).records[item.index].file.relative);
    (item.role == ImageRole::prior ? prior : own).push_back(item);
  }
  last_ = "pictures " + join_words(names);
  last_units_ = static_cast<std::int64_t>(items.size());
  if (items.empty()) return {at::zeros({}, at::kFloat), 0};
  if (prior.empty()) return loss_of(items, number);
  const auto size_of = [&](const ImageItem& item) {
    return set_of(item.role).records[item.index].fit.bucket;
  };
  const bool one_size = std::all_of(items.begin(), items.end(), [&](const ImageItem& item) {
    return size_of(item) == size_of(items.front());
  });
  if (one_size) return loss_of(items, number);
  // Class pictures of another size go through the model on their own, one by one. Numbers below 0
  // never meet those of other batches.
  Loss loss = loss_of(own, number);
  const double weight = task_.loss.prior_weight * loss.count / static_cast<double>(prior.size());
  for (std::size_t i = 0; i < prior.size(); ++i) {
    const Loss one = loss_of({prior[i]}, -(number * 4096 + static_cast<std::int64_t>(i) + 1));
    loss.sum = loss.sum + one.sum * weight;
  }
  return loss;
}

nlohmann::json ImageObjective::state() const { return {{"source", task_.source.order().state()}}; }

void ImageObjective::restore(const nlohmann::json& state) {
  task_.source.order().restore(state.at("source"));
}

Loss fixed_noise_loss(const StableDiffusion& sd, const NoiseSchedule& schedule,
                      const std::vector<ImageRecord>& records, LatentCache& cache,
                      const std::function<TextStates(const std::string& caption)>& text) {
  const at::NoGradGuard no_grad;
  Loss total{at::zeros({}, at::kFloat), 0};
  for (const ImageRecord& record : records) {
    const auto seed =
        static_cast<std::int64_t>(std::stoull(record.sha256.substr(0, 15), nullptr, 16));
    at::Generator generator = generator_of(seed, "validation", 0);
    const at::Tensor latents = cache.of(sd, record, false).mean * sd.latent_scale();
    DiffusionBatch batch;
    batch.latents = latents.repeat({kStrata, 1, 1, 1}).to(sd.device());
    batch.noise = at::randn(batch.latents.sizes(), generator, at::kFloat).to(sd.device());
    const at::Tensor strata = at::arange(kStrata, at::kLong) * 2 + 1;
    batch.timesteps = (strata * schedule.steps()).div(2 * kStrata, "floor").to(sd.device());
    const TextStates states = text(record.caption);
    batch.text = stack(std::vector<TextStates>(kStrata, states));
    if (sd_kind(sd.kind()).second_encoder) {
      batch.time_ids = picture_time_ids(record).repeat({kStrata, 1}).to(sd.device());
    }
    const Loss loss = diffusion_loss(sd, schedule, batch, {});
    total.sum = total.sum + loss.sum.cpu();
    total.count += loss.count;
  }
  return total;
}

std::vector<Validation> ImageObjective::validate() {
  if (task_.validation.records.empty()) return {};
  return {{std::string(kWatched),
           fixed_noise_loss(task_.sd, schedule_, task_.validation.records, *task_.validation.cache,
                            [&](const std::string& caption) { return text_of({caption}); })}};
}

std::vector<std::string> ImageObjective::sample(const Path& folder, std::int64_t step) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < task_.samples.size(); ++i) {
    const ImageRequest& request = task_.samples[i];
    const Path path = folder / fmt::format("step-{:06}-{}.png", step, i);
    write_png(path, generate_image(task_.sd, task_.prompts, request),
              png_parameters(request, task_.name));
    lines.push_back(path.string());
    lines.push_back(path.filename().string() + ": " + request.prompt);
  }
  return lines;
}

}  // namespace lora
