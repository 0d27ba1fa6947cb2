#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the tree: include order as DESIGN.md states it, file and line lengths, licence lines."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
design = (root / "DESIGN.md").read_text()
order_line = re.search(r"^`(base < .* < main)`$", design, re.M)
if not order_line:
    sys.exit("DESIGN.md: the line with the folder order is missing")
rank = {}
for level, group in enumerate(order_line.group(1).split(" < ")):
    for folder in group.split(", "):
        rank[folder] = level

problems = []
for path in sorted((root / "src").rglob("*")):
    if path.suffix not in (".h", ".cc"):
        continue
    place = path.relative_to(root)
    text = path.read_text()
    lines = text.splitlines()
    folder = place.parts[1] if len(place.parts) > 2 else "main"
    if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        problems.append(f"{place}: no licence line")
    if len(lines) > 400:
        problems.append(f"{place}: {len(lines)} lines, at most 400")
    for number, line in enumerate(lines, 1):
        if len(line) > 100:
            problems.append(f"{place}:{number}: {len(line)} columns, at most 100")
        include = re.match(r'#include "([a-z_]+)/', line)
        inner = re.match(r'#include "nn/(?!kernels/|frozen_weight\.h)', line)
        if inner and "src/nn/kernels/" in str(place) and not path.name.endswith("_test.cc"):
            problems.append(f"{place}:{number}: kernels include only kernels and frozen_weight.h of nn")
        if include and not path.name.endswith("_test.cc"):
            other = include.group(1)
            if other not in rank or folder not in rank:
                problems.append(f"{place}:{number}: folder {other} or {folder} is not in the order")
            elif other != folder and rank[other] >= rank[folder]:
                problems.append(f"{place}:{number}: {folder} may not include {other}")
print("\n".join(problems) or "the tree keeps its rules")
sys.exit(bool(problems))
