"""What tests of training stages share: short examples, stop flags, bytes of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from core.data.example import Dataset, Example, Message
from core.lm.checkpoint import Checkpoint, write_manifest
from core.lm.load import load_model
from core.stages.objective import Share
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CITIES, CPU32, tiny_base


def weather(count: int, demonstration: str = "Action: getWeather\nAction Input: {}") -> Dataset:
    """Short questions of different lengths, each with a demonstration."""
    rows = tuple(
        Example(
            id=f"item-{index}",
            messages=(Message("user", f"weather in {', '.join(CITIES[: index % 8 + 1])} {index}"),),
            demonstration=demonstration and f"{demonstration} {CITIES[index % 8]}",
        )
        for index in range(count)
    )
    return Dataset("weather", "memory", "test", "fingerprint", rows)


def stand(folder: Path, count: int = 10) -> Stand:
    """A tiny base and the weather dataset."""
    base = tiny_base(folder / "checkpoints")
    return Stand(folder, checkpoints={"base": base}, datasets={"weather": weather(count)})


def degraded(
    place: Stand, name: str = "degraded", strength: float = 0.05, seed: int = 5
) -> Checkpoint:
    """A full checkpoint that is the base with noise on its weights."""
    base = place.checkpoints["base"]
    context = place.context(name)
    model = load_model(base, CPU32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(strength * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(context.folder)
    made = replace(
        base,
        identity=context.identity,
        path=context.folder,
        parent=base.identity,
        parent_path=base.path,
        facts={},
    )
    write_manifest(made)
    place.checkpoints[name] = made
    return made


def stop_at_look(number: int, *, keep: bool = True) -> Callable[[], bool | None]:
    """A stop flag that is up from the n-th look on."""
    looks = 0

    def flag() -> bool | None:
        nonlocal looks
        looks += 1
        return keep if looks >= number else None

    return flag


def weights(folder: Path) -> dict[str, bytes]:
    """The bytes of all safetensors files of a checkpoint."""
    found = sorted(folder.glob("*.safetensors"))
    assert found
    return {file.name: file.read_bytes() for file in found}


@dataclass(frozen=True)
class FixedPlan:
    """A plan whose every step takes the same items."""

    items: Sequence[Any]
    steps: int = 1

    def at(self, step: int) -> Share[Any]:
        """All items."""
        return Share(self.items, self.items)
