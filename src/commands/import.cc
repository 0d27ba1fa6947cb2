// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>

#include "base/draft.h"
#include "base/error.h"
#include "base/log.h"
#include "base/reading.h"
#include "base/shown.h"
#include "cli/command_line.h"
#include "io/adapters/peft_config.h"
#include "runs/adapter_version.h"
#include "versions/store.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

struct ImportArguments {
  std::string file, output, base;
  double alpha = 0;
  bool ignore_others = false;
};

// A foreign adapter as it will be stored: alpha known, nothing that would be lost unsaid.
AdapterFile read_foreign(const ImportArguments& a) {
  AdapterFile adapter = read_adapter(a.file, {.assume_alpha = a.alpha > 0});
  for (AdapterModule& module : adapter.modules) {
    if (!module.alpha_known && a.alpha > 0) {
      module.alpha = a.alpha;
      module.scale = lora_scale(a.alpha, module.rank(), adapter.use_rslora);
    }
    module.alpha_known = true;
  }
  if (!adapter.others.empty() && !a.ignore_others) {
    fail(
        adapter.path.string(), ": tensor '", adapter.others.begin()->first, "' (",
        adapter.others.size(),
        " in all) is not LoRA and has no place in a version; give --ignore-others to leave it out");
  }
  adapter.others.clear();
  return adapter;
}

Version manifest_of(const ImportArguments& a, const AdapterFile& adapter) {
  Version version;
  version.name = name_of(a.output);
  version.task_type = adapter.kind == AdapterKind::llm ? "text-generation" : "text-to-image";
  version.lineage = "unknown";
  version.parents = {{adapter.path.string(), "", sha256_file(adapter.path)}};
  version.run.created = utc_now();
  version.weights = weights_record(adapter);
  version.base.path = a.base.empty() ? adapter.base_model : a.base;
  return version;
}

}  // namespace

int run_import(const Arguments& arguments) {
  const CommandLine line("import", arguments);
  ImportArguments a = {.file = line.text("file"),
                       .output = line.text("--output"),
                       .base = line.text("--base"),
                       .alpha = line.real("--alpha"),
                       .ignore_others = line.given("--ignore-others")};
  while (a.output.size() > 1 && a.output.ends_with('/')) a.output.pop_back();
  const AdapterFile adapter = reading([&] { return read_foreign(a); });
  require_free(a.output, false);
  const Version version = manifest_of(a, adapter);
  DraftFolder draft(a.output);
  KohyaInfo info;
  info.name = version.name;
  for (const auto& [key, value] : adapter.metadata) {
    if (key.starts_with("ss_") || key.starts_with("modelspec.")) info.extra[key] = value;
  }
  write_adapter_files(draft.path(), adapter, info);
  if (adapter.use_dora && adapter.kind != AdapterKind::llm) {
    warn(kohya_dora_caution(info.name + ".safetensors"));
  }
  const Version written = publish(draft, a.output, version);
  say(shown(fmt::format("{}: version {} ({} modules for {}, id {})", a.output, written.name,
                        adapter.modules.size(), kind_title(adapter.kind),
                        written.id.substr(0, 12))));
  return 0;
}

}  // namespace lora
