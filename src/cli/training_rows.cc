// SPDX-License-Identifier: Apache-2.0
// Making an adapter: train, prepare, label.
#include "cli/commands.h"
#include "cli/text_options.h"

namespace lora {

[[gnu::weak]] int run_train(const Arguments& arguments);
[[gnu::weak]] int run_prepare(const Arguments& arguments);
[[gnu::weak]] int run_label(const Arguments& arguments);

namespace {

constexpr Option kTrain[] = {
    {.name = "--config",
     .value = "FILE",
     .help = "The YAML file of the run; `lora help config` lists its keys.",
     .missing = kForm},
    {.name = "overrides",
     .value = "key=value",
     .help = "Keys of the configuration that replace those of the file.",
     .many = true},
    {.name = "--check", .help = "Checks everything and trains nothing."},
    {.name = "--resume", .help = "Goes on with an interrupted run."},
    {.name = "--json", .help = "Prints the result, with --check the findings, as JSON on stdout."},
};

// Captions of pictures: what `prepare images` and `label` share.
constexpr Option kPictures{.name = "--input",
                           .value = "DIR",
                           .help = "The folder of pictures.",
                           .missing = "name the folder of pictures"};
constexpr Option kMetadata{.name = "--metadata",
                           .value = "FILE",
                           .help = "A table of captions that lies elsewhere.",
                           .absent = "metadata.csv or metadata.jsonl of the folder"};
constexpr Option kTrigger{
    .name = "--trigger", .value = "WORD", .help = "Put first where a caption lacks it."};
constexpr Option kPrefix{
    .name = "--prefix", .value = "TEXT", .help = "Put in front of every caption."};
constexpr Option kSuffix{.name = "--suffix", .value = "TEXT", .help = "Put behind every caption."};
constexpr Option kNoClean{.name = "--no-clean",
                          .help = "Leaves weights, <lora:...> and repeated tags in captions."};
constexpr Option kConfig{.name = "--config",
                         .value = "FILE",
                         .help = "A training configuration whose keys count where no option does."};

constexpr Option unless_config(Option option) {
  option.unless = kConfig.name;
  return option;
}

constexpr Option kPrepareImages[] = {
    unless_config(kPictures),
    {.name = "--output",
     .value = "DIR",
     .help = "The folder to write.",
     .absent = "with --config: the input's name and _prepared",
     .missing = "name the folder to write",
     .unless = kConfig.name},
    kConfig,
    {.name = "--resolution",
     .value = "N",
     .help = "The short side becomes N, the rest is cropped; with --buckets the area is N x N.",
     .kind = Kind::whole,
     .range = between(8, 8192),
     .standard = "512"},
    {.name = "--buckets", .help = "Aspect ratios stay: sizes of like area instead of one square."},
    {.name = "--bucket-min",
     .value = "N",
     .help = "Shortest edge of a bucket.",
     .kind = Kind::whole,
     .range = between(8, 8192),
     .standard = "256"},
    {.name = "--bucket-max",
     .value = "N",
     .help = "Longest edge of a bucket.",
     .kind = Kind::whole,
     .range = between(8, 8192),
     .standard = "1024"},
    {.name = "--bucket-step",
     .value = "N",
     .help = "Edges of buckets are multiples of N.",
     .kind = Kind::whole,
     .range = between(1, 1024),
     .standard = "64"},
    {.name = "--upscale", .help = "Enlarges what is too small; otherwise it is left out."},
    {.name = "--smart-crop", .help = "Crops where edges, skin and strong colours are."},
    {.name = "--background",
     .value = "COLOUR",
     .help = "Below transparent pictures: white, black, grey or #rrggbb.",
     .standard = "white"},
    {.name = "--keep-duplicates", .help = "Keeps copies (the same bytes)."},
    {.name = "--min-sharpness",
     .value = "X",
     .help = "Leaves out pictures that are more blurred; below 30 they are only noted.",
     .kind = Kind::real,
     .range = at_least(0),
     .standard = "0"},
    {.name = "--caption",
     .value = "auto|DIR",
     .help = "The folder of a captioning model (BLIP) for pictures without a caption; `auto` goes "
             "on without one.",
     .standard = "auto",
     .aliases = "--model"},
    kMetadata,
    kTrigger,
    kPrefix,
    kSuffix,
    kNoClean,
    kDevice,
    kThreads,
    kJson,
};

constexpr Option kPrepareText[] = {
    {.name = "--input",
     .value = "FILE|DIR",
     .help = "JSON, JSONL, CSV or TXT.",
     .missing = "name a file or folder of texts",
     .unless = kConfig.name},
    {.name = "--output",
     .value = "DIR",
     .help = "The folder to write.",
     .absent = "with --config: the input's name and _prepared",
     .missing = "name a folder",
     .unless = kConfig.name},
    kConfig,
    {.name = "--format",
     .help = "How records are read; `auto` looks at the first.",
     .key = "dataset_format",
     .standard = "auto"},
    kColumn,
    {.name = "--similarity",
     .value = "X",
     .help = "Records at least this alike are duplicates; 1: equal ones only.",
     .kind = Kind::real,
     .range = between(0.1, 1),
     .standard = "0.8"},
    {.name = "--keep-duplicates", .help = "Duplicates are only noted."},
    {.name = "--validation-split",
     .value = "X",
     .help = "Share that goes to validation.jsonl.",
     .kind = Kind::real,
     .range = between(0, 0.9),
     .standard = "0"},
    {.name = "--seed",
     .value = "N",
     .help = "Of the split.",
     .kind = Kind::whole,
     .standard = "42"},
    {.name = "--base", .value = "DIR", .help = "The base model: lengths are told in its tokens."},
    {.name = "--template",
     .value = "NAME|FILE",
     .help = "How prompt and answer are joined for that.",
     .standard = "auto"},
    {.name = "--max-seq-length",
     .value = "N",
     .help = "Longer records are counted.",
     .kind = Kind::whole,
     .range = between(8, 1048576),
     .standard = "1024"},
    kJson,
};

constexpr Option kPrepareConfig[] = {
    {.name = "--config",
     .value = "FILE",
     .help = "A training configuration: its task says what to prepare, its keys count where no "
             "option does.",
     .missing = kForm},
};

constexpr Option kLabel[] = {
    kPictures,
    {.name = "--output",
     .value = "FILE.csv",
     .help = "The table to write; a .jsonl of the same is put beside it.",
     .missing = "name the table to write, such as metadata.csv"},
    {.name = "--model",
     .value = "auto|DIR",
     .help = "The folder of a captioning model (BLIP) for pictures without a caption; `auto` goes "
             "on without one.",
     .standard = "auto",
     .aliases = "--caption"},
    kMetadata,
    kTrigger,
    kPrefix,
    kSuffix,
    kNoClean,
    kDevice,
    kThreads,
    kJson,
};

constexpr Form kTrainForms[] = {{"train", kTrain}};
constexpr Form kPrepareForms[] = {{"prepare images", kPrepareImages},
                                  {"prepare text", kPrepareText},
                                  {"prepare", kPrepareConfig, "[options as above]"}};
constexpr Form kLabelForms[] = {{"label", kLabel}};

constexpr Command kCommands[] = {
    {"train", "preflight, train, publish a version", kTrainForms, run_train},
    {"prepare",
     "make a folder of pictures or texts ready: sizes, captions, one JSONL, no duplicates",
     kPrepareForms, run_prepare},
    {"label", "captions only: metadata.csv for a folder of pictures", kLabelForms, run_label},
};

}  // namespace

std::span<const Command> training_commands() { return kCommands; }

}  // namespace lora
