// SPDX-License-Identifier: Apache-2.0
// The one exception type for what the user can mend. Anything else that escapes is a bug.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace lora {

// Exit codes of the program (see main.cc).
enum class Exit { done = 0, failed = 1, usage = 2, integrity = 3, interrupted = 130 };

// Text pattern, always: "where: what is wrong (found X, expected Y); what to do".
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& text, Exit code = Exit::failed)
      : std::runtime_error(text), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

// Joins its arguments with operator<<: join("rank ", 8) == "rank 8".
template <typename... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws Error. The message is built from the parts.
template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(join(parts...));
}

// The same for wrong usage, configuration or preflight: exit code 2.
template <typename... Parts>
[[noreturn]] void fail_usage(const Parts&... parts) {
  throw Error(join(parts...), Exit::usage);
}

// The same for files that do not match what was recorded of them: exit code 3.
template <typename... Parts>
[[noreturn]] void fail_integrity(const Parts&... parts) {
  throw Error(join(parts...), Exit::integrity);
}

}  // namespace lora
