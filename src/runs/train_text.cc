// SPDX-License-Identifier: Apache-2.0
// Language models in `lora train`: model, tokenizer, template, sources and objective.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text.h"
#include "data/data_manifest.h"
#include "data/data_stats.h"
#include "data/held_out.h"
#include "data/prompt_template.h"
#include "data/replay.h"
#include "data/text_source.h"
#include "data/usable_texts.h"
#include "io/adapters/adapter_writer.h"
#include "io/aten.h"
#include "models/generate.h"
#include "models/hf_config.h"
#include "models/model.h"
#include "runs/train_task.h"
#include "runs/warm_start.h"
#include "train/adapter_parameters.h"
#include "train/text_objective.h"
#include "train/trainer.h"

namespace lora {
namespace {

class TextRun final : public TrainTask {
 public:
  explicit TextRun(const TaskSetup& setup)
      : config_(setup.config),
        device_(setup.machine.device),
        tokenizer_(Tokenizer::load(config_.base_model)),
        template_(config_.text.prompt_template, tokenizer_, date_of(config_, setup.parent)) {
    read_data();
    if (config_.increment.replay > 0) read_replay(setup.parent);
    if (setup.parent) trained_before_ = trained_hashes(*setup.parent);
    model_ = load_causal_lm(config_.base_model,
                            {.dtype = setup.machine.precision.dtype, .device = device_});
    model_->set_checkpointing(config_.machine.gradient_checkpointing);
    source_ = std::make_unique<TextSource>(train_.samples, old_.samples, config_, kPadId);
    make_objective();
  }

  void settle(Config& config) const override { config.text.template_date = template_.date(); }
  std::vector<NamedLayer> layers() override { return layers_of(*model_); }
  Objective& objective() override { return *objective_; }

  void add_facts(PreflightInput& input) override {
    input.prompt_template = template_record();
    input.passes = total_epochs(config_, *objective_);
    if (input.parent) input.parent->replay_problems = replay_problems_;
    stats_ = text_stats({{data_, train_}}, template_);
    input.data = stats_;
    input.limits = limits();
    add_overlaps(input);
  }

  std::vector<std::string> report() const override {
    std::vector<std::string> lines = notes_;
    lines.push_back(fmt::format("data: {} samples of {} ({}), {} tokens, {} trained",
                                train_.samples.size(), data_path(), data_.format,
                                train_.tokens, train_.targets));
    if (train_.truncated > 0) {
      lines.push_back(
          fmt::format("data: {} samples are longer than max_seq_length {} and are cut "
                      "({} of them lose the end of the answer)",
                      train_.truncated, config_.text.max_seq_length, train_.answers_cut));
    }
    if (!validation_.empty()) {
      lines.push_back(fmt::format("validation: {} samples", validation_samples_.samples.size()));
    }
    if (config_.increment.replay > 0) {
      lines.push_back(fmt::format("replay: {} old samples an epoch, of {} of the parent's",
                                  source_->order().old_per_epoch(), old_.samples.size()));
    }
    lines.push_back(fmt::format("model: {}, {:.1f} M parameters; template {}", model_->family(),
                                static_cast<double>(model_->parameters()) / 1e6, template_.name()));
    return lines;
  }

  void describe(Version& version) const override {
    DataRecord& data = version.data;
    data.train_path = config_.data.train_data_dir;
    data.metadata_path = config_.data.metadata_path;
    data.format = data_.format;
    data.columns = config_.data.columns;
    data.file_sha256 = file_hashes_;
    data.left_out = left_out_;
    data.new_samples = static_cast<std::int64_t>(train_.samples.size());
    data.replay_samples = config_.increment.replay > 0 ? source_->order().old_per_epoch() : 0;
    data.manifest_sha256 = sha256(data_manifest());
    data.eval_sha256 = eval_hash_;
    version.prompt_template = template_record();
  }

  std::string data_manifest() const override {
    std::vector<ManifestRow> rows = manifest_rows(data_, train_, "new");
    const auto add = [&](const std::vector<ManifestRow>& more) {
      rows.insert(rows.end(), more.begin(), more.end());
    };
    if (config_.increment.replay > 0) add(manifest_rows(old_data_, old_, "replay"));
    if (!validation_samples_.samples.empty()) {
      const TextDataset& from = config_.data.validation_data.empty() ? data_ : validation_data_;
      add(manifest_rows(from, validation_samples_, "validation"));
    }
    return manifest_text(rows);
  }

  DataStats data_stats() const override {
    if (config_.increment.replay == 0) return stats_;
    return text_stats({{data_, train_}, {old_data_, old_}}, template_);
  }

  AdapterKind kind() const override { return AdapterKind::llm; }
  std::string name_head() const override { return "base_model.model."; }
  void write_adapter(const Path& folder, const AdapterFile& adapter) const override {
    write_peft(folder, adapter);
  }

  Probe probe(const std::string& json) override {
    std::vector<TextSample> samples;
    if (json.empty()) {
      samples = probe_samples(validation_samples_.samples, train_.samples);
    } else {
      const auto stored =
          parse_json<nlohmann::json>(json, "probe.json", "restore the file from a copy");
      for (const auto& row : stored.at("samples")) {
        samples.push_back({row.at("ids").get<std::vector<std::int64_t>>(),
                           row.at("labels").get<std::vector<std::int64_t>>()});
      }
    }
    nlohmann::json rows = nlohmann::json::array();
    for (const TextSample& sample : samples) {
      rows.push_back({{"ids", sample.ids}, {"labels", sample.labels}});
    }
    // No padding: the same sums whatever the next run's batch size is.
    const Loss loss = evaluate(*model_, fixed_batches(samples, 1, kPadId), device_);
    return {nlohmann::json{{"samples", rows}}.dump(),
            loss.sum.item<double>() / std::max(1.0, loss.count)};
  }

 private:
  // One rule with `lora prepare text --config`.
  const std::string& data_path() const {
    const DataConfig& data = config_.data;
    return data.metadata_path.empty() ? data.train_data_dir : data.metadata_path;
  }

  // Today of the templates: as configured, else that of the run which goes on in the folder, else
  // the parent's.
  static std::string date_of(const Config& config, const std::optional<ParentVersion>& parent) {
    if (!config.text.template_date.empty()) return config.text.template_date;
    const std::string begun =
        resolved_value(Path(config.output_dir) / "config.resolved.yaml", "template_date");
    if (!begun.empty() || !parent || !parent->located.version) return begun;
    return parent->located.version->prompt_template.date;
  }

  UsableTexts read(const std::string& path, Purpose purpose) const {
    return read_usable_texts({.path = path,
                              .format = config_.data.dataset_format,
                              .columns = config_.data.columns,
                              .purpose = purpose,
                              .bad_records = config_.data.bad_records},
                             template_, config_.text);
  }

  void read_data() {
    UsableTexts fresh = read(data_path(), Purpose::training);
    data_ = std::move(fresh.data);
    for (const Path& file : data_.files) file_hashes_[file.string()] = sha256_file(file);
    train_ = std::move(fresh.samples);
    notes_ = std::move(fresh.notes);
    left_out_ = fresh.left_out;
    if (!config_.data.validation_data.empty()) {
      UsableTexts kept = read(config_.data.validation_data, Purpose::validation);
      validation_data_ = std::move(kept.data);
      Sha256 hash;
      for (const Path& file : validation_data_.files) hash.update(sha256_file(file));
      eval_hash_ = hash.hex();
      validation_samples_ = std::move(kept.samples);
      notes_.insert(notes_.end(), kept.notes.begin(), kept.notes.end());
    } else if (config_.data.validation_split > 0) {
      validation_samples_ = take_validation(train_, config_.data.validation_split, config_.seed);
    }
    validation_ = fixed_batches(validation_samples_.samples, config_.length.batch_size, kPadId);
  }

  void read_replay(const std::optional<ParentVersion>& parent) {
    const DataRecord& data = replayed_data(parent);
    ReplayTexts replay = replay_texts(parent->located.folder / "data_manifest.tsv",
                                      data.format.empty() ? "auto" : data.format, data.columns);
    old_data_ = std::move(replay.dataset);
    replay_problems_ = std::move(replay.problems);
    std::vector<LeftOut> unusable;
    old_ = tokenize_dataset(old_data_, template_, config_.text, &unusable);
    for (const LeftOut& item : unusable) {
      replay_problems_.push_back(item.place + ": " + item.reason);
    }
  }

  // Of the samples that the parent was trained on.
  static std::set<std::string> trained_hashes(const ParentVersion& parent) {
    std::set<std::string> hashes;
    const Path file = parent.located.folder / "data_manifest.tsv";
    if (!parent.located.version || !std::filesystem::exists(file)) return hashes;
    for (const ManifestRow& row : read_manifest(file)) {
      if (row.role != "validation") hashes.insert(row.sha256);
    }
    return hashes;
  }

  void add_overlaps(PreflightInput& input) const {
    const auto fresh = records_of(data_, train_), old = records_of(old_data_, old_);
    if (!validation_samples_.samples.empty()) {
      const TextDataset& from = config_.data.validation_data.empty() ? data_ : validation_data_;
      const auto kept = records_of(from, validation_samples_);
      auto trained = fresh;
      trained.insert(trained.end(), old.begin(), old.end());
      input.leaked = overlap_of(kept, trained);
      if (input.parent) input.known_before = overlap_of(kept, trained_before_);
    }
    // Nearly equal texts are found where the old ones are there, copies by their hashes.
    if (!input.parent) return;
    input.trained_before =
        old.empty() ? overlap_of(fresh, trained_before_) : overlap_of(fresh, old);
  }

  TextLimits limits() const {
    const HfConfig model = read_hf_config(Path(config_.base_model) / "config.json");
    TextLimits limits{.vocabulary = model_->vocabulary(),
                      .positions = model_->max_positions(),
                      .learned = model.learned_positions};
    for (const TextSamples* set : {&train_, &validation_samples_, &old_}) {
      for (const TextSample& sample : set->samples) {
        const auto length = static_cast<std::int64_t>(sample.ids.size());
        limits.longest = std::max(limits.longest, length);
        limits.largest_id = std::max(limits.largest_id, std::ranges::max(sample.ids));
      }
    }
    if (limits.largest_id >= limits.vocabulary && limits.largest_id < tokenizer_->vocabulary()) {
      limits.largest_token = tokenizer_->token_of(limits.largest_id);
    }
    return limits;
  }

  void make_objective() {
    objective_ = std::make_unique<TextObjective>(
        TextTask{.model = *model_,
                 .source = *source_,
                 .validation = validation_,
                 .device = device_,
                 .prompts = config_.sampling.sample_prompts,
                 .answer = [this](const std::string& prompt) { return answer(prompt); }});
  }

  std::string answer(const std::string& prompt) {
    const Message message{"user", prompt};
    const GenerateOptions greedy{.max_tokens = config_.sampling.sample_max_tokens,
                                 .stop = template_.stop_ids()};
    const std::vector<Ids> out =
        generate(*model_, {template_.prompt_ids({&message, 1})}, greedy, device_);
    return trim(tokenizer_->decode(out[0], true));
  }

  TemplateRecord template_record() const {
    TemplateRecord record{.name = config_.text.prompt_template,
                          .string_sha256 = sha256(template_.source()),
                          .probe_sha256 = template_.fingerprint(),
                          .date = template_.date()};
    const SpecialIds& special = tokenizer_->special();
    const auto add = [&](const char* name, const std::optional<std::int64_t>& id) {
      if (id) record.special_ids[name] = *id;
    };
    add("bos", special.bos);
    add("eos", special.eos);
    add("pad", special.pad);
    add("unk", special.unk);
    return record;
  }

  Config config_;
  at::Device device_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  PromptTemplate template_;
  TextDataset data_, validation_data_, old_data_;
  std::map<std::string, std::string> file_hashes_;  // of data_.files, as they were read
  std::string eval_hash_;
  TextSamples train_, validation_samples_, old_;
  std::vector<std::string> notes_;  // of the data, for the report
  std::int64_t left_out_ = 0;       // records of the training data
  std::vector<std::string> replay_problems_;
  DataStats stats_;  // of the new data
  std::set<std::string> trained_before_;
  std::vector<TextBatch> validation_;
  std::unique_ptr<CausalLM> model_;
  std::unique_ptr<TextSource> source_;
  std::unique_ptr<TextObjective> objective_;
};

}  // namespace

std::unique_ptr<TrainTask> make_text_task(const TaskSetup& setup) {
  return std::make_unique<TextRun>(setup);
}

}  // namespace lora
