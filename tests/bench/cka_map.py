"""Time and memory of the CKA map, all layers of one model with all of another: beside its own Gram products
alone, and beside the pair-by-pair arithmetic of the field.

Ways alternate in one process, repeat by repeat, so that what else the machine does meets all of them; ratios are
medians over repeats. The Gram products are `x @ x.T` of every layer, in the precision we use, before the map and
after it, into memory that is there already, while the map gets its own each time. Pair by pair is done as
torch_cka does (float32; per pair the second layer's Gram anew and two HSIC1, each with a product of Grams) and as
ckatorch's `cka_base` does (float64; per pair both Grams anew, centred); some pairs are timed and scaled up, and
the speed-up is over the quicker of the two. Memory is measured in a process of its own: the rise of the resident
peak over what it was with the activations in place, in multiples of these.

`--samples`, `--width`, `--layers`, `--repeats`, `--pairs`, `--variant` and `--threads` change the sizes. One
thread is the default: on a busy machine more of them wait for each other. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from core.analysis.cka import grams, similarity

Layers = dict[str, np.ndarray[Any, np.dtype[Any]]]
Array = np.ndarray[Any, np.dtype[Any]]
WALL, CPU = 0, 1  # the latter is the fairer figure on a busy machine
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def models(settings: dict[str, Any]) -> tuple[Layers, Layers]:
    """Random float32 activations with a mean, of two models that share a signal."""
    random = np.random.default_rng(0)
    size = settings["samples"], settings["width"]
    signal = random.standard_normal(size, dtype=np.float32)
    first, second = (
        {
            f"block_{index}_out": random.standard_normal(size, dtype=np.float32)
            for index in range(settings["layers"])
        }
        for _ in range(2)
    )
    for layer in (*first.values(), *second.values()):
        layer += signal
        layer += np.float32(3.0)
    return first, second


def our_map(first: Layers, second: Layers, variant: Any) -> Array:
    """The map as the project makes it."""
    return similarity(grams(first, variant=variant), grams(second, variant=variant))


def products(first: Layers, second: Layers, into: Array) -> None:
    """The Gram products alone."""
    for layer, gram in zip((*first.values(), *second.values()), into, strict=True):
        np.matmul(layer, layer.T, out=gram)


def hsic1(k: Array, m: Array) -> float:
    """HSIC1 of two Grams of zero diagonal, by their product."""
    n = len(k)
    product = k @ m
    across = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * product.sum()
    return float((np.trace(product) + across) / (n * (n - 3)))


def hollow_gram(x: Array) -> Array:
    """A Gram whose diagonal is cleared."""
    gram: Array = x @ x.T
    np.fill_diagonal(gram, 0.0)
    return gram


def pair_of_torch_cka(gram: Array, own: float, y: Array) -> float:
    """One pair, given the first layer's Gram and its HSIC1 with itself."""
    other = hollow_gram(y)
    return hsic1(gram, other) / (own * hsic1(other, other)) ** 0.5


def pair_of_ckatorch(x: Array, y: Array) -> float:
    """One pair: double-centred Grams in float64."""
    sides = []
    for layer in (x, y):
        exact = layer.astype(np.float64)
        gram = exact @ exact.T
        means = gram.mean(axis=0)
        means -= means.mean() / 2
        gram -= means[:, None]
        gram -= means
        sides.append(gram.ravel())
    left, right = sides
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - cpu_started


def alternate(
    ways: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Times of each way, all of them once a repeat; the first time, not counted, warms up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, work in ways.items():
            spent = timed(work)
            if repeat:
                seconds[name].append(spent)
    return seconds


def speed(settings: dict[str, Any]) -> dict[str, float]:
    """Times of all ways, their ratios, and by how much results differ."""
    first, second = models(settings)
    variant, layers = settings["variant"], settings["layers"]
    names = list(first)
    random = np.random.default_rng(1)
    pairs = [tuple(random.integers(layers, size=2)) for _ in range(settings["pairs"])]
    centred = [
        {name: layer - layer.mean(axis=0) for name, layer in side.items()}
        for side in (first, second)
    ]
    known = {i: hollow_gram(centred[0][names[i]]) for i, _ in pairs}
    own = {i: hsic1(gram, gram) for i, gram in known.items()}

    def like_torch_cka() -> list[float]:
        return [pair_of_torch_cka(known[i], own[i], centred[1][names[j]]) for i, j in pairs]

    def like_ckatorch() -> list[float]:
        return [pair_of_ckatorch(centred[0][names[i]], centred[1][names[j]]) for i, j in pairs]

    room = np.empty((2 * layers, *(settings["samples"],) * 2), dtype=np.float32)
    beside_products = alternate(
        {
            "gemm": lambda: products(first, second, room),
            "map": lambda: our_map(first, second, variant),
            "gemm_again": lambda: products(first, second, room),
        },
        settings["repeats"],
    )
    beside_pairs = alternate(
        {
            "torch_cka": like_torch_cka,
            "map": lambda: our_map(first, second, variant),
            "ckatorch": like_ckatorch,
        },
        settings["repeats"],
    )
    scale = layers**2 / len(pairs)
    table = {kind: our_map(first, second, kind) for kind in ("biased", "debiased")}
    apart = [
        abs(value - table[kind][i, j])
        for kind, values in (("debiased", like_torch_cka()), ("biased", like_ckatorch()))
        for value, (i, j) in zip(values, pairs, strict=True)
    ]

    def to_gemm(clock: int) -> float:
        return median(
            2 * ours[clock] / (before[clock] + after[clock])
            for before, ours, after in zip(*beside_products.values(), strict=True)
        )

    def over(other: str) -> float:
        both = zip(beside_pairs[other], beside_pairs["map"], strict=True)
        return scale * median(theirs[WALL] / ours[WALL] for theirs, ours in both)

    seconds = beside_pairs | beside_products
    return {
        **{f"{name}_seconds": median(wall for wall, _ in both) for name, both in seconds.items()},
        "ratio_to_gemm": to_gemm(WALL),
        "cpu_ratio_to_gemm": to_gemm(CPU),
        "speedup_over_torch_cka": over("torch_cka"),
        "speedup_over_ckatorch": over("ckatorch"),
        "largest_difference": max(apart),
    }


def memory(settings: dict[str, Any]) -> dict[str, float]:
    """Bytes above the activations at the peak of one map."""
    first, second = models(settings)
    held = sum(layer.nbytes for layer in (*first.values(), *second.values()))
    before = peak()
    our_map(first, second, settings["variant"])
    return {"activation_bytes": held, "extra_bytes": peak() - before}


def peak() -> int:
    """Peak resident bytes of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=507)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=37)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--variant", choices=("biased", "debiased"), default="debiased")
    parser.add_argument("--threads", type=int, default=1)
    settings = vars(parser.parse_args())
    os.environ.update(dict.fromkeys(THREADS, str(settings["threads"])))  # read by the children
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, float] = {}
    for work in (memory, speed):
        with spawn.Pool(1) as pool:
            found.update(pool.apply(work, (settings,)))
    found["memory_ratio"] = found["extra_bytes"] / found["activation_bytes"]
    found["speedup_over_pairwise"] = min(
        found["speedup_over_torch_cka"], found["speedup_over_ckatorch"]
    )
    for name, value in found.items():
        print(f"{name:24} {value:.6g}")
    rounded = {name: float(f"{value:.5g}") for name, value in found.items()}
    print(json.dumps({"bench": "cka_map", **settings, **rounded}))


if __name__ == "__main__":
    main()
