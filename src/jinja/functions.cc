// SPDX-License-Identifier: Apache-2.0
// Global functions.
#include <ctime>

#include "base/table.h"
#include "jinja/jinja.h"
#include "jinja/ops.h"

namespace lora::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100000;  // as Jinja's sandbox

std::int64_t whole_or(const Value& value, std::int64_t otherwise) {
  return value.undefined() || value.none() ? otherwise : value.whole();
}

Value make_range(Arguments& a) {
  const bool one = a.positional.size() == 1;
  const std::int64_t begin = one ? 0 : whole_or(a.get(0, "start"), 0);
  const std::int64_t end = one ? a.positional[0].whole() : whole_or(a.get(1, "stop"), 0);
  const std::int64_t step = whole_or(a.get(2, "step"), 1);
  if (step == 0) fail("range() cannot have step 0");
  List out;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (static_cast<std::int64_t>(out.size()) >= kMaxRange) {
      fail("range() is too long (at most ", kMaxRange, " numbers)");
    }
    out.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return out;
}

Value make_mapping(Arguments& a) {
  auto dict = std::make_shared<Dict>();
  const Value from = a.get(0, "mapping");
  if (from.dict()) dict->items = from.fields().items;
  for (const auto& [key, value] : a.named) {
    if (key != "mapping") dict->set(key, value);
  }
  return dict;
}

Value make_namespace(Arguments& a) {
  Value out = make_mapping(a);
  out.fields().is_namespace = true;
  return out;
}

Value refuse(Arguments& a) {
  const std::string reason = a.get(0, "message").str();
  throw Refusal(reason, reason);
}

Value time_text(Arguments& a) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[256];
  const std::size_t size =
      std::strftime(text, sizeof text, a.get(0, "format").str().c_str(), &local);
  return std::string(text, size);
}

struct FunctionRow {
  const char* name;
  Value (*call)(Arguments& arguments);
};
constexpr FunctionRow kFunctions[] = {
    {"range", make_range},       {"dict", make_mapping},      {"namespace", make_namespace},
    {"raise_exception", refuse}, {"strftime_now", time_text},
};

}  // namespace

Value global_function(const std::string& name) {
  const FunctionRow* row = find_row(std::span<const FunctionRow>(kFunctions), name);
  return row != nullptr ? Value(Function(row->call)) : Value();
}

}  // namespace lora::jinja
