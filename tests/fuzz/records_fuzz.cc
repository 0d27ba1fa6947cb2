// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "data/data_stats.h"
#include "io/metrics_file.h"
#include "tests/fuzz/fuzz.h"
#include "versions/version.h"

// version.json, whose id is set right: it is a hash over the rest. Statistics and metrics.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(lora::fuzz::text_of(data, size));
  lora::fuzz::attempt([&] { lora::parse_version(text, "version.json"); });
  lora::fuzz::attempt([&] { lora::parse_stats(text, "data_stats.json"); });
  lora::fuzz::attempt([&] { lora::read_metrics(lora::fuzz::folder().file("m.jsonl", text)); });
  auto json = lora::try_parse_json<nlohmann::json>(text);
  if (!json || !json->is_object()) return 0;
  json->erase("id");
  (*json)["id"] = lora::sha256(json->dump());
  lora::fuzz::attempt([&] {
    const lora::Version version = lora::parse_version(json->dump(), "version.json");
    lora::version_json(version);
    lora::diff_versions(version, {});
  });
  return 0;
}
