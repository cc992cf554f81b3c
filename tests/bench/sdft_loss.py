"""Time and peak memory of the divergence and its gradient: in token chunks, and dense.

Each way runs in a process of its own, so that peaks do not mix. Sizes are those of a Qwen2.5 vocabulary;
`--tokens`, `--hidden`, `--vocabulary`, `--chunk` and `--device` change them. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from core.distill.divergence import divergence
from core.distill.head import Head
from core.distill.measure import Measure
from core.distill.taught import TaughtStates

REPEATS = 3
MIB = 2**20


def dense(
    student: torch.Tensor, student_head: Head, teacher: torch.Tensor, teacher_head: Head
) -> torch.Tensor:
    """Mean KL from whole logits, by autograd."""
    log_q = student_head.logits(student).log_softmax(-1)
    log_p = teacher_head.logits(teacher).log_softmax(-1)
    return (
        torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1).mean()
    )


def peak(device: str) -> float:
    """Peak memory so far, MiB: of the device, or resident in this process."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / MIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def measure(way: str, settings: dict[str, Any]) -> dict[str, float]:
    """Run one way; the best time of several, and the memory above what the inputs take."""
    tokens, hidden, size = settings["tokens"], settings["hidden"], settings["vocabulary"]
    device = settings["device"]
    torch.manual_seed(0)
    student = torch.randn(tokens, hidden, device=device, requires_grad=True)
    teacher = torch.randn(tokens, hidden, device=device)
    heads = [Head(torch.randn(size, hidden, device=device) / hidden**0.5) for _ in range(2)]
    weights = torch.full((tokens,), 1 / tokens, device=device)
    before = peak(device)
    seconds, cpu_seconds = [], []
    for _ in range(REPEATS):
        student.grad = None
        started, cpu_started = time.perf_counter(), time.process_time()
        if way == "dense":
            loss = dense(student, heads[0], teacher, heads[1])
        else:
            loss = divergence(
                student,
                heads[0],
                TaughtStates(teacher, heads[1]),
                weights,
                Measure(),
                chunk_tokens=settings["chunk"],
            ).loss
        loss.backward()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    assert student.grad is not None
    return {
        "seconds": min(seconds),
        "cpu_seconds": min(cpu_seconds),  # the fairer figure on a busy machine
        "extra_mib": peak(device) - before,
        "loss": float(loss.detach()),
        "gradient_norm": float(student.grad.norm()),
    }


def main() -> None:
    """Measure both ways and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    settings = vars(parser.parse_args())
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, dict[str, float]] = {}
    for way in ("dense", "chunked"):
        with spawn.Pool(1) as pool:
            found[way] = pool.apply(measure, (way, settings))
        figures = found[way]
        print(f"{way:8} {figures['seconds']:.2f} s  +{figures['extra_mib']:.0f} MiB")
    one, other = found["dense"], found["chunked"]
    record = {
        "bench": "sdft_loss",
        **settings,
        **{
            f"{way}_{key}": round(value, 6)
            for way, row in found.items()
            for key, value in row.items()
        },
        "time_ratio": round(one["seconds"] / other["seconds"], 3),
        "cpu_time_ratio": round(one["cpu_seconds"] / other["cpu_seconds"], 3),
        "memory_ratio": round(one["extra_mib"] / max(other["extra_mib"], 1e-9), 3),
        "loss_difference": abs(one["loss"] - other["loss"]),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
