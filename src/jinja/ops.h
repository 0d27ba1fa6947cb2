// SPDX-License-Identifier: Apache-2.0
// The words of Jinja: filters, tests, methods of strings, lists and mappings, global functions.
#pragma once

#include <span>
#include <string>

#include "jinja/value.h"

namespace lora::jinja {

struct FilterRow {
  const char* name;
  Value (*apply)(const Value& input, const Arguments& arguments);
};
struct TestRow {
  const char* name;
  bool (*apply)(const Value& input, const Arguments& arguments);
};

// Each is spread over files of related rows; an unknown name gives nullptr.
const FilterRow* find_filter(const std::string& name);
const TestRow* find_test(const std::string& name);
std::span<const FilterRow> text_filters();
std::span<const FilterRow> list_filters();
std::span<const TestRow> tests();

// object.name(arguments): a method of Python's str, list or dict.
Value call_method(const Value& object, const std::string& name, const Arguments& arguments);
// object.name and object[key]: undefined where there is no such thing; throws for an undefined
// object.
Value get_attribute(const Value& object, const std::string& name);
Value get_item(const Value& object, const Value& key);
// range, dict, namespace, raise_exception, strftime_now
Value global_function(const std::string& name);

// Methods of strings that filters share.
std::string strip(const std::string& text, const std::string& characters, bool left, bool right);
std::string replace_all(const std::string& text, const std::string& from, const std::string& to,
                        std::int64_t count);
std::string change_case(const std::string& text, bool upper);
std::string title_case(const std::string& text);
std::string capitalize(const std::string& text);
std::string escape_html(const std::string& text);

}  // namespace lora::jinja
