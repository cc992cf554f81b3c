"""A run that diverges records what no axis reaches: the window shows it, and stays."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.curves import Curves
from app.viewmodels.run import RunViewModel
from app.views.dialogs import Dialogs
from app.views.run_page import RunPage
from app.widgets.theme import Theme
from core.events import CkaMeasured, CompletionSampled, Event, Metrics
from core.store.rows import LoggedEvent
from tests.app.replaying import NAMES, recording

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
NAN, INF = float("nan"), float("inf")
ODD = (NAN, INF, -INF, 1e308, -1e308, 3.4e38, 1e30, 0.0, -1.0, 1e-320)
SHARES = (0.01, 0.1, 0.5)
PARTS = 5


def spoiled(event: Event, rng: random.Random, share: float) -> Event:
    """The event with some of its numbers replaced."""

    def other(value: float | None) -> float | None:
        return rng.choice(ODD) if value is not None and rng.random() < share else value

    def others(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(map(other, values))

    match event:
        case Metrics():
            return event.model_copy(
                update={"values": {key: other(it) for key, it in event.values.items()}}
            )
        case CompletionSampled():
            return event.model_copy(
                update={"divergence": others(event.divergence), "kl": other(event.kl)}
            )
        case CkaMeasured():
            arrays = ("values", "null_floor", "spread", "low", "high")
            return event.model_copy(
                update={name: others(getattr(event, name)) for name in arrays}
                | {"probe_kl": other(event.probe_kl)}
            )
    return event


@pytest.mark.parametrize("seed", range(6))
def test_that_numbers_beyond_all_axes_are_drawn_as_gaps_and_break_nothing(
    seed: int, application: Application, theme: Theme, qtbot: QtBot
) -> None:
    rng = random.Random(seed)
    recorded = recording(NAMES[seed % len(NAMES)])
    share = SHARES[seed % len(SHARES)]
    log = [LoggedEvent(it.seq, it.t, spoiled(it.event, rng, share)) for it in recorded.log]
    page = RunPage(application, Settings(), theme, Dialogs())
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    qtbot.waitExposed(page)
    run = RunViewModel(recorded.row.uid)
    run.describe(recorded.row)
    page.show_run(run)
    step = max(len(log) // PARTS, 1)
    for start in range(0, len(log), step):
        run.apply(log[start : start + step])
        page.refresh_now()
        for tile in page.area.tiles:
            tile.chart.redraw()
        qtbot.wait(1)  # what is drawn is painted
    for side in ("scores", "guards", "log"):
        page.details.side.choose(side)
        page.refresh_now()
    assert bool(run.available_keys()) == any(isinstance(it.event, Metrics) for it in log)
    page.copy_diagnostics()


def test_that_what_overflows_counts_as_infinite_and_the_rest_stays() -> None:
    curves = Curves()
    for step, value in enumerate((1.0, 1e308, -1e308, NAN, 2e29)):
        curves.add("sdft", step, {"loss": value})
    curve = curves.get("loss", "sdft")
    assert curve is not None
    np.testing.assert_array_equal(curve.y(), [1.0, INF, -INF, NAN, 2e29])
