// SPDX-License-Identifier: Apache-2.0
// What is stored: export, import, inspect, log, show, verify.
#include "cli/commands.h"

namespace lora {

[[gnu::weak]] int run_export(const Arguments& arguments);
[[gnu::weak]] int run_import(const Arguments& arguments);
[[gnu::weak]] int run_inspect(const Arguments& arguments);
[[gnu::weak]] int run_log(const Arguments& arguments);
[[gnu::weak]] int run_show(const Arguments& arguments);
[[gnu::weak]] int run_verify(const Arguments& arguments);

namespace {

constexpr Option kExport[] = {
    {.name = "--version",
     .value = "V",
     .help = "A version, its folder or an adapter file.",
     .missing = kForm},
    {.name = "--format",
     .help = "peft: Hugging Face PEFT; gguf: llama.cpp; diffusers; kohya: WebUIs and ComfyUI.",
     .choices = "peft gguf diffusers kohya",
     .missing = kForm},
    {.name = "--output",
     .value = "PATH",
     .help = "The file to write, or a folder for it; PEFT's folder. Never overwritten.",
     .missing = kForm},
    {.name = "--base",
     .value = "DIR",
     .help = "GGUF needs the base model's config.json.",
     .absent = "the folder that the version names"},
    kRoot,
};

constexpr Option kImport[] = {
    {.name = "file",
     .value = "FILE_OR_DIR",
     .help = "The adapter: PEFT, diffusers, kohya or cloneofsimo.",
     .missing = kForm},
    {.name = "--output",
     .value = "DIR",
     .help = "The version to make, such as ./output/theirs.",
     .missing = kForm},
    {.name = "--base",
     .value = "DIR|FILE",
     .help = "The base model that the version names.",
     .absent = "the one that the adapter names"},
    {.name = "--alpha",
     .value = "X",
     .help = "For adapters that do not say their alpha.",
     .kind = Kind::real,
     .range = above(0)},
    {.name = "--ignore-others", .help = "Leaves out tensors that are not LoRA."},
};

constexpr Option kInspect[] = {
    {.name = "path",
     .value = "FILE_OR_DIR",
     .help = "A file, a folder, or the name of a version.",
     .missing = kForm},
    kRoot,
    kJson,
};

constexpr Option kLog[] = {kRootOrOutput, kJson};

constexpr Option kShow[] = {
    {.name = "version", .value = "V", .help = "A version or its folder.", .missing = kForm},
    kRootOrOutput,
    kJson,
};

constexpr Option kVerify[] = {
    {.name = "versions",
     .value = "V",
     .help = "Versions or their folders.",
     .absent = "all below --root",
     .many = true},
    kRootOrOutput,
    kJson,
};

constexpr Form kExportForms[] = {{"export", kExport}};
constexpr Form kImportForms[] = {{"import", kImport}};
constexpr Form kInspectForms[] = {{"inspect", kInspect}};
constexpr Form kLogForms[] = {{"log", kLog}};
constexpr Form kShowForms[] = {{"show", kShow}};
constexpr Form kVerifyForms[] = {{"verify", kVerify}};

constexpr Command kCommands[] = {
    {"export", "write a version in another program's format", kExportForms, run_export},
    {"import", "make a version from another program's adapter", kImportForms, run_import},
    {"inspect", "what an adapter, a version, a base model or a GGUF file is", kInspectForms,
     run_inspect},
    {"log", "the versions below the output folder (./output), oldest first", kLogForms, run_log},
    {"show", "one version: where it comes from, adapter, recipe, figures, preflight findings",
     kShowForms, run_show},
    {"verify",
     "hashes versions again and compares with what was recorded; exit code 3 on a mismatch",
     kVerifyForms, run_verify},
};

}  // namespace

std::span<const Command> version_commands() { return kCommands; }

}  // namespace lora
