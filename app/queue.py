"""The order of waiting runs: one run per device, first come first served. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

ANY = "auto"
"""A run that lets the worker choose its device; it may land on any, so it shares with none."""


@dataclass(frozen=True)
class Waiting:
    """A run in the queue and the device its recipe asks for."""

    uid: str
    device: str


def device_of(name: str) -> str:
    """One name per device: `cuda` is `cuda:0`."""
    return "cuda:0" if name == "cuda" else name


def next_to_start(waiting: Sequence[Waiting], busy: Collection[str]) -> list[Waiting]:
    """Those of `waiting` (in order) that may start now, given the devices that are `busy`.

    A run never overtakes an earlier one for the same device.
    """
    taken = {device_of(name) for name in busy}
    started = []
    for run in waiting:
        device = device_of(run.device)
        clashes = bool(taken) if device == ANY else device in taken or ANY in taken
        if not clashes:
            started.append(run)
        taken.add(device)
    return started
