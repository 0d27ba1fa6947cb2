// SPDX-License-Identifier: Apache-2.0
// Conversations of our own in real chat templates: rendering, ids and labels against TRL and Jinja
// (tests/golden/templates/README.md).
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "data/prompt_template.h"
#include "data/text_dataset.h"
#include "tests/paths.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

// The records as they are read from a file, by the name of the conversation.
std::map<std::string, TextRecord> read_conversations(const ordered_json& conversations,
                                                     const ordered_json& variables) {
  const Path file =
      Path(testing::TempDir()) / ("templates-" + std::to_string(::getpid()) + ".jsonl");
  std::string text;
  for (ordered_json record : conversations) {
    if (!variables.is_null()) record["chat_template_kwargs"] = variables;
    text += record.dump() + "\n";
  }
  write_file_atomic(file, text);
  const TextDataset set = load_text_dataset(file);
  std::filesystem::remove(file);
  std::map<std::string, TextRecord> out;
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    out[conversations[i]["name"]] = set.records.at(i);
  }
  return out;
}

std::string digest(const std::vector<std::int64_t>& ids) {
  std::string text;
  for (const std::int64_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return sha256(text);
}

void compare(const PromptTemplate& prompt, const TextRecord& record, const ordered_json& expected,
             const std::string& where) {
  const std::string text = prompt.render(record.messages, false, record.variables);
  EXPECT_EQ(text.size(), expected["text_bytes"].get<std::size_t>()) << where << text;
  EXPECT_EQ(sha256(text), expected["text_sha256"].get<std::string>()) << where << text;
  const Encoded encoded = prompt.encode(record.messages, record.variables);
  EXPECT_EQ(encoded.unwritten.empty(), expected["whole"].get<bool>()) << where << encoded.unwritten;
  ASSERT_EQ(encoded.samples.size(), expected["samples"].size()) << where << text;
  for (std::size_t i = 0; i < encoded.samples.size(); ++i) {
    const TextSample& sample = encoded.samples[i];
    const ordered_json& wanted = expected["samples"][i];
    const std::string trained =
        test::trained_text(prompt.tokenizer(), sample.ids, sample.labels);
    EXPECT_EQ(sample.ids.size(), wanted["tokens"].get<std::size_t>()) << where;
    EXPECT_EQ(digest(sample.ids), wanted["ids_sha256"].get<std::string>()) << where;
    EXPECT_EQ(trained.size(), wanted["trained_bytes"].get<std::size_t>()) << where << trained;
    EXPECT_EQ(sha256(trained), wanted["trained_sha256"].get<std::string>()) << where << trained;
  }
}

TEST(DataTemplates, RenderAndMaskAsTrl) {
  const Path templates = test::data() / "templates", golden = test::golden() / "templates";
  LORA_SKIP_WITHOUT(templates);
  LORA_SKIP_WITHOUT(golden);
  const auto conversations = ordered_json::parse(read_file(golden / "conversations.json"));
  const auto all = ordered_json::parse(read_file(golden / "expected.json"));
  ASSERT_EQ(all.size(), 17 * 30U);
  std::map<std::string, TextRecord> records;
  std::unique_ptr<PromptTemplate> prompt;
  std::string name;
  for (const ordered_json& expected : all) {
    if (expected["template"] != name) {
      name = expected["template"];
      records = read_conversations(conversations, expected.value("variables", ordered_json()));
      prompt = std::make_unique<PromptTemplate>((templates / name).string(),
                                                std::make_shared<test::FakeTokenizer>(),
                                                "2026-01-31");
    }
    const std::string where = name + " / " + expected["conversation"].get<std::string>() + ": ";
    const TextRecord& record = records.at(expected["conversation"]);
    const std::string refused = expected.value("refused", "");
    if (refused == "template") {
      EXPECT_THROW(prompt->encode(record.messages, record.variables), Error) << where;
    } else if (refused.empty()) {
      compare(*prompt, record, expected, where);
    }
  }
}

}  // namespace
}  // namespace lora
