// SPDX-License-Identifier: Apache-2.0
#include "config/rules.h"

#include <fmt/format.h>

namespace lora {
namespace {

void check_required(const RuleContext& context) {
  const Config& config = context.config;
  if (config.base_model.empty()) {
    context.say("base_model", "missing (expected the folder of the model); add `base_model: ...`");
  }
  if (config.data.train_data_dir.empty() && config.data.metadata_path.empty()) {
    context.say("train_data_dir",
                "missing (expected the training file or folder); add `train_data_dir: ...`");
  }
  if (config.output_dir.empty()) {
    context.say("output_dir",
                "missing (expected the folder of the new version); add e.g. `output_dir: "
                "./output/my_v1`");
  }
}

void check_task_keys(const RuleContext& context) {
  if (context.config.task_type.empty()) return;
  const Task task = is_image_task(context.config) ? Task::image : Task::text;
  for (const auto& [key, entry] : context.given) {
    if (entry.field->task == Task::any || entry.field->task == task || entry.value.IsNull()) {
      continue;
    }
    const std::string_view other = task == Task::text ? "text-to-image" : "text-generation";
    context.problems.add(
        entry.key_place, entry.written,
        fmt::format("only for {} (this run is {}); remove it", other, context.config.task_type));
  }
}

}  // namespace

void RuleContext::say(std::string_view key, std::string_view message) const {
  const auto found = given.find(key);
  problems.add(found == given.end() ? Place{name, 0, 0} : found->second.key_place, key, message);
}

void check_rules(const Given& given, const std::string& name, Config& config, Problems& problems) {
  const RuleContext context{given, name, config, problems};
  check_required(context);
  check_files(context);
  check_task_keys(context);
  check_training(context);
}

}  // namespace lora
