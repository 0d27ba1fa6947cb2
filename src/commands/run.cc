// SPDX-License-Identifier: Apache-2.0
// Binds the names of commands.cc to their functions. One line per command.
#include "base/table.h"
#include "commands/bench.h"
#include "commands/commands.h"
#include "commands/eval.h"
#include "commands/export.h"
#include "commands/generate.h"
#include "commands/history.h"
#include "commands/inspect.h"
#include "commands/prepare.h"
#include "commands/train.h"

namespace lora {
namespace {

struct Binding {
  std::string_view name;
  int (*run)(const Arguments&);
};

int not_here(const Arguments&) { return 0; }

// clang-format off
constexpr Binding kBindings[] = {
    {"export", run_export},
    {"import", run_import},
    {"inspect", run_inspect},
    {"log", run_log},
    {"show", run_show},
    {"verify", run_verify},
    {"help", not_here},
    {"prepare", run_prepare},
    {"label", run_label},
    {"bench", run_bench},
    {"train", run_train},
    {"generate", run_generate},
    {"eval", run_eval},
};
// clang-format on

}  // namespace

int run_command(std::string_view name, const Arguments& arguments) {
  return row_of(std::span<const Binding>(kBindings), "command", name).run(arguments);
}

}  // namespace lora
