"""A checkpoint: weights on disk, named by what made them, with a parent link back to the base.

`identity` is a digest of the parent's identity, the stage's settings, its inputs (datasets, teacher, seed)
and the engine version, so the same degraded model wanted twice is found, not rebuilt. Loading weights is
`core.lm.load`; this module touches only the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ENGINE_VERSION = "2"
"""Raised whenever a stage would make other weights from the same settings."""

MANIFEST = "manifest.json"
_FOLDER_DIGITS = 20  # of an identity; no two checkpoints of one home will ever share them
Storage = Literal["full", "nf4", "adapter"]


@dataclass(frozen=True)
class Checkpoint:
    """Weights on disk and their lineage.

    Attributes:
        identity: 64 hex digits, see `identity_of`.
        path: folder with safetensors, config, tokenizer and `manifest.json`.
        parent: identity of the checkpoint it was made from; None for a base.
        parent_path: that checkpoint's folder; an `adapter` checkpoint is loaded on top of it.
        kind: stage kind that made it ("base", "quantize", …).
        storage: "full" weights, packed "nf4" weights, or a LoRA "adapter" over the parent.
        dtype: compute precision asked for by the recipe ("auto" is resolved per device at loading).
        spec: settings of the stage, as in the recipe.
        inputs: what else went in: dataset fingerprints, teacher identity, seed.
        facts: what the stage found out (achieved ratio, source digest, trained steps, …).
    """

    identity: str
    path: Path
    parent: str | None
    parent_path: Path | None
    kind: str
    storage: Storage
    dtype: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Any]
    facts: Mapping[str, Any]


def identity_of(parent: str | None, spec: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything that decides the weights."""
    payload = {"engine": ENGINE_VERSION, "parent": parent, "spec": spec, "inputs": inputs}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def folder_of(checkpoints: Path, identity: str) -> Path:
    """Where the checkpoint of that identity lies, or will lie, among the `checkpoints` of a home."""
    return checkpoints / identity[:_FOLDER_DIGITS]


def write_manifest(checkpoint: Checkpoint) -> None:
    """Write `manifest.json` last and atomically: a folder without one is unfinished."""
    record = asdict(checkpoint)
    record["path"] = "."
    if checkpoint.parent_path is not None:
        record["parent_path"] = checkpoint.parent_path.name
    temporary = checkpoint.path / (MANIFEST + ".part")
    temporary.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(checkpoint.path / MANIFEST)


def read_manifest(folder: Path) -> Checkpoint | None:
    """The checkpoint in `folder`, or None when it holds no finished one.

    The parent is looked for beside the folder: all checkpoints of a home are siblings.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return None
    record = json.loads(file.read_text(encoding="utf-8"))
    record["path"] = folder
    if record["parent_path"] is not None:
        record["parent_path"] = folder.parent / record["parent_path"]
    return Checkpoint(**record)
