# SPDX-License-Identifier: Apache-2.0
# check.py TEST KIND: runs a test program on Oclgrind's device alone, with its checks for races, for values that nobody wrote
# and for wrong calls. The program must succeed and Oclgrind have nothing to say. 77, which is a skip, where there is no Oclgrind.
import os
import shutil
import subprocess
import sys
import tempfile

LIBRARY = "oclgrind/liboclgrind-rt-icd.so"


def library():
    program = shutil.which("oclgrind")
    roots = [os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(program))), "lib")] if program else []
    for root in roots + ["/usr/lib", "/usr/local/lib"]:
        path = os.path.join(root, LIBRARY)
        if os.path.exists(path):
            return path
    return None


def main():
    test, kind = sys.argv[1:]
    found = library()
    if not found:
        print(f"no {LIBRARY} on this machine: Debian has it in the package oclgrind")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        with open(os.path.join(folder, "oclgrind.icd"), "w", encoding="utf-8") as icd:
            icd.write(found + "\n")
        # Unoptimized: its check for values does not know `freeze`. Of sixteen lanes it takes each part for never written.
        environment = dict(os.environ, OCL_ICD_VENDORS=folder, PAVE_CACHE="off", PAVE_TEST_BACKENDS="opencl",
                           PAVE_TEST_REQUIRE="opencl", OCLGRIND_CHECK_API="1", OCLGRIND_DATA_RACES="1",
                           OCLGRIND_BUILD_OPTIONS="-cl-opt-disable -DPV_INLINE=static",
                           OCLGRIND_LOCAL_MEM_SIZE=str(1 << 20), OCLGRIND_LOG=log)
        if kind != "cpu16":
            environment["OCLGRIND_UNINITIALIZED"] = "1"
        environment.pop("OCL_ICD_FILENAMES", None)
        code = subprocess.run([test, kind], env=environment, check=False).returncode
        said = open(log, encoding="utf-8", errors="replace").read() if os.path.exists(log) else ""
    if said:
        print(f"Oclgrind says of {kind}:\n{said[:6000]}")
    return 1 if said else code


sys.exit(main())
