// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/draft.h"
#include "base/error.h"
#include "base/json_text.h"
#include "base/numbers.h"
#include "io/aten.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "step-";

std::string folder_name(std::int64_t step) {
  const std::string digits = std::to_string(step);
  return kPrefix + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

bool complete(const Path& path) {
  return fs::is_directory(path) && fs::exists(path / "state.json") &&
         fs::exists(path / "adapter.safetensors") && fs::exists(path / "optimizer.safetensors");
}

// Complete checkpoints, oldest first.
std::vector<std::pair<std::int64_t, Path>> complete_checkpoints(const Path& folder) {
  std::vector<std::pair<std::int64_t, Path>> found;
  if (!fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.substr(std::min(name.size(), std::string(kPrefix).size()));
    const auto number = name.starts_with(kPrefix) ? whole_number(digits) : std::nullopt;
    if (number && complete(entry.path())) found.emplace_back(*number, entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

at::Generator generator_of(at::Device device) {
  return device.is_cpu() ? at::detail::getDefaultCPUGenerator()
                         : at::globalContext().defaultGenerator(device);
}

at::Tensor random_state(at::Device device) {
  at::Generator generator = generator_of(device);
  const std::lock_guard lock(generator.mutex());
  return generator.get_state().clone();
}

}  // namespace

Path save_checkpoint(const Path& folder, const Checkpoint& checkpoint, std::int64_t keep) {
  const Path final_path = folder / folder_name(checkpoint.step);
  DraftFolder folder_draft(final_path);
  const Path& draft = folder_draft.path();
  write_tensors(draft / "adapter.safetensors", checkpoint.weights);
  write_tensors(draft / "optimizer.safetensors", checkpoint.optimizer);
  if (!checkpoint.best.empty()) write_tensors(draft / "best.safetensors", checkpoint.best);
  write_file_atomic(draft / "state.json", checkpoint.state);
  fs::remove_all(final_path);
  folder_draft.move_new();
  if (keep > 0) {
    const auto all = complete_checkpoints(folder);
    for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < all.size(); ++i) {
      fs::remove_all(all[i].second);
    }
  }
  return final_path;
}

void remove_checkpoint(const Path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
  fs::remove(path.parent_path(), ignored);  // only where it is empty
}

std::optional<Path> newest_checkpoint(const Path& folder) {
  const auto all = complete_checkpoints(folder);
  if (all.empty()) return {};
  return all.back().second;
}

Checkpoint load_checkpoint(const Path& path) {
  if (!complete(path)) fail(path.string(), ": not a complete checkpoint");
  Checkpoint checkpoint;
  checkpoint.state = read_file(path / "state.json");
  const auto state = try_parse_json<nlohmann::json>(checkpoint.state);
  if (!state || !state->is_object() || !state->contains("step") ||
      !state->at("step").is_number_integer()) {
    fail((path / "state.json").string(), ": not a checkpoint state; remove ", path.string(),
         " to resume from an older one");
  }
  checkpoint.step = state->at("step").get<std::int64_t>();
  checkpoint.weights = read_tensors(path / "adapter.safetensors");
  checkpoint.optimizer = read_tensors(path / "optimizer.safetensors");
  if (fs::exists(path / "best.safetensors")) {
    checkpoint.best = read_tensors(path / "best.safetensors");
  }
  return checkpoint;
}

void save_random_state(TensorMap& tensors, at::Device device) {
  tensors["random.cpu"] = random_state(at::Device(at::kCPU));
  if (!device.is_cpu()) tensors["random.device"] = random_state(device);
}

void restore_random_state(const TensorMap& tensors, at::Device device, const std::string& where) {
  const auto restore = [&](const std::string& name, at::Device of) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail(where, ": no random state '", name, "'; other device?");
    at::Generator generator = generator_of(of);
    const std::lock_guard lock(generator.mutex());
    generator.set_state(found->second);
  };
  restore("random.cpu", at::Device(at::kCPU));
  if (!device.is_cpu()) restore("random.device", device);
}

}  // namespace lora
