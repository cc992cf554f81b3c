"""A small lineage on the disk and in the store, without a network: base, NF4, two adapters, a stranger."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from core.events import (
    CheckpointSaved,
    Event,
    PlannedStage,
    RunFinished,
    RunStarted,
    StageFinished,
    TaskEvaluated,
)
from core.lm.checkpoint import Checkpoint, Storage, folder_of, write_manifest
from core.store.home import Home
from core.store.store import Store

CHAIN: tuple[tuple[str, str, str, Storage, Literal["base", "degraded", "recovered"]], ...] = (
    ("base", "", "base", "full", "base"),
    ("nf4", "base", "quantize", "nf4", "degraded"),
    ("lora", "nf4", "sdft", "adapter", "recovered"),
    ("lora2", "lora", "sdft", "adapter", "recovered"),
)
SIZES = {"base": 10, "nf4": 4000, "lora": 300, "lora2": 200, "copy": 1000}


def ids(name: str) -> str:
    """The identity of a checkpoint of this lineage."""
    return hashlib.sha256(name.encode()).hexdigest()


def write(home: Home, name: str, parent: str, kind: str, storage: Storage) -> Checkpoint:
    """The folder of one checkpoint; its weights are bytes of the right number."""
    folder = folder_of(home.checkpoints, ids(name))
    folder.mkdir(parents=True)
    facts: dict[str, object] = {"seconds": 1.5}
    if kind == "base":
        facts["weights"] = str(_outside(home))
    else:
        (folder / "model.safetensors").write_bytes(b"w" * SIZES.get(name, 100))
    if storage != "adapter":
        (folder / "tokenizer.json").write_text("{}")
    made = Checkpoint(
        identity=ids(name),
        path=folder,
        parent=ids(parent) if parent else None,
        parent_path=folder_of(home.checkpoints, ids(parent)) if parent else None,
        kind=kind,
        storage=storage,
        dtype="float32",
        spec={"kind": kind, "max_steps": 3},
        inputs={"seed": 42},
        facts=facts,
    )
    write_manifest(made)
    return made


def _outside(home: Home) -> Path:
    folder = home.path.parent / "models" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    return folder


def lay_out(home: Home, store: Store, *, name: str = "first") -> str:
    """A stopped run with its checkpoints, and one checkpoint that no run knows; the run's id."""
    uid = store.queue_run("{}", name=name, seed=42, base="tiny", created=100.0)
    store.claim(uid, 999_999_999, 1.0)
    events: list[Event] = [
        RunStarted(
            session=1,
            stages=tuple(
                PlannedStage(id=it, kind=kind, source=parent or None, role=role)
                for it, parent, kind, _, role in CHAIN
            ),
            environment={},
        )
    ]
    for it, parent, kind, storage, _ in CHAIN:
        made = write(home, it, parent, kind, storage)
        events += [
            CheckpointSaved(
                stage=it,
                identity=ids(it),
                parent=ids(parent) if parent else None,
                stage_kind=kind,
                path=made.path.relative_to(home.path).as_posix(),
                bytes=SIZES[it],
            ),
            TaskEvaluated(
                stage=it,
                subject=it,
                checkpoint=ids(it),
                task="science",
                n=20,
                correct={"base": 16, "nf4": 8, "lora": 14}.get(it, 15),
                protocol="p" * 64,
                scorer="science_exact_v1",
                dataset="science",
                seed=42,
            ),
            StageFinished(stage=it, status="done", checkpoint=ids(it), reused=False, seconds=1.0),
        ]
    del events[-2]  # the last one was not measured
    events.append(RunFinished(status="stopped", seconds=9.0))
    store.record(uid, events, t=200.0)
    write(home, "copy", "nf4", "prune", "full")
    return uid


def later_run(
    home: Home,
    store: Store,
    name: str,
    stages: tuple[str, ...],
    *,
    created: float,
    files: bool,
    parent: str = "base",
) -> str:
    """A finished run whose stages each made a checkpoint out of `parent`, with files or without; its id."""
    uid = store.queue_run("{}", name=name, seed=7, base="tiny", created=created)
    store.claim(uid, 999_999_999, 1.0)
    plan = (PlannedStage(id=it, kind="sdft", source=parent, role="recovered") for it in stages)
    events: list[Event] = [RunStarted(session=1, stages=tuple(plan), environment={})]
    for it in stages:
        folder = folder_of(home.checkpoints, ids(it))
        if files:
            write(home, it, parent, "sdft", "full")
        events += [
            CheckpointSaved(
                stage=it,
                identity=ids(it),
                parent=ids(parent),
                stage_kind="sdft",
                path=folder.relative_to(home.path).as_posix(),
                bytes=100,
            ),
            StageFinished(stage=it, status="done", checkpoint=ids(it), reused=False, seconds=1.0),
        ]
    events.append(RunFinished(status="done", seconds=9.0))
    store.record(uid, events, t=created + 1)
    return uid


def shipped_base(home: Home) -> str:
    """The model that ships with Rekindle as a registered base; its identity. No torch is needed for it."""
    weights = Path(__file__).parents[2] / "resources" / "models" / "rekindle-1m"
    return register_base(home, "shipped", weights, {"name": "rekindle-1m"})


def register_base(home: Home, name: str, weights: Path, spec: dict[str, str] | None = None) -> str:
    """A base checkpoint whose weights lie in that folder; its identity."""
    folder = folder_of(home.checkpoints, ids(name))
    folder.mkdir(parents=True)
    source = spec or {"folder": str(weights)}
    write_manifest(
        Checkpoint(
            identity=ids(name),
            path=folder,
            parent=None,
            parent_path=None,
            kind="base",
            storage="full",
            dtype="auto",
            spec=source,
            inputs={},
            facts={"weights": str(weights.resolve()), "label": next(iter(source.values()))},
        )
    )
    return ids(name)
