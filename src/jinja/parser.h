// SPDX-License-Identifier: Apache-2.0
// Recursive descent over the tokens of a template. Expressions and statements are separate files.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace lora::jinja {

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, const std::string& name)
      : tokens_(std::move(tokens)), name_(name) {}

  Expr expression();          // a if b else c, and everything that binds tighter
  Expr expression_or_list();  // the same, or "a, b" as a list
  // Behind a value: .name, [key], (arguments), |filter, is test.
  Expr postfix(Expr value);
  std::unique_ptr<FilterUse> filter_after_bar();
  CallArguments call_arguments();  // behind the "("

  const Token& peek(std::size_t ahead = 0) const;
  Token take();
  bool at_symbol(std::string_view text) const;
  bool at_name(std::string_view text) const;
  bool take_symbol(std::string_view text);
  bool take_name(std::string_view text);
  void expect_symbol(std::string_view text);
  void expect(TokenKind kind, std::string_view what);
  std::string expect_name(std::string_view what);
  Expr condition_free();  // an "or" expression: what stands behind "in" of a for loop
  [[noreturn]] void complain(const std::string& what) const;
  [[noreturn]] void complain_at(int line, const std::string& what) const;

  // Guards against templates that would exhaust the stack.
  struct Depth {
    explicit Depth(ExpressionParser& p);
    ~Depth() { --parser.depth_; }
    ExpressionParser& parser;
  };

 private:
  // One more operator, filter or member: the tree of a tag is at most as high as these are many.
  void count_operator();

  Expr binary_level(std::initializer_list<std::string_view> words,
                    Expr (ExpressionParser::*next)());
  Expr logical_and();
  Expr logical_not();
  Expr comparison();
  Expr sum();
  Expr concatenation();
  Expr product();
  Expr power();
  Expr unary();
  Expr unary_filtered(bool with_filters);
  Expr primary();
  Expr whole_literal();
  Expr parenthesis();
  Expr list_display();
  Expr dict_display();
  Expr members(Expr value);
  Expr subscript(Expr value);
  Expr test_after_is(Expr value);

  std::vector<Token> tokens_;
  const std::string& name_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int operators_ = 0;  // of this tag
};

struct Parsed {
  std::shared_ptr<const Block> root;
  bool has_generation_blocks = false;
};
Parsed parse(std::string_view source, const std::string& name);

}  // namespace lora::jinja
