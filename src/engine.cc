// SPDX-License-Identifier: Apache-2.0
// The entry of the engine library: runs one command and turns errors into a line and an exit code.
#include <cstdio>
#include <exception>
#include <string>

#include "base/error.h"
#include "base/memory.h"
#include "cli/commands.h"

extern "C" int lora_engine_main(int argc, char** argv);

int lora_engine_main(int argc, char** argv) {
  lora::keep_freed_memory();
  try {
    return lora::run_command(argv[1], lora::Arguments(argv + 2, argv + argc));
  } catch (const lora::Error& error) {
    std::fprintf(stderr, "lora: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    const std::string text = error.what();
    std::fprintf(stderr, "lora: this looks like a bug: %s\n",
                 text.substr(0, text.find('\n')).c_str());
    return static_cast<int>(lora::Exit::failed);
  }
}
