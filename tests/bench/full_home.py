"""A home as it is after a year: ten thousand runs, three hundred checkpoints, a library of datasets."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from core.lm.checkpoint import Checkpoint, Storage, folder_of, write_manifest
from core.store.home import Home
from tests.bench.many_runs import fill

RUNS = 10_000
TREES, BRANCHES, LEAVES = 10, 9, 2
"""300 checkpoints: ten bases, nine degraded models of each, of those two recovered ones each (and ten more)."""
DATASETS, SMALL_ROWS, LARGE_ROWS = 40, 60, 100_000


def make(folder: Path) -> list[Path]:
    """Fill a home; returns the files of the library, the large one first."""
    fill(folder, RUNS)
    home = Home(folder)
    for tree in range(TREES):
        base = _checkpoint(home, f"base{tree}", "", "base", "full")
        for branch in range(BRANCHES):
            degraded = _checkpoint(home, f"d{tree}-{branch}", base, "quantize", "nf4")
            for leaf in range(LEAVES + (branch < 2)):
                _checkpoint(home, f"r{tree}-{branch}-{leaf}", degraded, "sdft", "adapter")
    rows = random.Random(5)
    files = [_rows(folder / "data" / "large.jsonl", LARGE_ROWS, rows)]
    files += [
        _rows(folder / "data" / f"set{number:02}.jsonl", SMALL_ROWS, rows)
        for number in range(DATASETS)
    ]
    return files


def _checkpoint(home: Home, name: str, parent: str, kind: str, storage: Storage) -> str:
    identity = hashlib.sha256(name.encode()).hexdigest()
    folder = folder_of(home.checkpoints, identity)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    write_manifest(
        Checkpoint(
            identity=identity,
            path=folder,
            parent=parent or None,
            parent_path=folder_of(home.checkpoints, parent) if parent else None,
            kind=kind,
            storage=storage,
            dtype="float32",
            spec={"kind": kind, "max_steps": 3},
            inputs={"seed": 42},
            facts={"seconds": 1.5},
        )
    )
    return identity


def _rows(path: Path, count: int, chance: random.Random) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            words = " ".join(["word"] * int(chance.lognormvariate(3, 0.8)))
            row = {"question": f"What is {number}? {words}", "answer": f"It is {words}."}
            file.write(json.dumps(row) + "\n")
    return path
