// SPDX-License-Identifier: Apache-2.0
#include "commands/adapter_version.h"

#include <ATen/core/Tensor.h>

#include <set>

#include "io/adapters/peft_config.h"

namespace lora {

void write_adapter_files(const Path& folder, const AdapterFile& adapter, const KohyaInfo& info) {
  if (adapter.kind == AdapterKind::llm) {
    write_peft(folder, adapter);
    return;
  }
  write_file_atomic(folder / kWeightsName, encode_diffusers(adapter));
  write_file_atomic(folder / (info.name + ".safetensors"), encode_kohya(adapter, info));
}

WeightsRecord weights_record(const AdapterFile& adapter) {
  WeightsRecord record;
  record.file = kWeightsName;
  record.dropout = adapter.dropout;
  record.rslora = adapter.use_rslora;
  record.dora = adapter.use_dora;
  record.targets = adapter.target_modules;
  std::set<std::string> last_parts;
  for (const AdapterModule& module : adapter.modules) {
    record.ranks[module.path] = module.rank();
    record.alphas[module.path] = module.alpha;
    last_parts.insert(module.path.substr(module.path.rfind('.') + 1));
  }
  if (record.targets.empty() && adapter.kind == AdapterKind::llm) {
    record.targets.assign(last_parts.begin(), last_parts.end());
  }
  if (!adapter.modules.empty()) {
    const AdapterModule& first = adapter.modules.front();
    record.rank = first.rank();
    record.alpha = first.alpha;
    record.dtype = dtype_name(dtype_of(first.a));
  }
  return record;
}

}  // namespace lora
