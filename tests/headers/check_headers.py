# SPDX-License-Identifier: Apache-2.0
# Compiles each header on its own. An internal header that is meant to be included for a device language or after
# definitions of the includer's says so by living under kernels/opencl, kernels/cuda or in NEEDS_DEFINITIONS. Headers
# that name the types of a driver whose backend is left out of the build have nothing to be compiled against.
import glob
import os
import subprocess
import sys

root, build = sys.argv[1:3]
left_out = sys.argv[3:sys.argv.index("--")]
cc = sys.argv[sys.argv.index("--") + 1:]
DRIVER_HEADERS = {"cuda": ("backends/cuda/", "tests/fake_cuda/inside.h"), "opencl": ("backends/opencl/",)}
NEEDS_DEFINITIONS = {"kernels/reduce/state.h"}
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]


def compiler_of_cxx():
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True).returncode == 0:
            return [name]
    sys.exit("no C++ compiler: the public headers' promise to C++ cannot be checked")


def compiles(command, language, header):
    text = f'#include "{header}"\nextern int header_alone;\n'
    args = command + WARNINGS + ["-I", root, "-I", f"{root}/include", "-I", build, "-x", language, "-"]
    done = subprocess.run(args, input=text, capture_output=True, text=True)
    print(("ok   " if done.returncode == 0 else "FAIL ") + f"{language} {header}")
    if done.returncode:
        print(done.stderr)
    return done.returncode == 0


public = sorted(glob.glob(f"{root}/include/pave/*.h"))
internal = [h for folder in ("src", "backends", "kernels", "tools", "tests")
            for h in sorted(glob.glob(f"{root}/{folder}/**/*.h", recursive=True))]
if not public or not internal:
    sys.exit("found no headers")
cxx = compiler_of_cxx()
good = True
for path in public:
    header = "pave/" + os.path.basename(path)
    good &= compiles(cc + ["-std=c17"], "c", header)
    good &= compiles(cxx + ["-std=c++17"], "c++", header)
for path in internal:
    header = os.path.relpath(path, root)
    if header in NEEDS_DEFINITIONS or header.startswith(("kernels/opencl/", "kernels/cuda/")):
        continue
    if any(header.startswith(DRIVER_HEADERS[backend]) for backend in left_out):
        print(f"left out with its backend: {header}")
        continue
    good &= compiles(cc + ["-std=c17", "-D_POSIX_C_SOURCE=200809L", "-Wno-missing-field-initializers"], "c", header)
sys.exit(0 if good else 1)
