// SPDX-License-Identifier: Apache-2.0
// The parsed template: expressions and statements, and the state of one rendering.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jinja/jinja.h"
#include "jinja/ops.h"

namespace lora::jinja {

// Variables of one block; a name that is not here is looked for in `outer`.
struct Scope {
  std::shared_ptr<Scope> outer;
  Dict variables;

  const Value* find(const std::string& name);
};

// What all frames of one rendering share.
struct Progress {
  int line = 1;           // of what is being computed, for messages
  int depth = 0;          // of macro calls and nested blocks
  bool captured = false;  // inside a macro or block set: offsets would not be those of the text
  std::vector<Span> generated;
};

struct Frame {
  std::shared_ptr<Scope> scope;
  std::string* out;
  Progress* progress;
};

struct Expression {
  explicit Expression(int at) : line(at) {}
  virtual ~Expression() = default;
  Value eval(Frame& frame) const;  // one step, one level of nesting
  int line;

 private:
  virtual Value compute(Frame& frame) const = 0;
};
using Expr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<Expr> positional;
  std::vector<std::pair<std::string, Expr>> named;
  Arguments eval(Frame& frame) const;
};

struct Literal : Expression {
  Literal(int at, Value v) : Expression(at), value(std::move(v)) {}
  Value compute(Frame&) const override { return value; }
  Value value;
};
struct Name : Expression {
  Name(int at, std::string n) : Expression(at), name(std::move(n)) {}
  Value compute(Frame& frame) const override;
  std::string name;
};
struct ListDisplay : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  std::vector<Expr> items;
};
struct DictDisplay : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  std::vector<std::pair<Expr, Expr>> items;
};
struct Attribute : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Expr object;
  std::string name;
};
struct Subscript : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Expr object, key;
};
struct Slice : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Expr object, begin, end, step;  // each bound may be null
};
struct Call : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Value eval_with(Frame& frame, Value caller) const;
  Expr callee;
  CallArguments arguments;
};
struct FilterUse : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Value apply(const Value& input, Frame& frame) const;
  Expr object;  // null: the text of a filter block or block set
  const FilterRow* filter = nullptr;
  CallArguments arguments;
};
struct TestUse : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Expr object;
  const TestRow* test = nullptr;
  CallArguments arguments;
  bool negated = false;
};
// "not", "-", "+"
struct Unary : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  std::string op;
  Expr operand;
};
// Arithmetic, "~", "and", "or"
struct Binary : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  std::string op;
  Expr left, right;
};
// a < b <= c, in, not in
struct Comparison : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Expr first;
  std::vector<std::pair<std::string, Expr>> rest;
};
struct Conditional : Expression {
  using Expression::Expression;
  Value compute(Frame& frame) const override;
  Expr condition, yes, no;  // no may be null
};

enum class Flow { next, leave_loop, next_round };

struct Statement {
  explicit Statement(int at) : line(at) {}
  virtual ~Statement() = default;
  virtual Flow run(Frame& frame) const = 0;
  int line;
};

struct Block {
  std::vector<std::unique_ptr<Statement>> statements;
  Flow run(Frame& frame) const;
  std::string capture(Frame& frame) const;  // what it prints, in a scope of its own
};

struct Text : Statement {
  Text(int at, std::string t) : Statement(at), text(std::move(t)) {}
  Flow run(Frame& frame) const override;
  std::string text;
};
struct Print : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  Expr value;
};
struct If : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  std::vector<std::pair<Expr, Block>> branches;
  Block otherwise;
};
struct For : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  List chosen(Frame& frame) const;  // the elements that pass the condition
  std::vector<std::string> targets;
  Expr iterable, condition;  // condition may be null
  Block body, otherwise;
};
struct LoopControl : Statement {
  LoopControl(int at, Flow f) : Statement(at), flow(f) {}
  Flow run(Frame&) const override { return flow; }
  Flow flow;
};
struct Set : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  std::vector<std::string> targets;
  std::string attribute;  // of a namespace: {% set ns.attribute = ... %}
  Expr value;             // null: the block's text
  Block body;
  std::vector<std::unique_ptr<FilterUse>> filters;
};
struct Macro : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  std::string name;
  std::vector<std::pair<std::string, Expr>> parameters;  // default may be null
  std::shared_ptr<Block> body;
};
struct CallBlock : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  std::unique_ptr<Call> call;
  std::shared_ptr<Macro> caller;
};
struct FilterBlock : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  std::vector<std::unique_ptr<FilterUse>> filters;
  Block body;
};
struct Generation : Statement {
  using Statement::Statement;
  Flow run(Frame& frame) const override;
  Block body;
};

// A callable made of a macro; `scope` is where it was defined.
Value make_macro(const Macro& macro, std::shared_ptr<Scope> scope, Progress* progress);

}  // namespace lora::jinja
