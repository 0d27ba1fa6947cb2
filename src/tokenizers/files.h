// SPDX-License-Identifier: Apache-2.0
// Reading the files of a tokenizer folder, with the mistakes that occur in practice named.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "tokenizers/added_tokens.h"
#include "tokenizers/section.h"

namespace lora {

// The content. Throws Error for an absent or empty file and for a Git LFS pointer.
std::string read_tokenizer_file(const Path& path);
// The JSON object in it.
nlohmann::json read_object(const Path& path);
// The same, or an empty object where there is no such file.
nlohmann::json read_object_if_there(const Path& path);

// The text of a special token as tokenizer_config.json spells it: "text", {"content": "text"} or
// null; "" where there is none.
std::string special_text(const Section& file, const char* name);

// One added token with its flags, from tokenizer.json or from tokenizer_config.json.
AddedToken read_added_token(const Section& entry, std::int64_t id);
// tokenizer_config.json: added_tokens_decoder.
std::vector<AddedToken> added_tokens_of_config(const Path& folder);

// tokenizer_config.json or chat_template.jinja; "" where there is none.
std::string read_chat_template(const Path& folder);

// SHA-256 of the file, or of the list of names and SHA-256 of several.
std::string fingerprint_of(const std::vector<Path>& files);

}  // namespace lora
