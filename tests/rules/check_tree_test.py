#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every rule of check_tree.py finds its fault in a small tree, says so, and finds nothing else."""
import pathlib
import sys
import tempfile
import unittest

import check_tree
from cpp_source import Source

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"
DESIGN = """# Design
`base < io < nn < main`
Inside a folder: `io < io/adapters`, `nn/kernels < nn`.
| `src/base` | errors. No libtorch |
| `src/io` | files; with libtorch only `tensors.*` and `adapters/` (PEFT) |
| `src/nn` | layers |
"""
GOOD = {
    "DESIGN.md": DESIGN,
    "src/base/text.h": LICENCE + "int trim(int x);\n",
    "src/base/text.cc": LICENCE + '#include "base/text.h"\nint trim(int x) {\n  return x;\n}\n',
    "src/io/csv.h": LICENCE + '#include "base/text.h"\n',
    "src/io/tensors.h": LICENCE + "#include <ATen/ATen.h>\n",
    "src/io/adapters/peft.h": LICENCE + '#include "io/tensors.h"\n#include "io/csv.h"\n',
    "src/nn/kernels/rows.h": LICENCE + "#include <ATen/ATen.h>\n",
    "src/nn/layer.h": LICENCE + '#include "io/adapters/peft.h"\n#include "nn/kernels/rows.h"\n',
    "src/main.cc": LICENCE + '#include "nn/layer.h"\nint main() { return trim(0); }\n',
}

FAULTS = [
    ("no_licence", {"src/base/a.h": "// Text.\n"}, ["src/base/a.h: no licence line"]),
    ("empty_file", {"src/base/a.h": ""}, ["src/base/a.h: no licence line"]),
    ("long_file", {"src/base/a.h": LICENCE + "\n" * 400},
     ["src/base/a.h: 401 lines, at most 400"]),
    ("wide_line", {"src/base/a.h": LICENCE + "// " + "x" * 98 + "\n"},
     ["src/base/a.h:2: 101 columns, at most 100"]),
    ("long_function",
     {"src/base/a.cc": LICENCE + "static int f(\n    int x) {\n" + "  ++x;\n" * 58 + "}\n"},
     ["src/base/a.cc:2: f has 61 lines, at most 60"]),
    ("long_method_of_a_class",
     {"src/base/a.cc": LICENCE + "namespace lora {\nclass A {\n public:\n  A(int x) : x_{x} {\n"
      + "    if (x) { ++x; }\n" * 59 + "  }\n  int x_;\n};\n}\n"},
     ["src/base/a.cc:5: A has 61 lines, at most 60"]),
    ("upper_folder", {"src/base/a.h": LICENCE + '#include "io/csv.h"\n'},
     ["src/base/a.h:2: base may not include io"]),
    ("unknown_folder", {"src/misc/a.h": LICENCE + '#include "base/text.h"\n'},
     ["src/misc/a.h:2: folder base or misc is not in the order"]),
    ("no_order", {"DESIGN.md": DESIGN.replace("`base <", "base <")},
     ["DESIGN.md: the line with the folder order is missing"]),
    ("upper_floor", {"src/io/a.h": LICENCE + '#include "io/adapters/csv.h"\n'},
     ["src/io/a.h:2: io may not include io/adapters"]),
    ("upper_floor_from_below", {"src/nn/kernels/a.h": LICENCE + '#include "nn/layer.h"\n'},
     ["src/nn/kernels/a.h:2: nn/kernels may not include nn"]),
    ("floor_without_order", {"src/nn/more/a.h": LICENCE},
     ["src/nn/more: is not in the order inside folders"]),
    ("order_without_floor", {"DESIGN.md": DESIGN.replace("`io < io/adapters`", "`io/x < io`, "
                                                         "`io < io/adapters`")},
     ["DESIGN.md: `io/x < io`: there is no src/io/x"]),
    ("no_floors", {"DESIGN.md": DESIGN.replace("Inside a folder", "Inside")},
     ["DESIGN.md: the line with the order inside folders is missing",
      "src/io/adapters: is not in the order inside folders",
      "src/nn/kernels: is not in the order inside folders"]),
    ("libtorch", {"src/base/a.h": LICENCE + "#include <c10/core/Device.h>\n"},
     ["src/base/a.h: may not see libtorch (includes <c10/core/Device.h>)"]),
    ("libtorch_by_a_header", {"src/io/a.cc": LICENCE + '#include "io/tensors.h"\n'},
     ["src/io/a.cc: may not see libtorch (includes io/tensors.h -> <ATen/ATen.h>)"]),
    ("libtorch_in_spite_of_its_head",
     {"src/nn/a.h": LICENCE + "// Numbers; no libtorch here.\n#include <torch/torch.h>\n"},
     ["src/nn/a.h: may not see libtorch (includes <torch/torch.h>)"]),
    ("no_folder_without_libtorch",
     {"DESIGN.md": DESIGN.replace("No libtorch", "").replace("with libtorch only", "and")},
     ['DESIGN.md: no row of the table of folders says "No libtorch"']),
    ("function_of_nobody",
     {"src/base/a.h": LICENCE + "class A {\n  int size() const;\n};\n",
      "src/base/a.cc": LICENCE + '#include "base/a.h"\nint A::size() const { return 1; }\n'
      "// size() is the size.\n"},
     ["src/base/a.h: size is called by tests at most; use it or remove it"]),
    ("function_of_tests",
     {"src/base/a.h": LICENCE + "int size(const int* all);\n",
      "src/base/a_test.cc": LICENCE + "int x = size(nullptr);\n"},
     ["src/base/a.h: size is called by tests at most; use it or remove it"]),
    ("function_whose_caller_has_come",
     {"src/base/a.h": LICENCE + "int concatenate(int a);\n",
      "src/base/a.cc": LICENCE + '#include "base/a.h"\nint b = 1 + concatenate(2);\n'},
     ["concatenate has a caller; remove its row in check_tree.py"]),
]


def problems_of(files):
    with tempfile.TemporaryDirectory() as folder:
        for place, text in files.items():
            path = pathlib.Path(folder) / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return check_tree.problems_of(folder)


class Rules(unittest.TestCase):
    def test_a_good_tree_passes(self):
        self.assertEqual(problems_of(GOOD), [])

    def test_every_fault_is_found(self):
        for name, files, expected in FAULTS:
            with self.subTest(name):
                self.assertEqual(problems_of({**GOOD, **files}), expected)

    def test_every_rule_has_a_fault(self):
        silent = {rule.__name__ for rule in check_tree.RULES}
        for _, files, _ in FAULTS:
            with tempfile.TemporaryDirectory() as folder:
                for place, text in {**GOOD, **files}.items():
                    path = pathlib.Path(folder) / place
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
                tree = check_tree.Tree(folder)
                silent -= {rule.__name__ for rule in check_tree.RULES if list(rule(tree))}
        self.assertEqual(silent, set())


class Functions(unittest.TestCase):
    CODE = r'''
namespace lora {
constexpr Row kRows[] = {
    {"a", 1},
};
struct Point { int x = 0; int y() const { return x; } };
enum class Kind { a, b };
const auto kLambda = [](int x) { return x; };
A::A(std::vector<int> x)
    : x_(std::move(x)), y_{1}, z_([] { return 1; }) {
  if (x_.empty()) {
    fail("} not a brace {", '}');  // }
  }
}
template <typename T>
bool operator==(const T& a, const T& b) {
  return R"({"a": 1})" == a;
}
int f() noexcept { return Point{.x = 1}.y(); }
std::vector<int> g(int x = 3, const std::vector<int>& y = {}) { return {x}; }
#define X {
}  // namespace lora
'''

    def test_found_with_their_lengths(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.cc"
            path.write_text(self.CODE)
            found = list(Source(pathlib.Path(folder), path).functions())
        self.assertEqual(found, [("y", 6, 1), ("A::A", 9, 6), ("operator==", 15, 4), ("f", 19, 1),
                                 ("g", 20, 1)])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
