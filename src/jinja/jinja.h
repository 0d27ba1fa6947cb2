// SPDX-License-Identifier: Apache-2.0
// Jinja as chat templates use it. Meaning as of Jinja 3.1 with the settings and additions of
// transformers: trim_blocks, lstrip_blocks, loop controls, raise_exception, strftime_now, tojson
// without HTML escapes, {% generation %} blocks. Not there: template inheritance and includes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "jinja/value.h"

namespace lora::jinja {

// A template called raise_exception(): it does not accept this conversation.
class Refusal : public Error {
 public:
  Refusal(const std::string& text, std::string reason)
      : Error(text, Exit::usage), reason_(std::move(reason)) {}
  // The text that the template gave.
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

// A template that passes a limit of budget.h: another conversation will hardly do better.
class Excess : public Error {
 public:
  explicit Excess(const std::string& text) : Error(text, Exit::usage) {}
};

// Bytes [begin, end) of the rendered text.
struct Span {
  std::size_t begin = 0, end = 0;
};

struct Rendering {
  std::string text;
  std::vector<Span> generated;  // what {% generation %} blocks wrote
};

struct Block;

class Template {
 public:
  // `name` stands in the messages. Throws Error "template 'NAME', line N: ...".
  Template(std::string_view source, std::string name);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `variables` is a mapping. Throws Refusal, Excess, or Error with name and line.
  Rendering render(const Value& variables) const;
  const std::string& name() const { return name_; }
  const std::string& source() const { return source_; }
  bool has_generation_blocks() const { return has_generation_blocks_; }

 private:
  std::string name_, source_;
  bool has_generation_blocks_ = false;
  std::shared_ptr<const Block> root_;
};

}  // namespace lora::jinja
