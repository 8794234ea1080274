# SPDX-License-Identifier: Apache-2.0
# `meson install` into an empty root, then cc with pkg-config's flags alone, then a run.
import glob
import os
import subprocess
import sys
import tempfile

program, build, prefix = sys.argv[1:4]
cc = sys.argv[sys.argv.index("--") + 1:]


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


with tempfile.TemporaryDirectory() as place:
    run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", place])
    found = glob.glob(f"{place}/**/pave.pc", recursive=True)
    if len(found) != 1:
        sys.exit(f"{len(found)} pave.pc files were installed")
    environment = dict(os.environ, PKG_CONFIG_LIBDIR=os.path.dirname(found[0]), PKG_CONFIG_PATH="",
                       PKG_CONFIG_SYSROOT_DIR="")
    define = f"--define-variable=prefix={place}{prefix}"
    flags = run(["pkg-config", define, "--cflags", "--libs", "pave"], env=environment).split()
    if any(f.startswith(("-lOpenCL", "-lcuda")) for f in flags):
        sys.exit(f"pave.pc asks for a driver: {flags}")
    libraries = run(["pkg-config", define, "--variable=libdir", "pave"], env=environment).strip()
    outside = [f for f in flags if f[:2] in ("-I", "-L") and not f[2:].startswith(place)]
    if outside:
        sys.exit(f"pave.pc points outside its prefix: {outside}")
    target = os.path.join(place, "program")
    run(cc + ["-std=c17", "-Wall", "-Wextra", "-Werror", program, "-o", target] + flags)
    print(run([target], env=dict(os.environ, LD_LIBRARY_PATH=libraries)))
