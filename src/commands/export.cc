// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "base/draft.h"
#include "base/error.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/reading.h"
#include "base/shown.h"
#include "base/table.h"
#include "cli/command_line.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/gguf.h"
#include "models/models.h"
#include "runs/adapter_version.h"
#include "versions/store.h"
#include "versions/verify.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

struct ExportArguments {
  std::string version, format, output, base, root;
};

void refuse_existing(const Path& path) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored))) {
    fail_usage(path.string(), ": exists already and is never overwritten; choose another --output");
  }
}

// The file to write: `output`, or `name` inside it where it is a folder.
Path file_in(const ExportArguments& a, const std::string& name) {
  const Path output = a.output;
  std::error_code ignored;
  const bool folder = a.output.ends_with('/') || fs::is_directory(output, ignored);
  Path path = folder ? below(output, name) : output;
  refuse_existing(path);
  return path;
}

// The base model's folder: as given, as recorded in the version, as named in the adapter.
Path base_of(const ExportArguments& a, const LocatedVersion& version, const AdapterFile& adapter) {
  if (!a.base.empty()) return a.base;
  const std::string recorded = version.version ? version.version->base.path : adapter.base_model;
  if (!recorded.empty() && fs::exists(recorded)) return recorded;
  fail_usage("lora export: the GGUF format needs the base model's config.json (found '", recorded,
             "' recorded, which is not here); give its folder with --base");
}

void export_peft(const ExportArguments& a, const LocatedVersion&, const AdapterFile& adapter) {
  refuse_existing(a.output);
  DraftFolder draft(a.output);
  reading([&] { write_peft(draft.path(), adapter); });
  draft.move_new();
}

void export_gguf(const ExportArguments& a, const LocatedVersion& version,
                 const AdapterFile& adapter) {
  if (adapter.kind != AdapterKind::llm) {
    fail_usage(adapter.path.string(), ": an adapter for ", kind_title(adapter.kind),
               " cannot be written as GGUF; use the format diffusers or kohya");
  }
  const Path path = file_in(a, version.name + ".gguf");
  const std::string bytes =
      reading([&] { return encode_gguf(adapter, read_gguf_base(base_of(a, version, adapter))); });
  write_new_file(path, bytes);
}

void export_diffusers(const ExportArguments& a, const LocatedVersion&, const AdapterFile& adapter) {
  const Path path = file_in(a, "pytorch_lora_weights.safetensors");
  write_new_file(path, reading([&] { return encode_diffusers(adapter); }));
}

void export_kohya(const ExportArguments& a, const LocatedVersion& version,
                  const AdapterFile& adapter) {
  const Path path = file_in(a, version.name + ".safetensors");
  KohyaInfo info;
  info.name = path.stem().string();
  if (version.version) {
    const std::int64_t size = version.version->recipe.resolution;
    if (size > 0) info.resolution = fmt::format("{0}x{0}", size);
    const bool v = version.version->base.prediction_type.starts_with("v");
    info.prediction_type = v ? "v" : "epsilon";
    info.date = version.version->run.created;
  }
  for (const auto& [key, value] : adapter.metadata) {  // a kohya file keeps what it said of itself
    if (key.starts_with("ss_") || key.starts_with("modelspec.")) info.extra[key] = value;
  }
  write_new_file(path, reading([&] { return encode_kohya(adapter, info); }));
  if (adapter.use_dora) warn(kohya_dora_caution(path.filename().string()));
}

struct Format {
  std::string_view name;
  void (*write)(const ExportArguments&, const LocatedVersion&, const AdapterFile&);
};
constexpr std::array kFormats = {Format{"peft", export_peft}, Format{"gguf", export_gguf},
                                 Format{"diffusers", export_diffusers},
                                 Format{"kohya", export_kohya}};

}  // namespace

int run_export(const Arguments& arguments) {
  const CommandLine line("export", arguments);
  const ExportArguments a = {.version = line.text("--version"),
                             .format = line.text("--format"),
                             .output = line.text("--output"),
                             .base = line.text("--base"),
                             .root = line.text("--root")};
  const Format& format = row_of(std::span<const Format>(kFormats), "format", a.format);
  const LocatedVersion version = locate_version(a.version, a.root);
  if (version.version) require_recorded(version.folder, *version.version);
  const AdapterFile adapter = read_located(version, version.weights);
  format.write(a, version, adapter);
  say(shown(join(a.output, ": ", adapter.modules.size(), " modules as ", format.name)));
  return 0;
}

}  // namespace lora
