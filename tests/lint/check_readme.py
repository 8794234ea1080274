# SPDX-License-Identifier: Apache-2.0
# The README's first C program compiles as it stands, with warnings fatal, and links.
import os
import re
import subprocess
import sys
import tempfile

root, _, library = sys.argv[1:4]
cc = sys.argv[sys.argv.index("--") + 1:]
with open(os.path.join(root, "README.md"), encoding="utf-8") as f:
    blocks = re.findall(r"^```c\n(.*?)^```", f.read(), re.M | re.S)
if not blocks:
    sys.exit("README.md holds no C example")
with tempfile.TemporaryDirectory() as place:
    source = os.path.join(place, "example.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(blocks[0])
    command = cc + ["-std=c17", "-Wall", "-Wextra", "-Werror", "-I", f"{root}/include", source, library,
                    "-o", os.path.join(place, "example"), "-lm", f"-Wl,-rpath,{os.path.dirname(library)}"]
    if subprocess.run(command).returncode:
        sys.exit("README.md's example does not build")
    done = subprocess.run([os.path.join(place, "example")], env=dict(os.environ, PAVE_BACKEND="host"))
    print(f"README.md's example builds and exits with {done.returncode} on the host backend")
    sys.exit(1 if done.returncode else 0)
