// SPDX-License-Identifier: Apache-2.0
// The entry of the engine library: runs one command and turns errors into a line and an exit code.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/shown.h"
#include "cli/commands.h"

extern "C" int lora_engine_main(int argc, char** argv);

namespace {

constexpr std::string_view kOutOfMemory =
    "memory: there is not enough for this; lower batch_size, max_seq_length or resolution, set "
    "gradient_checkpointing: true, or end other programs";

// libtorch throws an error of its own, which only its text tells from others.
bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  const std::string_view text = error.what();
  for (const char* part : {"can't allocate memory", "not enough memory", "out of memory",
                           "Cannot allocate memory", "could not create a memory object"}) {
    if (text.find(part) != std::string_view::npos) return true;
  }
  return false;
}

// Lines behind the first stand further in, so that no text of a file passes for a message.
int tell(std::string_view text, lora::Exit code) {
  std::string line = lora::shown_lines(text);
  for (std::size_t at = 0; (at = line.find('\n', at)) != std::string::npos; at += 3) {
    line.insert(at + 1, "  ");
  }
  std::fprintf(stderr, "lora: %s\n", line.c_str());
  return static_cast<int>(code);
}

}  // namespace

int lora_engine_main(int argc, char** argv) {
  lora::tell_of_lost_pages();
  lora::keep_freed_memory();
  try {
    const int code = lora::run_command(argv[1], lora::Arguments(argv + 2, argv + argc));
    lora::flush_output();
    return code;
  } catch (const lora::Error& error) {
    return tell(error.what(), error.code());
  } catch (const std::filesystem::filesystem_error& error) {
    return tell(error.path1().string() + ": " + error.code().message() +
                    "; check the path and its permissions",
                lora::Exit::failed);
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) return tell(kOutOfMemory, lora::Exit::failed);
    // fmt::print throws errors of its own.
    if (std::ferror(stdout) != 0) return tell(lora::kOutputFailed, lora::Exit::failed);
    const std::string text = error.what();
    return tell("this looks like a bug: " + text.substr(0, text.find('\n')), lora::Exit::failed);
  }
}
