"""An hour of a run that logs two hundred metrics a second, event by event; and a worker that lives it in real time.

A training step comes 25 times a second and reports eight metrics, each as an event of its own (720,000 an
hour, as many points). Beside them what a run reports besides, at the rates of `EVERY`: heartbeats, progress,
completions with their divergence, CKA maps of 32 x 32 layers, scores, saved states and warnings.

`python tests/bench/traffic.py UID --home PATH --seconds N` (the repository on PYTHONPATH) executes such a run: the
real store and the real recorder, no torch.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

from core.engine.liveness import me
from core.engine.recorder import Recorder
from core.events import (
    CheckpointSaved,
    Event,
    GuardWarning,
    Heartbeat,
    Metrics,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from core.recipe.plan import plan
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.app import sample_runs

HOUR = 3600.0
STEPS_PER_SECOND = 25
KEYS = (
    "loss", "divergence", "entropy", "completion_length", "ended_rate", "grad_norm", "tokens_per_second",
    "learning_rate",
)  # fmt: skip
METRICS_PER_SECOND = STEPS_PER_SECOND * len(KEYS)
EVERY = {
    "heartbeat": 2,
    "progress": 1,
    "completion": 5,
    "cka": 20,
    "score": 30,
    "state": 60,
    "warning": 120,
}
"""Seconds between two of them."""
STAGE = "recovered"


def recipe() -> Recipe:
    """The recipe of the run."""
    return sample_runs.recipe("bench · 200 metrics a second")


def beginning(of: Recipe) -> list[Event]:
    """What a run says before it trains."""
    steps = plan(of)
    made: list[Event] = [
        RunStarted(session=1, stages=tuple(it.planned for it in steps), environment={})
    ]
    for step in steps:
        made.append(StageStarted(stage=step.id, device="cpu", dtype="float32"))
        if step.id == STAGE:
            break
        made += sample_runs._closing(step)
    return made


def training(of: Recipe, first: int = 1) -> Iterator[tuple[float, Event]]:
    """Seconds since training began and what is reported then, from step `first` on, without end."""
    step = next(it for it in plan(of) if it.id == STAGE)
    at = first
    while True:
        seconds = at / STEPS_PER_SECOND
        for place, key in enumerate(KEYS):
            value = math.exp(-at / 9000) + 0.2 + 0.05 * math.sin(at * (1.7 + place))
            yield seconds, Metrics(stage=STAGE, step=at, tokens=900 * at, values={key: value})
        for kind, every in EVERY.items():
            if at % (every * STEPS_PER_SECOND) == 0:
                yield seconds, _other(kind, step, at)
        at += 1


def _other(kind: str, step: sample_runs.Step, at: int) -> Event:
    match kind:
        case "heartbeat":
            return Heartbeat(rss=1_350_000_000 + at)
        case "progress":
            return Progress(
                stage=STAGE,
                done=at,
                total=int(2 * HOUR) * STEPS_PER_SECOND,
                unit="step",
                rate=float(STEPS_PER_SECOND),
                eta=2 * HOUR,
            )
        case "completion":
            return sample_runs._completion(step, at, 0.4)
        case "cka":
            return sample_runs._cka(STAGE, STAGE, at, 1 - math.exp(-at / 9000))
        case "score":
            return sample_runs._score(STAGE, STAGE, "tooluse", 20 + at % 30, at)
        case "state":
            return CheckpointSaved(
                stage=STAGE,
                identity=f"{at:0>64}",
                parent=None,
                stage_kind="sdft",
                path=f"checkpoints/{at}",
                bytes=94_000_000,
                step=at,
                final=False,
            )
    return GuardWarning(stage=STAGE, code="artefact_phrases", step=at, values={"share": 0.03})


def execute(uid: str, home: Home, seconds: float) -> None:
    """The worker: what is due is emitted when it is due."""
    of = recipe()
    with Store.open(home.database) as store:
        store.claim(uid, *me())
        with Recorder(lambda it: store.record(uid, it), lambda: Heartbeat(rss=1)) as recorder:
            for event in beginning(of):
                recorder.emit(event)
            began = time.monotonic()
            for due, event in training(of):
                if due > seconds:
                    break
                wait = due - (time.monotonic() - began)
                if wait > 0:
                    time.sleep(wait)
                recorder.emit(event)
            recorder.emit(StageFinished(stage=STAGE, status="done", seconds=seconds))
            recorder.emit(RunFinished(status="done", seconds=seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("uid")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    execute(given.uid, Home(given.home), given.seconds)
