// SPDX-License-Identifier: Apache-2.0
// Progress and logs go to stderr; results go to stdout. Messages may also be copied to a file
// (train.log).
#pragma once

#include <string_view>

#include "base/files.h"

namespace lora {

void info(std::string_view text);
void warn(std::string_view text);  // "warning: ..."

// From now on messages are appended to `path` too, with a UTC time. An empty path ends that.
void log_to_file(const Path& path);

// True where stderr is a terminal: progress bars only there.
bool stderr_is_terminal();

// Current time, "2026-01-31T12:00:00Z".
std::string utc_now();

}  // namespace lora
