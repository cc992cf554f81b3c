"""The order of waiting runs: one run per device, first come first served. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


def clash(one: str, other: str) -> bool:
    """Whether two runs on these devices cannot run at once."""
    first, second = device_of(one), device_of(other)
    return first == second or ANY in (first, second)


def next_to_start(waiting: Sequence[Waiting], busy: Collection[str]) -> list[Waiting]:
    """Those of `waiting` (in order) that may start now, given the devices that are `busy`.

    A run never overtakes an earlier one for the same device.
    """
    taken = list(busy)
    started = []
    for run in waiting:
        if not any(clash(run.device, other) for other in taken):
            started.append(run)
        taken.append(run.device)
    return started


def moved(waiting: Sequence[Waiting], uid: str, place: int) -> list[Waiting]:
    """The queue with one run at another place (0 is the front); unchanged when it does not wait."""
    run = next((it for it in waiting if it.uid == uid), None)
    if run is None:
        return list(waiting)
    rest = [it for it in waiting if it.uid != uid]
    at = min(max(place, 0), len(rest))
    return [*rest[:at], run, *rest[at:]]


def finish_times(
    running: Sequence[tuple[str, float | None]],
    waiting: Sequence[Waiting],
    lengths: Mapping[str, float | None],
) -> dict[str, float | None]:
    """Seconds until each waiting run is expected to end; None where that cannot be said.

    Args:
        running: device and seconds left of each run at work, None where unknown.
        waiting: in order.
        lengths: how long each waiting run takes, None where unknown.
    """
    # By device, when the last one ends; None: nobody knows.
    ends: dict[str, float | None] = {}
    expected: dict[str, float | None] = {}

    def take(device: str, end: float | None) -> None:
        name, earlier = device_of(device), ends.get(device_of(device), 0.0)
        ends[name] = None if end is None or earlier is None else max(earlier, end)

    for device, left in running:
        take(device, left)
    for run in waiting:
        before = [end for device, end in ends.items() if clash(run.device, device)]
        length = lengths.get(run.uid)
        known = [it for it in before if it is not None]
        unknown = length is None or len(known) < len(before)
        end = None if length is None or unknown else max(known, default=0.0) + length
        expected[run.uid] = end
        take(run.device, end)
    return expected
