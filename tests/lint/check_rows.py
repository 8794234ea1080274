# SPDX-License-Identifier: Apache-2.0
# Every kernel row's name is unique and reads pave_<family>_<variant>_<type>. The rows are asked of the library.
import ctypes
import re
import sys


class Info(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("name", ctypes.c_char_p), ("family", ctypes.c_char_p),
                ("backend", ctypes.c_char_p), ("path", ctypes.c_int), ("bm", ctypes.c_int32),
                 ("bn", ctypes.c_int32), ("bk", ctypes.c_int32), ("in_type", ctypes.c_int), ("b_type", ctypes.c_int),
                 ("precision", ctypes.c_int), ("align", ctypes.c_int32)]


library = ctypes.CDLL(sys.argv[3])
library.pave_kernel_describe.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.POINTER(Info), ctypes.c_void_p]
names, errors = set(), []
while True:
    info = Info(size=ctypes.sizeof(Info))
    status = library.pave_kernel_describe(len(names) + len(errors), None, ctypes.byref(info), None)
    if status == -3:
        break
    if status:
        sys.exit(f"pave_kernel_describe gives {status}")
    name, family = info.name.decode(), info.family.decode()
    if name in names:
        errors.append(f"{name}: twice")
    elif not {info.in_type, info.b_type} <= {0, 1, 2, 3, 8, 9}:
        errors.append(f"{name}: {info.in_type} or {info.b_type} is no public type")
    elif not re.fullmatch(rf"pave_{family}_[a-z0-9]+(_[a-z0-9]+)*_(f64|f32|tf32|f16|f16x2|bf16|e4m3|e5m2|any)", name):
        errors.append(f"{name}: not pave_{family}_<variant>_<type>")
    else:
        names.add(name)
if not names:
    errors.append("no rows")
print("\n".join(errors) or f"{len(names)} rows")
sys.exit(1 if errors else 0)
