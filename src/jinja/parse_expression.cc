// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "jinja/parser.h"

namespace lora::jinja {
namespace {

constexpr int kMaxDepth = 200;
constexpr int kMaxOperators = 500;  // in one tag; evaluating and freeing its tree recurses

std::string shown(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "text";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::print_begin:
      return "'{{'";
    case TokenKind::print_end:
      return "'}}'";
    case TokenKind::end:
      return "the end of the template";
    case TokenKind::string:
      return "a string";
    default:
      return "'" + token.text + "'";
  }
}

}  // namespace

ExpressionParser::Depth::Depth(ExpressionParser& p) : parser(p) {
  if (++parser.depth_ > kMaxDepth) parser.complain("nested too deeply (at most 200 levels)");
}

void ExpressionParser::complain(const std::string& what) const { complain_at(peek().line, what); }

void ExpressionParser::complain_at(int line, const std::string& what) const {
  fail_usage(at_line(name_, line), ": ", what);
}

const Token& ExpressionParser::peek(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token ExpressionParser::take() {
  Token token = peek();
  const bool begins_tag =
      token.kind == TokenKind::block_begin || token.kind == TokenKind::print_begin;
  if (begins_tag) operators_ = 0;
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

void ExpressionParser::count_operator() {
  if (++operators_ > kMaxOperators) {
    complain(join("too many operators in one tag (at most ", kMaxOperators, ")"));
  }
}

bool ExpressionParser::at_symbol(std::string_view text) const {
  return peek().kind == TokenKind::symbol && peek().text == text;
}

bool ExpressionParser::at_name(std::string_view text) const {
  return peek().kind == TokenKind::name && peek().text == text;
}

bool ExpressionParser::take_symbol(std::string_view text) {
  const bool found = at_symbol(text);
  if (found) take();
  return found;
}

bool ExpressionParser::take_name(std::string_view text) {
  const bool found = at_name(text);
  if (found) take();
  return found;
}

void ExpressionParser::expect_symbol(std::string_view text) {
  if (!take_symbol(text)) complain(join("found ", shown(peek()), ", expected '", text, "'"));
}

void ExpressionParser::expect(TokenKind kind, std::string_view what) {
  if (peek().kind != kind) complain(join("found ", shown(peek()), ", expected ", what));
  take();
}

std::string ExpressionParser::expect_name(std::string_view what) {
  if (peek().kind != TokenKind::name) {
    complain(join("found ", shown(peek()), ", expected ", what));
  }
  return take().text;
}

Expr ExpressionParser::expression() {
  const Depth depth(*this);
  Expr value = condition_free();
  while (at_name("if")) {
    count_operator();
    auto choice = std::make_unique<Conditional>(take().line);
    choice->yes = std::move(value);
    choice->condition = condition_free();
    if (take_name("else")) choice->no = expression();
    value = std::move(choice);
  }
  return value;
}

Expr ExpressionParser::expression_or_list() {
  Expr first = expression();
  if (!at_symbol(",")) return first;
  auto list = std::make_unique<ListDisplay>(first->line);
  list->items.push_back(std::move(first));
  while (take_symbol(",")) {
    if (peek().kind == TokenKind::block_end || peek().kind == TokenKind::print_end) break;
    list->items.push_back(expression());
  }
  return list;
}

Expr ExpressionParser::binary_level(std::initializer_list<std::string_view> words,
                                    Expr (ExpressionParser::*next)()) {
  Expr left = (this->*next)();
  while (true) {
    const bool found = std::any_of(words.begin(), words.end(), [&](std::string_view word) {
      return at_symbol(word) || at_name(word);
    });
    if (!found) return left;
    count_operator();
    const Token op = take();
    auto node = std::make_unique<Binary>(op.line);
    node->op = op.text;
    node->left = std::move(left);
    node->right = (this->*next)();
    left = std::move(node);
  }
}

Expr ExpressionParser::condition_free() {
  return binary_level({"or"}, &ExpressionParser::logical_and);
}
Expr ExpressionParser::logical_and() {
  return binary_level({"and"}, &ExpressionParser::logical_not);
}
Expr ExpressionParser::sum() { return binary_level({"+", "-"}, &ExpressionParser::concatenation); }
Expr ExpressionParser::concatenation() { return binary_level({"~"}, &ExpressionParser::product); }
Expr ExpressionParser::product() {
  return binary_level({"*", "/", "//", "%"}, &ExpressionParser::power);
}
Expr ExpressionParser::power() { return binary_level({"**"}, &ExpressionParser::unary); }
Expr ExpressionParser::unary() { return unary_filtered(true); }

Expr ExpressionParser::logical_not() {
  const Depth depth(*this);
  if (!at_name("not")) return comparison();
  auto node = std::make_unique<Unary>(take().line);
  node->op = "not";
  node->operand = logical_not();
  return node;
}

Expr ExpressionParser::comparison() {
  Expr first = sum();
  auto node = std::make_unique<Comparison>(first->line);
  while (true) {
    std::string op;
    for (const std::string_view symbol : {"==", "!=", "<", ">", "<=", ">="}) {
      if (at_symbol(symbol)) op = symbol;
    }
    if (at_name("in")) op = "in";
    const bool negated_in = at_name("not") && peek(1).text == "in";
    if (negated_in) {
      take();
      op = "not in";
    }
    if (op.empty()) break;
    take();
    node->rest.emplace_back(op, sum());
  }
  if (node->rest.empty()) return first;
  node->first = std::move(first);
  return node;
}

Expr ExpressionParser::unary_filtered(bool with_filters) {
  const Depth depth(*this);
  Expr value;
  if (at_symbol("-") || at_symbol("+")) {
    const Token op = take();
    auto node = std::make_unique<Unary>(op.line);
    node->op = op.text;
    node->operand = unary_filtered(false);
    value = std::move(node);
  } else {
    value = members(primary());
  }
  return with_filters ? postfix(std::move(value)) : std::move(value);
}

Expr ExpressionParser::primary() {
  const Token token = peek();
  if (token.kind == TokenKind::name) {
    take();
    const std::string& word = token.text;
    if (word == "true" || word == "True") return std::make_unique<Literal>(token.line, true);
    if (word == "false" || word == "False") return std::make_unique<Literal>(token.line, false);
    if (word == "none" || word == "None") return std::make_unique<Literal>(token.line, None{});
    return std::make_unique<Name>(token.line, word);
  }
  if (token.kind == TokenKind::string) {
    std::string text;
    while (peek().kind == TokenKind::string) text += take().text;
    return std::make_unique<Literal>(token.line, text);
  }
  if (token.kind == TokenKind::integer) return whole_literal();
  if (token.kind == TokenKind::real) {
    take();
    double value = 0;
    const char* end = token.text.data() + token.text.size();
    const auto read = std::from_chars(token.text.data(), end, value);
    if (read.ec != std::errc()) complain_at(token.line, "the number is too large or too small");
    return std::make_unique<Literal>(token.line, value);
  }
  if (at_symbol("(")) return parenthesis();
  if (at_symbol("[")) return list_display();
  if (at_symbol("{")) return dict_display();
  complain("found " + shown(token) + ", expected a value");
}

Expr ExpressionParser::whole_literal() {
  const Token token = take();
  std::int64_t value = 0;
  const char* end = token.text.data() + token.text.size();
  const auto read = std::from_chars(token.text.data(), end, value);
  if (read.ec != std::errc()) complain_at(token.line, "the number is too large");
  return std::make_unique<Literal>(token.line, value);
}

Expr ExpressionParser::parenthesis() {
  const int line = take().line;
  auto list = std::make_unique<ListDisplay>(line);
  if (take_symbol(")")) return list;
  Expr first = expression();
  if (take_symbol(")")) return first;
  list->items.push_back(std::move(first));
  while (take_symbol(",")) {
    if (at_symbol(")")) break;
    list->items.push_back(expression());
  }
  expect_symbol(")");
  return list;
}

Expr ExpressionParser::list_display() {
  auto list = std::make_unique<ListDisplay>(take().line);
  while (!at_symbol("]")) {
    list->items.push_back(expression());
    if (!take_symbol(",")) break;
  }
  expect_symbol("]");
  return list;
}

Expr ExpressionParser::dict_display() {
  auto dict = std::make_unique<DictDisplay>(take().line);
  while (!at_symbol("}")) {
    Expr key = expression();
    expect_symbol(":");
    dict->items.emplace_back(std::move(key), expression());
    if (!take_symbol(",")) break;
  }
  expect_symbol("}");
  return dict;
}

}  // namespace lora::jinja
