// SPDX-License-Identifier: Apache-2.0
#include "runs/adapter_version.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <set>

#include "base/counting.h"
#include "base/reading.h"
#include "base/text.h"
#include "io/adapters/peft_config.h"

namespace lora {
namespace {

std::vector<std::string> last_parts(const AdapterFile& adapter) {
  std::set<std::string> names;
  for (const AdapterModule& module : adapter.modules) {
    const std::vector<std::string> parts = split(module.path, '.');
    const bool number = parts.back().find_first_not_of("0123456789") == std::string::npos;
    names.insert(number && parts.size() > 1 ? parts[parts.size() - 2] + "." + parts.back()
                                            : parts.back());
  }
  return {names.begin(), names.end()};
}

}  // namespace

void write_adapter_files(const Path& folder, const AdapterFile& adapter, const KohyaInfo& info) {
  if (adapter.kind == AdapterKind::llm) {
    write_peft(folder, adapter);
    return;
  }
  write_file_atomic(folder / kWeightsName, encode_diffusers(adapter));
  write_file_atomic(folder / (info.name + ".safetensors"), encode_kohya(adapter, info));
}

AdapterFile read_located(const LocatedVersion& located, const Path& place) {
  try {
    return reading([&] { return read_adapter(place); });
  } catch (const Error& error) {
    if (!located.version) throw;
    fail_integrity(error.what(), " (", located.name, " was committed whole: see `lora verify ",
                   located.name, "`)");
  }
}

WeightsRecord weights_record(const AdapterFile& adapter) {
  WeightsRecord record;
  record.file = kWeightsName;
  record.dropout = adapter.dropout;
  record.rslora = adapter.use_rslora;
  record.dora = adapter.use_dora;
  record.targets = adapter.target_modules.empty() ? last_parts(adapter) : adapter.target_modules;
  for (const AdapterModule& module : adapter.modules) {
    record.ranks[module.path] = module.rank();
    record.alphas[module.path] = module.alpha;
    record.dtype = dtype_name(dtype_of(module.a));
  }
  record.rank = most_frequent(record.ranks);
  record.alpha = most_frequent(record.alphas);
  for (const auto& [name, rank] : record.ranks) {
    if (rank != record.rank) record.rank_pattern[name] = rank;
  }
  for (const auto& [name, alpha] : record.alphas) {
    if (alpha != record.alpha) record.alpha_pattern[name] = alpha;
  }
  return record;
}

}  // namespace lora
