# SPDX-License-Identifier: Apache-2.0
# Layering and house rules, read from the sources: who may include whom, what a library never calls, and the
# licence line that each source begins with.
import os
import re
import sys

root = sys.argv[1]
SOURCES = (".c", ".h", ".cc", ".hh", ".cu", ".cuh", ".cl", ".py", ".build", ".sh")
FOLDERS = ("include", "src", "backends", "kernels", "tools", "tests", "examples", "scripts")
errors = []


def files(folder, endings=(".c", ".h")):
    for place, names, leaves in os.walk(os.path.join(root, folder)):
        names[:] = sorted(n for n in names if n not in ("__pycache__", "subprojects"))
        for leaf in sorted(leaves):
            if leaf.endswith(endings):
                yield os.path.relpath(os.path.join(place, leaf), root)


def text_of(path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def code_of(path):
    """The text with comments and string literals blanked, its lines kept."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text_of(path), flags=re.S)


def refuse(path, text, position, why):
    errors.append(f"{path}:{text.count(chr(10), 0, position) + 1}: {why}")


def includes(path):
    text = text_of(path)
    for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', text, re.M):
        yield text, m.start(), m.group(1)


def forbid_includes(folder, pattern, why, endings=(".c", ".h")):
    for path in files(folder, endings):
        for text, at, name in includes(path):
            if re.match(pattern, name):
                refuse(path, text, at, f"includes {name}: {why}")


def forbid_calls(folder, names, why, skip=()):
    for path in files(folder):
        if path in skip:
            continue
        text = code_of(path)
        for m in re.finditer(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(", text):
            refuse(path, text, m.start(), f"calls {m.group(1)}: {why}")


forbid_includes("src", r"(\.\./)*backends/", "the front end knows no backend")
forbid_includes("backends", r"(\.\./)*src/(?!backend\.h$)", "a backend sees the front end through src/backend.h alone")
forbid_includes("src/plan", r"(CL/|cuda|nvrtc)", "the planner knows no driver")
forbid_includes("src", r"(CL/|cuda|nvrtc)", "the front end knows no driver")
forbid_includes("kernels", r"(\.\./)*(src|backends)/", "kernels know neither front end nor backends")
forbid_includes("tools", r"(\.\./)*(src|backends|kernels)/", "tools use the public headers")
forbid_includes("examples", r"(\.\./)*(src|backends|kernels)/", "examples use the public headers")
for path in files("include"):
    for text, at, name in includes(path):
        if not re.match(r"(pave/\w+\.h|std\w+\.h|CL/\w+\.h|dlpack/\w+\.h|cuda\.h)$", name):
            refuse(path, text, at, f"includes {name}: a public header needs only the standard's")
forbid_calls("src/plan", ("malloc", "calloc", "realloc", "free", "strdup"), "the planner allocates nothing",
             skip=("src/plan/print.c", "src/plan/json.c"))
for folder in ("src", "backends"):
    forbid_calls(folder, ("abort", "exit", "_exit", "printf", "puts", "putchar", "perror"),
                 "a library neither ends the process nor prints")
count = 0
for folder in FOLDERS:
    for path in files(folder, SOURCES):
        count += 1
        text = text_of(path)
        lines = text.split("\n", 2)
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if text and not re.match(r"(/\* |// |# )SPDX-License-Identifier: Apache-2\.0", first):
            refuse(path, text, 0, "its first line is not the licence's")
        marker = "TO" + "DO|FIX" + "ME|X" + "XX"
        for m in re.finditer(rf"\b({marker})\b", text):
            refuse(path, text, m.start(), f"{m.group(1)} left behind")
if count < 40:
    errors.append(f"looked at {count} files only: is {root} the source tree?")
print("\n".join(errors) or f"{count} files keep the rules")
sys.exit(1 if errors else 0)
