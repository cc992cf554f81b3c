"""What tests of training stages share: short examples, stop flags, bytes of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.example import Dataset, Example, Message
from core.stages.training import Share
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CITIES, tiny_base


def weather(count: int, demonstration: str = "Action: getWeather\nAction Input: {}") -> Dataset:
    """Short questions of different lengths, each with a demonstration."""
    rows = tuple(
        Example(
            id=f"item-{index}",
            messages=(Message("user", "weather in " + ", ".join(CITIES[: index % 8 + 1])),),
            demonstration=demonstration and f"{demonstration} {CITIES[index % 8]}",
        )
        for index in range(count)
    )
    return Dataset("weather", "memory", "test", "fingerprint", rows)


def stand(folder: Path, count: int = 10) -> Stand:
    """A tiny base and the weather dataset."""
    base = tiny_base(folder / "checkpoints")
    return Stand(folder, checkpoints={"base": base}, datasets={"weather": weather(count)})


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
