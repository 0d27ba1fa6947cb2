// SPDX-License-Identifier: Apache-2.0
// Filters that give text or a number, and the helpers of strings.
#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/table.h"
#include "base/utf8.h"
#include "jinja/budget.h"
#include "jinja/ops.h"

namespace lora::jinja {
namespace {

// Applies `change(point, index of the letter in its word)` to every code point.
template <typename Change>
std::string map_points(const std::string& text, Change change) {
  spend_bytes(text.size());
  std::string out;
  std::size_t at = 0;
  int letters = 0;
  while (at < text.size()) {
    utf8proc_int32_t point = 0;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
    const utf8proc_ssize_t size =
        utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    if (size <= 0) {  // not UTF-8: keep the byte
      out += text[at++];
      continue;
    }
    const utf8proc_category_t category = utf8proc_category(point);
    const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    append_utf8(out, static_cast<std::uint32_t>(change(point, letters)));
    letters = letter ? letters + 1 : 0;
    at += static_cast<std::size_t>(size);
  }
  return out;
}

std::int64_t whole_or(const Value& value, std::int64_t otherwise) {
  return value.undefined() || value.none() ? otherwise : value.whole();
}

// Another text of the kind of `v`.
Value like(const Value& v, const Value& text) { return v.markup() ? text.as_markup() : text; }

Value trim(const Value& v, const Arguments& a) {
  const Value chars = a.get(0, "chars");
  return like(v, strip(v.str(), chars.string() ? chars.text() : "", true, true));
}
Value upper(const Value& v, const Arguments&) { return like(v, change_case(v.str(), true)); }
Value lower(const Value& v, const Arguments&) { return like(v, change_case(v.str(), false)); }
Value title(const Value& v, const Arguments&) { return like(v, title_case(v.str())); }
Value capitalized(const Value& v, const Arguments&) { return like(v, capitalize(v.str())); }
Value as_string(const Value& v, const Arguments&) { return like(v, v.str()); }
Value safe(const Value& v, const Arguments&) { return Value(v.str()).as_markup(); }

constexpr std::int64_t kWidest = 1000;  // columns of an indent

Value as_json(const Value& v, const Arguments& a) {
  if (v.undefined()) fail("tojson: '", v.missing().name, "' is undefined");
  const std::int64_t indent = whole_or(a.get(0, "indent"), -1);
  if (indent > kWidest) {
    fail("tojson: the indent is too wide (found ", indent, ", at most ", kWidest, ")");
  }
  return to_json(v, static_cast<int>(std::max<std::int64_t>(indent, -1)));
}

Value indent(const Value& v, const Arguments& a) {
  const Value width = a.get(0, "width", 4);
  if (!width.string() && width.whole() > kWidest) {
    fail("indent is too wide (found ", width.whole(), ", at most ", kWidest, ")");
  }
  const std::string pad =
      width.string()
          ? width.text()
          : std::string(static_cast<std::size_t>(std::max<std::int64_t>(width.whole(), 0)), ' ');
  const bool first = a.get(1, "first", false).truthy(), blank = a.get(2, "blank", false).truthy();
  std::string out = first ? pad : "";
  const std::string text = v.str();
  spend_bytes(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] != '\n') continue;
    const bool empty_line = i + 1 >= text.size() || text[i + 1] == '\n';
    if (!empty_line || blank) append(out, pad);
  }
  return out;
}

Value replaced(const Value& v, const Arguments& a) {
  const Value from = a.get(0, "old"), to = a.get(1, "new");
  if (from.undefined() || to.undefined()) fail("replace needs two strings");
  return replace_all(v.str(), from.str(), to.str(), whole_or(a.get(2, "count"), -1));
}

Value escaped(const Value& v, const Arguments&) {
  return v.markup() ? v : Value(escape_html(v.str())).as_markup();
}

// Python's int() of a float.
std::int64_t whole_part(double value) {
  if (!(std::abs(value) < 9.2e18)) fail("int: ", value, " is no whole number of 64 bits");
  return static_cast<std::int64_t>(value);
}

Value as_int(const Value& v, const Arguments& a) {
  if (v.real()) return whole_part(v.decimal());
  if (v.number()) return v.whole();
  Value otherwise = a.get(0, "default", 0);
  if (!v.string()) return otherwise;
  const std::string text = strip(v.text(), "", true, true);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(std::abs(value) <= 9e15)) return otherwise;
  return static_cast<std::int64_t>(value);
}

Value as_float(const Value& v, const Arguments& a) {
  if (v.number()) return v.decimal();
  Value otherwise = a.get(0, "default", 0.0);
  if (!v.string()) return otherwise;
  const std::string text = strip(v.text(), "", true, true);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? otherwise : Value(value);
}

Value absolute(const Value& v, const Arguments&) {
  if (v.real()) return std::abs(v.decimal());
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  if (v.whole() == kLowest) fail("a whole number became too large");
  return std::abs(v.whole());
}

Value rounded(const Value& v, const Arguments& a) {
  const double scale = std::pow(10.0, static_cast<double>(whole_or(a.get(0, "precision"), 0)));
  const std::string method = a.get(1, "method", "common").str();
  const double value = v.decimal() * scale;
  if (method == "ceil") return std::ceil(value) / scale;
  if (method == "floor") return std::floor(value) / scale;
  return std::nearbyint(value) / scale;
}

Value word_count(const Value& v, const Arguments&) {
  const Value words = call_method(v.str(), "split", {});
  return length_of(words);
}

// printf-like: "%s and %d" | format(a, b). Only %s, %d and %%.
Value formatted(const Value& v, const Arguments& a) {
  std::string out;
  std::size_t next = 0;
  const std::string text = v.str();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const char kind = ++i < text.size() ? text[i] : '\0';
    if (kind == '%') {
      out += '%';
    } else if (kind == 's' || kind == 'd') {
      if (next >= a.positional.size()) fail("format: fewer values than places in the text");
      append(out, a.positional[next++].str());
    } else {
      fail("format: '%", std::string(1, kind), "' is not supported (known: %s, %d, %%)");
    }
  }
  return out;
}

constexpr FilterRow kFilters[] = {
    {"trim", trim},
    {"upper", upper},
    {"lower", lower},
    {"title", title},
    {"capitalize", capitalized},
    {"string", as_string},
    {"safe", safe},
    {"tojson", as_json},
    {"indent", indent},
    {"replace", replaced},
    {"escape", escaped},
    {"e", escaped},
    {"int", as_int},
    {"float", as_float},
    {"abs", absolute},
    {"round", rounded},
    {"wordcount", word_count},
    {"format", formatted},
};

}  // namespace

std::string escape_html(const std::string& text) {
  constexpr std::string_view kWritten[] = {"&&amp;", "<&lt;", ">&gt;", "\"&#34;", "'&#39;"};
  spend_bytes(text.size());
  std::string out;
  for (const char c : text) {
    const auto* row = std::ranges::find(kWritten, c, [](std::string_view s) { return s[0]; });
    row == std::end(kWritten) ? out.push_back(c) : static_cast<void>(out.append(row->substr(1)));
  }
  return out;
}

std::span<const FilterRow> text_filters() { return kFilters; }

const FilterRow* find_filter(const std::string& name) {
  const FilterRow* row = find_row(text_filters(), name);
  return row != nullptr ? row : find_row(list_filters(), name);
}

// Without `characters`: white space as Python counts it, beyond ASCII too.
std::string strip(const std::string& text, const std::string& characters, bool left, bool right) {
  static const std::vector<std::string> kBlanks = {
      " ",      "\t",     "\n",     "\r",     "\f",     "\v",     "\x1c",   "\x1d",
      "\x1e",   "\x1f",   "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
      "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
      "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  std::vector<std::string> wanted;
  if (!characters.empty()) {
    for (const Value& point : elements_of(characters)) wanted.push_back(point.text());
  }
  const std::vector<std::string>& all = characters.empty() ? kBlanks : wanted;
  const auto goes = [&all](std::string_view point) {
    spend_steps(1 + all.size() / 32);
    return std::find(all.begin(), all.end(), point) != all.end();
  };
  std::size_t first = 0, last = text.size();
  while (left && first < last) {
    std::size_t next = first + 1;
    while (next < last && !begins_point(text[next])) ++next;
    if (!goes(std::string_view(text).substr(first, next - first))) break;
    first = next;
  }
  while (right && last > first) {
    std::size_t before = last - 1;
    while (before > first && !begins_point(text[before])) --before;
    if (!goes(std::string_view(text).substr(before, last - before))) break;
    last = before;
  }
  return text.substr(first, last - first);
}

std::string replace_all(const std::string& text, const std::string& from, const std::string& to,
                        std::int64_t count) {
  std::string out;
  std::size_t at = 0;
  if (from.empty()) fail("replace() of an empty string is not supported");
  while (count != 0) {
    const std::size_t found = find_text(text, from, at);
    if (found == std::string::npos) break;
    append(out, std::string_view(text).substr(at, found - at));
    append(out, to);
    at = found + from.size();
    if (count > 0) --count;
  }
  append(out, std::string_view(text).substr(at));
  return out;
}

std::string change_case(const std::string& text, bool upper) {
  return map_points(text, [upper](utf8proc_int32_t point, int) {
    return upper ? utf8proc_toupper(point) : utf8proc_tolower(point);
  });
}

std::string title_case(const std::string& text) {
  return map_points(text, [](utf8proc_int32_t point, int letters) {
    return letters == 0 ? utf8proc_totitle(point) : utf8proc_tolower(point);
  });
}

std::string capitalize(const std::string& text) {
  bool first = true;
  return map_points(text, [&first](utf8proc_int32_t point, int) {
    return std::exchange(first, false) ? utf8proc_totitle(point) : utf8proc_tolower(point);
  });
}

}  // namespace lora::jinja
