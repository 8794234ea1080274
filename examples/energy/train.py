#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the example's model and writes every data file beside this script.

It decides the split, the training, the inputs that are not digits, and the figures that the demo is checked
against. It needs numpy and the data file of scikit-learn's load_digits, and gives the same files again, bit for
bit; README.md says with which versions. The demo itself needs no Python."""
import os

# One thread and one instruction set, chosen before numpy loads: a different order of additions would give
# different bits.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_CORETYPE"] = "Haswell"
os.environ["NPY_DISABLE_CPU_FEATURES"] = (
    "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR")

import argparse
import gzip
import hashlib
import importlib.util
import json
import pathlib
import struct
import zipfile

import numpy as np

SEED = 20200927
HIDDEN = 128
CLASSES = 10
TEST_SHARE = 1 / 3
EPOCHS = 100
BATCH = 32
RATE = 5e-3
DECAY = 1e-2
WEIGHT = 0.1   # of the energy bounds in the loss; --plain: 0
INSIDE = 8.0   # a digit's score is pulled above this,
OUTSIDE = 2.0  # an outlier's below this
DATA = "sklearn/datasets/data/digits.csv.gz"
DATA_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"


def load_csv(source):
    """The 1,797 images and labels, from a scikit-learn wheel, a digits.csv.gz or the installed package."""
    if source is None:
        spec = importlib.util.find_spec("sklearn")
        if spec is None:
            raise SystemExit("train.py: scikit-learn is not installed; name its wheel with --source")
        source = pathlib.Path(spec.origin).parent.parent / DATA
    if str(source).endswith(".whl"):
        with zipfile.ZipFile(source) as wheel:
            packed = wheel.read(DATA)
    else:
        packed = pathlib.Path(source).read_bytes()
    text = gzip.decompress(packed)
    digest = hashlib.sha256(text).hexdigest()
    if digest != DATA_SHA256:
        raise SystemExit(f"train.py: {source}: not the expected data: sha256 {digest}")
    table = np.array([[int(float(cell)) for cell in line.split(",")] for line in text.decode().split()])
    return table[:, :-1] / 16.0, table[:, -1]


def split(labels, rng):
    """Indices of training and test images: a third of every class, drawn at random, is for the test."""
    train, test = [], []
    for digit in range(CLASSES):
        members = rng.permutation(np.flatnonzero(labels == digit))
        count = round(len(members) * TEST_SHARE)
        test.extend(members[:count])
        train.extend(members[count:])
    return np.sort(train), np.sort(test)


def sigmoid(v):
    return 1.0 / (1.0 + np.exp(-v))


def forward(model, x):
    hidden = sigmoid(x @ model["linear1.weight"].T + model["linear1.bias"])
    return hidden, hidden @ model["linear2.weight"].T + model["linear2.bias"]


def logsumexp(logits):
    top = logits.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))[:, 0]


def gradients(model, x, labels, outliers):
    """Of the mean cross-entropy plus WEIGHT times the squared hinges that bound the energies: of a digit above by
    -INSIDE, of an outlier below by -OUTSIDE; Liu et al. 2020, section 3.3."""
    count = len(x)
    x = np.concatenate([x, outliers])
    hidden, logits = forward(model, x)
    score = logsumexp(logits)
    share = np.exp(logits - score[:, None])
    pull = np.zeros(len(x))
    weight = WEIGHT if len(outliers) else 0.0
    pull[:count] = 1.0 - 2.0 * weight * np.maximum(0.0, INSIDE - score[:count])
    pull[count:] = 2.0 * weight * np.maximum(0.0, score[count:] - OUTSIDE)
    error = share * pull[:, None]
    error[np.arange(count), labels] -= 1.0
    error /= count
    back = (error @ model["linear2.weight"]) * hidden * (1.0 - hidden)
    return {"linear1.weight": back.T @ x, "linear1.bias": back.sum(axis=0),
            "linear2.weight": error.T @ hidden, "linear2.bias": error.sum(axis=0)}


def make_outliers(x, count, rng):
    """Outliers to train with: sparse noise, training digits with their quadrants moved round, coarse blocks.
    None of these kinds is in the test, which has its own."""
    third = count // 3
    noise = np.where(rng.random((third, 64)) < rng.random((third, 1)), rng.random((third, 64)), 0.0)
    source = x[rng.integers(0, len(x), count - 2 * third)].reshape(-1, 2, 4, 2, 4)
    source = source.transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4, 4)
    moved = np.stack([np.roll(image, rng.integers(1, 4), axis=0) for image in source])
    moved = moved.reshape(-1, 2, 2, 4, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 64)
    blocks = np.kron(rng.random((third, 4, 4)), np.ones((1, 2, 2))).reshape(third, 64)
    return np.concatenate([noise, moved, blocks])


def train(x, labels, rng, plain):
    """Adam with decoupled weight decay and a linearly falling rate: Kingma and Ba 2015, Loshchilov and Hutter
    2019."""
    model = {"linear1.weight": rng.normal(0, 1 / 4, (HIDDEN, 64)), "linear1.bias": np.zeros(HIDDEN),
             "linear2.weight": rng.normal(0, 1 / HIDDEN ** 0.5, (CLASSES, HIDDEN)),
             "linear2.bias": np.zeros(CLASSES)}
    mean = {name: np.zeros_like(value) for name, value in model.items()}
    square = {name: np.zeros_like(value) for name, value in model.items()}
    steps = EPOCHS * -(-len(x) // BATCH)
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            chosen = order[start:start + BATCH]
            outliers = np.zeros((0, 64)) if plain else make_outliers(x, BATCH, rng)
            rate = RATE * (1 - step / steps)
            step += 1
            for name, slope in gradients(model, x[chosen], labels[chosen], outliers).items():
                mean[name] = 0.9 * mean[name] + 0.1 * slope
                square[name] = 0.999 * square[name] + 0.001 * slope * slope
                move = mean[name] / (1 - 0.9 ** step) / (np.sqrt(square[name] / (1 - 0.999 ** step)) + 1e-8)
                model[name] = model[name] - rate * (move + DECAY * model[name] * name.endswith("weight"))
    return model


def textures(count, rng):
    """Smooth random fields: noise blurred by a 3 × 3 binomial kernel, stretched to the full range."""
    fields = rng.random((count, 12, 12))
    for _ in range(2):
        fields = (fields[:, :-2] + 2 * fields[:, 1:-1] + fields[:, 2:]) / 4
        fields = (fields[:, :, :-2] + 2 * fields[:, :, 1:-1] + fields[:, :, 2:]) / 4
    fields = fields.reshape(count, 64)
    low, high = fields.min(axis=1, keepdims=True), fields.max(axis=1, keepdims=True)
    return (fields - low) / (high - low)


def strokes(count, rng):
    """Three straight pen strokes between random points, drawn with the digits' soft edges."""
    images = np.zeros((count, 8, 8))
    row, col = np.mgrid[0:8, 0:8].astype(float)
    for image in images:
        for _ in range(3):
            (r0, c0), (r1, c1) = rng.random((2, 2)) * 7
            length = (r1 - r0) ** 2 + (c1 - c0) ** 2 + 1e-9
            along = np.clip(((row - r0) * (r1 - r0) + (col - c0) * (c1 - c0)) / length, 0, 1)
            apart = np.hypot(row - r0 - along * (r1 - r0), col - c0 - along * (c1 - c0))
            np.maximum(image, np.clip(1.5 - apart, 0, 1), out=image)
    return images.reshape(count, 64)


def make_not_digits(test, rng):
    """As many inputs as there are test digits, in four kinds of one size: name -> images."""
    parts = np.array_split(rng.permutation(len(test)), 4)
    return {"shuffled": np.stack([rng.permutation(image) for image in test[parts[0]]]),
            "inverted": 1.0 - test[parts[1]],
            "textures": textures(len(parts[2]), rng),
            "strokes": strokes(len(parts[3]), rng)}


def auroc(inside, outside):
    """The chance that a digit scores above what is no digit; a tie counts half."""
    above = (inside[:, None] > outside).sum() + 0.5 * (inside[:, None] == outside).sum()
    return float(above / (len(inside) * len(outside)))


def quantised(images):
    """To the data's own 17 grey levels."""
    return np.round(images * 16) / 16


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def gamma(terms):
    """Bound of the rounding of a sum of `terms` products, accumulated in float32 that may truncate."""
    return terms * 2.0 ** -23 / (1 - terms * 2.0 ** -23)


def error_bounds(model, x):
    """How far Pave's logits and score of each row may be from the exact ones under the default precision, by the
    formulas of docs/operations.md: both operands of a product rounded to 11 bits, sigmoid, logsumexp."""
    rounding, unit = (1 + 2.0 ** -11) ** 2 - 1, 2.0 ** -24
    hidden, logits = forward(model, x)

    def product(error_in, value_in, weight, bias):
        grown = gamma(weight.shape[1] + 2)
        size = (value_in + error_in) @ np.abs(weight).T
        return (((1 + rounding) * (1 + grown) - 1) * size + error_in @ np.abs(weight).T + grown * np.abs(bias))

    first = product(0.0 * x, np.abs(x), model["linear1.weight"], model["linear1.bias"])
    inner = 0.25 * first + 13 * unit * (hidden + 0.25 * first)
    second = product(inner, hidden, model["linear2.weight"], model["linear2.bias"])
    score = logsumexp(logits)
    spread = logits.max(axis=1, keepdims=True) - logits
    own = (1.05 * (6 * unit + unit * (np.exp(logits - score[:, None]) * spread).sum(axis=1) + gamma(CLASSES))
           + 6 * unit * (score - logits.max(axis=1)) + unit * np.abs(score))
    worst = second.max(axis=1)
    return worst, worst + own


def figures(model, digits, labels, others):
    """What the demo is checked against: this script's own float64 forward of the stored float32 model, and by how
    much each figure may move when every score moves within its bound."""
    logits = forward(model, digits)[1]
    inside = logsumexp(logits)
    outside = {name: logsumexp(forward(model, images)[1]) for name, images in others.items()}
    images, every = np.concatenate(list(others.values())), np.concatenate(list(outside.values()))
    logit_bound, inside_bound = error_bounds(model, digits)
    outside_bound = error_bounds(model, images)[1]
    top = np.sort(logits, axis=1)
    close = np.abs(inside[:, None] - every) <= inside_bound[:, None] + outside_bound
    return {"digits": len(digits), "not_digits": len(every), "hidden": HIDDEN,
            "kinds": {name: len(made) for name, made in others.items()},
            "accuracy": float((logits.argmax(axis=1) == labels).mean()),
            "accuracy_tolerance": float((top[:, -1] - top[:, -2] <= 2 * logit_bound).mean()),
            "auroc": auroc(inside, every), "auroc_tolerance": float(close.mean()),
            "auroc_by_kind": {name: auroc(inside, scores) for name, scores in outside.items()},
            "mean_energy_digits": float(-inside.mean()),
            "mean_energy_digits_tolerance": float(inside_bound.mean()),
            "mean_energy_not_digits": float(-every.mean()),
            "mean_energy_not_digits_tolerance": float(outside_bound.mean())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", help="scikit-learn's wheel or its digits.csv.gz; default: the installed package")
    parser.add_argument("--plain", action="store_true", help="train without outliers, to see what they are for")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    options = parser.parse_args()

    rng = np.random.Generator(np.random.PCG64(SEED))
    images, labels = load_csv(options.source)
    learn, test = split(labels, rng)
    model = train(images[learn], labels[learn], rng, options.plain)
    model = {name: value.astype("<f4").astype(float) for name, value in model.items()}
    others = {name: quantised(made) for name, made in make_not_digits(images[test], rng).items()}

    out = options.output
    out.mkdir(parents=True, exist_ok=True)
    write_safetensors(out / "model.safetensors", model)
    np.save(out / "digits.npy", images[test].astype("<f4"))
    np.save(out / "digits_labels.npy", labels[test].astype("<i4"))
    np.save(out / "not_digits.npy", np.concatenate(list(others.values())).astype("<f4"))
    expected = figures(model, images[test], labels[test], others)
    (out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    print(json.dumps(expected, indent=2))


if __name__ == "__main__":
    main()
