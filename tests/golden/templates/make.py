#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes expected.json: what TRL and Jinja 3.1 make of the conversations with real chat templates.

make.py TEMPLATES_FOLDER TRL_DATA_UTILS_PY

The division into prompt and completion is that of TRL's own apply_chat_template, taken from its
file and run; the rendering is that of transformers where it is installed, else Jinja itself in the
environment that transformers sets up. Only numbers and hashes are written."""
import ast
import copy
import hashlib
import itertools
import json
import pathlib
import re
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

HERE = pathlib.Path(__file__).parent
BLANKS = " \n\t\r"
# The tokenizer of the test (src/tokenizers/fake_tokenizer.h): these, and every other byte.
SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>",
           "<|assistant|>"]
FIRST_BYTE, EOS = 8, 2
# What a template wants besides, as chat_template_kwargs of the record.
VARIABLES = {"fireworks-ai-llama-3-firefunction-v2.jinja":
             {"functions": "[]", "datetime": "31 Jan 2026"}}


class Refused(Exception):
    """By the template itself, or as its calls are not written: the program must refuse too."""


def environment():
    def raise_exception(message):
        raise Refused(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: {"%d %b %Y": "31 Jan 2026"}[form]
    return env


class Processing:
    """The part of a tokenizer that TRL's function uses."""

    def __init__(self, source, variables):
        self.variables = variables
        try:
            from transformers.utils.chat_template_utils import _compile_jinja_template
            self.template = _compile_jinja_template(source)
            self.template.environment.globals |= {
                name: environment().globals[name] for name in ("raise_exception", "strftime_now")}
        except ImportError:
            self.template = environment().from_string(source)
        # Templates of the kind "tool_use" go through the tools without asking for them.
        self.no_tools = None
        self.no_tools = None if renders(self, [{"role": "user", "content": "x"}], "") else []

    def apply_chat_template(self, messages, tools=None, tokenize=False, add_generation_prompt=False,
                            continue_final_message=False, **more):
        assert not tokenize and not continue_final_message
        return self.template.render(
            messages=messages, tools=tools or self.no_tools, documents=None, bos_token="<s>", eos_token="</s>",
            pad_token="<pad>", add_generation_prompt=add_generation_prompt, **(self.variables | more))


def function_of_trl(path):
    tree = ast.parse(pathlib.Path(path).read_text())
    found = [node for node in tree.body
             if isinstance(node, ast.FunctionDef) and node.name == "apply_chat_template"]
    found[0].args = ast.parse(
        "def f(example, processing_class, tools=None, **template_kwargs): pass").body[0].args
    found[0].returns = None
    space = {"takewhile": itertools.takewhile}
    exec(compile(ast.Module(found, []), path, "exec"), space)
    return space["apply_chat_template"]


def ids_of(text):
    marks = "|".join(re.escape(mark) for mark in SPECIAL)
    ids = []
    for part in re.split(f"({marks})", text):
        if part in SPECIAL:
            ids.append(SPECIAL.index(part))
        else:
            ids += [FIRST_BYTE + byte for byte in part.encode()]
    while ids[:2] == [1, 1]:
        ids.pop(0)
    return ids


def digest(data):
    return hashlib.sha256(data.encode() if isinstance(data, str) else
                          " ".join(map(str, data)).encode()).hexdigest()


def renders(processing, messages, part):
    try:
        return part in processing.apply_chat_template(messages, add_generation_prompt=True)
    except Exception:
        return False


def takes_object(processing):
    """Whether the arguments of a call are an object, as TRL's supports_tool_calling finds out."""
    def call(arguments, content):
        function = {"name": "zyxprobe", "arguments": arguments}
        return [{"role": "user", "content": "x"},
                {"role": "assistant", "content": content,
                 "tool_calls": [{"id": "callprobe", "type": "function", "function": function}]}]
    if any(renders(processing, call({"a": "b"}, c), "zyxprobe") for c in ("", None)):
        return True
    return not any(renders(processing, call('{"a": "b"}', c), "zyxprobe") for c in ("", None))


def adapted(messages, processing):
    """What the program settles before it renders: a system message that the template refuses goes
    in front of the first question; arguments of calls take the form that the template takes."""
    messages = copy.deepcopy(messages)
    probe = [{"role": "system", "content": "Zyx probe"}, {"role": "user", "content": "x"}]
    if messages[0]["role"] == "system" and not renders(processing, probe, "Zyx probe"):
        messages[1]["content"] = messages[0]["content"] + "\n" + messages[1]["content"]
        messages = messages[1:]
    if not takes_object(processing):
        for message in messages:
            for call in message.get("tool_calls", []):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"],
                                                           ensure_ascii=False)
    return messages


def squeeze(text):
    return "".join(c for c in text if c not in BLANKS)


def holds(text, part):
    part = part.strip(BLANKS)
    return part in text or json.dumps(part, ensure_ascii=False)[1:-1] in text or (
        squeeze(part) in squeeze(text))


def missing(messages, tools, text, answers):
    """Whether something of the conversation is not written; raises where that is all of an
    answer."""
    lost = False
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and index not in answers:
            continue
        content = message.get("content") or ""
        for call in message.get("tool_calls", []):
            if call["function"]["name"] in text:
                continue
            if not content.strip(BLANKS):
                raise Refused("the calls of an answer are not written")
            lost = True
        thought = message.get("reasoning_content", "")
        lost = lost or not holds(text, thought) or not holds(text, content)
    return lost or not all(holds(text, tool["function"]["name"]) for tool in tools or [])


def end_but_for_blanks(text, part):
    """The end of `part` in `text` where they are alike but for white space, else None."""
    pattern = r"[ \n\t\r]*".join(re.escape(c) for c in squeeze(part))
    found = re.match(r"[ \n\t\r]*" + pattern, text)
    if not found:
        return None
    end = found.end()
    for blank in part[len(part.rstrip(BLANKS)):]:
        if not text.startswith(blank, end):
            break
        end += 1
    return end


def begin_of(split, text, opened, before):
    """TRL's division; where it lies in front of the opening of the answer, since the template
    writes other white space there when the turn is finished, behind the opening."""
    if text.startswith(opened):
        return len(split["prompt"])
    apart = end_but_for_blanks(text, opened)
    if apart is not None:
        return apart
    if not text.startswith(before.rstrip(BLANKS)):
        raise Refused("the answer does not follow its prompt")
    begin = len(split["prompt"])  # not inside a marker ("<think>" against "<tool>"): one token
    return begin - 1 if text[:begin].endswith("<") else begin


def sample(text, parts):
    """`parts`: (begin, end, closes) of the answers; closes: the end token is added."""
    closes = bool(parts) and parts[-1][2]
    if closes:
        text = text.rstrip(BLANKS)
    ids = ids_of(text) + [EOS] * closes
    trained = "".join(text[begin:end] for begin, end, _ in parts) + "</s>" * closes
    return {"tokens": len(ids), "ids_sha256": digest(ids), "trained_bytes": len(trained.encode()),
            "trained_sha256": digest(trained)}


def expected(trl, processing, conversation):
    messages = adapted(conversation["messages"], processing)
    tools = conversation.get("tools")
    whole = processing.apply_chat_template(messages, tools=tools)
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    parts, texts = [], []
    for index in answers:
        split = trl({"prompt": messages[:index], "completion": [messages[index]]}, processing,
                    tools)
        text = split["prompt"] + split["completion"]
        opened, before = (processing.apply_chat_template(
            messages[:index], tools=tools, add_generation_prompt=opens) for opens in (True, False))
        begin, end = begin_of(split, text, opened, before), len(text.rstrip(BLANKS))
        content = (messages[index].get("content") or "").strip(BLANKS)
        closes = bool(content) and text[begin:end].endswith(content)
        parts.append((begin, end, closes))
        texts.append(text)
    together = all(whole.startswith(text.rstrip(BLANKS)) for text in texts)
    out = {"text_sha256": digest(whole), "text_bytes": len(whole.encode())}
    if together:
        middle = [(b, e, c and e == len(whole.rstrip(BLANKS))) for b, e, c in parts]
        out["whole"] = not missing(messages, tools, whole, answers)
        out["samples"] = [sample(whole, middle)]
    else:
        out["whole"] = not any([missing(messages[:i + 1], tools, text, [i])
                                for i, text in zip(answers, texts)])
        out["samples"] = [sample(text, [part]) for text, part in zip(texts, parts)]
    return out


def main(templates, trl_file):
    trl = function_of_trl(trl_file)
    conversations = json.loads((HERE / "conversations.json").read_text())
    cases = []
    for path in sorted(pathlib.Path(templates).glob("*.jinja")):
        variables = VARIABLES.get(path.name, {})
        processing = Processing(path.read_text(), variables)
        for conversation in conversations:
            case = {"template": path.name, "conversation": conversation["name"]}
            if variables:
                case["variables"] = variables
            try:
                case |= expected(trl, processing, conversation)
            except Exception as error:  # "python": only Python cannot render it
                case["refused"] = "template" if isinstance(error, Refused) else "python"
                print(path.name, conversation["name"], type(error).__name__, error, sep="\t",
                      file=sys.stderr)
            cases.append(case)
    text = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "expected.json").write_text("[\n" + text + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
