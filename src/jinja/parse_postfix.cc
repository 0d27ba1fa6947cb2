// SPDX-License-Identifier: Apache-2.0
// What stands behind a value: members, calls, filters, tests.
#include "base/table.h"
#include "jinja/parser.h"

namespace lora::jinja {
namespace {

std::vector<std::string> names_of_filters() {
  std::vector<std::string> names = names_of(text_filters());
  for (std::string& name : names_of(list_filters())) names.push_back(std::move(name));
  return names;
}

}  // namespace

Expr ExpressionParser::members(Expr value) {
  while (true) {
    const int line = peek().line;
    if (at_symbol(".") || at_symbol("[") || at_symbol("(")) count_operator();
    if (take_symbol(".")) {
      if (peek().kind == TokenKind::integer) {
        auto node = std::make_unique<Subscript>(line);
        node->key = whole_literal();
        node->object = std::move(value);
        value = std::move(node);
        continue;
      }
      auto node = std::make_unique<Attribute>(line);
      node->object = std::move(value);
      node->name = expect_name("a name behind '.'");
      value = std::move(node);
    } else if (at_symbol("[")) {
      value = subscript(std::move(value));
    } else if (take_symbol("(")) {
      auto node = std::make_unique<Call>(line);
      node->callee = std::move(value);
      node->arguments = call_arguments();
      value = std::move(node);
    } else {
      return value;
    }
  }
}

Expr ExpressionParser::subscript(Expr value) {
  const int line = take().line;
  Expr begin;
  if (!at_symbol(":")) begin = expression();
  if (begin && take_symbol("]")) {
    auto node = std::make_unique<Subscript>(line);
    node->object = std::move(value);
    node->key = std::move(begin);
    return node;
  }
  auto node = std::make_unique<Slice>(line);
  node->object = std::move(value);
  node->begin = std::move(begin);
  expect_symbol(":");
  if (!at_symbol(":") && !at_symbol("]")) node->end = expression();
  if (take_symbol(":") && !at_symbol("]")) node->step = expression();
  expect_symbol("]");
  return node;
}

CallArguments ExpressionParser::call_arguments() {
  const Depth depth(*this);
  CallArguments arguments;
  while (!at_symbol(")")) {
    if (at_symbol("*") || at_symbol("**")) complain("'*' in a call is not supported");
    const bool named =
        peek().kind == TokenKind::name && peek(1).kind == TokenKind::symbol && peek(1).text == "=";
    if (named) {
      std::string name = take().text;
      take();
      arguments.named.emplace_back(std::move(name), expression());
    } else {
      arguments.positional.push_back(expression());
    }
    if (!take_symbol(",")) break;
  }
  expect_symbol(")");
  return arguments;
}

Expr ExpressionParser::postfix(Expr value) {
  while (true) {
    if (at_symbol("|") || at_name("is")) count_operator();
    if (take_symbol("|")) {
      auto node = filter_after_bar();
      node->object = std::move(value);
      value = std::move(node);
    } else if (take_name("is")) {
      value = test_after_is(std::move(value));
    } else if (at_symbol(".") || at_symbol("[") || at_symbol("(")) {
      value = members(std::move(value));
    } else {
      return value;
    }
  }
}

std::unique_ptr<FilterUse> ExpressionParser::filter_after_bar() {
  auto node = std::make_unique<FilterUse>(peek().line);
  const std::string name = expect_name("the name of a filter");
  node->filter = find_filter(name);
  if (node->filter == nullptr) {
    complain_at(node->line,
                "unknown filter '" + name + "'" + did_you_mean(name, names_of_filters()));
  }
  if (take_symbol("(")) node->arguments = call_arguments();
  return node;
}

Expr ExpressionParser::test_after_is(Expr value) {
  auto node = std::make_unique<TestUse>(peek().line);
  node->object = std::move(value);
  node->negated = take_name("not");
  const std::string name = expect_name("the name of a test");
  node->test = find_test(name);
  if (node->test == nullptr) {
    complain_at(node->line, "unknown test '" + name + "'" + did_you_mean(name, names_of(tests())));
  }
  const Token& next = peek();
  const bool value_follows = next.kind == TokenKind::string || next.kind == TokenKind::integer ||
                             next.kind == TokenKind::real || at_symbol("[") || at_symbol("{");
  const bool name_follows = next.kind == TokenKind::name && next.text != "else" &&
                            next.text != "or" && next.text != "and" && next.text != "is" &&
                            next.text != "if" && next.text != "not" && next.text != "in";
  if (take_symbol("(")) {
    node->arguments = call_arguments();
  } else if (value_follows || name_follows) {
    node->arguments.positional.push_back(members(primary()));
  }
  return node;
}

}  // namespace lora::jinja
