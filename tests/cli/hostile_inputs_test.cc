// SPDX-License-Identifier: Apache-2.0
// Every file that the program reads, spoilt in every way of a list, at places that a fixed seed
// chooses. Whatever it makes of them, no signal ends it, it takes at most 20 processor seconds and
// 4 GiB, says what is wrong in one line, writes nothing to the terminal that acts there, leaves all
// files as they were, and does not take a changed version for a whole one.
// LORA_HOSTILE: how many, 60 where it is not set. Prints the counts.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <iostream>
#include <map>
#include <random>
#include <set>
#include <vips/vips8>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// A file that is spoilt, the folder that it lies in, and the command that reads it.
struct Target {
  std::string folder;  // of the workplace
  std::string file;
  Words command;
  std::set<int> changed = {};  // exit codes of a change that must be found
};

std::vector<Target> targets() {
  const auto checked = [](const std::string& more) {
    return Words{"train", "--config", "v1.yaml", "--check", "output_dir=output/none", more};
  };
  const auto prepared = [](const std::string& kind, const std::string& input) {
    return Words{"prepare", kind, "--input", input, "--output", "prepared"};
  };
  std::vector<Target> all = {
      {"configuration", "c.yaml", {"train", "--config", "configuration/c.yaml", "--check"}},
      {"data", "new.jsonl", checked("train_data_dir=data/new.jsonl")},
      {"data", "new.jsonl", prepared("text", "data")},
      {"table", "new.csv", prepared("text", "table")},
      {"array", "new.json", prepared("text", "array")},
      {"prompts", "p.txt", {"generate", "--version", "v1", "--prompts", "prompts/p.txt",
                            "--max-tokens", "1"}},
      {"adapter", "adapter_model.safetensors", {"inspect", "adapter/adapter_model.safetensors"}},
      {"output/v1", "version.json", {"show", "v1"}},
      {"output/v1", "version.json", {"log"}}};
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json",
                           "tokenizer_config.json"}) {
    all.push_back({"base", file, checked("base_model=base")});
  }
  for (const char* file : {"adapter_model.safetensors", "adapter_config.json"}) {
    all.push_back({"adapter", file, {"import", "adapter", "--output", "imports/a"}});
  }
  for (const char* file : {"version.json", "pytorch_lora_weights.safetensors",
                           "adapter_config.json", "config.resolved.yaml"}) {
    all.push_back({"output/v1", file, {"verify", "v1"}, {3}});
  }
  all.push_back({"output/v1", "pytorch_lora_weights.safetensors",
                 checked("init_lora_weights=v1"), {2, 3}});
  for (const char* file : {"a.png", "b.jpg", "c.webp", "d.tiff", "e.gif", "f.bmp", "metadata.csv",
                           "metadata.jsonl", "a.json", "b.txt"}) {
    all.push_back({"pictures", file, prepared("images", "pictures")});
  }
  return all;
}

using Random = std::mt19937;

std::size_t below(Random& random, std::size_t count) { return count == 0 ? 0 : random() % count; }

// The value at a random colon of JSON or YAML is replaced.
std::string with_value(std::string text, Random& random, const std::string& value) {
  std::vector<std::size_t> colons;
  for (std::size_t i = 0; i < text.size() && i < 65536; ++i) {
    if (text[i] == ':') colons.push_back(i);
  }
  if (colons.empty()) return value + text;
  const std::size_t at = colons[below(random, colons.size())] + 1;
  const std::size_t end = std::min(text.find_first_of(",}\n", at), text.size());
  return text.replace(at, end - at, " " + value);
}

struct Mutation {
  std::string name;
  std::function<std::string(std::string, Random&)> of;
};

const std::vector<Mutation>& mutations() {
  static const std::vector<Mutation> all = {
      {"empty", [](const std::string&, Random&) { return std::string(); }},
      {"cut", [](const std::string& s, Random& r) { return s.substr(0, below(r, s.size())); }},
      {"last byte cut", [](std::string s, Random&) { s.pop_back(); return s; }},
      {"a bit flipped",
       [](std::string s, Random& r) { s[below(r, s.size())] ^= 1 << below(r, 8); return s; }},
      {"a bit of the first 64 bytes flipped",
       [](std::string s, Random& r) {
         s[below(r, std::min<std::size_t>(64, s.size()))] ^= 1 << below(r, 8);
         return s;
       }},
      {"bytes overwritten",
       [](std::string s, Random& r) {
         for (std::size_t i = below(r, s.size()), n = 0; i < s.size() && n < 16; ++i, ++n) {
           s[i] = static_cast<char>(r());
         }
         return s;
       }},
      {"a part twice",
       [](std::string s, Random& r) {
         const std::size_t at = below(r, s.size());
         return s.insert(at, s.substr(at, 1000));
       }},
      {"zeros to the end",
       [](std::string s, Random& r) {
         const std::size_t at = below(r, s.size());
         return s.substr(0, at) + std::string(s.size() - at, '\0');
       }},
      {"a zero byte", [](std::string s, Random& r) { return s.insert(below(r, s.size()), 1, '\0'); }},
      {"not UTF-8", [](std::string s, Random& r) { return s.insert(below(r, s.size()), "\xff\xc3"); }},
      {"UTF-16", [](const std::string& s, Random&) { return "\xff\xfe" + s; }},
      {"controls", [](std::string s, Random& r) {
         return s.insert(below(r, s.size()), "\x1b]0;x\x07\x7f\xc2\x9b");
       }},
      {"a long line",
       [](std::string s, Random& r) { return s.insert(below(r, s.size()), 1 << 20, 'A'); }},
      {"nesting", [](const std::string& s, Random& r) {
         return with_value(s, r, std::string(100000, '['));
       }},
      {"NaN", [](const std::string& s, Random& r) { return with_value(s, r, "NaN"); }},
      {"huge", [](const std::string& s, Random& r) { return with_value(s, r, "1e999"); }},
      {"beyond 64 bits",
       [](const std::string& s, Random& r) { return with_value(s, r, "99999999999999999999"); }},
      {"large", [](const std::string& s, Random& r) { return with_value(s, r, "2147483647"); }},
      {"negative", [](const std::string& s, Random& r) { return with_value(s, r, "-1"); }},
      {"null", [](const std::string& s, Random& r) { return with_value(s, r, "null"); }},
      {"an object", [](const std::string& s, Random& r) { return with_value(s, r, "{}"); }},
      {"a text", [](const std::string& s, Random& r) { return with_value(s, r, "\"\\u0000\""); }}};
  return all;
}

// What stands where a file should, instead of bytes.
struct Oddity {
  std::string name;
  std::function<void(const Path&)> make;
};

const std::vector<Oddity>& oddities() {
  static const std::vector<Oddity> all = {
      {"a folder", [](const Path& path) { fs::create_directory(path); }},
      {"a pipe", [](const Path& path) { mkfifo(path.c_str(), 0600); }},
      {"a link to itself", [](const Path& path) { fs::create_symlink(path.filename(), path); }},
      {"a link to nothing", [](const Path& path) { fs::create_symlink("none", path); }},
      {"endless zeros", [](const Path& path) { fs::create_symlink("/dev/zero", path); }},
      {"the null device", [](const Path& path) { fs::create_symlink("/dev/null", path); }},
      {"zeros for 3 GiB", [](const Path& path) {
         std::ofstream(path).flush();
         fs::resize_file(path, 3ULL << 30);
       }}};
  return all;
}

void write_pictures(const Path& folder) {
  if (VIPS_INIT("") != 0) fail("libvips does not start");
  fs::create_directory(folder);
  const auto picture = vips::VImage::new_from_file(
      (std::string(LORA_SOURCE_DIR) + "/tests/fixtures/blip/image_0.png").c_str());
  for (const char* name : {"a.png", "b.jpg", "c.webp", "d.tiff", "e.gif"}) {
    picture.write_to_file((folder / name).c_str());
  }
  // 2 x 1 pixels of 24 bits, the row filled up to 8 bytes.
  const std::string bmp("BM\x3e\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x18\0"
                        "\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0abcdef\0\0", 62);
  write_file_atomic(folder / "f.bmp", bmp);
}

// Everything that a target names, whole.
class LongHostileInputs : public testing::Test {
 protected:
  LongHostileInputs() {
    if (place_.train("v1.yaml", {"max_steps=1"}).code != 0) fail("lora train");
    fs::create_directories(place_ / "base");
    for (const auto& entry : fs::directory_iterator(place_.base())) {
      fs::copy(entry.path(), place_ / "base" / entry.path().filename());
    }
    write("configuration/c.yaml", place_.read("v1.yaml"));
    write("data/new.jsonl", place_.read("new.jsonl"));
    write("table/new.csv", "instruction,input,output\ntwo?,,2\n\"a, b\",c,\"d\ne\"\n");
    write("array/new.json", R"([{"instruction": "two?", "output": "2"}, {"messages": [{"role":)"
                            R"( "user", "content": "a"}, {"role": "assistant", "content": "b"}]}])");
    write("prompts/p.txt", "a lamp\nof brass\n");
    for (const char* file : {"adapter_model.safetensors", "adapter_config.json"}) {
      write(join("adapter/", file), place_.read(join("output/v1/", file)));
    }
    write_pictures(place_ / "pictures");
    write("pictures/metadata.csv", "file_name,text\nc.webp,\"a, b\"\nd.tiff,c\n");
    write("pictures/metadata.jsonl", "{\"file_name\": \"e.gif\", \"text\": \"d\"}\n");
    write("pictures/a.json", R"({"caption": "e", "tags": ["f"]})");
    write("pictures/b.txt", "a cat\n");
  }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((place_ / name).parent_path());
    place_.write(name, text);
  }

  // `lora` with 20 processor seconds; beyond them a signal ends it.
  Ran limited(const Words& command) const {
    Words words = {"/bin/sh", "-c", "ulimit -t 20; exec \"$@\"", "sh", LORA_BINARY};
    words.insert(words.end(), command.begin(), command.end());
    return Program(words, place_ / "").wait();
  }

  // Relative names of all files with their sizes and times of writing, but what commands make.
  std::string files() const {
    std::string all;
    for (const auto& entry : fs::recursive_directory_iterator(place_ / "")) {
      const std::string name = entry.path().lexically_relative(place_ / "").string();
      if (!fs::is_regular_file(entry.symlink_status()) || name.rfind("prepared", 0) == 0 ||
          name.rfind("imports", 0) == 0 || name.find(".versions") != std::string::npos) {
        continue;
      }
      all += join(name, " ", entry.file_size(), " ",
                  entry.last_write_time().time_since_epoch().count(), "\n");
    }
    return all;
  }

  void expect_harmless(const Target& target, bool changed) {
    const std::string before = files();
    const Ran ran = limited(target.command);
    EXPECT_THAT(ran.code, testing::AnyOf(0, 1, 2, 3)) << ran.err;
    EXPECT_TRUE(ran.code == 0 || !(ran.err + ran.out).empty());
    EXPECT_TRUE(!changed || target.changed.empty() || target.changed.contains(ran.code))
        << ran.code << ran.out << ran.err;
    EXPECT_LT(ran.peak_mib, 4096U);
    for (const char c : ran.out + ran.err) {
      const auto byte = static_cast<unsigned char>(c);
      ASSERT_TRUE((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t') << int{byte};
    }
    EXPECT_EQ(files(), before);
    EXPECT_EQ(ran.err.find("terminate called"), std::string::npos) << ran.err;
    ++codes_[ran.code];
    for (const char* made : {"prepared", "imports"}) fs::remove_all(place_ / made);
  }

  // `spoil` writes what stands in place of the target's file.
  void with_spoilt(const Target& target, const std::string& what,
                   const std::function<bool(const Path&, const std::string&)>& spoil) {
    const Path path = place_ / target.folder / target.file;
    SCOPED_TRACE(join(path.string(), ": ", what));
    const std::string whole = read_file(path);
    const auto mode = fs::status(path).permissions();
    fs::remove(path);
    const bool changed = spoil(path, whole);
    expect_harmless(target, changed);
    fs::remove_all(path);
    write_file_atomic(path, whole);
    fs::permissions(path, mode);
  }

  Workplace place_;
  std::map<int, int> codes_;
};

TEST_F(LongHostileInputs, EveryFileSpoiltInEveryWay) {
  const char* text = std::getenv("LORA_HOSTILE");
  const std::size_t wanted = text == nullptr ? 60 : std::stoul(text);
  const std::vector<Target> all = targets();
  const std::size_t ways = mutations().size() + oddities().size();
  ASSERT_GT(wanted, 0U);
  Random random(1);
  for (std::size_t i = 0; i < wanted; ++i) {
    // Steps that share no divisor with the counts: few inputs already take each of both.
    const Target& target = all[i % all.size()];
    const std::size_t way = (i * 7 + i / all.size()) % ways;
    if (way < mutations().size()) {
      const Mutation& mutation = mutations()[way];
      with_spoilt(target, mutation.name, [&](const Path& path, const std::string& whole) {
        const std::string spoilt = mutation.of(whole, random);
        write_file_atomic(path, spoilt);
        return spoilt != whole;
      });
    } else {
      const Oddity& oddity = oddities()[way - mutations().size()];
      with_spoilt(target, oddity.name, [&](const Path& path, const std::string&) {
        oddity.make(path);
        return true;
      });
    }
    if (HasFatalFailure()) return;
  }
  std::cout << "hostile inputs: " << wanted << ", exit codes";
  for (const auto& [code, count] : codes_) std::cout << " " << code << ": " << count << ";";
  std::cout << " no signal, nothing changed\n";
}

}  // namespace
}  // namespace lora::test
