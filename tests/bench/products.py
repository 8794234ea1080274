#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times Pave's single products beside cuBLASLt's, through PyTorch, and a Triton kernel's, in one run: shape by type, in turns,
each y = x W' + b on random data of its own.

float32 is Pave's promise HIGH, and tf32 in the others. Pave's peak of the arithmetic that its plan takes is measured by its
own benchmark. It needs PyTorch and Triton on a CUDA device.

    tests/bench/products.py --pave build/tools/pave [--shape MxNxK ...] [--type f32 ...]
"""
import argparse
import json
import pathlib
import statistics
import sys

import torch
import triton
import triton.language as tl

import headline

SHAPES = ("16384x4096x2048", "16384x1024x4096", "8192x8192x8192", "4096x4096x4096", "1024x1024x1024", "512x4096x4096",
          "128x4096x4096", "64x4096x4096", "16x4096x4096", "1x4096x4096", "3000x5000x1111")
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
RUNS = 20
L2_BYTES = 64 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pave", type=pathlib.Path, required=True, help="the pave command")
    parser.add_argument("--pave-backend", default="cuda", help="PAVE_BACKEND for it (default: cuda)")
    parser.add_argument("--shape", action="append", help="MxNxK (default: a list of them)")
    parser.add_argument("--type", action="append", choices=TYPES, help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each, of which the median counts (default: 3)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the table here")
    options = parser.parse_args()
    if not options.pave.is_file():
        parser.error(f"--pave: {options.pave} is no file")
    if not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device")
    return options


def config(m, n, k, stages, warps):
    return triton.Config({"BM": m, "BN": n, "BK": k}, num_stages=stages, num_warps=warps)


@triton.autotune(configs=[config(128, 256, 64, 3, 8), config(128, 128, 64, 4, 8), config(128, 128, 32, 4, 4),
                          config(64, 128, 64, 4, 4), config(32, 64, 128, 4, 4), config(16, 32, 256, 4, 4)],
                 key=["m", "n", "k", "half"])
@triton.jit
def triton_product(x, w, b, y, m, n, k, half, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """Tiles of y in groups of eight rows of tiles; W lies by its rows."""
    tiles_m, tiles_n = tl.cdiv(m, BM), tl.cdiv(n, BN)
    tile = tl.program_id(0)
    first = tile // (8 * tiles_n) * 8
    height = min(tiles_m - first, 8)
    rows = (first + tile % (8 * tiles_n) % height) * BM + tl.arange(0, BM)
    cols = tile % (8 * tiles_n) // height * BN + tl.arange(0, BN)
    steps = tl.arange(0, BK)
    total = tl.zeros((BM, BN), dtype=tl.float32)
    for at in range(0, k, BK):
        here = at + steps < k
        a = tl.load(x + rows[:, None].to(tl.int64) * k + at + steps[None, :],
                    mask=(rows[:, None] < m) & here[None, :], other=0.0)
        c = tl.load(w + cols[None, :].to(tl.int64) * k + at + steps[:, None],
                    mask=(cols[None, :] < n) & here[:, None], other=0.0)
        total = tl.dot(a, c, total)
    total += tl.load(b + cols, mask=cols < n, other=0.0)[None, :].to(tl.float32)
    tl.store(y + rows[:, None].to(tl.int64) * n + cols[None, :], total.to(y.dtype.element_ty),
             mask=(rows[:, None] < m) & (cols[None, :] < n))


def run_triton(x, w, b, y):
    (m, k), n = x.shape, w.shape[0]
    triton_product[lambda meta: (triton.cdiv(m, meta["BM"]) * triton.cdiv(n, meta["BN"]),)](
        x, w, b, y, m, n, k, x.element_size() == 2)


def in_turns(function, sets):
    """Calls `function` on one set of operands after another, so that none is left in the L2."""
    at = iter(range(1 << 62))
    return lambda: function(*sets[next(at) % len(sets)])


def peers(shape, dtype):
    """name -> what calls it once."""
    m, n, k = shape
    count = max(2, 1 + L2_BYTES // ((m * k + n * k) * dtype.itemsize))
    draw = lambda *extents: torch.randn(*extents, device="cuda", dtype=dtype)
    sets = [(draw(m, k), draw(n, k), draw(n), torch.empty(m, n, device="cuda", dtype=dtype)) for _ in range(count)]
    linear = in_turns(lambda x, w, b, y: torch.nn.functional.linear(x, w, b), sets)
    return {"cublaslt": linear, "triton": in_turns(run_triton, sets)}


def measure(options, shape, kind):
    text, flops = "x".join(map(str, shape)), 2 * shape[0] * shape[1] * shape[2]
    contenders = peers(shape, TYPES[kind])
    times, case = {name: [] for name in ("pave", *contenders)}, None
    for _ in range(options.rounds):
        report = headline.pave(options, "bench", "--shape", text, "--type", kind, "--runs", RUNS)
        case = report["cases"][0]
        times["pave"].append(case["median_ns"] / 1e6)
        for name, function in contenders.items():
            with torch.no_grad():
                times[name].append(headline.time_ms(function, RUNS)[0])
    found = {name: statistics.median(of) for name, of in times.items()}
    return {"shape": text, "type": kind, "kernels": case["kernels"], "share_of_peak": case["share_of_arithmetic_peak"],
            **{f"{name}_ms": of for name, of in found.items()},
            **{f"{name}_tflops": flops / of / 1e9 for name, of in found.items()}}


def line(row):
    figures = " ".join(f"{row[name + '_ms']:9.4f} {row[name + '_tflops']:8.1f}" for name in ("pave", "cublaslt", "triton"))
    return f"{row['shape']:<17} {row['type']:<5} {figures} {100 * row['share_of_peak']:6.1f} {row['cublaslt_ms'] / row['pave_ms']:7.2f}x"


def main():
    options = arguments()
    torch.manual_seed(20200927)
    headline.set_tf32(True)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, Triton {triton.__version__}; ms and TFLOP/s, "
          f"medians of {options.rounds} turns of {RUNS}")
    print(f"{'MxNxK':<17} {'type':<5} {'pave':>18} {'cublaslt':>18} {'triton':>18} {'% peak':>6} {'cublaslt/pave':>8}")
    table = []
    for text in options.shape or SHAPES:
        shape = tuple(map(int, text.split("x")))
        if len(shape) != 3:
            sys.exit(f"products.py: --shape: {text} is not MxNxK")
        for kind in options.type or TYPES:
            table.append(measure(options, shape, kind))
            print(line(table[-1]), flush=True)
            torch.cuda.empty_cache()
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
