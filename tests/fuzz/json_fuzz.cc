// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "base/json_text.h"
#include "base/shown.h"
#include "tests/fuzz/fuzz.h"

namespace {

template <typename Json>
void read(std::string_view text) {
  lora::fuzz::attempt([&] {
    const Json json = lora::parse_json_object<Json>(text, "a.json", "mend it");
    const Json copy = json;
    if (lora::shown(copy.dump(2, ' ', true)).empty()) std::abort();
    const lora::JsonReader<Json> in(json, "a.json", "mend it");
    for (const auto& [key, value] : json.items()) {
      lora::fuzz::attempt([&, &key = key] { in.count(key); });
      lora::fuzz::attempt([&, &key = key] { in.positive(key); });
      lora::fuzz::attempt([&, &key = key] { in.texts(key); });
      lora::fuzz::attempt([&, &key = key] { in.wholes(key); });
      lora::fuzz::attempt([&, &key = key] { in.inside(key).text("a"); });
    }
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read<nlohmann::json>(lora::fuzz::text_of(data, size));
  read<nlohmann::ordered_json>(lora::fuzz::text_of(data, size));
  return 0;
}
