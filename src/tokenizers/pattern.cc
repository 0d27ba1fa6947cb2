// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/pattern.h"

namespace lora {

Pattern Pattern::regex(std::string_view pattern, const std::string& where) {
  Pattern made;
  made.regex_.emplace(pattern, where, "take the file from the original model",
                      RegexDialect::oniguruma);
  return made;
}

Pattern Pattern::literal(std::string_view text) {
  Pattern made;
  made.literal_ = text;
  return made;
}

void Pattern::find(std::string_view text, const std::function<void(Range)>& found) const {
  if (!regex_) {
    if (literal_.empty()) return;
    for (std::size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos;) {
      found({at, at + literal_.size()});
      at += literal_.size();
    }
    return;
  }
  for (std::size_t at = 0; const auto match = regex_->find(text, at);) {
    if (match->end <= at) return;  // \K or look-behind tricks: never loop
    found({match->begin, match->end});
    at = match->end;
  }
}

std::string Pattern::replaced(std::string_view text, std::string_view content) const {
  std::string out;
  std::size_t done = 0;
  find(text, [&](Range match) {
    out.append(text.substr(done, match.first - done)).append(content);
    done = match.second;
  });
  if (done == 0) return std::string(text);
  return out.append(text.substr(done));
}

}  // namespace lora
