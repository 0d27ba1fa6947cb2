// SPDX-License-Identifier: Apache-2.0
// The built-in prompt formats, and their markers.
#include <array>

#include "data/prompt_template.h"

namespace lora {
namespace {

constexpr const char* kLlama2 = R"({% set system = '' %}{% set turns = messages %}
{% if messages[0]['role'] == 'system' %}
{% set system = '<<SYS>>\n' + messages[0]['content'].strip() + '\n<</SYS>>\n\n' %}
{% set turns = messages[1:] %}
{% endif %}
{%- for m in turns %}
{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('roles must alternate: user, assistant, user, ...') }}
{%- endif %}
{%- if m['role'] == 'user' %}
{{- bos_token + '[INST] ' + (system if loop.first else '') + m['content'].strip() + ' [/INST]' }}
{%- else %}
{{- ' ' + m['content'].strip() + ' ' + eos_token }}
{%- endif %}
{%- endfor %})";

constexpr const char* kLlama3 = R"({{- bos_token }}
{%- for m in messages %}
{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim }}
{{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %})";

constexpr const char* kChatml = R"({%- for m in messages %}
{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %})";

constexpr const char* kMistral = R"({%- set system = '' %}{% set turns = messages %}
{%- if messages[0]['role'] == 'system' %}
{%- set system = messages[0]['content'] + '\n\n' %}{% set turns = messages[1:] %}
{%- endif %}
{{- bos_token }}
{%- for m in turns %}
{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('roles must alternate: user, assistant, user, ...') }}
{%- endif %}
{%- if m['role'] == 'user' %}
{{- '[INST] ' + (system if loop.first else '') + m['content'] + '[/INST]' }}
{%- else %}
{{- ' ' + m['content'] | trim + eos_token }}
{%- endif %}
{%- endfor %})";

constexpr const char* kGemma = R"({{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{%- for m in messages %}
{{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}
{{- m['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{% endif %})";

constexpr const char* kZephyr = R"({%- for m in messages %}
{{- '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{% endif %})";

constexpr const char* kVicuna = R"({{- bos_token }}
{%- for m in messages %}
{%- if m['role'] == 'system' %}{{- m['content'] | trim + '\n\n' }}
{%- elif m['role'] == 'assistant' %}{{- 'ASSISTANT: ' + m['content'] | trim + eos_token + '\n' }}
{%- else %}{{- 'USER: ' + m['content'] | trim + '\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'ASSISTANT:' }}{% endif %})";

constexpr const char* kAlpaca = R"({{- bos_token }}
{%- if messages[0]['role'] != 'system' %}
{{- 'Below is an instruction that describes a task. ' }}
{{- 'Write a response that appropriately completes the request.\n\n' }}
{%- endif %}
{%- for m in messages %}
{%- if m['role'] == 'system' %}{{- m['content'] | trim + '\n\n' }}
{%- elif m['role'] == 'assistant' %}
{{- '### Response:\n' + m['content'] | trim + eos_token }}
{%- if not loop.last %}{{- '\n\n' }}{% endif %}
{%- else %}{{- '### Instruction:\n' + m['content'] | trim + '\n\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '### Response:\n' }}{% endif %})";

constexpr const char* kPlain = R"({{- bos_token }}
{%- for m in messages %}
{{- m['content'] }}
{%- if m['role'] == 'assistant' %}{{- eos_token }}
{%- elif m['content'] and not m['content'].endswith(['\n', ' ']) %}{{- '\n' }}
{%- endif %}
{%- endfor %})";

constexpr TemplateRow kTemplates[] = {
    {"llama2", "[INST] <<SYS>> of Llama 2", kLlama2},
    {"llama3", "<|start_header_id|> of Llama 3", kLlama3},
    {"chatml", "<|im_start|> of Qwen, Yi and others", kChatml},
    {"mistral", "[INST] of Mistral; the system text stands in the first turn", kMistral},
    {"gemma", "<start_of_turn> of Gemma; no system role", kGemma},
    {"zephyr", "<|user|>, <|assistant|>", kZephyr},
    {"vicuna", "USER: and ASSISTANT:", kVicuna},
    {"alpaca", "### Instruction: and ### Response:", kAlpaca},
    {"plain", "the texts as they are, a line end behind a prompt that has none", kPlain},
};

struct MarkerRow {
  const char* name;
  std::array<const char*, 3> marks;  // any of them
};
constexpr MarkerRow kMarkers[] = {
    {"[INST]", {"[INST]", "[/INST]", nullptr}},
    {"<<SYS>>", {"<<SYS>>", nullptr, nullptr}},
    {"<|im_start|>", {"<|im_start|>", "<|im_end|>", nullptr}},
    {"<|start_header_id|>", {"<|start_header_id|>", "<|eot_id|>", nullptr}},
    {"<start_of_turn>", {"<start_of_turn>", "<end_of_turn>", nullptr}},
    {"<|user|>", {"<|user|>", "<|assistant|>", nullptr}},
    {"### Instruction", {"### Instruction", "### Response", nullptr}},
    {"Human:/Assistant:", {"Human: ", "USER: ", "Assistant: "}},
};

}  // namespace

std::span<const TemplateRow> prompt_templates() { return kTemplates; }

std::vector<std::string> find_markers(std::string_view text) {
  std::vector<std::string> found;
  for (const MarkerRow& row : kMarkers) {
    for (const char* mark : row.marks) {
      if (mark == nullptr || text.find(mark) == std::string_view::npos) continue;
      found.emplace_back(row.name);
      break;
    }
  }
  return found;
}

}  // namespace lora
