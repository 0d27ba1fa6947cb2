// SPDX-License-Identifier: Apache-2.0
#include "data/template_date.h"

#include <locale.h>

#include <vector>

#include "base/error.h"

namespace lora {
namespace {

constexpr const char* kWhole = "%Y-%m-%d %H:%M:%S";

bool parse(const std::string& text, const char* format, std::tm& date) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), format, &parts);
  if (end == nullptr || *end != '\0') return false;
  const int day = parts.tm_mday;
  parts.tm_isdst = -1;
  // Fills in the day of the week; the 31st of a short month would become another day.
  if (std::mktime(&parts) == -1 || parts.tm_mday != day) return false;
  date = parts;
  return true;
}

}  // namespace

std::tm read_date(const std::string& text) {
  std::tm date{};
  if (text.empty()) {
    const std::time_t now = std::time(nullptr);
    localtime_r(&now, &date);
    return date;
  }
  if (!parse(text, kWhole, date) && !parse(text, "%Y-%m-%d", date)) {
    fail_usage("template_date '", text,
               "': not a date (expected 2026-01-31 or 2026-01-31 12:00:00); write it so");
  }
  return date;
}

std::string date_text(const std::tm& date) { return format_date(date, kWhole); }

std::string format_date(const std::tm& date, const std::string& format) {
  static const locale_t english = newlocale(LC_ALL_MASK, "C", nullptr);
  if (format.empty()) return "";
  std::vector<char> text(format.size() * 16 + 256);
  const std::size_t size = strftime_l(text.data(), text.size(), format.c_str(), &date, english);
  return {text.data(), size};
}

}  // namespace lora
