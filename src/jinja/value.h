// SPDX-License-Identifier: Apache-2.0
// Values of a chat template, with the meaning that Jinja 3.1 on Python gives them: strings are
// UTF-8 and are indexed by code point, dictionaries keep their order, integers are 64 bits wide.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lora::jinja {

class Value;
struct Arguments;

using List = std::vector<Value>;
using Function = std::function<Value(Arguments&)>;

// An ordered dictionary, a namespace or the `loop` variable.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  bool is_namespace = false;

  Value* find(const Value& key);
  Value* find(std::string_view key);
  void set(Value key, Value value);
};

struct Undefined {
  std::string name;  // for the message: "'tools' is undefined"
};
struct None {};

class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(Undefined value) : data_(std::move(value)) {}
  Value(None value) : data_(value) {}
  Value(bool value) : data_(value) {}
  Value(std::int64_t value) : data_(value) {}
  Value(int value) : data_(static_cast<std::int64_t>(value)) {}
  Value(double value) : data_(value) {}
  Value(std::string value);
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(List value);
  Value(std::shared_ptr<Dict> value);
  Value(Function value) : data_(std::make_shared<Function>(std::move(value))) {}

  bool undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool none() const { return std::holds_alternative<None>(data_); }
  bool boolean() const { return std::holds_alternative<bool>(data_); }
  bool integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool real() const { return std::holds_alternative<double>(data_); }
  bool number() const { return integer() || real() || boolean(); }
  bool string() const { return std::holds_alternative<Text>(data_); }
  bool list() const { return std::holds_alternative<std::shared_ptr<List>>(data_); }
  bool dict() const { return std::holds_alternative<std::shared_ptr<Dict>>(data_); }
  bool function() const { return std::holds_alternative<std::shared_ptr<Function>>(data_); }

  // Precondition: the kind fits.
  const std::string& text() const { return *std::get<Text>(data_); }
  List& items() const { return *std::get<std::shared_ptr<List>>(data_); }
  Dict& fields() const { return *std::get<std::shared_ptr<Dict>>(data_); }
  const Function& call() const { return *std::get<std::shared_ptr<Function>>(data_); }
  const Undefined& missing() const { return std::get<Undefined>(data_); }
  std::int64_t whole() const;  // of a boolean or an integer; throws otherwise
  double decimal() const;      // of any number; throws otherwise

  bool truthy() const;
  // What {{ value }} prints: Python's str().
  std::string str() const;
  // Python's repr(), as elements of a printed list appear.
  std::string repr() const;
  // "string", "list", ...; for messages.
  std::string kind() const;
  bool same_object(const Value& other) const;
  // MarkupSafe's Markup, which `safe` and `escape` give: what is added to it is escaped first.
  bool markup() const { return markup_; }
  Value as_markup() const;

 private:
  using Text = std::shared_ptr<const std::string>;  // copies of a value share it
  std::variant<Undefined, None, bool, std::int64_t, double, Text, std::shared_ptr<List>,
               std::shared_ptr<Dict>, std::shared_ptr<Function>>
      data_;
  bool markup_ = false;
};

// Arguments of a call, in order and by name. The named ones are taken out as they are read.
struct Arguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;
  Value caller;  // of {% call %}; undefined otherwise

  // The argument at `index` or called `name`, else `otherwise`.
  Value get(std::size_t index, std::string_view name, Value otherwise = {}) const;
};

bool operator==(const Value& a, const Value& b);
// Less-than of numbers, strings and lists; throws for anything else.
bool less(const Value& a, const Value& b);
// Python's `in`.
bool contains(const Value& holder, const Value& item);
// Number of code points, elements or entries; an undefined value has 0.
std::int64_t length_of(const Value& value);
// What a for loop goes through: elements, keys, or code points.
List elements_of(const Value& value);

Value make_dict(std::vector<std::pair<Value, Value>>&& items = {});
// The same value in lists and mappings of its own.
Value deep_copy(const Value& value);
// json.dumps(ensure_ascii=False), as transformers gives to templates; indent < 0 = one line.
std::string to_json(const Value& value, int indent = -1);

// Begins of the code points of UTF-8 text, and its size as the last entry.
std::vector<std::size_t> code_points(std::string_view text);
inline bool begins_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

}  // namespace lora::jinja
