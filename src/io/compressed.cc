// SPDX-License-Identifier: Apache-2.0
#include "io/compressed.h"

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <memory>
#include <span>

#include "base/error.h"
#include "base/table.h"

namespace lora {
namespace {

using Unpack = void (*)(const std::string& packed, const std::string& where, std::string& out,
                        std::uint64_t most);

constexpr std::size_t kPiece = std::size_t{1} << 16;

[[noreturn]] void fail_damaged(const std::string& where, const char* kind) {
  fail(where, ": not a whole ", kind, " file; make it anew from the original");
}

void append(std::string& out, const char* piece, std::size_t size, const std::string& where,
            std::uint64_t most) {
  if (out.size() + size > most) {
    fail(where, ": unpacks to more than ", most, " bytes; unpack it and divide it into files");
  }
  out.append(piece, size);
}

// Members follow each other without anything between them.
void unpack_gzip(const std::string& packed, const std::string& where, std::string& out,
                 std::uint64_t most) {
  z_stream stream{};
  constexpr int kGzipOnly = 15 + 16;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) fail(where, ": zlib cannot be started");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  std::array<char, kPiece> piece;
  std::size_t read = 0;
  int state = Z_STREAM_END;
  while (read < packed.size()) {
    if (state == Z_STREAM_END) inflateReset(&stream);
    // zlib counts in 32 bits and does not change its input.
    const std::size_t size = std::min<std::size_t>(packed.size() - read, std::size_t{1} << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + read));
    stream.avail_in = static_cast<uInt>(size);
    do {
      stream.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream.avail_out = kPiece;
      state = inflate(&stream, Z_NO_FLUSH);
      if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) {
        fail_damaged(where, "gzip");
      }
      append(out, piece.data(), kPiece - stream.avail_out, where, most);
    } while (state == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
    read += size - stream.avail_in;
  }
  if (state != Z_STREAM_END || packed.empty()) fail_damaged(where, "gzip");
}

void unpack_zstd(const std::string& packed, const std::string& where, std::string& out,
                 std::uint64_t most) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        ZSTD_freeDCtx);
  std::array<char, kPiece> piece;
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t left = 1;  // 0: a frame has ended
  bool more = true;
  while (more) {
    ZSTD_outBuffer to{piece.data(), piece.size(), 0};
    left = ZSTD_decompressStream(context.get(), &to, &in);
    if (ZSTD_isError(left) != 0) fail_damaged(where, "Zstandard");
    append(out, piece.data(), to.pos, where, most);
    more = in.pos < in.size || to.pos == to.size;
  }
  if (left != 0) fail_damaged(where, "Zstandard");
}

struct CompressionRow {
  const char* name;  // the file's ending
  Unpack unpack;
};
constexpr CompressionRow kCompressions[] = {{".gz", unpack_gzip}, {".zst", unpack_zstd}};

const CompressionRow* compression_of(const Path& file) {
  return find_row(std::span<const CompressionRow>(kCompressions),
                  lower_ascii(file.extension().string()));
}

}  // namespace

std::string ending_inside(const Path& file) {
  const Path inner = compression_of(file) != nullptr ? file.stem() : file;
  return lower_ascii(inner.extension().string());
}

std::string read_unpacked(const Path& file, std::uint64_t most) {
  std::string content = read_file(file);
  const CompressionRow* row = compression_of(file);
  if (row == nullptr) return content;
  std::string out;
  row->unpack(content, file.string(), out, most);
  return out;
}

}  // namespace lora
