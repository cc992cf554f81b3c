from __future__ import annotations

import pytest

from app.viewmodels import words
from app.viewmodels.pace import brief, left, pace
from app.viewmodels.stage_strip import StageStrip
from core.events import PlannedStage, Progress, RunStarted, StageStarted

NOW = 1_764_000_000.0


def strip(progress: Progress | None, *, running: bool = True) -> StageStrip:
    made = StageStrip()
    plan = (PlannedStage(id="back", kind="sdft", source=None, role="recovered"),)
    made.begin(RunStarted(session=1, environment={}, stages=plan))
    if running:
        made.start(StageStarted(stage="back"))
    if progress is not None:
        made.progress(progress)
    return made


def step(**more: object) -> Progress:
    return Progress(stage="back", done=128, total=200, unit="step", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate", "said"),
    [(1 / 21, "21 s/step"), (1 / 2.5, "2.5 s/step"), (4.0, "4.0 steps/s")],
)
def test_that_a_rate_reads_as_people_say_it(rate: float, said: str) -> None:
    text = pace(strip(step(rate=rate, eta=1500.0)), NOW)
    assert text == f"step 128 of 200 · {said} · ends {words.clock(NOW + 1500)[:5]}"
    assert left(strip(step(rate=rate, eta=1500.0))) == "back: step 128 / 200, 25 m left"
    assert brief(strip(step(rate=rate, eta=1500.0))) == "128 / 200, 25 m left"


def test_that_nothing_is_said_of_what_is_not_known() -> None:
    assert pace(strip(step()), NOW) == "step 128 of 200"
    assert pace(strip(None), NOW) == "back"
    assert left(strip(None)) == brief(strip(None)) == "back"
    assert pace(strip(None, running=False), NOW) == left(strip(None, running=False)) == ""


def test_that_bytes_are_told_as_sizes() -> None:
    moved = Progress(
        stage="back", done=2**30, total=4 * 2**30, unit="byte", rate=50 * 2**20, eta=60.0
    )
    assert pace(strip(moved), NOW).startswith("1.0 GiB of 4.0 GiB · 50.0 MiB/s · ends ")
