"""A store in a folder of its own, and one whole small run as events."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.events import (
    CheckpointSaved,
    CkaMeasured,
    CompletionSampled,
    EvaluatedItem,
    Event,
    GuardWarning,
    Heartbeat,
    ItemsEvaluated,
    Metrics,
    PlannedStage,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.store.store import Store

RECIPE = {"name": "Quantize and recover", "stages": [{"id": "q", "kind": "quantize"}]}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "rekindle.sqlite3"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database) as opened:
        yield opened


@pytest.fixture
def uid(store: Store) -> str:
    return store.queue_run(json.dumps(RECIPE), name="first", seed=7, base="tiny", created=100.0)


@pytest.fixture
def whole_run() -> list[Event]:
    """Every kind of event, in an order in which a worker could emit them."""
    plan = (
        PlannedStage(id="base", kind="base", source=None, role="base"),
        PlannedStage(id="q", kind="quantize", source="base", role="degraded"),
        PlannedStage(id="r", kind="sdft", source="q", role="recovered"),
        PlannedStage(id="r.evaluate", kind="evaluate", source="r", role=None, implied=True),
    )
    first = EvaluatedItem(item="one", correct=True, score=1.0, completion="4", gold="4")
    second = EvaluatedItem(item="two", correct=False, score=math.nan, completion="", gold="B")

    def score(step: int | None, correct: int) -> TaskEvaluated:
        return TaskEvaluated(
            stage="r.evaluate" if step is None else "r",
            subject="r",
            checkpoint="c" * 64,
            task="tooluse",
            step=step,
            n=2,
            correct=correct,
            protocol="p1",
            scorer="tooluse_official_v1",
            dataset="d1",
            seed=7,
        )

    def saved(step: int | None, final: bool) -> CheckpointSaved:
        return CheckpointSaved(
            stage="r",
            identity="c" * 64,
            parent="b" * 64,
            stage_kind="sdft",
            path="checkpoints/cc",
            bytes=10,
            step=step,
            final=final,
        )

    return [
        RunStarted(session=1, stages=plan, environment={"engine": "1", "python": "3.11"}),
        StageStarted(stage="base"),
        StageFinished(stage="base", status="done", checkpoint="a" * 64, seconds=1.0),
        StageStarted(stage="q", device="cpu", dtype="float32"),
        StageFinished(stage="q", status="done", checkpoint="b" * 64, reused=True, seconds=2.0),
        StageStarted(stage="r"),
        Progress(stage="r", done=0, total=2, unit="step"),
        Metrics(stage="r", step=1, values={"loss": 0.5, "entropy": math.nan}, tokens=10),
        CompletionSampled(
            stage="r",
            step=1,
            item="one",
            prompt="2+2?",
            demonstration="4",
            tokens=("it is", " 4"),
            divergence=(None, 0.25),
            kl=0.25,
            teacher_top1_agreement=1.0,
            ended=True,
        ),
        saved(1, final=False),
        score(1, 0),
        Metrics(stage="r", step=2, values={"loss": 0.25, "entropy": math.inf}, tokens=20),
        GuardWarning(stage="r", code="truncated_completions", step=2, values={"share": 0.5}),
        CkaMeasured(
            stage="r",
            subject="r",
            reference="base",
            probe="science",
            step=2,
            mode="per_sample",
            token="last_prompt",
            preprocessing="center",
            variant="debiased",
            rows=("embeddings", "block_0"),
            cols=("embeddings", "block_0"),
            values=(1.0, math.nan),
            null_floor=(0.1, 0.1),
            n=16,
        ),
        Progress(stage="r", done=2, total=2, unit="step"),
        saved(2, final=False),
        saved(2, final=True),
        StageFinished(stage="r", status="done", checkpoint="c" * 64, seconds=3.0),
        StageStarted(stage="r.evaluate"),
        ItemsEvaluated(stage="r.evaluate", subject="r", task="tooluse", items=(first,)),
        ItemsEvaluated(stage="r.evaluate", subject="r", task="tooluse", items=(second,)),
        score(None, 1),
        StageFinished(stage="r.evaluate", status="done", checkpoint="c" * 64, seconds=1.0),
        Heartbeat(rss=1000),
        RunFinished(status="done", seconds=7.0, recovered_fraction={"r": {"tooluse": 0.5}}),
    ]
