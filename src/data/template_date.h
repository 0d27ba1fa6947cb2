// SPDX-License-Identifier: Apache-2.0
// The date that chat templates write (strftime_now), fixed for a run.
#pragma once

#include <ctime>
#include <string>

namespace lora {

// "2026-01-31" or "2026-01-31 12:00:00" in local time; "" = now. Throws Error (usage) for another
// text.
std::tm read_date(const std::string& text);

// "2026-01-31 12:00:00"
std::string date_text(const std::tm& date);

// strftime with English names, as Python has them unless a program sets a locale.
std::string format_date(const std::tm& date, const std::string& format);

}  // namespace lora
