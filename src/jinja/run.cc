// SPDX-License-Identifier: Apache-2.0
// Statements, and the rendering of a whole template.
#include "base/shown.h"
#include "jinja/ast.h"
#include "jinja/budget.h"
#include "jinja/lexer.h"
#include "jinja/parser.h"

namespace lora::jinja {
namespace {

constexpr int kMaxDepth = 200;

std::shared_ptr<Scope> inner(const std::shared_ptr<Scope>& outer) {
  auto scope = std::make_shared<Scope>();
  scope->outer = outer;
  spend_bytes(sizeof(Scope));
  // The budget empties the variables in the end: macros keep their scope, and it keeps them.
  if (Budget* budget = current_budget()) {
    budget->keep(std::shared_ptr<Dict>(scope, &scope->variables));
  }
  return scope;
}

// Output of the enclosed statements is kept apart from the text while this lives.
class Capture {
 public:
  explicit Capture(Progress* progress) : progress_(progress), before_(progress->captured) {
    progress_->captured = true;
    if (++progress_->depth > kMaxDepth) fail("macros call each other too deeply (at most 200)");
  }
  ~Capture() {
    progress_->captured = before_;
    --progress_->depth;
  }

 private:
  Progress* progress_;
  bool before_;
};

void assign(Scope& scope, const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) {
    scope.variables.set(targets[0], value);
    return;
  }
  const List items = elements_of(value);
  if (items.size() != targets.size()) {
    fail("cannot spread ", items.size(), " values over ", targets.size(), " variables");
  }
  for (std::size_t i = 0; i < targets.size(); ++i) scope.variables.set(targets[i], items[i]);
}

Value cycle_function(const std::shared_ptr<std::size_t>& round) {
  return Function([round](Arguments& arguments) -> Value {
    if (arguments.positional.empty()) fail("loop.cycle needs values");
    return arguments.positional[*round % arguments.positional.size()];
  });
}

Value changed_function() {
  return Function([last = std::make_shared<Value>()](Arguments& arguments) -> Value {
    Value now{arguments.positional};
    const bool changed = !(*last == now);
    *last = std::move(now);
    return changed;
  });
}

// The `loop` variable: as in Jinja one object, which every round changes.
class Loop {
 public:
  explicit Loop(const List& items) : items_(items) {
    for (const char* name : {"index", "index0", "revindex", "revindex0", "first", "last",
                             "previtem", "nextitem"}) {
      variable_.fields().set(name, None{});
    }
    variable_.fields().set("length", size());
    variable_.fields().set("cycle", cycle_function(round_));
    variable_.fields().set("changed", changed_function());
  }

  const Value& enter(std::size_t i) {
    *round_ = i;
    const auto index = static_cast<std::int64_t>(i);
    const bool last = index + 1 == size();
    put("index", index + 1);
    put("index0", index);
    put("revindex", size() - index);
    put("revindex0", size() - index - 1);
    put("first", i == 0);
    put("last", last);
    put("previtem", i == 0 ? Value(Undefined{"loop.previtem"}) : items_[i - 1]);
    put("nextitem", last ? Value(Undefined{"loop.nextitem"}) : items_[i + 1]);
    return variable_;
  }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(items_.size()); }
  void put(std::string_view name, Value value) {
    *variable_.fields().find(name) = std::move(value);
  }

  const List& items_;
  std::shared_ptr<std::size_t> round_ = std::make_shared<std::size_t>();
  Value variable_ = make_dict();
};

Value call_macro(const Macro& macro, const std::shared_ptr<Scope>& outer, Progress* progress,
                 Arguments& arguments) {
  const Capture capture(progress);
  std::string text;
  Frame frame{inner(outer), &text, progress};
  Dict& variables = frame.scope->variables;
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, otherwise] = macro.parameters[i];
    Value value = arguments.get(i, name);
    if (value.undefined()) value = otherwise ? otherwise->eval(frame) : Value(Undefined{name});
    variables.set(name, std::move(value));
  }
  for (const auto& [name, unused] : arguments.named) {
    const bool known = variables.find(std::string_view(name)) != nullptr;
    if (!known) fail("macro '", macro.name, "' has no parameter '", name, "'");
  }
  List more;
  for (std::size_t i = macro.parameters.size(); i < arguments.positional.size(); ++i) {
    more.push_back(arguments.positional[i]);
  }
  variables.set("varargs", std::move(more));
  if (arguments.caller.function()) variables.set("caller", arguments.caller);
  macro.body->run(frame);
  return text;
}

}  // namespace

Flow Block::run(Frame& frame) const {
  const Nested nested;
  for (const auto& statement : statements) {
    spend_steps();
    frame.progress->line = statement->line;
    const Flow flow = statement->run(frame);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

std::string Block::capture(Frame& frame) const {
  const Capture capture(frame.progress);
  std::string text;
  Frame own{inner(frame.scope), &text, frame.progress};
  run(own);
  return text;
}

Flow Text::run(Frame& frame) const {
  append(*frame.out, text);
  return Flow::next;
}

Flow Print::run(Frame& frame) const {
  append(*frame.out, value->eval(frame).str());
  return Flow::next;
}

Flow If::run(Frame& frame) const {
  for (const auto& [condition, block] : branches) {
    if (condition->eval(frame).truthy()) return block.run(frame);
  }
  return otherwise.run(frame);
}

List For::chosen(Frame& frame) const {
  const Value value = iterable->eval(frame);
  frame.progress->line = line;
  if (!condition) return elements_of(value);
  List out;
  Frame own{inner(frame.scope), frame.out, frame.progress};
  for (const Value& item : elements_of(value)) {
    assign(*own.scope, targets, item);
    if (condition->eval(own).truthy()) out.push_back(item);
  }
  return out;
}

Flow For::run(Frame& frame) const {
  const List items = chosen(frame);
  Loop loop(items);
  Frame own{inner(frame.scope), frame.out, frame.progress};
  for (std::size_t i = 0; i < items.size(); ++i) {
    constexpr std::size_t kRound = 2;
    spend_steps(kRound);
    own.scope->variables.items.clear();  // what a round sets ends with it
    assign(*own.scope, targets, items[i]);
    own.scope->variables.set("loop", loop.enter(i));
    if (body.run(own) == Flow::leave_loop) break;
  }
  if (items.empty()) return otherwise.run(own);
  return Flow::next;
}

Flow Set::run(Frame& frame) const {
  Value result;
  if (value) {
    result = value->eval(frame);
  } else {
    result = body.capture(frame);
    for (const auto& filter : filters) result = filter->apply(result, frame);
  }
  frame.progress->line = line;
  if (attribute.empty()) {
    assign(*frame.scope, targets, result);
    return Flow::next;
  }
  const Value* space = frame.scope->find(targets[0]);
  if (space == nullptr || !space->dict() || !space->fields().is_namespace) {
    fail("'", targets[0], "' is not a namespace, so '", targets[0], ".", attribute,
         "' cannot be set");
  }
  space->fields().set(attribute, result);
  return Flow::next;
}

Value make_macro(const Macro& macro, std::shared_ptr<Scope> scope, Progress* progress) {
  return Function([&macro, scope = std::move(scope), progress](Arguments& arguments) {
    return call_macro(macro, scope, progress, arguments);
  });
}

Flow Macro::run(Frame& frame) const {
  frame.scope->variables.set(name, make_macro(*this, frame.scope, frame.progress));
  return Flow::next;
}

Flow CallBlock::run(Frame& frame) const {
  append(*frame.out,
         call->eval_with(frame, make_macro(*caller, frame.scope, frame.progress)).str());
  return Flow::next;
}

Flow FilterBlock::run(Frame& frame) const {
  Value result = body.capture(frame);
  for (const auto& filter : filters) result = filter->apply(result, frame);
  append(*frame.out, result.str());
  return Flow::next;
}

Flow Generation::run(Frame& frame) const {
  if (frame.progress->captured) {
    fail(
        "a generation block inside a macro, a set block or a filter block has no place in the "
        "text");
  }
  const std::size_t begin = frame.out->size();
  Frame own{inner(frame.scope), frame.out, frame.progress};
  const Flow flow = body.run(own);
  frame.progress->generated.push_back({begin, frame.out->size()});
  return flow;
}

Template::Template(std::string_view source, std::string name)
    : name_(std::move(name)), source_(source) {
  Parsed parsed = parse(source_, name_);
  root_ = std::move(parsed.root);
  has_generation_blocks_ = parsed.has_generation_blocks;
}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Rendering Template::render(const Value& variables) const {
  Budget budget;
  Progress progress;
  Rendering out;
  Frame frame{inner(nullptr), &out.text, &progress};
  try {
    frame.scope->variables = deep_copy(variables).fields();
    root_->run(frame);
  } catch (const Refusal& refusal) {
    throw Refusal(join(at_line(name_, progress.line),
                       ": the template does not accept this conversation: ",
                       shown(refusal.reason())),
                  refusal.reason());
  } catch (const Excess& excess) {
    throw Excess(join(at_line(name_, progress.line), ": ", excess.what()));
  } catch (const Error& error) {
    fail_usage(at_line(name_, progress.line), ": ", error.what());
  }
  out.generated = std::move(progress.generated);
  return out;
}

}  // namespace lora::jinja
