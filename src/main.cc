// SPDX-License-Identifier: Apache-2.0
// The program: answers help at once, and loads the engine for everything else.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/output.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "config/config.h"

namespace {

using EngineMain = int (*)(int, char**);

// Idle OpenMP threads of GCC's runtime spin for milliseconds by default; where other programs use
// the processor too, that costs half of the time. About 20 microseconds cover the gaps of a step.
// Read when the library is loaded; the user's own choice wins.
void limit_spinning() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) setenv("GOMP_SPINCOUNT", "1000", 0);
}

// Debian's libsentencepiece exports the functions of an old protobuf, and libtorch needs the
// current one. Loaded first and on its own, the library is bound to its own copy and to nothing
// else; where it is not there, loading the engine says so.
void bind_sentencepiece() { dlopen("libsentencepiece.so.0", RTLD_NOW | RTLD_LOCAL); }

// The engine lies beside the program.
EngineMain load_engine() {
  limit_spinning();
  bind_sentencepiece();
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string path = (folder / "liblora-engine.so").string();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) lora::fail(path, ": cannot load the engine: ", dlerror());
  return reinterpret_cast<EngineMain>(dlsym(library, "lora_engine_main"));
}

void require_no_more(int argc, char** argv, int used) {
  if (argc <= used) return;
  lora::fail_usage("lora help: '", argv[used],
                   "' is one word too many; `lora help` shows the form");
}

// `lora help`, `lora help VERB`, `lora help --markdown`, `lora help config [KEY | --markdown]`.
std::string help_for(const std::string& topic, const std::string& detail) {
  if (topic.empty()) return lora::help_text();
  if (topic == "--markdown") return lora::commands_markdown();
  if (topic != "config") return lora::help_text(topic);
  if (detail == "--markdown") return lora::config_markdown();
  return detail.empty() ? lora::config_help() : lora::config_help(detail);
}

int run(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "help";
  const std::string next = argc > 2 ? argv[2] : "";
  if (verb == "help" || verb == "--help" || verb == "-h") {
    require_no_more(argc, argv, next == "config" ? 4 : 3);
    std::fputs(help_for(next, argc > 3 ? argv[3] : "").c_str(), stdout);
    return 0;
  }
  if (next == "-h" || std::find(argv, argv + argc, std::string_view("--help")) != argv + argc) {
    std::fputs(lora::help_text(verb).c_str(), stdout);
    return 0;
  }
  lora::help_text(verb);  // an unknown word is an error before the engine is loaded
  return load_engine()(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int code = run(argc, argv);
    if (code == 0) lora::flush_output();  // else the engine has told what is wrong
    return code;
  } catch (const lora::Error& error) {
    std::fprintf(stderr, "lora: %s\n", lora::shown_lines(error.what()).c_str());
    return static_cast<int>(error.code());
  }
}
