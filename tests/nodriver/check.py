# SPDX-License-Identifier: Apache-2.0
# Runs the lister behind the blocker, and reads the dynamic section for drivers.
import os
import re
import subprocess
import sys

lister, blocker, library = sys.argv[1:4]
needed = subprocess.run(["readelf", "-d", lister, library], check=True, capture_output=True, text=True).stdout
linked = re.findall(r"NEEDED.*\[(lib(?:cuda|OpenCL|nv)[^]]*)\]", needed)
if linked:
    sys.exit(f"linked to {linked}")
environment = {k: v for k, v in os.environ.items() if not k.startswith("PAVE_")}
done = subprocess.run([lister], env=dict(environment, LD_PRELOAD=blocker), capture_output=True, text=True)
print(done.stdout + done.stderr)
if done.returncode:
    sys.exit(f"exit status {done.returncode}")
for want in ("cuda 0", "opencl 0", "host 1", "auto PAVE_E_NOT_FOUND"):
    if want not in done.stdout.splitlines():
        sys.exit(f'"{want}" is missing')
said = done.stdout.split("auto", 1)[1]
for backend in ("cuda", "opencl", "host"):
    if not re.search(rf"^  {backend}", said, re.M):
        sys.exit(f"the refusal does not name {backend}")
    if f"{backend}: left out" in said or backend == "host":
        continue
    if not re.search({"cuda": "blocked.*libcuda", "opencl": "blocked.*libOpenCL"}[backend], done.stderr):
        sys.exit(f"{backend}: the blocker was never asked")
