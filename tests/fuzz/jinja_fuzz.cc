// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "jinja/jinja.h"
#include "tests/fuzz/fuzz.h"

namespace {

// Makes a template of the bytes: each says which rule of the grammar comes next, and what is left
// undecided at the end of them is short. So nearly every input is a template that parses.
class Grammar {
 public:
  explicit Grammar(std::string_view bytes) : bytes_(bytes) {}

  std::string block(int depth) {
    std::string out;
    for (std::size_t count = pick(5); count > 0; --count) out += statement(depth);
    return out;
  }
  bool more() const { return !bytes_.empty(); }

 private:
  std::size_t pick(std::size_t choices) {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte % choices;
  }
  template <std::size_t count>
  std::string word(const std::array<const char*, count>& words) {
    return words[pick(count)];
  }

  std::string name() { return word(std::array{"x", "y", "ns", "messages", "loop", "m", "none"}); }

  std::string statement(int depth) {
    if (depth > 4) return "t";
    switch (pick(12)) {
      case 1:
        return "{{ " + expression(depth) + " }}";
      case 2:
        return "{% for x in " + expression(depth) + " %}" + block(depth + 1) + "{% endfor %}";
      case 3:
        return "{% set " + name() + " = " + expression(depth) + " %}";
      case 4:
        return "{% set ns.x = " + expression(depth) + " %}";
      case 5:
        return "{% if " + expression(depth) + " %}" + block(depth + 1) + "{% endif %}";
      case 6:
        return "{% macro m(x, y=1) %}" + block(depth + 1) + "{% endmacro %}";
      case 7:
        return "{% set y %}" + block(depth + 1) + "{% endset %}";
      case 8:
        return "{% filter " + filter(depth) + " %}" + block(depth + 1) + "{% endfilter %}";
      case 9:
        return "{% call m(" + expression(depth) + ") %}" + block(depth + 1) + "{% endcall %}";
      case 10:
        return "{% for x, y in " + expression(depth) + ".items() if x %}" + block(depth + 1) +
               "{% break %}{% endfor %}";
      case 11:
        return "{% generation %}" + block(depth + 1) + "{% endgeneration %}";
      default:
        return "text\n";
    }
  }

  std::string number() {
    return word(std::array{"0", "1", "2", "-1", "3.5", "1e300", "2**62", "9223372036854775807",
                           "(-2**62*2)", "100000", "0.0"});
  }

  std::string filter(int depth) {
    const std::string plain =
        word(std::array{"trim", "upper", "tojson", "list", "length", "sort", "unique", "sum", "int",
                        "float", "abs", "round", "reverse", "first", "last", "string", "title",
                        "wordcount", "max", "min", "escape", "items", "dictsort", "capitalize"});
    switch (pick(8)) {
      case 1:
        return "join(" + expression(depth) + ")";
      case 2:
        return "batch(" + expression(depth) + ", " + expression(depth) + ")";
      case 3:
        return "indent(" + expression(depth) + ", true)";
      case 4:
        return "map('" + plain + "')";
      case 5:
        return "map(attribute=" + expression(depth) + ")";
      case 6:
        return "replace(" + expression(depth) + ", " + expression(depth) + ")";
      case 7:
        return "selectattr('x', 'equalto', " + expression(depth) + ")";
      default:
        return plain;
    }
  }

  std::string method(int depth) {
    const std::string first = expression(depth), second = expression(depth);
    const std::string plain = word(
        std::array{"append", "extend", "update", "split", "rsplit", "strip", "find", "count", "pop",
                   "get", "startswith", "join", "format", "index", "replace", "removeprefix"});
    return plain + "(" + first + (pick(2) == 0 ? "" : ", " + second) + ")";
  }

  std::string expression(int depth) {
    if (depth++ > 6) return "x";
    const auto inner = [&] { return "(" + expression(depth) + ")"; };
    switch (pick(16)) {
      case 1:
        return number();
      case 2:
        return "[" + expression(depth) + ", " + expression(depth) + "]";
      case 3:
        return "{'x': " + expression(depth) + "}";
      case 4:
        return inner() + word(std::array{" + ", " - ", " * ", " / ", " // ", " % ", " ** ", " ~ "}) +
               inner();
      case 5:
        return inner() + word(std::array{" == ", " < ", " in ", " and ", " or ", " >= "}) + inner();
      case 6:
        return inner() + " | " + filter(depth);
      case 7:
        return inner() + "." + method(depth);
      case 8:
        return inner() + "[" + expression(depth) + ":" + expression(depth) + ":" +
               expression(depth) + "]";
      case 9:
        return inner() + "[" + expression(depth) + "]";
      case 10:
        return "range(" + expression(depth) + ", " + expression(depth) + ")";
      case 11:
        return inner() + " if " + expression(depth) + " else " + inner();
      case 12:
        return "namespace(x=" + expression(depth) + ")";
      case 13:
        return word(std::array{"-", "not ", "+"}) + inner();
      case 14:
        return "m(" + expression(depth) + ")";
      case 15:
        return word(std::array{"'ab'", "'\u00e9 x'", "''", "'a,b'", "'%s {}'", "'nan'"});
      default:
        return name();
    }
  }

  std::string_view bytes_;
};

lora::jinja::Value conversation() {
  using lora::jinja::make_dict;
  const auto turn = [](const char* role, const char* content) {
    return make_dict({{"role", role}, {"content", content}});
  };
  return make_dict({{"messages", lora::jinja::List{turn("user", "Hi <b>"), turn("assistant", "Ho")}},
                    {"bos_token", "<s>"},
                    {"x", 3},
                    {"add_generation_prompt", true}});
}

}  // namespace

// Where the first byte is 0, the rest is a template as it stands.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = lora::fuzz::text_of(data, size);
  std::string source;
  if (bytes.starts_with('\0')) {
    source = bytes.substr(1);
  } else {
    Grammar grammar(bytes);
    source = "{% set ns = namespace(x=[]) %}";
    while (grammar.more()) source += grammar.block(0);
  }
  lora::fuzz::attempt([&] {
    const lora::jinja::Template parsed(source, "fuzz");
    parsed.render(conversation());
  });
  return 0;
}
