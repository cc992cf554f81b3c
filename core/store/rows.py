"""What the store hands out: frozen rows, plain data, nothing that reaches back to the database."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.events import Event, RunStatus

RunMark = tuple[object, ...]
"""Differs between two looks at a run when its row does; compared, never read."""


@dataclass(frozen=True)
class RunRow:
    """One line of the run list. Times are seconds since the epoch, UTC.

    Attributes:
        last: newest value per series, keyed "stage/key".
        measured: newest final score, keyed "subject/task".
        recovered_fraction: stage id -> task -> fraction or None; empty until the run is done.
        loss: up to 64 values of the last training stage's loss, evenly thinned, for a sparkline.
    """

    uid: str
    name: str
    status: RunStatus
    created: float
    started: float | None
    ended: float | None
    heartbeat: float | None
    pid: int | None
    pid_started: float | None
    seed: int
    base: str
    recipe_json: str
    session: int
    star: int
    tags: tuple[str, ...]
    notes: str
    failure: str
    failure_message: str
    last: dict[str, float] = field(default_factory=dict)
    measured: dict[str, ScoreRow] = field(default_factory=dict)
    recovered_fraction: dict[str, dict[str, float | None]] = field(default_factory=dict)
    loss: tuple[float, ...] = ()

    @property
    def scores(self) -> dict[str, float]:
        """The accuracies (0-1) of `measured`."""
        return {name: it.correct / it.n for name, it in self.measured.items()}


@dataclass(frozen=True)
class LoggedEvent:
    """An event with its place in the run's log."""

    seq: int
    t: float
    event: Event


@dataclass(frozen=True)
class Points:
    """One series in full: steps (int64), times (float64, seconds), values (float64); equal lengths."""

    stage: str
    key: str
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class ScoreRow:
    """A task's score on one checkpoint of one run, with everything that identifies it."""

    run: str
    subject: str
    checkpoint: str | None
    task: str
    step: int | None
    n: int
    correct: int
    protocol: str
    scorer: str
    dataset: str
    seed: int


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint known to the store; `path` is relative to the home folder."""

    identity: str
    parent: str | None
    kind: str
    path: str
    bytes: int
    step: int | None
    final: bool
    run: str
    stage: str


@dataclass(frozen=True)
class LineageRun:
    """What the lineage of checkpoints needs to know of a run.

    `created` is in seconds since the epoch, `base` the label of the base model; `recovered_fraction` is
    keyed stage id -> task, as in `RunRow`.
    """

    uid: str
    name: str
    status: RunStatus
    pid: int | None
    pid_started: float | None
    seed: int
    created: float
    base: str
    recovered_fraction: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class LineageRows:
    """Everything the database knows about checkpoints.

    Attributes:
        checkpoints: of all runs; one that several runs made or found comes once for each.
        roles: (run, stage id) -> role, "" for none.
        runs: by id.
        scores: final ones, of all runs.
        used: (run, identity) of every checkpoint that a run made, found, read or measured.
        gone: path relative to the home folder -> "trash" or "deleted".
    """

    checkpoints: tuple[CheckpointRow, ...]
    roles: dict[tuple[str, str], str]
    runs: dict[str, LineageRun]
    scores: tuple[ScoreRow, ...]
    used: frozenset[tuple[str, str]]
    gone: dict[str, str]
