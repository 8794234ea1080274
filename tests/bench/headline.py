#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times Pave beside PyTorch and a Triton program on one model, in one run on the same data, and measures each
result's error against float64.

The model is x -> linear -> sigmoid -> linear -> logsumexp over each row. It needs PyTorch on a CUDA device; Triton
only with --triton, whose argument is a .py file, or a Markdown file whose first ```python block is taken; either
defines class ModelNew(input_size, hidden_size, output_size). Nothing is written outside a temporary folder.

    tests/bench/headline.py --pave build/tools/pave --triton model.md
"""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile

import torch
from torch import nn

GROUP = 4
WARM_UP = 10
HEADLINE = (16384, 2048, 4096, 1024)


class Reference(nn.Module):
    """The model as anyone would write it."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.linear1 = nn.Linear(input_size, hidden_size)
        self.linear2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return torch.logsumexp(self.linear2(torch.sigmoid(self.linear1(x))), dim=1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pave", type=pathlib.Path, help="the pave command; without it Pave is left out")
    parser.add_argument("--pave-backend", default="cuda", help="PAVE_BACKEND for it (default: cuda)")
    parser.add_argument("--triton", type=pathlib.Path, help="defines ModelNew; without it Triton is left out")
    parser.add_argument("--runs", type=int, default=100, help="timed runs of each, at least 50 (default: 100)")
    for name, extent in zip(("--m", "--k", "--hidden", "--n"), HEADLINE):
        parser.add_argument(name, type=int, default=extent)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=pathlib.Path, help="also write the table here")
    options = parser.parse_args()
    if options.runs < 50:
        parser.error("--runs: fewer than 50 make no median")
    if options.pave and (options.m, options.k, options.hidden, options.n) != HEADLINE:
        parser.error("--pave: its headline is of the default shape; leave --m, --k, --hidden and --n alone")
    for name in ("pave", "triton"):
        path = getattr(options, name)
        if path and not path.is_file():
            parser.error(f"--{name}: {path} is no file")
    if not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device")
    return options


def load_triton(path, folder):
    """ModelNew of the given file. Triton reads a kernel's source from its file, so the code goes into one."""
    text = path.read_text()
    if path.suffix != ".py":
        block = re.search(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if not block:
            sys.exit(f"headline.py: {path}: no ```python block")
        text = block.group(1)
    target = folder / "given_triton_model.py"
    target.write_text(text)
    spec = importlib.util.spec_from_file_location("given_triton_model", target)
    module = importlib.util.module_from_spec(spec)
    sys.modules["given_triton_model"] = module
    spec.loader.exec_module(module)
    return module.ModelNew


def set_tf32(on):
    torch.set_float32_matmul_precision("high" if on else "highest")


def time_ms(function, runs):
    """Median over `runs` groups of calls, each group between its own pair of events; the queue is kept full, so that the
    host's own cost of a call counts only where it is longer than the device's."""
    for _ in range(WARM_UP):
        function()
    torch.cuda.synchronize()
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(runs)]
    for begin, end in pairs:
        begin.record()
        for _ in range(GROUP):
            function()
        end.record()
    torch.cuda.synchronize()
    times = [begin.elapsed_time(end) / GROUP for begin, end in pairs]
    return statistics.median(times), min(times)


def exact(model, x):
    """In float64, in slices of rows so that it fits beside the rest."""
    weights = {name: value.detach().double() for name, value in model.state_dict().items()}
    parts = []
    for rows in x.split(1024):
        hidden = torch.sigmoid(rows.double() @ weights["linear1.weight"].T + weights["linear1.bias"])
        parts.append(torch.logsumexp(hidden @ weights["linear2.weight"].T + weights["linear2.bias"], dim=1))
    return torch.cat(parts).cpu()


def error(y, want):
    """Largest and mean relative error, as two numbers."""
    relative = (y.detach().cpu().double() - want).abs() / want.abs().clamp_min(1e-300)
    return relative.max().item(), relative.mean().item()


def measure_torch(options, model, x, folder):
    """name -> (median ms, least ms, result), for each contender that PyTorch runs."""
    found = {}

    def contend(name, function, tf32):
        set_tf32(tf32)
        try:
            with torch.no_grad():
                result = function().clone()
                found[name] = (*time_ms(function, options.runs), result)
        except Exception as reason:  # one contender that fails must not hide the others
            print(f"headline.py: {name} left out: {str(reason).splitlines()[0]}", file=sys.stderr)

    if options.triton:
        given = load_triton(options.triton, folder)(options.k, options.hidden, options.n).cuda()
        given.load_state_dict(model.state_dict())
        contend("triton, as given", lambda: given(x), tf32=False)
    contend("torch fp32", lambda: model(x), tf32=False)
    contend("torch tf32", lambda: model(x), tf32=True)
    if not options.no_compile:
        set_tf32(True)
        compiled = torch.compile(model, mode="max-autotune")
        contend("torch.compile max-autotune tf32", lambda: compiled(x), tf32=True)
    half = Reference(options.k, options.hidden, options.n).cuda()
    half.load_state_dict(model.state_dict())
    half = half.bfloat16()
    x_half = x.bfloat16()
    contend("torch bf16", lambda: half(x_half), tf32=False)
    return found


def write_npy(path, values):
    shape = ", ".join(str(extent) for extent in values.shape) + ("," if values.dim() == 1 else "")
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(values.detach().cpu().contiguous().numpy().tobytes())


def read_npy(path):
    raw = path.read_bytes()
    start = 10 + struct.unpack("<H", raw[8:10])[0]
    if raw[:6] != b"\x93NUMPY" or b"'<f4'" not in raw[:start]:
        sys.exit(f"headline.py: {path}: not float32 .npy")
    return torch.frombuffer(bytearray(raw[start:]), dtype=torch.float32)


def write_safetensors(path, state):
    header, at = {}, 0
    for name, value in state.items():
        size = value.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in state.values():
            file.write(value.detach().cpu().float().contiguous().numpy().tobytes())


def pave(options, *words):
    """Standard output of one pave command, as JSON."""
    environment = {**os.environ, "PAVE_BACKEND": options.pave_backend}
    done = subprocess.run([str(options.pave.resolve()), *map(str, words), "--json"], env=environment, check=False,
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"headline.py: pave {words[0]} failed with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def pave_results(options, model, x, folder):
    """precision -> result of pave run on the very same x and model."""
    write_npy(folder / "x.npy", x)
    write_safetensors(folder / "model.safetensors", model.state_dict())
    results = {}
    for precision in ("highest", "high", "medium"):
        target = folder / f"y_{precision}.npy"
        pave(options, "run", "--model", folder / "model.safetensors", "--input", folder / "x.npy", "--output", target,
             "--activation", "sigmoid", "--reduce", "logsumexp", "--precision", precision)
        results[precision] = read_npy(target)
    return results


def rows_of(table, triton_ms):
    for name, median, least, worst, mean in table:
        ratio = f"{triton_ms / median:8.2f}x" if triton_ms and median else f"{'-':>9}"
        times = f"{median:10.3f} {least:10.3f}" if median else f"{'-':>10} {'-':>10}"
        errors = f"{worst:11.2e} {mean:11.2e}" if worst is not None else f"{'-':>11} {'-':>11}"
        yield f"{name:<34} {times} {ratio} {errors}"


def main():
    options = arguments()
    torch.manual_seed(20200927)
    model = Reference(options.k, options.hidden, options.n).cuda()
    x = torch.randn(options.m, options.k, device="cuda")
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        want = exact(model, x)
        found = measure_torch(options, model, x, folder)
        table = [(label, median, least, *error(y, want)) for label, (median, least, y) in found.items()]
        if options.pave:
            results = pave_results(options, model, x, folder)
            torch.cuda.empty_cache()
            table += pave_rows(options, results, want)
    triton_ms = found.get("triton, as given", (None,))[0]
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {options.m}x{options.k} -> {options.hidden} "
          f"-> {options.n}, float32, median of {options.runs}")
    print(f"{'':<34} {'median ms':>10} {'least ms':>10} {'vs Triton':>9} {'max rel err':>11} {'mean':>11}")
    print("\n".join(rows_of(table, triton_ms)))
    if options.json:
        keys = ("name", "median_ms", "least_ms", "max_relative_error", "mean_relative_error")
        options.json.write_text(json.dumps([dict(zip(keys, row)) for row in table], indent=2) + "\n")


def pave_rows(options, results, want):
    """Pave's rows of the table: times from its own benchmark, errors from results on this run's data."""
    for precision, result in results.items():
        report = pave(options, "bench", "--suite", "headline", "--precision", precision, "--runs", options.runs,
                      "--scale", "1/1")
        case = report["cases"][0]
        if [case["m"], case["k"], *case["widths"]] != [options.m, options.k, options.hidden, options.n]:
            sys.exit("headline.py: pave bench measured another shape")
        name = f"pave {report['selector']} {precision}"
        yield name, case["median_ns"] / 1e6, case["min_ns"] / 1e6, *error(result, want)


if __name__ == "__main__":
    main()
