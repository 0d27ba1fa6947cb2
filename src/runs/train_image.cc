// SPDX-License-Identifier: Apache-2.0
// Stable Diffusion in `lora train`: model, pictures, captions, caches and objective.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/text.h"
#include "data/data_manifest.h"
#include "data/held_out.h"
#include "data/replay.h"
#include "io/adapters/adapter_writer.h"
#include "io/aten.h"
#include "models/sd_kinds.h"
#include "runs/class_images.h"
#include "runs/image_data.h"
#include "runs/train_task.h"
#include "runs/warm_start.h"
#include "train/adapter_parameters.h"
#include "train/image_objective.h"
#include "train/trainer.h"

namespace lora {
namespace {

using Json = nlohmann::json;

class ImageRun final : public TrainTask {
 public:
  explicit ImageRun(const TaskSetup& setup)
      : config_(setup.config),
        options_(image_data_options(config_)),
        sd_(load_model(setup)),
        prompts_(SdPrompts::load(config_.base_model, sd_->kind())),
        cache_(cache_folder(config_), vae_key(config_), options_) {
    check_clip_skip();
    read_data();
    if (config_.increment.replay > 0) read_replay(setup.parent);
    if (setup.parent && setup.parent->data) old_stats_ = *setup.parent->data;
    make_objective();
  }

  // The UNet; the text encoders only where they are trained.
  std::vector<NamedLayer> layers() override {
    std::vector<NamedLayer> layers = layers_of(*sd_);
    if (!config_.images.train_text_encoder) {
      std::erase_if(layers,
                    [](const NamedLayer& layer) { return !layer.name.starts_with("unet."); });
    }
    return layers;
  }

  std::vector<NamedLayer> learning(const std::vector<NamedLayer>& targets) const override {
    return learning_layers(*sd_, config_.images.clip_skip, targets);
  }

  Objective& objective() override { return *objective_; }

  void add_facts(PreflightInput& input) override {
    input.passes = total_epochs(config_, *objective_);
    if (input.parent) input.parent->replay_problems = replay_problems_;
    if (input.base) input.base->prediction_type = prediction_name();
    input.pixels_per_latent = sd_->pixels_per_latent();
    stats_ = stats_of(train_);
    input.data = stats_;
    if (!validation_.empty()) {
      std::vector<PictureMark> trained = input.data->marks;
      for (const ImageRecord& record : old_) trained.push_back(record.mark);
      input.leaked = overlap_of(validation_, trained);
      if (input.parent) input.known_before = overlap_of(validation_, old_stats_.marks);
    }
    if (input.parent) input.trained_before = overlap_of(train_, old_stats_.marks);
  }

  void start() override {
    // Looked at again after the last step, when they may have been moved.
    for (const ImageRecord& record : validation_) cache_.of(*sd_, record, false);
    for (const ImageRecord& record : probe_samples(validation_, train_)) {
      cache_.of(*sd_, record, false);
    }
    if (!config_.prior.prior_preservation) return;
    draw_class_images(config_, drawn_, *sd_, prompts_);
    add_drawn_prior();
    make_objective();
  }

  std::vector<std::string> report() const override {
    std::vector<std::string> lines = notes_;
    lines.push_back(
        fmt::format("data: {} pictures of {}", train_.size(), config_.data.train_data_dir));
    for (std::string& line : picture_lines(config_, train_)) lines.push_back(std::move(line));
    if (!validation_.empty()) {
      lines.push_back(fmt::format("validation: {} pictures", validation_.size()));
    }
    if (config_.prior.prior_preservation) {
      lines.push_back(class_images_text(config_, drawn_, std::ssize(prior_)));
    }
    if (config_.increment.replay > 0) {
      lines.push_back(fmt::format("replay: {} old pictures an epoch, of {} of the parent's",
                                  source_->order().old_per_epoch(), old_.size()));
    }
    lines.push_back(fmt::format("model: {}, {:.1f} M parameters, predicts {}",
                                sd_kind(sd_->kind()).name,
                                static_cast<double>(sd_->parameters()) / 1e6,
                                sd_->prediction() == Prediction::v ? "v" : "noise"));
    return lines;
  }

  void describe(Version& version) const override {
    DataRecord& data = version.data;
    data.train_path = config_.data.train_data_dir;
    data.metadata_path = config_.data.metadata_path;
    data.format = "pictures";
    data.new_samples = static_cast<std::int64_t>(train_.size());
    data.replay_samples = source_->order().old_per_epoch();
    data.manifest_sha256 = sha256(data_manifest());
    if (!validation_.empty()) {
      Sha256 hash;
      for (const ImageRecord& record : validation_) hash.update(record.sha256 + record.caption);
      data.eval_sha256 = hash.hex();
    }
    version.base.prediction_type = prediction_name();
  }

  std::string data_manifest() const override {
    std::vector<ManifestRow> rows = manifest_rows(train_, "new");
    for (const auto& [records, role] :
         {std::pair(&old_, "replay"), std::pair(&validation_, "validation")}) {
      const std::vector<ManifestRow> more = manifest_rows(*records, role);
      rows.insert(rows.end(), more.begin(), more.end());
    }
    return manifest_text(rows);
  }

  DataStats data_stats() const override {
    if (config_.increment.replay == 0) return stats_;
    std::vector<ImageRecord> all = train_;
    all.insert(all.end(), old_.begin(), old_.end());
    return stats_of(all);
  }

  AdapterKind kind() const override { return sd_kind(sd_->kind()).adapter; }
  std::string name_head() const override { return ""; }

  void write_adapter(const Path& folder, const AdapterFile& adapter) const override {
    write_file_atomic(folder / kWeightsName, encode_diffusers(adapter));
    const std::string name = name_of(folder);
    // No date: the same run gives the same bytes; version.json has it.
    KohyaInfo info{.name = name,
                   .resolution = fmt::format("{0}x{0}", config_.images.resolution),
                   .prediction_type = sd_->prediction() == Prediction::v ? "v" : "epsilon",
                   .extra = kohya_extra()};
    write_file_atomic(folder / (name + ".safetensors"), encode_kohya(adapter, info));
  }

  // The latents, captions and random numbers are all derived from the pictures; the probe keeps
  // paths and hashes, and is left out where a picture has gone.
  Probe probe(const std::string& json) override {
    std::vector<ImageRecord> records;
    if (json.empty()) {
      records = probe_samples(validation_, train_);
    } else {
      records = probe_records(
          parse_json<Json>(json, "probe.json", "restore the file from a copy"));
    }
    Json rows = Json::array();
    for (const ImageRecord& record : records) rows.push_back(record_json(record));
    const Loss loss = fixed_noise_loss(
        *sd_, NoiseSchedule(schedule()), records, cache_, [&](const std::string& caption) {
          return encode_prompts(*sd_, prompts_, {caption}, config_.images.max_token_length,
                                config_.images.clip_skip);
        });
    return {Json{{"pictures", rows}}.dump(), loss.sum.item<double>() / std::max(1.0, loss.count)};
  }

 private:
  static std::unique_ptr<StableDiffusion> load_model(const TaskSetup& setup) {
    SdLoadOptions options{.dtype = setup.machine.precision.dtype, .device = setup.machine.device};
    const std::string& wanted = setup.config.images.prediction_type;
    if (wanted != "auto") {
      options.prediction = wanted == "epsilon" ? Prediction::epsilon : Prediction::v;
    }
    auto sd = StableDiffusion::load(setup.config.base_model, options);
    sd->set_checkpointing(setup.config.machine.gradient_checkpointing);
    return sd;
  }

  std::string prediction_name() const {
    return sd_->prediction() == Prediction::v ? "v_prediction" : "epsilon";
  }

  ScheduleConfig schedule() const {
    ScheduleConfig schedule = sd_->config().schedule;
    schedule.zero_terminal_snr |= config_.images.zero_terminal_snr;
    return schedule;
  }

  void check_clip_skip() const {
    const std::int64_t layers = sd_->config().text.layers;
    if (config_.images.clip_skip <= layers) return;
    fail_usage("clip_skip: deeper than the text encoder (found ", config_.images.clip_skip,
               ", expected at most ", layers, ", its layers); use 1 or 2");
  }

  // The parent's trigger is looked for where it has one.
  DataStats stats_of(const std::vector<ImageRecord>& records) const {
    const std::string& own = config_.images.trigger_word;
    DataStats stats = picture_stats(records, old_stats_.trigger.empty() ? own : old_stats_.trigger);
    stats.too_small = train_too_small_;
    stats.settings = {{"resolution", config_.images.resolution},
                      {"buckets", config_.images.buckets}};
    if (config_.images.buckets) {
      stats.settings["bucket_min"] = config_.images.bucket_min;
      stats.settings["bucket_max"] = config_.images.bucket_max;
      stats.settings["bucket_step"] = config_.images.bucket_step;
    }
    std::size_t cut = 0;
    for (const ImageRecord& record : records) {
      const std::int64_t length = prompts_.length(record.caption);
      stats.longest = std::max(stats.longest, length);
      cut += length > config_.images.max_token_length;
    }
    stats.shares["cut"] = static_cast<double>(cut) / static_cast<double>(records.size());
    return stats;
  }

  // Of class pictures the captions do not matter.
  std::vector<ImageRecord> scan(const ImageDataOptions& options, bool with_captions = true) {
    ImageFactsCache facts;
    const ImageScan scan = scan_images(options, facts);
    for (const ImageRecord& record : scan.records) {
      if (record.verdict != PictureVerdict::used) {
        too_small_ += record.verdict == PictureVerdict::too_small;
        notes_.push_back("left out " + record.file.relative + ": " + record.problem);
      }
    }
    for (const std::string& text : scan.warnings) {
      const bool told = text.starts_with("left out:") || text.starts_with("not read:");
      if (told || with_captions) notes_.push_back((told ? "" : "warning: ") + text);
    }
    std::vector<ImageRecord> used;
    for (const ImageRecord* record : scan.used()) used.push_back(*record);
    return used;
  }

  void read_data() {
    train_ = scan(options_);
    train_too_small_ = too_small_;
    if (!config_.data.validation_data.empty()) {
      ImageDataOptions options = options_;
      options.folder = config_.data.validation_data;
      options.metadata.clear();
      validation_ = scan(options);
    } else if (config_.data.validation_split > 0) {
      validation_ = take_validation(train_, config_.data.validation_split, config_.seed);
    }
    if (config_.prior.prior_preservation) read_own_prior();
    for (std::string& note : cut_prompts(config_, prompts_)) notes_.push_back(std::move(note));
  }

  // The pictures that the parent's manifest names, where their bytes are still the same.
  void read_replay(const std::optional<ParentVersion>& parent) {
    const DataRecord& data = replayed_data(parent);
    ReplayPictures replay = replay_pictures(parent->located.folder / "data_manifest.tsv", options_,
                                            data.train_path, data.metadata_path);
    old_ = std::move(replay.records);
    replay_problems_ = std::move(replay.problems);
  }

  std::vector<ImageRecord> class_pictures(const Path& folder) {
    ImageDataOptions options = options_;
    options.folder = folder;
    options.metadata.clear();
    options.captions = {};
    std::vector<ImageRecord> records = scan(options, false);
    for (ImageRecord& record : records) record.caption = config_.prior.class_prompt;
    return records;
  }

  // A folder that is not there, or empty, has none.
  void read_own_prior() {
    const Path folder = config_.prior.class_data_dir;
    std::error_code ignored;
    if (!folder.empty() && !std::filesystem::is_empty(folder, ignored) && !ignored) {
      prior_ = class_pictures(folder);
    }
    drawn_ = plan_class_images(config_, std::ssize(prior_));
  }

  void add_drawn_prior() {
    if (drawn_.wanted > 0) {
      for (ImageRecord& record : class_pictures(drawn_.folder)) {
        if (std::ssize(prior_) < config_.prior.num_class_images) prior_.push_back(record);
      }
    }
    info(fmt::format("class pictures: {}", prior_.size()));
  }

  std::vector<ImageRecord> probe_records(const Json& json) const {
    std::vector<ImageRecord> records;
    for (const Json& row : json.at("pictures")) records.push_back(record_from(row));
    return records;
  }

  Metadata kohya_extra() const {
    Metadata extra = {
        {"ss_num_train_images", std::to_string(train_.size())},
        {"ss_learning_rate", fmt::format("{:g}", config_.optimisation.learning_rate.value_or(0))},
        {"ss_sd_model_name", name_of(config_.base_model)},
        {"ss_clip_skip", std::to_string(config_.images.clip_skip)},
        {"ss_seed", std::to_string(config_.seed)}};
    extra["ss_tag_frequency"] = tag_frequency(train_, config_.data.train_data_dir);
    if (!config_.images.trigger_word.empty()) {
      extra["modelspec.trigger_phrase"] = config_.images.trigger_word;
    }
    return extra;
  }

  void make_objective() {
    source_ =
        std::make_unique<ImageSource>(entries(train_), entries(old_), entries(prior_), config_);
    ImageTask task{.sd = *sd_, .prompts = prompts_, .source = *source_};
    task.fresh = {train_, &cache_};
    task.old = {old_, &cache_};
    task.prior = {prior_, &cache_};
    task.validation = {validation_, &cache_};
    task.schedule = schedule();
    task.seed = config_.seed;
    task.positions = config_.images.max_token_length;
    task.clip_skip = config_.images.clip_skip;
    task.noise_offset = config_.images.noise_offset;
    task.train_text = config_.images.train_text_encoder;
    task.loss = {.snr_gamma = config_.images.snr_gamma,
                 .prior_weight = config_.prior.prior_loss_weight};
    task.samples = sample_requests(config_);
    task.name = name_of(config_.output_dir);
    objective_ = std::make_unique<ImageObjective>(std::move(task));
  }

  Config config_;
  ImageDataOptions options_;
  std::unique_ptr<StableDiffusion> sd_;
  SdPrompts prompts_;
  LatentCache cache_;
  std::vector<ImageRecord> train_, old_, prior_, validation_;
  DrawnPictures drawn_;
  std::vector<std::string> notes_, replay_problems_;
  std::int64_t too_small_ = 0, train_too_small_ = 0;
  DataStats stats_;      // of the new pictures
  DataStats old_stats_;  // empty where the parent has none
  std::unique_ptr<ImageSource> source_;
  std::unique_ptr<ImageObjective> objective_;
};

}  // namespace

std::unique_ptr<TrainTask> make_image_task(const TaskSetup& setup) {
  return std::make_unique<ImageRun>(setup);
}

}  // namespace lora
