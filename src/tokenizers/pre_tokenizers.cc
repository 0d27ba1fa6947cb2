// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/utf8.h"
#include "tokenizers/pattern.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace lora {

using nlohmann::json;

namespace {

// A stretch of a piece and whether the pattern matched it. Stretches cover the whole piece.
struct Stretch {
  std::size_t start, end;
  bool match;
};
using Stretches = std::vector<Stretch>;
using Finder = std::function<Stretches(std::string_view)>;
using Behavior = void (*)(Stretches&);

void isolated(Stretches&) {}

void removed(Stretches& all) {
  std::erase_if(all, [](const Stretch& one) { return one.match; });
}

void contiguous(Stretches& all) {
  Stretches joined;
  for (const Stretch& one : all) {
    if (!joined.empty() && joined.back().match == one.match) {
      joined.back().end = one.end;
    } else {
      joined.push_back(one);
    }
  }
  all = std::move(joined);
}

void merged_with_previous(Stretches& all) {
  Stretches joined;
  bool previous_match = false;
  for (const Stretch& one : all) {
    if (one.match && !previous_match && !joined.empty()) {
      joined.back().end = one.end;
    } else {
      joined.push_back(one);
    }
    previous_match = one.match;
  }
  all = std::move(joined);
}

void merged_with_next(Stretches& all) {
  Stretches joined;  // from the last to the first
  bool next_match = false;
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    if (one->match && !next_match && !joined.empty()) {
      joined.back().start = one->start;
    } else {
      joined.push_back(*one);
    }
    next_match = one->match;
  }
  std::reverse(joined.begin(), joined.end());
  all = std::move(joined);
}

struct BehaviorRow {
  std::string_view name, help;
  Behavior apply;
};

constexpr BehaviorRow kBehaviors[] = {
    {"Isolated", "every match is a piece", isolated},
    {"Removed", "matches are dropped", removed},
    {"Contiguous", "neighbouring matches are one piece", contiguous},
    {"MergedWithPrevious", "a match ends the piece before it", merged_with_previous},
    {"MergedWithNext", "a match starts the piece behind it", merged_with_next},
};

Behavior behavior_field(const Section& section) {
  const std::string name = section.text("behavior", "Isolated");
  return row_of(std::span<const BehaviorRow>(kBehaviors), section.where() + ": behavior", name)
      .apply;
}

Finder find_pattern(Pattern pattern, bool invert) {
  return [pattern = std::move(pattern), invert](std::string_view text) {
    Stretches found;
    std::size_t done = 0;
    pattern.find(text, [&](Pattern::Range range) {
      if (range.first > done) found.push_back({done, range.first, invert});
      found.push_back({range.first, range.second, !invert});
      done = range.second;
    });
    if (done < text.size()) found.push_back({done, text.size(), invert});
    return found;
  };
}

Finder find_characters(bool (*is_match)(std::uint32_t)) {
  return [is_match](std::string_view text) {
    Stretches found;
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t start = at;
      if (!is_match(next_code_point(text, at))) continue;
      if (start > done) found.push_back({done, start, false});
      found.push_back({start, at, true});
      done = at;
    }
    if (done < text.size()) found.push_back({done, text.size(), false});
    return found;
  };
}

PreTokenizer splitter(Finder finder, Behavior behavior) {
  return [finder = std::move(finder), behavior](Pieces& pieces) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < pieces.texts.size(); ++i) {
      const std::string& text = pieces.texts[i];
      Stretches found = finder(text);
      behavior(found);
      for (const Stretch& one : found) parts.push_back(text.substr(one.start, one.end - one.start));
      if (i == 0 && (found.empty() || found.front().start > 0)) pieces.at_start = false;
    }
    pieces.texts = std::move(parts);
  };
}

PreTokenizer make_split(const Section& section) {
  return splitter(find_pattern(pattern_field(section), section.flag("invert", false)),
                  behavior_field(section));
}

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

PreTokenizer make_byte_level(const Section& section) {
  const bool prefix = section.flag("add_prefix_space", true);
  PreTokenizer split;
  if (section.flag("use_regex", true)) {
    split = splitter(find_pattern(Pattern::regex(kGpt2Pattern, section.where()), false), isolated);
  }
  return [prefix, split](Pieces& pieces) {
    for (std::string& text : pieces.texts) {
      if (prefix && !text.starts_with(' ')) text.insert(0, " ");
    }
    if (split) split(pieces);
    for (std::string& text : pieces.texts) text = to_byte_characters(text);
  };
}

PreTokenizer make_metaspace(const Section& section) {
  const std::string mark = section.text("replacement", "\xE2\x96\x81");
  const bool old_prefix = section.flag("add_prefix_space", true);
  const std::string scheme = section.text("prepend_scheme", old_prefix ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    section.wrong("prepend_scheme", scheme, "always, first or never");
  }
  PreTokenizer split;
  if (section.flag("split", true)) {
    split = splitter(find_pattern(Pattern::literal(mark), false), merged_with_next);
  }
  return [mark, scheme, split, space = Pattern::literal(" ")](Pieces& pieces) {
    for (std::size_t i = 0; i < pieces.texts.size(); ++i) {
      std::string text = space.replaced(pieces.texts[i], mark);
      const bool first = pieces.at_start && i == 0;
      const bool prepend = scheme == "always" || (scheme == "first" && first);
      pieces.texts[i] = prepend && !text.starts_with(mark) ? mark + text : text;
    }
    if (split) split(pieces);
  };
}

PreTokenizer make_whitespace(const Section& section) {
  return splitter(find_pattern(Pattern::regex(R"(\w+|[^\w\s]+)", section.where()), true), removed);
}

PreTokenizer make_whitespace_split(const Section&) {
  return splitter(find_characters(unicode::is_white), removed);
}

PreTokenizer make_digits(const Section& section) {
  const bool single = section.flag("individual_digits", false);
  return splitter(find_characters(unicode::is_numeric), single ? isolated : contiguous);
}

PreTokenizer make_punctuation(const Section& section) {
  return splitter(find_characters(unicode::is_punctuation), behavior_field(section));
}

PreTokenizer make_bert(const Section&) {
  return [white = splitter(find_characters(unicode::is_white), removed),
          points = splitter(find_characters(unicode::is_punctuation), isolated)](Pieces& pieces) {
    white(pieces);
    points(pieces);
  };
}

PreTokenizer make_sequence(const Section& section) {
  std::vector<PreTokenizer> parts;
  for (const json& part : section.list("pretokenizers")) {
    parts.push_back(make_pre_tokenizer(part, section.where()));
  }
  return [parts](Pieces& pieces) {
    for (const PreTokenizer& part : parts) part(pieces);
  };
}

struct Row {
  std::string_view name, help;
  PreTokenizer (*make)(const Section&);
};

constexpr Row kPreTokenizers[] = {
    {"ByteLevel", "GPT-2's pattern, bytes as printable characters", make_byte_level},
    {"Split", "at a text or pattern", make_split},
    {"Metaspace", "spaces as a visible mark, words start with it", make_metaspace},
    {"Whitespace", "words and punctuation", make_whitespace},
    {"WhitespaceSplit", "at white space", make_whitespace_split},
    {"Digits", "numbers apart", make_digits},
    {"Punctuation", "punctuation apart", make_punctuation},
    {"BertPreTokenizer", "at white space and punctuation", make_bert},
    {"Sequence", "one after the other", make_sequence},
};

}  // namespace

PreTokenizer make_pre_tokenizer(const json& section, const std::string& where) {
  if (section.is_null()) return {};
  return make_step(std::span<const Row>(kPreTokenizers), section, where + ": pre_tokenizer");
}

}  // namespace lora
