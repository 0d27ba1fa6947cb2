// SPDX-License-Identifier: Apache-2.0
// Attributes, items and methods.
#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/table.h"
#include "jinja/budget.h"
#include "jinja/ops.h"

namespace lora::jinja {
namespace {

std::int64_t whole_or(const Value& value, std::int64_t otherwise) {
  return value.undefined() || value.none() ? otherwise : value.whole();
}

const std::string& text_argument(const Arguments& arguments, std::size_t index) {
  if (index >= arguments.positional.size() || !arguments.positional[index].string()) {
    fail("a string is needed as argument ", index + 1);
  }
  return arguments.positional[index].text();
}

std::string characters(const Arguments& arguments) {
  const Value value = arguments.get(0, "chars");
  return value.string() ? value.text() : "";
}

Value strip_both(const Value& v, const Arguments& a) {
  return strip(v.text(), characters(a), true, true);
}
Value strip_left(const Value& v, const Arguments& a) {
  return strip(v.text(), characters(a), true, false);
}
Value strip_right(const Value& v, const Arguments& a) {
  return strip(v.text(), characters(a), false, true);
}
Value upper(const Value& v, const Arguments&) { return change_case(v.text(), true); }
Value lower(const Value& v, const Arguments&) { return change_case(v.text(), false); }
Value title(const Value& v, const Arguments&) { return title_case(v.text()); }
Value capitalize_text(const Value& v, const Arguments&) { return capitalize(v.text()); }

// startswith and endswith take a string or a list of strings.
bool any_of_texts(const Arguments& arguments, bool (*test)(const std::string&, const std::string&),
                  const std::string& text) {
  const Value what = arguments.get(0, "prefix");
  if (what.string()) return test(text, what.text());
  if (!what.list()) fail("a string is needed as argument 1 (found ", what.kind(), ")");
  for (const Value& item : what.items()) {
    if (item.string() && test(text, item.text())) return true;
  }
  return false;
}
Value starts_with(const Value& v, const Arguments& a) {
  return any_of_texts(
      a, [](const std::string& x, const std::string& y) { return x.starts_with(y); }, v.text());
}
Value ends_with(const Value& v, const Arguments& a) {
  return any_of_texts(
      a, [](const std::string& x, const std::string& y) { return x.ends_with(y); }, v.text());
}

List split_blanks(const std::string& text, std::int64_t limit) {
  List out;
  const std::string all = strip(text, "", true, true);
  std::size_t at = 0;
  while (at < all.size() && (limit < 0 || static_cast<std::int64_t>(out.size()) < limit)) {
    const std::size_t end = std::min(all.find_first_of(" \t\n\r\f\v", at), all.size());
    if (end > at) out.emplace_back(all.substr(at, end - at));
    at = std::min(all.find_first_not_of(" \t\n\r\f\v", end), all.size());
  }
  if (at < all.size()) out.emplace_back(all.substr(at));
  return out;
}

Value split_text(const Value& v, const Arguments& a) {
  const Value mark = a.get(0, "sep");
  const std::int64_t limit = whole_or(a.get(1, "maxsplit"), -1);
  if (!mark.string()) return split_blanks(v.text(), limit);
  if (mark.text().empty()) fail("split() with an empty separator");
  List out;
  std::size_t from = 0;
  while (limit < 0 || static_cast<std::int64_t>(out.size()) < limit) {
    const std::size_t at = find_text(v.text(), mark.text(), from);
    if (at == std::string::npos) break;
    out.emplace_back(v.text().substr(from, at - from));
    from = at + mark.text().size();
  }
  out.emplace_back(v.text().substr(from));
  return out;
}

Value rsplit_text(const Value& v, const Arguments& a) {
  const std::int64_t limit = whole_or(a.get(1, "maxsplit"), -1);
  if (limit < 0) return split_text(v, a);
  const std::string& mark = text_argument(a, 0);
  if (mark.empty()) fail("rsplit() with an empty separator");
  List out;
  std::string_view rest = v.text();
  for (std::int64_t i = 0; i < limit; ++i) {
    const std::size_t at = rest.rfind(mark);
    const std::size_t passed = at == std::string::npos ? rest.size() : rest.size() - at;
    spend_steps(1 + passed * mark.size() / 256);
    if (at == std::string::npos) break;
    out.emplace_back(rest.substr(at + mark.size()));
    rest = rest.substr(0, at);
  }
  out.emplace_back(rest);
  std::reverse(out.begin(), out.end());
  return out;
}

Value split_lines(const Value& v, const Arguments&) {
  List out;
  std::string line;
  for (const char c : v.text()) {
    if (c == '\n') {
      out.emplace_back(line);
      line.clear();
    } else {
      line += c;
    }
  }
  if (!line.empty()) out.emplace_back(line);
  return out;
}

Value replace_text(const Value& v, const Arguments& a) {
  return replace_all(v.text(), text_argument(a, 0), text_argument(a, 1),
                     whole_or(a.get(2, "count"), -1));
}

Value join_text(const Value& v, const Arguments& a) {
  std::string out;
  bool first = true;
  for (const Value& item : elements_of(a.get(0, "iterable"))) {
    if (!first) append(out, v.text());
    append(out, item.str());
    first = false;
  }
  return out;
}

Value position_of(const Value& v, const Arguments& a) {
  const std::size_t at = find_text(v.text(), text_argument(a, 0));
  if (at == std::string::npos) return -1;
  return length_of(v.text().substr(0, at));
}

Value count_text(const Value& v, const Arguments& a) {
  const std::string& what = text_argument(a, 0);
  std::int64_t count = 0;
  for (std::size_t at = 0;
       !what.empty() && (at = find_text(v.text(), what, at)) != std::string::npos;
       at += what.size()) {
    ++count;
  }
  return count;
}

bool all_ascii(const std::string& text, int (*test)(int)) {
  for (const char c : text) {
    if (test(static_cast<unsigned char>(c)) == 0) return false;
  }
  return !text.empty();
}
Value is_digits(const Value& v, const Arguments&) { return all_ascii(v.text(), std::isdigit); }
Value is_letters(const Value& v, const Arguments&) { return all_ascii(v.text(), std::isalpha); }
Value is_blank(const Value& v, const Arguments&) { return all_ascii(v.text(), std::isspace); }
Value is_upper(const Value& v, const Arguments&) {
  return change_case(v.text(), true) == v.text() && change_case(v.text(), false) != v.text();
}
Value is_lower(const Value& v, const Arguments&) {
  return change_case(v.text(), false) == v.text() && change_case(v.text(), true) != v.text();
}

// str.format with {} and {name} and {0}; no format specifications.
Value format_text(const Value& v, const Arguments& a) {
  std::string out;
  std::size_t next = 0;
  const std::string& text = v.text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
    if ((text[i] == '{' || text[i] == '}') && doubled) {
      out += text[i++];
    } else if (text[i] == '{') {
      const std::size_t end = text.find('}', i);
      if (end == std::string::npos) fail("format(): '{' without '}'");
      const std::string name = text.substr(i + 1, end - i - 1);
      std::size_t place = name.empty() ? next++ : SIZE_MAX;
      if (all_ascii(name, std::isdigit)) {
        std::from_chars(name.data(), name.data() + name.size(), place);  // SIZE_MAX: too large
      }
      const Value value = a.get(place, name);
      if (value.undefined()) fail("format(): nothing given for '{", name, "}'");
      append(out, value.str());
      i = end;
    } else {
      out += text[i];
    }
  }
  return out;
}

Value remove_prefix(const Value& v, const Arguments& a) {
  const std::string& what = text_argument(a, 0);
  return v.text().starts_with(what) ? v.text().substr(what.size()) : v.text();
}
Value remove_suffix(const Value& v, const Arguments& a) {
  const std::string& what = text_argument(a, 0);
  return v.text().ends_with(what) ? v.text().substr(0, v.text().size() - what.size()) : v.text();
}

constexpr FilterRow kTextMethods[] = {
    {"strip", strip_both},
    {"lstrip", strip_left},
    {"rstrip", strip_right},
    {"upper", upper},
    {"lower", lower},
    {"title", title},
    {"split", split_text},
    {"rsplit", rsplit_text},
    {"splitlines", split_lines},
    {"replace", replace_text},
    {"startswith", starts_with},
    {"endswith", ends_with},
    {"join", join_text},
    {"find", position_of},
    {"count", count_text},
    {"isdigit", is_digits},
    {"isnumeric", is_digits},
    {"isalpha", is_letters},
    {"isspace", is_blank},
    {"isupper", is_upper},
    {"islower", is_lower},
    {"format", format_text},
    {"capitalize", capitalize_text},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
};

List pairs_of(const Dict& dict) {
  List out;
  for (const auto& [key, value] : dict.items) out.emplace_back(List{key, value});
  return out;
}
Value dict_items(const Value& v, const Arguments&) { return pairs_of(v.fields()); }
Value dict_keys(const Value& v, const Arguments&) { return elements_of(v); }
Value dict_values(const Value& v, const Arguments&) {
  List out;
  for (const auto& [key, value] : v.fields().items) out.push_back(value);
  return out;
}
Value dict_get(const Value& v, const Arguments& a) {
  const Value* found = v.fields().find(a.get(0, "key"));
  return found != nullptr ? *found : a.get(1, "default", None{});
}
Value dict_copy(const Value& v, const Arguments&) { return std::make_shared<Dict>(v.fields()); }
Value dict_update(const Value& v, const Arguments& a) {
  const Value other = a.get(0, "other");
  if (other.dict()) {
    spend_bytes(other.fields().items.size() * sizeof(other.fields().items[0]));
    const Dict added = other.fields();
    for (const auto& [key, value] : added.items) v.fields().set(key, value);
  }
  for (const auto& [key, value] : a.named) v.fields().set(key, value);
  return None{};
}
constexpr FilterRow kDictMethods[] = {
    {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values},
    {"get", dict_get},     {"copy", dict_copy}, {"update", dict_update},
};

Value list_append(const Value& v, const Arguments& a) {
  spend_bytes(sizeof(Value));
  v.items().push_back(a.get(0, "object"));
  return None{};
}
Value list_extend(const Value& v, const Arguments& a) {
  for (const Value& item : elements_of(a.get(0, "iterable"))) v.items().push_back(item);
  return None{};
}
Value list_pop(const Value& v, const Arguments& a) {
  const auto size = static_cast<std::int64_t>(v.items().size());
  std::int64_t at = whole_or(a.get(0, "index"), -1);
  if (at < 0) at += size;
  if (at < 0 || at >= size) fail("pop(): no element ", at, " in a list of ", size);
  Value out = v.items()[static_cast<std::size_t>(at)];
  spend_steps(static_cast<std::size_t>(size - at) / 32);
  v.items().erase(v.items().begin() + at);
  return out;
}
Value list_index(const Value& v, const Arguments& a) {
  const Value what = a.get(0, "value");
  spend_steps(v.items().size() / 32);
  for (std::size_t i = 0; i < v.items().size(); ++i) {
    if (v.items()[i] == what) return static_cast<std::int64_t>(i);
  }
  fail("index(): ", what.repr(), " is not in the list");
}
Value list_count(const Value& v, const Arguments& a) {
  spend_steps(v.items().size() / 32);
  return static_cast<std::int64_t>(
      std::count(v.items().begin(), v.items().end(), a.get(0, "value")));
}
constexpr FilterRow kListMethods[] = {
    {"append", list_append}, {"extend", list_extend}, {"pop", list_pop},
    {"index", list_index},   {"count", list_count},
};

std::span<const FilterRow> methods_of(const Value& object) {
  if (object.string()) return kTextMethods;
  if (object.dict()) return kDictMethods;
  if (object.list()) return kListMethods;
  return {};
}

// The code point at `index`, which is there.
std::string point_of(const std::string& text, std::size_t index) {
  std::size_t begin = 0;
  while (!begins_point(text[begin]) || index-- > 0) ++begin;
  std::size_t end = begin + 1;
  while (end < text.size() && !begins_point(text[end])) ++end;
  return text.substr(begin, end - begin);
}

}  // namespace

Value call_method(const Value& object, const std::string& name, const Arguments& arguments) {
  if (object.undefined()) fail("'", object.missing().name, "' is undefined");
  const std::span<const FilterRow> methods = methods_of(object);
  const FilterRow* row = find_row(methods, name);
  if (row == nullptr) {
    fail("a value of kind ", object.kind(), " has no method '", name, "'",
         did_you_mean(name, names_of(methods)));
  }
  const Value result = row->apply(object, arguments);
  return object.markup() && result.string() ? result.as_markup() : result;
}

Value get_attribute(const Value& object, const std::string& name) {
  if (object.undefined()) fail("'", object.missing().name, "' is undefined");
  if (object.dict()) {
    if (const Value* found = object.fields().find(std::string_view(name))) return *found;
  }
  return Undefined{name};
}

Value get_item(const Value& object, const Value& key) {
  if (object.undefined()) fail("'", object.missing().name, "' is undefined");
  if (object.dict()) {
    const Value* found = object.fields().find(key);
    return found != nullptr ? *found : Value(Undefined{key.str()});
  }
  if ((object.list() || object.string()) && key.number() && !key.real()) {
    const std::int64_t size = length_of(object);
    const std::int64_t at = key.whole() < 0 ? key.whole() + size : key.whole();
    if (at >= 0 && at < size) {
      const auto index = static_cast<std::size_t>(at);
      return object.list() ? object.items()[index] : Value(point_of(object.text(), index));
    }
  }
  return Undefined{"element " + key.str()};
}

}  // namespace lora::jinja
