// SPDX-License-Identifier: Apache-2.0
#include "io/compressed.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"

namespace lora {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstandard(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class Compressed : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }
  Path write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(folder_);
    write_file_atomic(folder_ / name, content);
    return folder_ / name;
  }
  std::string error_of(const Path& file, std::uint64_t most = kMostUnpacked) const {
    try {
      read_unpacked(file, most);
    } catch (const Error& error) {
      return std::string(error.what()).substr(folder_.string().size() + 1);
    }
    return "no error";
  }
  Path folder_ = Path(testing::TempDir()) / ("compressed-" + std::to_string(::getpid()));
};

TEST_F(Compressed, UnpacksByTheEnding) {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += "line " + std::to_string(i) + "\n";
  EXPECT_EQ(read_unpacked(write("a.jsonl", text)), text);
  EXPECT_EQ(read_unpacked(write("a.jsonl.gz", gzip(text))), text);
  EXPECT_EQ(read_unpacked(write("A.JSONL.GZ", gzip(text) + gzip("more"))), text + "more");
  EXPECT_EQ(read_unpacked(write("a.jsonl.zst", zstandard(text))), text);
  EXPECT_EQ(read_unpacked(write("b.zst", zstandard(text) + zstandard("more"))), text + "more");
  EXPECT_EQ(read_unpacked(write("c.gz", gzip(""))), "");
  EXPECT_EQ(ending_inside("a/B.JSONL.gz"), ".jsonl");
  EXPECT_EQ(ending_inside("a.csv"), ".csv");
  EXPECT_EQ(ending_inside("a.tar.zst"), ".tar");
}

TEST_F(Compressed, WhatIsNotWholeIsNamed) {
  const std::string text(100000, 'x'), gz = gzip(text), zst = zstandard(text);
  const struct {
    const char* name;
    std::string content;
    const char* message;
  } cases[] = {
      {"a.gz", "", "a.gz: not a whole gzip file; make it anew from the original"},
      {"b.gz", "plain text", "b.gz: not a whole gzip file; make it anew from the original"},
      {"c.gz", gz.substr(0, gz.size() - 5),
       "c.gz: not a whole gzip file; make it anew from the original"},
      {"d.gz", gz + "tail", "d.gz: not a whole gzip file; make it anew from the original"},
      {"a.zst", "", "a.zst: not a whole Zstandard file; make it anew from the original"},
      {"b.zst", "plain text", "b.zst: not a whole Zstandard file; make it anew from the original"},
      {"c.zst", zst.substr(0, zst.size() - 5),
       "c.zst: not a whole Zstandard file; make it anew from the original"},
      {"d.zst", zst + "tail", "d.zst: not a whole Zstandard file; make it anew from the original"},
  };
  for (const auto& c : cases) EXPECT_EQ(error_of(write(c.name, c.content)), c.message);
  for (const char* name : {"e.gz", "e.zst"}) {
    const Path file = write(name, name[2] == 'g' ? gz : zst);
    EXPECT_EQ(error_of(file, 99999), std::string(name) +
                                         ": unpacks to more than 99999 bytes; unpack it and divide "
                                         "it into files");
    EXPECT_EQ(error_of(file, 100000), "no error");
  }
}

}  // namespace
}  // namespace lora
