// SPDX-License-Identifier: Apache-2.0
#include "jinja/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/paths.h"

namespace lora::jinja {
namespace {

using nlohmann::ordered_json;

Value from_json(const nlohmann::ordered_json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    List items;
    for (const auto& item : json) items.push_back(from_json(item));
    return items;
  }
  if (!json.is_object()) return None{};
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, value] : json.items()) dict->items.emplace_back(key, from_json(value));
  return dict;
}

std::string rendered(const std::string& source, const std::string& variables = "{}") {
  return Template(source, "test").render(from_json(ordered_json::parse(variables))).text;
}

std::string error_of(const std::string& source, const std::string& variables = "{}") {
  try {
    rendered(source, variables);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct Case {
  const char *source, *expected;
};

// Expected texts computed with Jinja 3.1.6 under the settings of transformers.
TEST(Jinja, ExpressionsAndStatements) {
  const Case cases[] = {
      {"{{ '<b>'|safe + '\"x\" & y' }} {{ 'a<' + ('b'|e) }} {{ '<'|safe ~ '&' }}",
       "<b>&#34;x&#34; &amp; y a&lt;b <&"},
      {"{{ ' <i> '|safe|trim|upper + \"'\" }} {{ ('<'|e)|e }} {{ ('a'|safe|string) + '<' }}",
       "<I>&#39; &lt; a&lt;"},
      {"{{ ('<'|safe)|replace('<', '[') + '&' }} {{ ['<'|safe, '&']|join(',') }}", "[& <,&"},
      {"{{ ('<'|safe).upper() + '&' }}", "<&amp;"},
      {"{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }}",
       "7 3 -4 2 3.5 1024"},
      {"{{ 'a' ~ 1 ~ none ~ true ~ 2.0 }}", "a1NoneTrue2.0"},
      {"{{ [1, 'a', none, {'k': [true]}] }}", "[1, 'a', None, {'k': [True]}]"},
      {"{{ 'héllo'[1:3] }}{{ 'abc'[::-1] }}{{ [1,2,3][-1] }}{{ [1,2,3][1:] }}", "élcba3[2, 3]"},
      {"{% for x in [1,2,3] if x != 2 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
       "1/2:1 2/2:3 "},
      {"{% for x in [] %}a{% else %}empty{% endfor %}", "empty"},
      {"{% set x = 1 %}{% for i in range(3) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
       "2221"},
      {"{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}"
       "{{ ns.n }}",
       "3"},
      {"{% macro m(a, b='x') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m(2, b='y') }}",
       "<1x><2y>"},
      {"{% macro w() %}[{{ caller(1) }}]{% endmacro %}{% call(n) w() %}n={{ n }}{% endcall %}",
       "[n=1]"},
      {"{% set t | upper %}abc{% endset %}{{ t }}{% filter upper %}x{{ 1 }}{% endfilter %}",
       "ABCX1"},
      {"  {% if true %}\n  a\n  {%- else %}b{% endif %}\n{# note #}\nend\n", "  aend"},
      {"{% raw %}{{ x }}{% endraw %} {{ '{{' }}", "{{ x }} {{"},
      {"a  {{- 1 -}}  b", "a1b"},
      {"{{ x is defined }} {{ x }} {{ x | default('d') }} {{ x | length }}", "False  d 0"},
      {"{{ 3 if false else 4 }}{{ 'z' if false }}", "4"},
      {"{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}", "a2b1"},
      {"{{ [{'r': 'u', 'n': 1}, {'r': 'a', 'n': 2}] | selectattr('r', 'equalto', 'a') "
       "| map(attribute='n') | list }}",
       "[2]"},
      {"{{ {'a': [1, 2.5, \"x\"], 'b': {}} | tojson }}", "{\"a\": [1, 2.5, \"x\"], \"b\": {}}"},
      {"{{ {'a': [1], 'b': {}} | tojson(indent=2) }}",
       "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"},
      {"{{ 'a b  c'.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'xxaxx'.strip('x') }}",
       "['a', 'b', 'c']['a', 'b,c']a"},
      {"{{ 'it''s' }}{{ \"it's\" | replace(\"'\", '\"') }}{{ ['it\\'s'] }}", "itsit\"s[\"it's\"]"},
      {"{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}"
       "{% endif %}{{ i }}{% endfor %}",
       "02"},
      {"{{ 'hello wOrld' | title }} {{ 'éa B' | capitalize }} {{ 'x\\ny' | indent(2, true) }}",
       "Hello World Éa b   x\n  y"},
      {"{{ 1 < 2 <= 2 }}{{ 'a' in 'abc' }}{{ 3 not in [1] }}{{ not 1 == 2 }}", "TrueTrueTrueTrue"},
      {"{{ {'a': 1}.get('b', 5) }}{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}",
       "5a1"},
      {"{{ [3, 1, 2] | sort | join('-') }} {{ ['b', 'A'] | sort }} {{ [1, 1, 2] | unique | list }}",
       "1-2-3 ['A', 'b'] [1, 2]"},
      {"{% set a, b = [1, 2] %}{{ a }}{{ b }}{{ 5 is divisibleby 5 }}{{ 2 is in [2] }}",
       "12TrueTrue"},
      {"{{ ' a ' | trim ~ '|' }}{{ -1 | abs }}", "a|1"},
      {"{% for x in 'ab' %}{{ loop.cycle('1', '2') }}{{ x }}{{ ',' if not loop.last }}{% endfor %}",
       "1a,2b"},
  };
  for (const Case& c : cases) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

TEST(Jinja, ErrorsNameTemplateAndLine) {
  const Case cases[] = {
      {"a\n{% if x %}", "template 'test', line 2: a block is not closed (expected '{% endif %}')"},
      {"{{ 1 + }}", "template 'test', line 1: found '}}', expected a value"},
      {"{{ 'a' | uper }}", "template 'test', line 1: unknown filter 'uper'; did you mean 'upper'?"},
      {"{% fro x in y %}",
       "template 'test', line 1: unknown or misplaced statement 'fro'; did you mean 'for'?"},
      {"\n\n{{ x.y }}", "template 'test', line 3: 'x' is undefined"},
      {"{{ 1 / 0 }}", "template 'test', line 1: division by zero"},
      {"{{ 'a' + 1 }}", "template 'test', line 1: '+' cannot join string and integer"},
      {"{{ 'a'.foo() }}", "template 'test', line 1: a value of kind string has no method 'foo'"},
      {"{% if x", "template 'test', line 1: a tag is not closed (end of the template reached)"},
      {"{{ range(1000000) }}",
       "template 'test', line 1: range() is too long (at most 100000 numbers)"},
      {"{% break %}", "template 'test', line 1: 'break' outside a loop"},
      {"{{ raise_exception('no') }}",
       "template 'test', line 1: the template does not accept this conversation: no"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
       "template 'test', line 1: macros call each other too deeply (at most 200)"},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(c.source), c.expected) << c.source;
  EXPECT_THAT(error_of("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}"),
              testing::HasSubstr("nested too deeply"));
}

// What a template of others could do to the program. Each line ended it, or never ended, once.
TEST(Jinja, HostileTemplatesAreRefused) {
  const std::string twice = "{% set ns = namespace(s='abcdefgh') %}{% for i in range(60) %}";
  const std::string grow = "{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
  struct Attack {
    std::string source, reason;
  };
  const Attack attacks[] = {
      {"{{ (-(2**62)*2) // -1 }}", "a whole number became too large"},
      {"{{ -(-(2**62)*2) }}", "a whole number became too large"},
      {"{{ (-(2**62)*2) | abs }}", "a whole number became too large"},
      {"{{ [2**62, 2**62] | sum }}", "a whole number became too large"},
      {"{{ 1e300 | int }}", "int: 1e+300 is no whole number of 64 bits"},
      {"{{ 99999999999999999999 }}", "the number is too large"},
      {"{{ 1e999 }}", "the number is too large or too small"},
      {"{{ x.99999999999999999999 }}", "the number is too large"},
      {"{{ '\\Uffffffff' }}", "the escape '\\Uffffffff' of a string is no character"},
      {"{{ '\\ud800' }}", "the escape '\\ud800' of a string is no character"},
      {"{% set l = [] %}{{ l.append(l) }}{{ l }}", "nested too deeply (at most 1000 levels)"},
      {"{% set l = [] %}{{ l.append(l) }}{{ l == [l] }}",
       "nested too deeply (at most 1000 levels)"},
      {"{% set l = [] %}{{ l.append(l) }}{{ [l, [l]] | sort }}",
       "nested too deeply (at most 1000 levels)"},
      {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns | tojson }}",
       "nested too deeply (at most 1000 levels)"},
      {"{{ 'a' | map('map', 'map') | list }}{{ 'a' | map(filter='upper') }}",
       "map needs the name of a filter or attribute=.."},
      {twice + grow, "a text becomes too long (at most 64 MiB); use a template that repeats less"},
      {"{{ 'abcd' * 2**62 }}",
       "a text becomes too long (at most 64 MiB); use a template that repeats less"},
      {"{{ [1] * 2**62 }}",
       "makes too much text and too many lists (at most 512 MiB in one rendering); use a template "
       "that repeats less"},
      {"{{ [1] | batch(2**62, 0) }}",
       "makes too much text and too many lists (at most 512 MiB in one rendering); use a template "
       "that repeats less"},
      {"{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
       "takes too many steps (at most 10000000); use a template with shorter loops"},
      {"{{ 'a' | indent(2**40) }}", "indent is too wide (found 1099511627776, at most 1000)"},
      {"{{ [1] | tojson(indent=2**40) }}",
       "tojson: the indent is too wide (found 1099511627776, at most 1000)"},
      {"{{ 'a'.rsplit('', 5) }}", "rsplit() with an empty separator"},
      {"{{ '{99999999999999999999}'.format(1) }}",
       "format(): nothing given for '{99999999999999999999}'"},
      {"{{ [('nan' | float), 1] | sort }}", "nan has no order"},
  };
  for (const Attack& attack : attacks) {
    EXPECT_EQ(error_of(attack.source), "template 'test', line 1: " + attack.reason)
        << attack.source;
  }
}

TEST(Jinja, HostileTemplatesThatHaveAMeaning) {
  const Case cases[] = {
      {"{{ 'abc'[1::9223372036854775807] }}{{ [1, 2, 3][::-9223372036854775807] }}", "b[3]"},
      {"{{ (-(2**62)*2) % -1 }}{{ (-(2**62)*2) is divisibleby(-1) }}", "0True"},
      {"{{ range(0, 2, 9223372036854775807) }}", "[0]"},
      {"{{ [1] | map(attribute='99999999999999999999') | list }}", "[Undefined]"},
      {"{{ 'a' | indent(-5, true) }}{{ [1] | tojson(indent=-9) }}", "a[1]"},
      {"{{ 'a b c'.rsplit(' ', 1) }}{{ ' a  b c '.split(none, 1) }}", "['a b', 'c']['a', 'b c']"},
      {"{% set a = [1] %}{% set b = a * 0 %}{{ b }}{{ '' * 2**62 }}", "[]"},
      {"{{ 'h\u00e9llo'[1] }}{{ 'h\u00e9llo'[-1] }}{{ 'h\u00e9llo' | length }}", "\u00e9o5"},
  };
  for (const Case& c : cases) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

TEST(Jinja, LongAndDeepTemplatesAreRefused) {
  const auto chain = [](const char* begin, const char* link) {
    std::string source = begin;
    for (int i = 0; i < 200'000; ++i) source += link;
    return error_of("{{ " + source + " }}");
  };
  const std::string reason = "template 'test', line 1: too many operators in one tag (at most 500)";
  EXPECT_EQ(chain("1", " + 1"), reason);
  EXPECT_EQ(chain("x", ".x"), reason);
  EXPECT_EQ(chain("x", "|list"), reason);
  EXPECT_EQ(chain("x", " is true"), reason);
  EXPECT_EQ(chain("1", " if 1"), reason);
  EXPECT_EQ(chain("x", "[0]"), reason);
  EXPECT_THAT(chain("", "-"), testing::HasSubstr("nested too deeply"));
  std::string blocks;
  for (int i = 0; i < 100'000; ++i) blocks += "{% if true %}";
  EXPECT_THAT(error_of(blocks), testing::HasSubstr("nested too deeply"));
}

// The values of the caller stay as they are, and circles are freed (the leak checker sees to it).
TEST(Jinja, ATemplateChangesOnlyItsOwnValues) {
  const Value variables = from_json(ordered_json::parse(R"({"messages": [1]})"));
  const Template parsed("{{ messages.append(messages) }}{{ messages | length }}", "test");
  EXPECT_EQ(parsed.render(variables).text, "None2");
  EXPECT_EQ(parsed.render(variables).text, "None2");
}

TEST(Jinja, LongChainsOfValuesAreFreed) {
  EXPECT_EQ(rendered("{% set ns = namespace(x=[]) %}{% for i in range(100000) %}"
                     "{% set ns.x = [ns.x] %}{% endfor %}done"),
            "done");
}

TEST(Jinja, GenerationBlocksMarkTheirText) {
  const Template parsed("a{% generation %}bc{% endgeneration %}d", "test");
  EXPECT_TRUE(parsed.has_generation_blocks());
  const Rendering out = parsed.render(make_dict());
  ASSERT_EQ(out.generated.size(), 1U);
  EXPECT_EQ(out.text.substr(out.generated[0].begin, 2), "bc");
  EXPECT_EQ(out.generated[0].end, 3U);
}

// Renders a case of golden/llm/chat; a refusal gives its reason behind "refused: ".
std::string render_case(const Template& chat, const ordered_json& c, bool generation_prompt) {
  ordered_json variables = {{"messages", c["messages"]},
                            {"bos_token", c["bos_token"]},
                            {"eos_token", c["eos_token"]},
                            {"add_generation_prompt", generation_prompt}};
  try {
    return chat.render(from_json(variables)).text;
  } catch (const Refusal& refusal) {
    return "refused: " + refusal.reason();
  }
}

TEST(GoldenJinja, ChatCases) {
  const Path folder = test::golden() / "llm" / "chat";
  const ordered_json cases = ordered_json::parse(read_file(folder / "cases.json"));
  ASSERT_EQ(cases["cases"].size(), cases["count"].get<std::size_t>());
  for (const ordered_json& c : cases["cases"]) {
    const std::string name = c["template"];
    const Template chat(read_file(folder / "templates" / (name + ".jinja")), name);
    const std::string where = name + " / " + c["conversation"].get<std::string>();
    if (c.contains("error")) {
      EXPECT_EQ(render_case(chat, c, false), "refused: " + c["error"].get<std::string>()) << where;
      continue;
    }
    EXPECT_EQ(render_case(chat, c, false), c["expected"].get<std::string>()) << where;
    EXPECT_EQ(render_case(chat, c, true), c["expected_generation_prompt"].get<std::string>())
        << where;
  }
}

// The system text, in a template that has no system role, belongs into the first user message.
ordered_json merged_system(const ordered_json& conversation) {
  ordered_json out = ordered_json::array();
  for (std::size_t i = 1; i < conversation.size(); ++i) out.push_back(conversation[i]);
  out[0]["content"] = conversation[0]["content"].get<std::string>() + "\n" +
                      conversation[1]["content"].get<std::string>();
  return out;
}

std::string render_or_nothing(const Template& chat, ordered_json variables) {
  try {
    return chat.render(from_json(variables)).text;
  } catch (const Refusal&) {
    return "";
  }
}

TEST(DataJinja, RealTemplatesRenderAsExpected) {
  const Path file = test::data() / "templates" / "expected_renderings.json";
  LORA_SKIP_WITHOUT(file);
  const ordered_json all = ordered_json::parse(read_file(file));
  const ordered_json conversation = all["conversation"];
  const std::string system = conversation[0]["content"];
  int compared = 0;
  for (const ordered_json& c : all["cases"]) {
    const bool jinja = c["jinja_supported"].get<bool>();
    const std::string bos = jinja ? c["bos_token"] : "<s>", eos = c["eos_token"];
    const std::string name = c["name"];
    const Template chat(c["template"].get<std::string>(), name);
    ordered_json variables = {{"messages", conversation},
                              {"bos_token", bos},
                              {"eos_token", eos},
                              {"add_generation_prompt", true}};
    // GigaChat, the one that the reference program could not run, needs four tokens of its own.
    if (!jinja)
      variables["additional_special_tokens"] = {"<|role_sep|>", "<|message_sep|>", "[", "]"};
    std::string text = render_or_nothing(chat, variables);
    if (text.find(system) == std::string::npos) {
      variables["messages"] = merged_system(conversation);
      text = render_or_nothing(chat, variables);
    }
    if (jinja && !bos.empty() && text.starts_with(bos)) text.erase(0, bos.size());
    if (!eos.empty() && text.ends_with(eos)) text.resize(text.size() - eos.size());
    // ChatGLM3 has a blank before "{{", which Jinja keeps (its renderer there does not).
    const bool other_engine = !jinja || name == "ChatGLM3";
    EXPECT_EQ(text, c[other_engine ? "expected_builtin" : "expected_jinja"].get<std::string>())
        << name;
    ++compared;
  }
  EXPECT_EQ(compared, 30);
}

}  // namespace
}  // namespace lora::jinja
