// SPDX-License-Identifier: Apache-2.0
// Values of expressions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "jinja/ast.h"
#include "jinja/budget.h"

namespace lora::jinja {
namespace {

[[noreturn]] void wrong_operands(const std::string& op, const Value& a, const Value& b) {
  for (const Value* value : {&a, &b}) {
    if (value->undefined()) fail("'", value->missing().name, "' is undefined");
  }
  fail("'", op, "' cannot join ", a.kind(), " and ", b.kind());
}

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

[[noreturn]] void too_large() { fail("a whole number became too large"); }

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("division by zero");
  if (a == kLowest && b == -1) too_large();
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

std::int64_t floor_remainder(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  return a - floor_divide(a, b) * b;
}

Value repeat(const Value& value, std::int64_t times) {
  if (length_of(value) == 0) return value.string() ? Value("") : Value(List{});
  if (value.string()) {
    std::string out;
    for (std::int64_t i = 0; i < times; ++i) append(out, value.text());
    return out;
  }
  List out;
  for (std::int64_t i = 0; i < times; ++i) {
    for (const Value& item : elements_of(value)) out.push_back(item);
  }
  return out;
}

std::string concatenated(const Value& a, const Value& b) {
  std::string out = a.str();
  append(out, b.str());
  return out;
}

Value sum_of_texts(const Value& a, const Value& b) {
  if (!a.markup() && !b.markup()) return concatenated(a, b);
  const auto part = [](const Value& v) { return v.markup() ? v : Value(escape_html(v.text())); };
  return Value(concatenated(part(a), part(b))).as_markup();
}

using Builtin = bool (*)(std::int64_t, std::int64_t, std::int64_t*);

std::int64_t checked(Builtin compute, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  if (compute(a, b, &out)) too_large();
  return out;
}

bool add(std::int64_t a, std::int64_t b, std::int64_t* out) {
  return __builtin_add_overflow(a, b, out);
}
bool subtract(std::int64_t a, std::int64_t b, std::int64_t* out) {
  return __builtin_sub_overflow(a, b, out);
}
bool multiply(std::int64_t a, std::int64_t b, std::int64_t* out) {
  return __builtin_mul_overflow(a, b, out);
}

Value whole_arithmetic(const std::string& op, std::int64_t a, std::int64_t b) {
  if (op == "+") return checked(add, a, b);
  if (op == "-") return checked(subtract, a, b);
  if (op == "*") return checked(multiply, a, b);
  if (op == "//") return floor_divide(a, b);
  if (op == "%") return floor_remainder(a, b);
  if (op == "**" && b >= 0) {
    if (a >= -1 && a <= 1) return b == 0 ? 1 : (b % 2 == 0 ? a * a : a);
    std::int64_t power = 1;
    for (std::int64_t i = 0; i < b; ++i) power = checked(multiply, power, a);
    return power;
  }
  if (op == "/" && b == 0) fail("division by zero");
  return op == "/" ? static_cast<double>(a) / static_cast<double>(b)
                   : std::pow(static_cast<double>(a), static_cast<double>(b));
}

Value real_arithmetic(const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) fail("division by zero");
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  return a - std::floor(a / b) * b;
}

Value arithmetic(const std::string& op, const Value& a, const Value& b) {
  if (a.number() && b.number()) {
    if (a.real() || b.real()) return real_arithmetic(op, a.decimal(), b.decimal());
    return whole_arithmetic(op, a.whole(), b.whole());
  }
  if (op == "+" && a.string() && b.string()) return sum_of_texts(a, b);
  if (op == "+" && a.list() && b.list()) {
    List out = elements_of(a);
    for (Value& item : elements_of(b)) out.push_back(std::move(item));
    return out;
  }
  if (op == "*" && (a.string() || a.list()) && b.integer()) return repeat(a, b.whole());
  if (op == "*" && (b.string() || b.list()) && a.integer()) return repeat(b, a.whole());
  wrong_operands(op, a, b);
}

bool compare(const std::string& op, const Value& a, const Value& b) {
  if (op == "==") return a == b;
  if (op == "!=") return !(a == b);
  if (op == "in" || op == "not in") {
    return contains(b, a) == (op == "in");
  }
  for (const Value* value : {&a, &b}) {
    if (value->undefined()) fail("'", value->missing().name, "' is undefined");
  }
  if (op == "<") return less(a, b);
  if (op == ">") return less(b, a);
  if (op == "<=") return less(a, b) || a == b;
  return less(b, a) || a == b;
}

// Python's slice: the positions that begin:end:step names in a sequence of `size`.
std::vector<std::int64_t> slice_positions(std::int64_t size, const Value& begin, const Value& end,
                                          const Value& step_value) {
  const bool has_begin = begin.integer(), has_end = end.integer();
  const std::int64_t step = step_value.integer() ? step_value.whole() : 1;
  if (step == 0) fail("a slice cannot have step 0");
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto bound = [&](std::int64_t at) {
    return std::clamp(at < 0 ? at + size : at, low, high);
  };
  const std::int64_t from = has_begin ? bound(begin.whole()) : (step > 0 ? low : high);
  const std::int64_t to = has_end ? bound(end.whole()) : (step > 0 ? high : low);
  std::vector<std::int64_t> out;
  for (std::int64_t i = from; step > 0 ? i < to : i > to;) {
    spend_bytes(sizeof(i));
    out.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return out;
}

std::string slice_of_text(const std::string& text, const Value& begin, const Value& end,
                          const Value& step) {
  const std::vector<std::size_t> begins = code_points(text);
  const auto size = static_cast<std::int64_t>(begins.size()) - 1;
  std::string out;
  for (const std::int64_t i : slice_positions(size, begin, end, step)) {
    const auto at = static_cast<std::size_t>(i);
    out.append(text, begins[at], begins[at + 1] - begins[at]);
  }
  return out;
}

}  // namespace

const Value* Scope::find(const std::string& name) {
  for (Scope* scope = this; scope != nullptr; scope = scope->outer.get()) {
    if (const Value* value = scope->variables.find(std::string_view(name))) return value;
  }
  return nullptr;
}

Value Expression::eval(Frame& frame) const {
  const Nested nested;
  spend_steps();
  return compute(frame);
}

Arguments CallArguments::eval(Frame& frame) const {
  Arguments out;
  for (const Expr& value : positional) out.positional.push_back(value->eval(frame));
  for (const auto& [name, value] : named) out.named.emplace_back(name, value->eval(frame));
  return out;
}

Value Name::compute(Frame& frame) const {
  frame.progress->line = line;
  if (const Value* value = frame.scope->find(name)) return *value;
  Value function = global_function(name);
  if (function.undefined()) return Undefined{name};
  return function;
}

Value ListDisplay::compute(Frame& frame) const {
  List out;
  for (const Expr& item : items) out.push_back(item->eval(frame));
  return out;
}

Value DictDisplay::compute(Frame& frame) const {
  std::vector<std::pair<Value, Value>> out;
  for (const auto& [key, value] : items) out.emplace_back(key->eval(frame), value->eval(frame));
  return make_dict(std::move(out));
}

Value Attribute::compute(Frame& frame) const {
  const Value value = object->eval(frame);
  frame.progress->line = line;
  return get_attribute(value, name);
}

Value Subscript::compute(Frame& frame) const {
  const Value value = object->eval(frame);
  const Value index = key->eval(frame);
  frame.progress->line = line;
  return get_item(value, index);
}

Value Slice::compute(Frame& frame) const {
  const Value value = object->eval(frame);
  const Value from = begin ? begin->eval(frame) : None{};
  const Value to = end ? end->eval(frame) : None{};
  const Value by = step ? step->eval(frame) : None{};
  frame.progress->line = line;
  if (value.undefined()) fail("'", value.missing().name, "' is undefined");
  if (!value.list() && !value.string()) fail("a value of kind ", value.kind(), " has no slices");
  if (value.string()) return slice_of_text(value.text(), from, to, by);
  const List& elements = value.items();
  List out;
  for (const std::int64_t i :
       slice_positions(static_cast<std::int64_t>(elements.size()), from, to, by)) {
    out.push_back(elements[static_cast<std::size_t>(i)]);
  }
  return out;
}

Value Call::compute(Frame& frame) const { return eval_with(frame, {}); }

Value Call::eval_with(Frame& frame, Value caller) const {
  const auto* member = dynamic_cast<const Attribute*>(callee.get());
  if (member != nullptr) {
    const Value object = member->object->eval(frame);
    const Value* own =
        object.dict() ? object.fields().find(std::string_view(member->name)) : nullptr;
    Arguments values = arguments.eval(frame);
    frame.progress->line = line;
    if (own == nullptr || !own->function()) return call_method(object, member->name, values);
    values.caller = std::move(caller);
    return own->call()(values);
  }
  const Value function = callee->eval(frame);
  Arguments values = arguments.eval(frame);
  values.caller = std::move(caller);
  frame.progress->line = line;
  if (function.undefined()) fail("'", function.missing().name, "' is undefined");
  if (!function.function()) fail("a value of kind ", function.kind(), " cannot be called");
  return function.call()(values);
}

Value FilterUse::compute(Frame& frame) const { return apply(object->eval(frame), frame); }

Value FilterUse::apply(const Value& input, Frame& frame) const {
  const Arguments values = arguments.eval(frame);
  frame.progress->line = line;
  return filter->apply(input, values);
}

Value TestUse::compute(Frame& frame) const {
  const Value input = object->eval(frame);
  const Arguments values = arguments.eval(frame);
  frame.progress->line = line;
  return test->apply(input, values) != negated;
}

Value Unary::compute(Frame& frame) const {
  Value value = operand->eval(frame);
  if (op == "not") return !value.truthy();
  frame.progress->line = line;
  if (value.undefined()) fail("'", value.missing().name, "' is undefined");
  if (!value.number()) fail("'", op, "' needs a number (found ", value.kind(), ")");
  if (op == "+") return value;
  if (value.real()) return -value.decimal();
  return checked(subtract, 0, value.whole());
}

Value Binary::compute(Frame& frame) const {
  Value a = left->eval(frame);
  if (op == "and") return a.truthy() ? right->eval(frame) : a;
  if (op == "or") return a.truthy() ? a : right->eval(frame);
  const Value b = right->eval(frame);
  frame.progress->line = line;
  if (op == "~") return concatenated(a, b);
  return arithmetic(op, a, b);
}

Value Comparison::compute(Frame& frame) const {
  Value a = first->eval(frame);
  for (const auto& [op, operand] : rest) {
    Value b = operand->eval(frame);
    frame.progress->line = line;
    if (!compare(op, a, b)) return false;
    a = std::move(b);
  }
  return true;
}

Value Conditional::compute(Frame& frame) const {
  if (condition->eval(frame).truthy()) return yes->eval(frame);
  return no ? no->eval(frame) : Value(Undefined{"the other side of an inline if"});
}

}  // namespace lora::jinja
