// SPDX-License-Identifier: Apache-2.0
#include "jinja/parser.h"

#include <algorithm>

#include "base/text.h"

namespace lora::jinja {
namespace {

using Words = std::vector<std::string>;

class StatementParser {
 public:
  StatementParser(std::string_view source, const std::string& name)
      : in_(tokenize(source, name), name) {}

  Parsed run() {
    auto root = std::make_shared<Block>(block({}));
    return {root, has_generation_};
  }

 private:
  // Statements up to one of the words `ends` (which stays to be read, behind its '{%').
  Block block(const Words& ends) {
    const ExpressionParser::Depth depth(in_);
    const int line = in_.peek().line;
    Block out;
    while (true) {
      const Token token = in_.take();
      if (token.kind == TokenKind::end) {
        if (ends.empty()) return out;
        in_.complain_at(line, "a block is not closed (expected '{% " + ends.back() + " %}')");
      } else if (token.kind == TokenKind::data) {
        out.statements.push_back(std::make_unique<Text>(token.line, token.text));
      } else if (token.kind == TokenKind::print_begin) {
        auto print = std::make_unique<Print>(token.line);
        print->value = in_.expression_or_list();
        in_.expect(TokenKind::print_end, "'}}'");
        out.statements.push_back(std::move(print));
      } else {
        if (std::find(ends.begin(), ends.end(), in_.peek().text) != ends.end()) return out;
        out.statements.push_back(statement());
      }
    }
  }

  void end_tag() { in_.expect(TokenKind::block_end, "'%}'"); }

  // "{% WORD %}", its "{%" being read.
  void close(std::string_view word) {
    if (!in_.take_name(word)) in_.complain("expected '" + std::string(word) + "'");
    if (word == "endmacro" && in_.peek().kind == TokenKind::name) in_.take();
    end_tag();
  }

  std::unique_ptr<Statement> statement() {
    const int line = in_.peek().line;
    const std::string word = in_.expect_name("the name of a statement");
    using Reader = std::unique_ptr<Statement> (StatementParser::*)(int);
    static const std::pair<const char*, Reader> kReaders[] = {
        {"if", &StatementParser::read_if},
        {"for", &StatementParser::read_for},
        {"set", &StatementParser::read_set},
        {"macro", &StatementParser::read_macro},
        {"call", &StatementParser::read_call},
        {"filter", &StatementParser::read_filter},
        {"generation", &StatementParser::read_generation},
        {"break", &StatementParser::read_break},
        {"continue", &StatementParser::read_continue},
    };
    Words known;
    for (const auto& [name, reader] : kReaders) {
      if (word == name) return (this->*reader)(line);
      known.emplace_back(name);
    }
    in_.complain_at(line,
                    "unknown or misplaced statement '" + word + "'" + did_you_mean(word, known));
  }

  std::unique_ptr<Statement> read_if(int line) {
    auto node = std::make_unique<If>(line);
    const Words ends = {"elif", "else", "endif"};
    do {
      Expr condition = in_.expression_or_list();
      end_tag();
      node->branches.emplace_back(std::move(condition), block(ends));
    } while (in_.take_name("elif"));
    if (in_.take_name("else")) {
      end_tag();
      node->otherwise = block({"endif"});
    }
    close("endif");
    return node;
  }

  Words targets() {
    Words names;
    const bool bracket = in_.take_symbol("(");
    do {
      names.push_back(in_.expect_name("a variable"));
    } while (in_.take_symbol(","));
    if (bracket) in_.expect_symbol(")");
    return names;
  }

  std::unique_ptr<Statement> read_for(int line) {
    auto node = std::make_unique<For>(line);
    node->targets = targets();
    if (!in_.take_name("in")) in_.complain("expected 'in'");
    node->iterable = in_.condition_free();
    if (in_.at_name("recursive")) in_.complain("recursive loops are not supported");
    if (in_.take_name("if")) node->condition = in_.expression();
    end_tag();
    ++loops_;
    node->body = block({"else", "endfor"});
    --loops_;
    if (in_.take_name("else")) {
      end_tag();
      node->otherwise = block({"endfor"});
    }
    close("endfor");
    return node;
  }

  std::vector<std::unique_ptr<FilterUse>> filters() {
    std::vector<std::unique_ptr<FilterUse>> out;
    while (in_.take_symbol("|")) out.push_back(in_.filter_after_bar());
    return out;
  }

  std::unique_ptr<Statement> read_set(int line) {
    auto node = std::make_unique<Set>(line);
    node->targets = targets();
    if (in_.take_symbol(".")) node->attribute = in_.expect_name("an attribute");
    if (in_.take_symbol("=")) {
      node->value = in_.expression_or_list();
      end_tag();
      return node;
    }
    node->filters = filters();
    end_tag();
    node->body = block({"endset"});
    close("endset");
    return node;
  }

  std::vector<std::pair<std::string, Expr>> parameters() {
    std::vector<std::pair<std::string, Expr>> out;
    in_.expect_symbol("(");
    while (!in_.at_symbol(")")) {
      std::string name = in_.expect_name("a parameter");
      out.emplace_back(std::move(name), in_.take_symbol("=") ? in_.expression() : nullptr);
      if (!in_.take_symbol(",")) break;
    }
    in_.expect_symbol(")");
    return out;
  }

  std::unique_ptr<Statement> read_macro(int line) {
    auto node = std::make_unique<Macro>(line);
    node->name = in_.expect_name("the name of the macro");
    node->parameters = parameters();
    end_tag();
    node->body = std::make_shared<Block>(outside_loops({"endmacro"}));
    close("endmacro");
    return node;
  }

  std::unique_ptr<Statement> read_call(int line) {
    auto node = std::make_unique<CallBlock>(line);
    node->caller = std::make_shared<Macro>(line);
    node->caller->name = "caller";
    if (in_.at_symbol("(")) node->caller->parameters = parameters();
    Expr call = in_.expression();
    auto* as_call = dynamic_cast<Call*>(call.get());
    if (as_call == nullptr) in_.complain_at(line, "'call' needs a call such as name(...)");
    node->call.reset(as_call);
    static_cast<void>(call.release());  // node->call owns it now
    end_tag();
    node->caller->body = std::make_shared<Block>(outside_loops({"endcall"}));
    close("endcall");
    return node;
  }

  std::unique_ptr<Statement> read_filter(int line) {
    auto node = std::make_unique<FilterBlock>(line);
    node->filters.push_back(in_.filter_after_bar());
    for (auto& filter : filters()) node->filters.push_back(std::move(filter));
    end_tag();
    node->body = block({"endfilter"});
    close("endfilter");
    return node;
  }

  std::unique_ptr<Statement> read_generation(int line) {
    auto node = std::make_unique<Generation>(line);
    has_generation_ = true;
    end_tag();
    node->body = block({"endgeneration"});
    close("endgeneration");
    return node;
  }

  std::unique_ptr<Statement> read_break(int line) {
    return loop_control(line, "break", Flow::leave_loop);
  }
  std::unique_ptr<Statement> read_continue(int line) {
    return loop_control(line, "continue", Flow::next_round);
  }
  std::unique_ptr<Statement> loop_control(int line, const std::string& word, Flow flow) {
    if (loops_ == 0) in_.complain_at(line, "'" + word + "' outside a loop");
    end_tag();
    return std::make_unique<LoopControl>(line, flow);
  }

  Block outside_loops(const Words& ends) {
    const int loops = std::exchange(loops_, 0);
    Block out = block(ends);
    loops_ = loops;
    return out;
  }

  ExpressionParser in_;
  int loops_ = 0;
  bool has_generation_ = false;
};

}  // namespace

Parsed parse(std::string_view source, const std::string& name) {
  return StatementParser(source, name).run();
}

}  // namespace lora::jinja
