// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/model.h"

#include "base/error.h"

namespace lora {

namespace {

constexpr std::int64_t kLargestId = 1 << 26;  // no vocabulary comes near; guards the memory

}  // namespace

void Vocabulary::add(const std::string& token, std::int64_t id, const std::string& where) {
  if (id < 0 || id > kLargestId) {
    fail(where, ": token '", token, "' has no usable id (found ", id, ", expected 0..", kLargestId,
         "); take the file from the original model");
  }
  const auto [place, fresh] = ids_.emplace(token, id);
  if (!fresh && place->second == id) return;
  if (!fresh) {
    fail(where, ": token '", token, "' has two ids (found ", id, ", expected ", place->second,
         "); take the file from the original model");
  }
  if (const std::string* taken = this->token(id)) {
    const std::string other = *taken;
    fail(where, ": id ", id, " is given twice (found '", token, "', expected '", other,
         "'); take the file from the original model");
  }
  if (static_cast<std::size_t>(id) >= tokens_.size()) {
    tokens_.resize(static_cast<std::size_t>(id) + 1, nullptr);
  }
  tokens_[static_cast<std::size_t>(id)] = &place->first;
}

std::optional<std::int64_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::token(std::int64_t id) const {
  if (id < 0 || id >= size()) return nullptr;
  return tokens_[static_cast<std::size_t>(id)];
}

const std::vector<std::int32_t>* WordCache::find(std::string_view word) const {
  const auto found = words_.find(word);
  return found == words_.end() ? nullptr : &found->second;
}

void WordCache::add(std::string_view word, std::vector<std::int32_t> ids) {
  if (words_.size() >= kMostWords) words_.clear();
  words_.emplace(std::string(word), std::move(ids));
}

}  // namespace lora
