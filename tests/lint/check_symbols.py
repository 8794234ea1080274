# SPDX-License-Identifier: Apache-2.0
# The library exports what the public headers declare and nothing else, names itself by its major version, and
# depends on no driver.
import glob
import re
import subprocess
import sys

root, _, library, version = sys.argv[1:5]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


exported = {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines()}
declared = set()
for path in glob.glob(f"{root}/include/pave/*.h"):
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    declared |= set(re.findall(r"PAVE_API[^;(]*?\b(pave_\w+)\s*\(", text))
dynamic = output("readelf", "-d", library)
soname = re.search(r"SONAME.*\[(.*)\]", dynamic)
needed = re.findall(r"NEEDED.*\[(.*)\]", dynamic)
errors = [f"exported but not public: {s}" for s in sorted(exported) if not re.match(r"pave_[a-z]", s)]
errors += [f"exported but in no public header: {s}" for s in sorted(exported - declared) if re.match(r"pave_[a-z]", s)]
errors += [f"declared but not exported: {s}" for s in sorted(declared - exported)]
if not soname or soname.group(1) != f"libpave.so.{version.split('.')[0]}":
    errors.append(f"SONAME is {soname.group(1) if soname else 'missing'}")
errors += [f"linked to {n}" for n in needed if re.match(r"lib(cuda|nv|OpenCL)", n)]
if len(declared) < 20:
    errors.append(f"only {len(declared)} declarations found")
print("\n".join(errors) or f"{len(exported)} symbols, all public")
sys.exit(1 if errors else 0)
