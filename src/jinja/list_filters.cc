// SPDX-License-Identifier: Apache-2.0
// Filters over lists and mappings, and the tests.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/table.h"
#include "base/text.h"
#include "jinja/budget.h"
#include "jinja/ops.h"

namespace lora::jinja {
namespace {

// The number that `text` spells with digits alone, if it is one that fits.
std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || text[0] == '-' || stop != end || error != std::errc()) return std::nullopt;
  return value;
}

// "a.b.0": attribute after attribute.
Value along_path(Value value, const Value& path) {
  if (path.integer()) return get_item(value, path);
  for (const std::string& part : split(path.str(), '.')) {
    const std::optional<std::int64_t> number = whole_number(part);
    value = number ? get_item(value, *number) : get_attribute(value, part);
  }
  return value;
}

Value first(const Value& v, const Arguments&) {
  const List items = elements_of(v);
  return items.empty() ? Value(Undefined{"the first of an empty sequence"}) : items.front();
}
Value last(const Value& v, const Arguments&) {
  const List items = elements_of(v);
  return items.empty() ? Value(Undefined{"the last of an empty sequence"}) : items.back();
}
Value length(const Value& v, const Arguments&) { return length_of(v); }
Value as_list(const Value& v, const Arguments&) { return elements_of(v); }
Value items(const Value& v, const Arguments& a) {
  return v.undefined() ? Value(List{}) : call_method(v, "items", a);
}

Value joined(const Value& v, const Arguments& a) {
  const std::string mark = a.get(0, "d", "").str();
  const Value attribute = a.get(1, "attribute");
  std::string out;
  bool begun = false;
  for (const Value& item : elements_of(v)) {
    if (begun) append(out, mark);
    append(out, attribute.undefined() ? item.str() : along_path(item, attribute).str());
    begun = true;
  }
  return out;
}

Value otherwise(const Value& v, const Arguments& a) {
  const bool replace = v.undefined() || (a.get(1, "boolean", false).truthy() && !v.truthy());
  return replace ? a.get(0, "default_value", "") : v;
}

Value reversed(const Value& v, const Arguments&) {
  List items = elements_of(v);
  std::reverse(items.begin(), items.end());
  if (!v.string()) return items;
  std::string out;
  for (const Value& point : items) out += point.text();
  return out;
}

Value sort_key(const Value& v, bool case_sensitive) {
  return v.string() && !case_sensitive ? Value(change_case(v.text(), false)) : v;
}

struct Keyed {
  Value key, item;
};

List in_order(std::vector<Keyed> items, bool down) {
  for (const Keyed& one : items) {
    if (one.key.real() && std::isnan(one.key.decimal())) fail("nan has no order");
  }
  std::stable_sort(items.begin(), items.end(), [down](const Keyed& x, const Keyed& y) {
    spend_steps();
    return down ? less(y.key, x.key) : less(x.key, y.key);
  });
  List out;
  for (Keyed& one : items) out.push_back(std::move(one.item));
  return out;
}

Value sorted(const Value& v, const Arguments& a) {
  const bool down = a.get(0, "reverse", false).truthy();
  const bool exact = a.get(1, "case_sensitive", false).truthy();
  const Value attribute = a.get(2, "attribute");
  std::vector<Keyed> items;
  for (const Value& item : elements_of(v)) {
    items.push_back({sort_key(attribute.undefined() ? item : along_path(item, attribute), exact),
                     item});
  }
  return in_order(std::move(items), down);
}

Value dict_sorted(const Value& v, const Arguments& a) {
  if (!v.dict()) fail("dictsort needs a mapping (found ", v.kind(), ")");
  const bool exact = a.get(0, "case_sensitive", false).truthy();
  const std::size_t by = a.get(1, "by", "key").str() == "value" ? 1 : 0;
  const bool down = a.get(2, "reverse", false).truthy();
  std::vector<Keyed> items;
  const Value pairs = call_method(v, "items", {});
  for (const Value& pair : pairs.items()) {
    items.push_back({sort_key(pair.items()[by], exact), pair});
  }
  return in_order(std::move(items), down);
}

Value unique(const Value& v, const Arguments& a) {
  const bool exact = a.get(0, "case_sensitive", false).truthy();
  const Value attribute = a.get(1, "attribute");
  List out, seen;
  for (const Value& item : elements_of(v)) {
    const Value key = sort_key(attribute.undefined() ? item : along_path(item, attribute), exact);
    spend_steps(1 + seen.size() / 32);
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
    seen.push_back(key);
    out.push_back(item);
  }
  return out;
}

Value summed(const Value& v, const Arguments& a) {
  const Value attribute = a.get(0, "attribute"), start = a.get(1, "start", 0);
  bool real = start.real();
  double total = start.decimal();
  std::int64_t whole = real ? 0 : start.whole();
  for (const Value& item : elements_of(v)) {
    const Value number =
        attribute.undefined() || attribute.none() ? item : along_path(item, attribute);
    real = real || number.real();
    total += number.decimal();
    if (!real && __builtin_add_overflow(whole, number.whole(), &whole)) {
      fail("a whole number became too large");
    }
  }
  return real ? Value(total) : Value(whole);
}

Value extreme(const Value& v, const Arguments& a, bool largest) {
  const Value attribute = a.get(1, "attribute");
  Value best = Undefined{"the extreme of an empty sequence"};
  for (const Value& item : elements_of(v)) {
    const Value key = attribute.undefined() ? item : along_path(item, attribute);
    const Value held =
        attribute.undefined() || best.undefined() ? best : along_path(best, attribute);
    if (best.undefined() || (largest ? less(held, key) : less(key, held))) best = item;
  }
  return best;
}
Value smallest(const Value& v, const Arguments& a) { return extreme(v, a, false); }
Value largest(const Value& v, const Arguments& a) { return extreme(v, a, true); }

Value mapped(const Value& v, const Arguments& a) {
  const Value attribute = a.positional.empty() ? a.get(0, "attribute") : Value();
  List out;
  if (!v.truthy()) return out;  // none too, as Jinja
  if (!attribute.undefined()) {
    const Value missing = a.get(99, "default");
    for (const Value& item : elements_of(v)) {
      const Value found = along_path(item, attribute);
      out.push_back(found.undefined() && !missing.undefined() ? missing : found);
    }
    return out;
  }
  if (a.positional.empty()) fail("map needs the name of a filter or attribute=..");
  const std::string name = a.positional[0].str();
  const FilterRow* filter = find_filter(name);
  if (filter == nullptr) fail("map: unknown filter '", name, "'");
  const Nested nested;  // a filter may be map itself
  spend_bytes(a.positional.size() * sizeof(Value));
  Arguments rest = a;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : elements_of(v)) {
    spend_steps();
    out.push_back(filter->apply(item, rest));
  }
  return out;
}

// The elements for which the test named by the argument `first` holds, or not.
Value chosen(const Value& v, const Arguments& a, bool wanted, bool by_attribute) {
  Arguments rest = a;
  Value path;
  const auto pop = [&rest] {
    Value out = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return out;
  };
  if (by_attribute) {
    if (rest.positional.empty()) fail("selectattr and rejectattr need the name of an attribute");
    path = pop();
  }
  const TestRow* test = nullptr;
  if (!rest.positional.empty()) {
    const std::string name = pop().str();
    test = find_test(name);
    if (test == nullptr) fail("select: unknown test '", name, "'");
  }
  List out;
  if (!v.truthy()) return out;  // none too, as Jinja
  for (const Value& item : elements_of(v)) {
    spend_steps();
    const Value value = by_attribute ? along_path(item, path) : item;
    const bool holds = test != nullptr ? test->apply(value, rest) : value.truthy();
    if (holds == wanted) out.push_back(item);
  }
  return out;
}
Value select(const Value& v, const Arguments& a) { return chosen(v, a, true, false); }
Value reject(const Value& v, const Arguments& a) { return chosen(v, a, false, false); }
Value select_attribute(const Value& v, const Arguments& a) { return chosen(v, a, true, true); }
Value reject_attribute(const Value& v, const Arguments& a) { return chosen(v, a, false, true); }

Value attribute(const Value& v, const Arguments& a) {
  return get_attribute(v, a.get(0, "name").str());
}

Value batch(const Value& v, const Arguments& a) {
  const std::int64_t size = a.get(0, "linecount").whole();
  if (size < 1) fail("batch needs a size of at least 1 (found ", size, ")");
  const Value fill = a.get(1, "fill_with");
  List out;
  for (const Value& item : elements_of(v)) {
    if (out.empty() || length_of(out.back()) == size) out.emplace_back(List{});
    out.back().items().push_back(item);
  }
  while (!fill.undefined() && !out.empty() && length_of(out.back()) < size) {
    spend_bytes(sizeof(Value));
    out.back().items().push_back(fill);
  }
  return out;
}

constexpr FilterRow kFilters[] = {
    {"first", first},
    {"last", last},
    {"length", length},
    {"count", length},
    {"list", as_list},
    {"items", items},
    {"join", joined},
    {"default", otherwise},
    {"d", otherwise},
    {"reverse", reversed},
    {"sort", sorted},
    {"dictsort", dict_sorted},
    {"unique", unique},
    {"sum", summed},
    {"min", smallest},
    {"max", largest},
    {"map", mapped},
    {"select", select},
    {"reject", reject},
    {"selectattr", select_attribute},
    {"rejectattr", reject_attribute},
    {"attr", attribute},
    {"batch", batch},
};

bool is_defined(const Value& v, const Arguments&) { return !v.undefined(); }
bool is_undefined(const Value& v, const Arguments&) { return v.undefined(); }
bool is_none(const Value& v, const Arguments&) { return v.none(); }
bool is_string(const Value& v, const Arguments&) { return v.string(); }
bool is_mapping(const Value& v, const Arguments&) { return v.dict(); }
bool is_sequence(const Value& v, const Arguments&) { return v.list() || v.string() || v.dict(); }
bool is_iterable(const Value& v, const Arguments&) {
  return v.list() || v.string() || v.dict() || v.undefined();
}
bool is_number(const Value& v, const Arguments&) { return v.number(); }
bool is_integer(const Value& v, const Arguments&) { return v.integer(); }
bool is_float(const Value& v, const Arguments&) { return v.real(); }
bool is_boolean(const Value& v, const Arguments&) { return v.boolean(); }
bool is_true(const Value& v, const Arguments&) { return v.boolean() && v.truthy(); }
bool is_false(const Value& v, const Arguments&) { return v.boolean() && !v.truthy(); }
bool is_callable(const Value& v, const Arguments&) { return v.function(); }
bool is_even(const Value& v, const Arguments&) { return v.whole() % 2 == 0; }
bool is_odd(const Value& v, const Arguments&) { return v.whole() % 2 != 0; }
bool is_divisible(const Value& v, const Arguments& a) {
  const std::int64_t by = a.get(0, "num").whole();
  if (by == 0) fail("division by zero");
  return by == -1 || v.whole() % by == 0;
}
bool is_equal(const Value& v, const Arguments& a) { return v == a.get(0, "other"); }
bool is_unequal(const Value& v, const Arguments& a) { return !(v == a.get(0, "other")); }
bool is_less(const Value& v, const Arguments& a) { return less(v, a.get(0, "other")); }
bool is_greater(const Value& v, const Arguments& a) { return less(a.get(0, "other"), v); }
bool is_at_most(const Value& v, const Arguments& a) { return !is_greater(v, a); }
bool is_at_least(const Value& v, const Arguments& a) { return !is_less(v, a); }
bool is_same(const Value& v, const Arguments& a) { return v.same_object(a.get(0, "other")); }
bool is_in(const Value& v, const Arguments& a) { return contains(a.get(0, "seq"), v); }
bool is_upper(const Value& v, const Arguments&) {
  return call_method(v.str(), "isupper", {}).truthy();
}
bool is_lower(const Value& v, const Arguments&) {
  return call_method(v.str(), "islower", {}).truthy();
}

constexpr TestRow kTests[] = {
    {"defined", is_defined},
    {"undefined", is_undefined},
    {"none", is_none},
    {"string", is_string},
    {"mapping", is_mapping},
    {"sequence", is_sequence},
    {"iterable", is_iterable},
    {"number", is_number},
    {"integer", is_integer},
    {"float", is_float},
    {"boolean", is_boolean},
    {"true", is_true},
    {"false", is_false},
    {"callable", is_callable},
    {"even", is_even},
    {"odd", is_odd},
    {"divisibleby", is_divisible},
    {"equalto", is_equal},
    {"eq", is_equal},
    {"==", is_equal},
    {"ne", is_unequal},
    {"!=", is_unequal},
    {"lt", is_less},
    {"lessthan", is_less},
    {"gt", is_greater},
    {"greaterthan", is_greater},
    {"le", is_at_most},
    {"ge", is_at_least},
    {"sameas", is_same},
    {"in", is_in},
    {"upper", is_upper},
    {"lower", is_lower},
};

}  // namespace

std::span<const FilterRow> list_filters() { return kFilters; }
std::span<const TestRow> tests() { return kTests; }
const TestRow* find_test(const std::string& name) { return find_row(tests(), name); }

}  // namespace lora::jinja
