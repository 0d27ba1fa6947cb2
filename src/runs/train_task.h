// SPDX-License-Identifier: Apache-2.0
// What `lora train` needs of a task. Text: train_text.cc; images: train_image.cc. The order of
// calls is that of plan.cc and execute.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "io/adapters/adapter_file.h"
#include "nn/attach.h"
#include "train/machine.h"
#include "train/objective.h"
#include "versions/preflight.h"
#include "versions/store.h"

namespace lora {

// The adapter that a run continues from, read into memory of its own.
struct ParentVersion {
  LocatedVersion located;
  AdapterFile adapter;
  WeightsRecord weights;          // of the manifest, else found in the file
  std::string file_sha256;        // of the file as it was read
  std::optional<DataStats> data;  // absent: the version has none
};

// One set of samples with which a version can be recognised: its loss under the version's adapter
// is stored in probe.json, and a warm start must reproduce it before the first step.
struct Probe {
  std::string json;  // the samples, as text
  double loss = 0;
};

class TrainTask {
 public:
  virtual ~TrainTask() = default;
  // Fills in what was settled while the task was made, for config.resolved.yaml.
  virtual void settle(Config& /*config*/) const {}
  // The layers that could carry an adapter, under their names in adapter files.
  virtual std::vector<NamedLayer> layers() = 0;
  // Those of the target layers that the loss depends on.
  virtual std::vector<NamedLayer> learning(const std::vector<NamedLayer>& targets) const {
    return targets;
  }
  virtual Objective& objective() = 0;
  // The parts of the input that depend on data, template and model.
  virtual void add_facts(PreflightInput& input) = 0;
  // What takes time and is not needed for the checks; the model has no adapter yet.
  virtual void start() {}
  // Lines about data and model, for the report.
  virtual std::vector<std::string> report() const = 0;
  // Fills data and prompt_template of the manifest.
  virtual void describe(Version& version) const = 0;
  virtual std::string data_manifest() const = 0;  // text of data_manifest.tsv
  virtual DataStats data_stats() const = 0;       // of everything that is trained on
  virtual AdapterKind kind() const = 0;
  // Head of the names in adapter files: "base_model.model." or "".
  virtual std::string name_head() const = 0;
  // Writes the adapter in the dialects of the task.
  virtual void write_adapter(const Path& folder, const AdapterFile& adapter) const = 0;
  // Loss of the current adapter on the samples of `json` (a parent's probe.json), or on new ones
  // where it is empty.
  virtual Probe probe(const std::string& json) = 0;
};

struct TaskSetup {
  const Config& config;  // every adapter setting and the learning rate are set
  const std::optional<ParentVersion>& parent;
  const Machine& machine;
};

std::unique_ptr<TrainTask> make_text_task(const TaskSetup& setup);
std::unique_ptr<TrainTask> make_image_task(const TaskSetup& setup);

}  // namespace lora
