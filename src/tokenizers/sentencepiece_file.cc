// SPDX-License-Identifier: Apache-2.0
// tokenizer.model of SentencePiece (Kudo and Richardson 2018), read and run by its own library.
// Around it: control pieces (<s>, </s>) are found in the text as special tokens; the text between
// them is encoded piece by piece, as transformers does in its "legacy" mode. With "legacy": false
// in tokenizer_config.json a blank is put in front of the whole text alone, not behind special
// tokens.
#include <sentencepiece_processor.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizers/files.h"
#include "tokenizers/pipeline.h"

namespace lora {

using nlohmann::json;

namespace {

constexpr const char* kMark = "\xE2\x96\x81";  // U+2581 stands for a space
// normalizer_spec { add_dummy_prefix: false } of sentencepiece_model.proto; appended to a message
// it counts instead of what stands before.
constexpr std::string_view kNoPrefix("\x1a\x02\x18\x00", 4);
// trainer_spec { byte_fallback: true }, for models whose byte pieces say it and their settings do
// not: the library refuses these.
constexpr std::string_view kByteFallback("\x12\x03\x98\x02\x01", 5);

class SentencePieceModel : public TokenModel {
 public:
  // `bare`: a text is encoded as it is, with marks for its blanks.
  SentencePieceModel(const Path& file, bool bare) : bare_(bare) {
    const std::string content = read_tokenizer_file(file);
    const std::string prefix(bare ? kNoPrefix : std::string_view());
    auto status = processor_.LoadFromSerializedProto(content + prefix);
    if (status.ToString().find("although `byte_fallback` is false") != std::string::npos) {
      status = processor_.LoadFromSerializedProto(join(content, prefix, kByteFallback));
    }
    if (!status.ok()) {
      const std::string reason = status.ToString();
      const bool told = reason.find(".cc(") == std::string::npos;  // else a line of the library
      fail(file.string(), ": this is no SentencePiece model (found ", content.size(),
           " bytes of another format", told ? ": " + reason : "",
           "); take the file from the original model");
    }
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      vocabulary_.add(processor_.IdToPiece(id), id, file.string());
    }
    cuts_ = can_cut();
    if (processor_.unk_id() >= 0) unknown_ = processor_.IdToPiece(processor_.unk_id());
  }

  void encode(std::string_view word, WordCache&, std::vector<std::int64_t>& out) const override {
    std::vector<int> ids;
    for (std::size_t start = 0; start < word.size();) {
      const std::size_t end = cuts_ ? find_cut(word, start) : word.size();
      const auto status = processor_.Encode({word.data() + start, end - start}, &ids);
      if (!status.ok()) fail("SentencePiece: ", status.ToString());
      out.insert(out.end(), ids.begin(), ids.end());
      // The space at `end` comes back as the one put in front of every text.
      start = bare_ ? end : end + 1;
    }
  }
  const std::string& unknown() const override { return unknown_; }
  const sentencepiece::SentencePieceProcessor& processor() const { return processor_; }

 private:
  // The library is slow on long texts. Where no piece goes on behind the end of a word, and every
  // text gets a space in front, a text may be cut at a space between two words instead.
  bool can_cut() const {
    std::vector<std::string> pieces;
    if (!processor_.Encode("a", &pieces).ok()) return false;
    if (!bare_ && !pieces.front().starts_with(kMark)) return false;
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      std::string_view piece = processor_.IdToPiece(id);
      while (piece.starts_with(kMark)) piece.remove_prefix(std::string_view(kMark).size());
      if (piece.find(kMark) != std::string_view::npos) return false;
    }
    return true;
  }
  std::size_t find_cut(std::string_view text, std::size_t start) const {
    constexpr std::size_t kLeast = 200;  // bytes
    const std::string_view space = bare_ ? kMark : " ";
    const auto plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    for (std::size_t at = start + kLeast; at + space.size() < text.size(); ++at) {
      if (text.substr(at, space.size()) != space) continue;
      if (plain(text[at - 1]) && plain(text[at + space.size()])) return at;
    }
    return text.size();
  }

  sentencepiece::SentencePieceProcessor processor_;
  std::string unknown_;
  bool bare_, cuts_ = false;
};

// Whether the model puts a space in front of every text (decoding takes it away again).
bool adds_space(const SentencePieceModel& model) {
  std::vector<std::string> pieces;
  const bool done = model.processor().Encode("a", &pieces).ok() && !pieces.empty();
  return done && pieces.front().starts_with(kMark);
}

std::vector<AddedToken> special_pieces(const SentencePieceModel& model) {
  std::vector<AddedToken> tokens;
  const auto& processor = model.processor();
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (!processor.IsControl(id) && !processor.IsUnknown(id)) continue;
    AddedToken token;
    token.id = id;
    token.text = processor.IdToPiece(id);
    token.special = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

PipelineParts read_sentencepiece(const Path& file) {
  PipelineParts parts;
  parts.files = {file};
  const Path beside = file.parent_path() / "tokenizer_config.json";
  const json settings = read_object_if_there(beside);
  const Section config(settings, beside.string(), kTakeOriginal);
  const bool bare = !config.flag("legacy", true);
  if (bare) {
    const bool first = config.flag("add_prefix_space", true);
    parts.pre_tokenizer = make_pre_tokenizer(
        {{"type", "Metaspace"}, {"prepend_scheme", first ? "first" : "never"}, {"split", false}},
        beside.string());
  }
  auto owner = std::make_unique<SentencePieceModel>(file, bare);
  const SentencePieceModel& model = *owner;
  parts.model = std::move(owner);
  const auto& processor = model.processor();
  const auto piece = [&](int id) { return id < 0 ? std::string() : processor.IdToPiece(id); };
  parts.special = {piece(processor.bos_id()), piece(processor.eos_id()), piece(processor.pad_id()),
                   piece(processor.unk_id())};
  parts.added = special_pieces(model);
  add_tokens_beside(parts, file.parent_path());
  json decoders = {
      {{"type", "Replace"}, {"pattern", {{"String", kMark}}}, {"content", " "}},
      {{"type", "ByteFallback"}},
      {{"type", "Fuse"}},
  };
  if (bare || adds_space(model)) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  parts.decoder = make_decoder({{"type", "Sequence"}, {"decoders", decoders}}, file.string());
  parts.template_from_config = true;
  parts.add_bos = true;  // as LlamaTokenizer
  return parts;
}

}  // namespace lora
