// SPDX-License-Identifier: Apache-2.0
#include "jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "jinja/budget.h"

namespace lora::jinja {
namespace {

std::string print_double(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quote_python(const std::string& text) {
  spend_bytes(text.size());
  const bool single = text.find('\'') == std::string::npos || text.find('"') != std::string::npos;
  const char mark = single ? '\'' : '"';
  std::string out(1, mark);
  for (const char c : text) {
    if (c == mark || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + mark;
}

std::string quote_json(const std::string& text) {
  spend_bytes(text.size());
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Writes one JSON value; `depth` levels of indentation are in force.
class JsonWriter {
 public:
  explicit JsonWriter(int indent) : indent_(indent) {}

  void write(const Value& value, int depth) {
    const Nested nested;
    spend_steps();
    if (value.dict()) {
      write_dict(value.fields(), depth);
    } else if (value.list()) {
      write_list(value.items(), depth);
    } else if (value.string()) {
      append(out, quote_json(value.text()));
    } else if (value.boolean()) {
      out += value.truthy() ? "true" : "false";
    } else if (value.none()) {
      out += "null";
    } else if (value.number()) {
      out += value.str();
    } else {
      fail("a value of kind ", value.kind(), " cannot be written as JSON");
    }
  }

  std::string out;

 private:
  void next_line(int depth) {
    if (indent_ < 0) return;
    out += '\n';
    append(out, std::string(static_cast<std::size_t>(indent_ * depth), ' '));
  }

  void write_list(const List& items, int depth) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += indent_ < 0 ? ", " : ",";
      next_line(depth + 1);
      write(items[i], depth + 1);
    }
    next_line(depth);
    out += ']';
  }

  void write_dict(const Dict& dict, int depth) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    out += '{';
    for (std::size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) out += indent_ < 0 ? ", " : ",";
      next_line(depth + 1);
      const Value& key = dict.items[i].first;
      append(out, quote_json(key.string() ? key.text() : to_json(key)));
      out += ": ";
      write(dict.items[i].second, depth + 1);
    }
    next_line(depth);
    out += '}';
  }

  int indent_;
};

}  // namespace

namespace {

// The time to look through a mapping.
void spend_search(const Dict& dict) { spend_steps(dict.items.size() / 32); }

}  // namespace

Value::Value(std::string value) {
  spend_bytes(value.size());
  data_ = std::make_shared<const std::string>(std::move(value));
}

Value Value::as_markup() const {
  Value value = *this;
  value.markup_ = true;
  return value;
}

Value::Value(List value) {
  spend_bytes(sizeof(List) + value.size() * sizeof(Value));
  auto list = std::make_shared<List>(std::move(value));
  if (Budget* budget = current_budget()) budget->keep(list);
  data_ = std::move(list);
}

Value::Value(std::shared_ptr<Dict> value) {
  spend_bytes(sizeof(Dict) + value->items.size() * sizeof(value->items[0]));
  if (Budget* budget = current_budget()) budget->keep(value);
  data_ = std::move(value);
}

Value* Dict::find(const Value& key) {
  spend_search(*this);
  for (auto& [name, value] : items) {
    if (name == key) return &value;
  }
  return nullptr;
}

Value* Dict::find(std::string_view key) {
  spend_search(*this);
  for (auto& [name, value] : items) {
    if (name.string() && name.text() == key) return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  if (Value* old = find(key)) {
    *old = std::move(value);
  } else {
    items.emplace_back(std::move(key), std::move(value));
  }
}

std::int64_t Value::whole() const {
  if (boolean()) return std::get<bool>(data_) ? 1 : 0;
  if (!integer()) fail("a whole number is needed here (found ", kind(), ")");
  return std::get<std::int64_t>(data_);
}

double Value::decimal() const {
  if (real()) return std::get<double>(data_);
  if (!number()) fail("a number is needed here (found ", kind(), ")");
  return static_cast<double>(whole());
}

bool Value::truthy() const {
  if (undefined() || none()) return false;
  if (real()) return decimal() != 0;
  if (number()) return whole() != 0;
  if (string()) return !text().empty();
  if (list()) return !items().empty();
  if (dict()) return fields().is_namespace || !fields().items.empty();
  return true;
}

std::string Value::str() const {
  if (undefined()) return "";
  if (none()) return "None";
  if (boolean()) return truthy() ? "True" : "False";
  if (integer()) return std::to_string(whole());
  if (real()) return print_double(decimal());
  if (string()) return text();
  return repr();
}

std::string Value::repr() const {
  if (string()) return quote_python(text());
  if (undefined()) return "Undefined";
  if (function()) return "<function>";
  const Nested nested;
  spend_steps();
  std::string out;
  if (list()) {
    for (const Value& item : items()) append(out, (out.empty() ? "" : ", ") + item.repr());
    return "[" + out + "]";
  }
  if (!dict()) return str();
  for (const auto& [key, value] : fields().items) {
    append(out, (out.empty() ? "" : ", ") + key.repr() + ": " + value.repr());
  }
  return "{" + out + "}";
}

std::string Value::kind() const {
  static const char* const kNames[] = {"undefined", "none", "boolean", "integer", "float",
                                       "string",    "list", "mapping", "function"};
  return kNames[data_.index()];
}

bool Value::same_object(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (list()) return &items() == &other.items();
  if (dict()) return &fields() == &other.fields();
  return *this == other;
}

Value Arguments::get(std::size_t index, std::string_view name, Value otherwise) const {
  if (index < positional.size()) return positional[index];
  for (const auto& [key, value] : named) {
    if (key == name) return value;
  }
  return otherwise;
}

bool operator==(const Value& a, const Value& b) {
  if (a.number() && b.number()) {
    return a.real() || b.real() ? a.decimal() == b.decimal() : a.whole() == b.whole();
  }
  if (a.string() && b.string()) {
    if (a.text().size() == b.text().size()) spend_reading(a.text().size());
    return a.text() == b.text();
  }
  const Nested nested;
  spend_steps();
  if (a.list() && b.list()) return a.items() == b.items();
  if (a.dict() && b.dict()) {
    if (a.fields().items.size() != b.fields().items.size()) return false;
    for (const auto& [key, value] : a.fields().items) {
      const Value* other = b.fields().find(key);
      if (other == nullptr || !(*other == value)) return false;
    }
    return true;
  }
  if (a.function() && b.function()) return &a.call() == &b.call();
  return (a.none() && b.none()) || (a.undefined() && b.undefined());
}

bool less(const Value& a, const Value& b) {
  if (a.number() && b.number()) {
    return a.real() || b.real() ? a.decimal() < b.decimal() : a.whole() < b.whole();
  }
  if (a.string() && b.string()) {
    spend_reading(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();
  }
  if (a.list() && b.list()) {
    const Nested nested;
    const List &x = a.items(), &y = b.items();
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!(x[i] == y[i])) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  fail("values of kinds ", a.kind(), " and ", b.kind(), " have no order");
}

bool contains(const Value& holder, const Value& item) {
  if (holder.string()) {
    if (!item.string()) fail("'in' a string needs a string (found ", item.kind(), ")");
    return find_text(holder.text(), item.text()) != std::string::npos;
  }
  if (holder.dict()) return holder.fields().find(item) != nullptr;
  for (const Value& element : elements_of(holder)) {
    if (element == item) return true;
  }
  return false;
}

std::int64_t length_of(const Value& value) {
  if (value.undefined()) return 0;
  if (value.string()) {
    spend_reading(value.text().size());
    return std::count_if(value.text().begin(), value.text().end(), begins_point);
  }
  if (value.list()) return static_cast<std::int64_t>(value.items().size());
  if (value.dict()) return static_cast<std::int64_t>(value.fields().items.size());
  fail("a value of kind ", value.kind(), " has no length");
}

List elements_of(const Value& value) {
  List out;
  if (value.undefined()) return out;
  if (value.list()) {
    spend_bytes(value.items().size() * sizeof(Value));
    return value.items();
  }
  if (value.dict()) {
    spend_bytes(value.fields().items.size() * sizeof(Value));
    for (const auto& [key, unused] : value.fields().items) out.push_back(key);
    return out;
  }
  if (!value.string()) fail("a value of kind ", value.kind(), " cannot be gone through");
  constexpr std::size_t kPoint = 64;  // bytes of a text of one code point
  spend_bytes(value.text().size() * (sizeof(Value) + kPoint));
  const std::vector<std::size_t> begins = code_points(value.text());
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    out.emplace_back(value.text().substr(begins[i], begins[i + 1] - begins[i]));
  }
  return out;
}

Value make_dict(std::vector<std::pair<Value, Value>>&& items) {
  auto dict = std::make_shared<Dict>();
  for (auto& [key, value] : items) dict->set(std::move(key), std::move(value));
  return dict;
}

Value deep_copy(const Value& value) {
  const Nested nested;
  if (value.list()) {
    List out;
    for (const Value& item : value.items()) out.push_back(deep_copy(item));
    return out;
  }
  if (!value.dict()) return value;
  auto out = std::make_shared<Dict>();
  out->is_namespace = value.fields().is_namespace;
  for (const auto& [key, item] : value.fields().items) {
    out->items.emplace_back(key, deep_copy(item));
  }
  return out;
}

std::string to_json(const Value& value, int indent) {
  JsonWriter writer(indent);
  writer.write(value, 0);
  return writer.out;
}

std::vector<std::size_t> code_points(std::string_view text) {
  spend_bytes(text.size() * sizeof(std::size_t));
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (begins_point(text[i])) begins.push_back(i);
  }
  begins.push_back(text.size());
  return begins;
}

}  // namespace lora::jinja
