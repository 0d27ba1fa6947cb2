# SPDX-License-Identifier: Apache-2.0
"""C++ files as the rules see them: code without comments and texts, includes, functions."""
import bisect
import pathlib
import re

_NOT_CODE = re.compile(r'R"([^\s()\\]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/'
                       r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'", re.S)
_LABELS = re.compile(r"\s*(?:(?:public|private|protected)\s*:\s*)*")
_INITIALISERS = re.compile(r"\)\s*(?:noexcept\s*)?:\s")
_NOT_FUNCTION = re.compile(r"\b(?:namespace|class|struct|enum|union|extern|if|for|while|switch|do"
                           r"|catch|else|try|return)\b")


def _blank(match):
    text = match.group(0)
    keep = '""' if text[0] in '"R' else "''" if text[0] == "'" else ""
    return keep + "\n" * text.count("\n")


class Source:
    """One file: place (relative path), lines, code (the same lines without comments and texts)."""

    def __init__(self, root, path):
        self.place = path.relative_to(root).as_posix()
        self.text = path.read_text()
        self.lines = self.text.splitlines()
        self.code = _NOT_CODE.sub(_blank, self.text)
        self.is_test = path.name.endswith(("_test.cc", "_fixture.h")) or not self.place.startswith("src/")

    @property
    def without_comments(self):
        return _NOT_CODE.sub(lambda found: "" if found.group(0)[0] == "/" else found.group(0),
                             self.text)

    @property
    def folder(self):
        """The folder below src, "main" for the files of src itself: io/adapters."""
        parts = self.place.split("/")[1:-1]
        return "/".join(parts) or "main"

    def includes(self):
        """(line number, "io/tensors.h" or "<ATen/ATen.h>"), in order."""
        for number, line in enumerate(self.lines, 1):
            found = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', line)
            if found:
                yield number, found.group(1) or found.group(2)

    def functions(self):
        """(name, first line, lines) of every function body, signature included."""
        # Directives would disturb what stands before a brace.
        code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                      lambda match: "\n" * match.group(0).count("\n"), self.code, flags=re.M)
        starts = [0] + [found.end() for found in re.finditer("\n", code)]
        depth_of_function, depth, open_at = None, 0, None
        statement = 0  # where the statement begins that a brace may belong to
        parentheses = 0
        for found in re.finditer(r"[(){};]", code):
            at, mark = found.start(), found.group(0)
            if mark in "()":
                parentheses += 1 if mark == "(" else -1
                continue
            if mark == "{":
                head = code[statement:at]
                if depth_of_function is None and parentheses == 0 and _is_function(head):
                    depth_of_function = depth
                    open_at = (_name(head), statement + _LABELS.match(head).end())
                depth += 1
            elif mark == "}":
                depth -= 1
                if depth == depth_of_function:
                    name, begin = open_at
                    first = bisect.bisect_right(starts, begin)
                    yield name, first, bisect.bisect_right(starts, at) - first + 1
                    depth_of_function = None
                    statement = at + 1
                    continue
            if parentheses == 0 and depth_of_function is None:
                # The braces of a member initialiser, x_{1}, belong to the head of a constructor.
                if mark == ";" or not _INITIALISERS.search(code[statement:at]):
                    statement = at + 1


def _is_function(head):
    head = re.sub(r"\boperator\s*(?:\(\)|[^\s\w(]+)", "operator_", head)
    head = head[_LABELS.match(head).end():]
    if "(" not in head or _NOT_FUNCTION.search(head.split("(")[0]):
        return False
    if _INITIALISERS.search(head):  # a brace after a name is a member's, else the body's
        return bool(re.search(r"[)}]\s*$", head))
    return "=" not in re.sub(r"\([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*\)", "", head)


def _name(head):
    head = _INITIALISERS.split(head)[0] + ")" if _INITIALISERS.search(head) else head
    head = re.sub(r"\boperator\s*(\(\)|[^\s\w(]+)", r"operator\1 ", head)
    found = re.search(r"([\w:~]+(?:[^\s\w(]+)?)\s*\(", head)
    return found.group(1) if found else "?"


def sources(root, folder="src"):
    """Every .h and .cc below the folder, in the order of their paths."""
    root = pathlib.Path(root)
    paths = (path for path in (root / folder).rglob("*") if path.suffix in (".h", ".cc"))
    return [Source(root, path) for path in sorted(paths)]
