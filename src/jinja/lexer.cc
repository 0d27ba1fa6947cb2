// SPDX-License-Identifier: Apache-2.0
#include "jinja/lexer.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/utf8.h"

namespace lora::jinja {
namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

// Jinja reads line ends of every kind as \n and drops one at the end of the source.
std::string with_plain_newlines(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name)
      : text_(with_plain_newlines(source)), name_(name) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const std::size_t tag = next_tag();
      if (tag == std::string::npos) {
        add_data(text_.substr(at_));
        at_ = text_.size();
        break;
      }
      read_tag(tag);
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void complain(const std::string& what) const {
    fail_usage(at_line(name_, line_), ": ", what);
  }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void add_data(std::string text) {
    if (text.empty()) return;
    add(TokenKind::data, text);
    line_ += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }

  // Moves on, counting lines; remembers whether a line was just ended (for lstrip_blocks).
  void advance(std::size_t to) {
    const auto from = text_.begin() + static_cast<std::ptrdiff_t>(at_);
    const auto until = text_.begin() + static_cast<std::ptrdiff_t>(to);
    line_ += static_cast<int>(std::count(from, until, '\n'));
    if (to > at_) line_start_ = text_[to - 1] == '\n';
    at_ = to;
  }

  char peek(std::size_t offset = 0) const {
    return at_ + offset < text_.size() ? text_[at_ + offset] : '\0';
  }

  std::size_t next_tag() const {
    for (std::size_t i = at_; i + 1 < text_.size(); ++i) {
      if (text_[i] != '{') continue;
      if (text_[i + 1] == '{' || text_[i + 1] == '%' || text_[i + 1] == '#') return i;
    }
    return std::string::npos;
  }

  // The text before a tag, stripped as the tag's sign and lstrip_blocks ask.
  std::string data_before(std::size_t tag) const {
    std::string data = text_.substr(at_, tag - at_);
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    if (sign == '-') {
      while (!data.empty() && is_space(data.back())) data.pop_back();
    } else if (sign != '+' && text_[tag + 1] != '{') {
      const std::size_t newline = data.rfind('\n');
      const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
      const bool from_line_start = newline != std::string::npos || line_start_;
      if (from_line_start &&
          std::all_of(data.begin() + static_cast<std::ptrdiff_t>(begin), data.end(), is_space)) {
        data.resize(begin);
      }
    }
    return data;
  }

  void read_tag(std::size_t tag) {
    const int line = line_;
    const std::string data = data_before(tag);
    add_data(data);
    line_ = line;
    advance(tag);
    const char kind = text_[tag + 1];
    std::size_t inside = tag + 2;
    if (inside < text_.size() && (text_[inside] == '-' || text_[inside] == '+')) ++inside;
    if (kind == '#') {
      skip_comment(inside);
    } else if (kind == '%' && read_raw(inside)) {
      return;
    } else {
      advance(inside);
      add(kind == '%' ? TokenKind::block_begin : TokenKind::print_begin, "");
      read_expression(kind == '%' ? '%' : '}');
    }
  }

  void skip_comment(std::size_t inside) {
    const std::size_t end = text_.find("#}", inside);
    if (end == std::string::npos) complain("comment without '#}'");
    close(end, true);
  }

  // Passes the two characters that end a tag at `end`, and the white space that goes with them.
  void close(std::size_t end, bool trims_newline) {
    const char sign = end > 0 ? text_[end - 1] : '\0';
    std::size_t to = end + 2;
    if (sign == '-') {
      while (to < text_.size() && is_space(text_[to])) ++to;
    } else if (sign != '+' && trims_newline && to < text_.size() && text_[to] == '\n') {
      ++to;
    }
    advance(to);
  }

  // Position behind "WORD" and blanks at `from`, and of the '%' that closes the tag; npos if not
  // so.
  std::size_t word_tag(std::size_t from, std::string_view word) const {
    while (from < text_.size() && is_space(text_[from])) ++from;
    if (text_.compare(from, word.size(), word) != 0) return std::string::npos;
    from += word.size();
    while (from < text_.size() && is_space(text_[from])) ++from;
    if (from < text_.size() && (text_[from] == '-' || text_[from] == '+')) ++from;
    return text_.compare(from, 2, "%}") == 0 ? from : std::string::npos;
  }

  bool read_raw(std::size_t inside) {
    const std::size_t open = word_tag(inside, "raw");
    if (open == std::string::npos) return false;
    close(open, false);
    for (std::size_t tag = at_; (tag = text_.find("{%", tag)) != std::string::npos; ++tag) {
      std::size_t word = tag + 2;
      if (word < text_.size() && (text_[word] == '-' || text_[word] == '+')) ++word;
      const std::size_t end = word_tag(word, "endraw");
      if (end == std::string::npos) continue;
      const int line = line_;
      add_data(data_before(tag));
      line_ = line;
      close(end, true);
      return true;
    }
    complain("'{% raw %}' without '{% endraw %}'");
  }

  // Tokens up to the end of the tag; a brace that is open inside hides "}}".
  void read_expression(char closing) {
    int depth = 0;
    while (true) {
      while (is_space(peek())) advance(at_ + 1);
      if (at_ >= text_.size()) complain("a tag is not closed (end of the template reached)");
      if (depth == 0 && try_close(closing)) return;
      const char c = peek();
      if (c == '"' || c == '\'') {
        read_string(c);
      } else if (is_digit(c)) {
        read_number();
      } else if (is_name_start(c)) {
        std::size_t end = at_;
        while (end < text_.size() && is_name(text_[end])) ++end;
        add(TokenKind::name, text_.substr(at_, end - at_));
        advance(end);
      } else {
        depth += read_symbol();
      }
    }
  }

  bool try_close(char closing) {
    std::size_t end = at_;
    if (text_[end] == '-' || text_[end] == '+') ++end;
    if (end + 1 >= text_.size() || text_[end] != closing || text_[end + 1] != '}') return false;
    if (closing == '}' && end != at_ && text_[at_] == '+') return false;
    add(closing == '%' ? TokenKind::block_end : TokenKind::print_end, "");
    close(end, closing == '%');
    return true;
  }

  int read_symbol() {
    static const std::string_view kTwo[] = {"==", "!=", ">=", "<=", "//", "**"};
    const std::string two = text_.substr(at_, 2);
    if (std::find(std::begin(kTwo), std::end(kTwo), two) != std::end(kTwo)) {
      add(TokenKind::symbol, two);
      advance(at_ + 2);
      return 0;
    }
    const char c = peek();
    if (std::string_view("+-*/%~<>=()[]{}.,:|;").find(c) == std::string_view::npos) {
      complain(std::string("unexpected character '") + c + "'");
    }
    add(TokenKind::symbol, std::string(1, c));
    advance(at_ + 1);
    if (c == '(' || c == '[' || c == '{') return 1;
    return c == ')' || c == ']' || c == '}' ? -1 : 0;
  }

  void read_number() {
    std::size_t end = at_;
    bool real = false;
    while (end < text_.size() && (is_digit(text_[end]) || text_[end] == '_')) ++end;
    if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      real = true;
      for (++end; end < text_.size() && (is_digit(text_[end]) || text_[end] == '_'); ++end) {
      }
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      std::size_t digits = end + 1;
      if (digits < text_.size() && (text_[digits] == '+' || text_[digits] == '-')) ++digits;
      if (digits < text_.size() && is_digit(text_[digits])) {
        real = true;
        for (end = digits; end < text_.size() && is_digit(text_[end]); ++end) {
        }
      }
    }
    std::string digits = text_.substr(at_, end - at_);
    std::erase(digits, '_');
    add(real ? TokenKind::real : TokenKind::integer, digits);
    advance(end);
  }

  void read_string(char quote) {
    std::string value;
    std::size_t i = at_ + 1;
    while (i < text_.size() && text_[i] != quote) {
      if (text_[i] == '\\' && i + 1 < text_.size()) {
        i = read_escape(i + 1, value);
      } else {
        value += text_[i++];
      }
    }
    if (i >= text_.size()) complain("a string is not closed (end of the template reached)");
    add(TokenKind::string, value);
    advance(i + 1);
  }

  // `i` is behind the backslash; returns the position behind the escape. Python keeps the
  // backslash of an escape that it does not know.
  std::size_t read_escape(std::size_t i, std::string& value) const {
    static const std::string_view kLetters = "nrtabfv0\\'\"";
    static const std::string_view kValues("\n\r\t\a\b\f\v\0\\'\"", 11);
    const char c = text_[i];
    const std::size_t known = kLetters.find(c);
    if (known != std::string_view::npos) {
      value += kValues[known];
      return i + 1;
    }
    if (c == '\n') return i + 1;
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      value += '\\';
      value += c;
      return i + 1;
    }
    const std::string hex = text_.substr(i + 1, digits);
    if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos) {
      complain("a string has a broken escape '\\" + std::string(1, c) + hex + "'");
    }
    const auto point = static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16));
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
      complain("the escape '\\" + std::string(1, c) + hex + "' of a string is no character");
    }
    append_utf8(value, point);
    return i + 1 + digits;
  }

  std::string text_;
  const std::string& name_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& name) {
  return Lexer(source, name).run();
}

std::string at_line(const std::string& name, int line) {
  return join("template '", name, "', line ", line);
}

}  // namespace lora::jinja
