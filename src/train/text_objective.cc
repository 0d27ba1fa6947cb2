// SPDX-License-Identifier: Apache-2.0
#include "train/text_objective.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/aten.h"
#include "train/watch.h"

namespace lora {

Loss TextObjective::next() {
  const TextBatch batch = task_.source.next();
  last_rows_ = batch.rows;
  last_length_ = batch.length;
  last_tokens_ = static_cast<std::int64_t>(batch.documents.size()) -
                 std::count(batch.documents.begin(), batch.documents.end(), 0);
  if (batch.rows == 0) return {at::zeros({}, at::kFloat), 0};
  return task_.model.loss(to_tensors(batch, task_.device));
}

std::string TextObjective::describe_last() const {
  return join(last_rows_, " rows of ", last_length_, " tokens, ", task_.source.describe_last());
}

nlohmann::json TextObjective::state() const { return task_.source.order().state(); }
void TextObjective::restore(const nlohmann::json& state) { task_.source.order().restore(state); }

std::vector<Validation> TextObjective::validate() {
  return {{std::string(kWatched), evaluate(task_.model, task_.validation, task_.device)}};
}

std::vector<std::string> TextObjective::sample(const Path& folder, std::int64_t step) {
  std::vector<std::string> lines;
  for (const std::string& prompt : task_.prompts) {
    lines.push_back(prompt + "\n=> " + task_.answer(prompt));
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n\n";
  write_file_atomic(folder / fmt::format("step-{:06d}.txt", step), text);
  return lines;
}

Loss evaluate(CausalLM& model, const std::vector<TextBatch>& batches, at::Device device) {
  const at::NoGradGuard no_grad;
  const TrainingMode evaluating(false);
  at::Tensor sum = at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device));
  double count = 0;
  for (const TextBatch& batch : batches) {
    const Loss loss = model.loss(to_tensors(batch, device));
    sum += loss.sum;
    count += loss.count;
  }
  return {sum, count};
}

}  // namespace lora
