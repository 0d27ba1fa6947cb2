#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the tree. Each is a function that yields what it finds wrong; DESIGN.md says which
folders there are, in which order, and which of them do without libtorch."""
import collections
import functools
import pathlib
import re
import sys

from cpp_source import sources

MAX_LINES, MAX_COLUMNS, MAX_FUNCTION = 400, 100, 60

# Functions of headers that only tests call, each with its reason.
FOR_TESTS = {
    "adapter_delta": "the dense product that golden tests compare",
    "hidden_states": "shows the layers of a model to the golden tests",
    "read_architecture": "sizes of the golden tests' checkpoints",
    "request_interrupt": "stands for a signal",
    "trained_text": "of fake_tokenizer.h, which is for tests",
    "write_safetensors": "writes files of any content without libtorch",
}
# The ground of the next commands, tested but not called yet; a row goes when its caller comes.
FOR_LATER = {
    "concatenate": "lora merge, blend",
    "diff_versions": "lora diff",
    "previous_version": "lora rollback",
}
LIBTORCH = re.compile(r"<(?:torch|ATen|c10)/")


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.sources = sources(self.root)
        self.design = (self.root / "DESIGN.md").read_text()

    @functools.cached_property
    def program(self):
        return [source for source in self.sources if not source.is_test]


def licence(tree):
    for source in tree.sources:
        if "SPDX-License-Identifier: Apache-2.0" not in "".join(source.lines[:1]):
            yield f"{source.place}: no licence line"


def lengths(tree):
    for source in tree.sources:
        if len(source.lines) > MAX_LINES:
            yield f"{source.place}: {len(source.lines)} lines, at most {MAX_LINES}"
        for number, line in enumerate(source.lines, 1):
            if len(line) > MAX_COLUMNS:
                yield f"{source.place}:{number}: {len(line)} columns, at most {MAX_COLUMNS}"


def function_lengths(tree):
    """Of the program: the tables of faults of a test are as long as there are faults."""
    for source in tree.program:
        for name, first, length in source.functions():
            if length > MAX_FUNCTION:
                yield f"{source.place}:{first}: {name} has {length} lines, at most {MAX_FUNCTION}"


def folder_order(tree):
    """The line `base < config, io < ...` of DESIGN.md: what stands left may not include right."""
    line = re.search(r"^`(base < .* < main)`$", tree.design, re.M)
    if not line:
        yield "DESIGN.md: the line with the folder order is missing"
        return
    rank = {folder: level for level, group in enumerate(line.group(1).split(" < "))
            for folder in group.split(", ")}
    for source in tree.program:
        folder = source.folder.split("/")[0]
        for number, target in source.includes():
            other = target.split("/")[0]
            if "/" not in target or target[0] == "<":
                continue
            if other not in rank or folder not in rank:
                yield f"{source.place}:{number}: folder {other} or {folder} is not in the order"
            elif other != folder and rank[other] >= rank[folder]:
                yield f"{source.place}:{number}: {folder} may not include {other}"


def floors(tree):
    """The line "Inside a folder: `io < io/adapters`, ..." of DESIGN.md."""
    line = re.search(r"^Inside a folder: (.*?)\.$", tree.design, re.M)
    pairs = re.findall(r"`([a-z_/]+) < ([a-z_/]+)`", line.group(1)) if line else []
    if not pairs:
        yield "DESIGN.md: the line with the order inside folders is missing"
    folders = {source.folder for source in tree.sources}
    for folder in sorted(folders):
        if "/" in folder and not any(folder in pair for pair in pairs):
            yield f"src/{folder}: is not in the order inside folders"
    for lower, upper in pairs:
        for missing in {lower, upper} - folders:
            yield f"DESIGN.md: `{lower} < {upper}`: there is no src/{missing}"
        for source in tree.program:
            for number, target in source.includes() if source.folder == lower else ():
                if str(pathlib.PurePosixPath(target).parent) == upper:
                    yield f"{source.place}:{number}: {lower} may not include {upper}"


def without_libtorch(tree):
    """Rows of DESIGN.md's table that say so ("No libtorch", or "with libtorch only" with names),
    and files whose head says "no libtorch here": they and what they include."""
    exempt = {}
    for folder, text in re.findall(r"^\| `src/([a-z]+)` \| (.*) \|$", tree.design, re.M):
        only = re.search(r"with libtorch only ([^(]*)", text)
        if "No libtorch" in text or only:
            names = re.findall(r"`([a-z_/]+)", only.group(1)) if only else []
            exempt[folder] = tuple(f"src/{folder}/{name}" for name in names)
    if not exempt:
        yield "DESIGN.md: no row of the table of folders says \"No libtorch\""
    by_name = {source.place.removeprefix("src/"): source for source in tree.sources}

    @functools.cache
    def way_to_libtorch(name):
        for _, target in by_name[name].includes():
            if LIBTORCH.match(target):
                return [name, target]
            if target in by_name and (way := way_to_libtorch(target)):
                return [name] + way
        return []

    for source in tree.sources:
        allowed = exempt.get(source.folder.split("/")[0])
        says_so = re.search(r"^//.*\b[Nn]o libtorch here", source.text, re.M)
        if (allowed is None or source.place.startswith(allowed or ("-",))) and not says_so:
            continue
        way = way_to_libtorch(source.place.removeprefix("src/"))
        if way:
            yield f"{source.place}: may not see libtorch (includes {' -> '.join(way[1:])})"


def dead_functions(tree):
    """Every function that a header declares is called by something that is not a test. Goes by
    names: a function that shares its name with one that is called passes."""
    declared = {}
    for source in tree.program:
        if source.place.endswith(".h"):
            for name in re.findall(r"(?<![\w.:>~])([a-z]\w*)\s*\(", source.code):
                declared.setdefault(name, source.place)
    uses = collections.Counter()
    for source in tree.program:
        # A line that begins with types and ends before "(" declares or defines.
        for line in source.code.splitlines():
            for found in re.finditer(r"\b[a-z]\w*", line):
                if found.group(0) in declared and not _is_declaration(source, line, found):
                    uses[found.group(0)] += 1
    for name in sorted(FOR_TESTS | FOR_LATER):
        if uses[name]:
            yield f"{name} has a caller; remove its row in check_tree.py"
    for name, place in sorted(declared.items(), key=lambda item: (item[1], item[0])):
        if not uses[name] and name not in FOR_TESTS and name not in FOR_LATER:
            yield f"{place}: {name} is called by tests at most; use it or remove it"


def _is_declaration(source, line, found):
    before, after = line[: found.start()], line[found.end():]
    if not re.match(r"\s*\(", after) or (before[:1].isspace() and source.place.endswith(".cc")):
        return False
    return bool(re.fullmatch(r"\s*(?!(?:return|else|throw|case|co_\w+)\b)"
                             r"(?:[\w:<>,&*\s\[\]]+[\s&*])?(?:\w+::)*", before))


RULES = (licence, lengths, function_lengths, folder_order, floors, without_libtorch, dead_functions)


def problems_of(root):
    tree = Tree(root)
    return [problem for rule in RULES for problem in rule(tree)]


if __name__ == "__main__":
    found = problems_of(sys.argv[1])
    print("\n".join(found) or "the tree keeps its rules")
    sys.exit(bool(found))
