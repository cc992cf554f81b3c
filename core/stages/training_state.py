"""The state of an unfinished training on disk: safetensors for tensors, JSON for the rest.

`state/state.json` names the tensor file it belongs to and is replaced atomically after that file is on
disk, so a state is whole or it is the one before.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

STATE_FOLDER = "state"
_RECORD = "state.json"
_TORCH = "random.torch"
_CUDA = "random.cuda."


@dataclass(frozen=True)
class RandomState:
    """All global random generators at one moment."""

    python: Any
    numpy: Any
    torch: Tensor
    cuda: tuple[Tensor, ...]

    @classmethod
    def capture(cls) -> RandomState:
        """The generators as they are now."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), tuple(cuda))

    def restore(self) -> None:
        """Set the generators back."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        for index, state in enumerate(self.cuda[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, index)


@dataclass(frozen=True)
class TrainingState:
    """Everything that a training needs to go on as if it had not been interrupted.

    Attributes:
        step: finished optimizer steps; data order and learning rate follow from it.
        tokens: trained tokens so far.
        tensors: weights and moments of the optimizer.
        random: the generators when the step had finished.
        notes: what the objective keeps, as JSON.
    """

    step: int
    tokens: int
    tensors: Mapping[str, Tensor]
    random: RandomState
    notes: Mapping[str, Any]


def save_state(folder: Path, state: TrainingState) -> int:
    """Write the state under `folder/state` and return its size in bytes."""
    place = folder / STATE_FOLDER
    place.mkdir(parents=True, exist_ok=True)
    name = f"step-{state.step:08d}.safetensors"
    tensors = {key: value.detach().contiguous().cpu() for key, value in state.tensors.items()}
    tensors[_TORCH] = state.random.torch
    tensors |= {f"{_CUDA}{index}": value for index, value in enumerate(state.random.cuda)}
    partial = place / (name + ".part")
    save_file(tensors, partial)
    _replace(partial, place / name)
    version, words, gauss = state.random.python
    kind, keys, *rest = state.random.numpy
    record = {
        "file": name,
        "step": state.step,
        "tokens": state.tokens,
        "python": [version, list(words), gauss],
        "numpy": [kind, keys.tolist(), *rest],
        "notes": dict(state.notes),
    }
    partial = place / (_RECORD + ".part")
    partial.write_text(json.dumps(record), encoding="utf-8")
    _replace(partial, place / _RECORD)
    for old in place.glob("*.safetensors*"):
        if old.name != name:
            old.unlink()
    return (place / name).stat().st_size


def load_state(folder: Path) -> TrainingState | None:
    """The state under `folder/state`, or None when there is none."""
    record = _record(folder)
    if record is None:
        return None
    tensors = load_file(folder / STATE_FOLDER / record["file"])
    torch_state = tensors.pop(_TORCH)
    count = sum(key.startswith(_CUDA) for key in tensors)
    cuda = tuple(tensors.pop(f"{_CUDA}{index}") for index in range(count))
    version, words, gauss = record["python"]
    kind, keys, *rest = record["numpy"]
    return TrainingState(
        step=record["step"],
        tokens=record["tokens"],
        tensors=tensors,
        random=RandomState(
            (version, tuple(words), gauss),
            (kind, np.array(keys, dtype=np.uint32), *rest),
            torch_state,
            cuda,
        ),
        notes=record["notes"],
    )


def saved_step(folder: Path) -> int | None:
    """The step of the state under `folder/state`, without reading its tensors; None when there is none."""
    record = _record(folder)
    return None if record is None else int(record["step"])


def remove_state(folder: Path) -> None:
    """Remove the state once the checkpoint is finished."""
    shutil.rmtree(folder / STATE_FOLDER, ignore_errors=True)


def _record(folder: Path) -> dict[str, Any] | None:
    file = folder / STATE_FOLDER / _RECORD
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def _replace(partial: Path, target: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
