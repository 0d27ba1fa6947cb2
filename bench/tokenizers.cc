// SPDX-License-Identifier: Apache-2.0
// How fast tokenizers are, on one core: bench_tokenizers TEXT FOLDER...
// TEXT is repeated to 4 MiB; each folder holds a tokenizer. Prints a line for each.
#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <string>

#include "base/files.h"
#include "tokenizers/tokenizer.h"

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void measure(const std::string& folder, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  const auto tokenizer = lora::Tokenizer::load(folder);
  const double loading = seconds_since(start);
  const auto loaded = std::chrono::steady_clock::now();
  const std::size_t tokens = tokenizer->encode(text).size();
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  fmt::print("{}: loaded in {:.3f} s, {} tokens, {:.1f} MB/s\n", folder, loading, tokens,
             megabytes / seconds_since(loaded));
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    fmt::print(stderr, "usage: bench_tokenizers TEXT FOLDER...\n");
    return 2;
  }
  try {
    constexpr std::size_t kSize = 4 << 20;
    const std::string once = lora::read_file(words[1]);
    std::string text;
    while (!once.empty() && text.size() < kSize) text += once;
    for (int i = 2; i < count; ++i) measure(words[i], text);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_tokenizers: {}\n", error.what());
    return 1;
  }
  return 0;
}
