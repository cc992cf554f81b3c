"""How much memory an hour of a busy run takes: its events, compressed in time, through a real view model with its
run page open.

What is replayed is `traffic.training`: 720,000 metric events (200 a second; 25 steps a second with eight
metrics each) and everything else that a run reports at the rates of `traffic.EVERY`. They go through
`RunViewModel.feed` in the portions and with the backlog of the run's thread, while the window's event loop
paints the page. Measured is the resident memory after a warm-up of five minutes' worth and after the hour that
follows, both after a garbage collection. The points themselves are float64, x and y: 720,000 x 16 bytes =
11.5 MB; what is above that is CKA maps, completions, the log, and what the charts keep.
"""

from __future__ import annotations

import gc
import importlib
import time
from itertools import islice
from pathlib import Path

import psutil
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.run import RunViewModel
from app.viewmodels.workers import BACKLOG
from app.views.main_window import MainWindow
from app.views.pages import BY_KEY
from app.widgets.theme import Theme
from core.events import Event, Metrics
from core.store.home import Home
from core.store.rows import LoggedEvent
from core.store.store import Store
from tests.bench import traffic

WARM_SECONDS = 300
PORTION = 500
SETTLE_MS = 1500
EPOCH = 1_790_000_000.0


class Feeder:
    """Feeds a view model as its thread does: no more than a backlog ahead of it."""

    def __init__(self, run: RunViewModel) -> None:
        self._run = run
        self._source = traffic.training(traffic.recipe())
        self._ahead = 0
        self._seq = 0
        self.metrics = self.others = 0
        self.reached = 0.0
        run.consumed.connect(self._consumed)

    def _consumed(self, count: int) -> None:
        self._ahead -= count

    def begin(self) -> None:
        """What comes before training."""
        self._give([(0.0, it) for it in traffic.beginning(traffic.recipe())])

    def step(self) -> None:
        """One more portion, if there is room."""
        if self._ahead < BACKLOG:
            self._give(list(islice(self._source, PORTION)))

    def _give(self, due: list[tuple[float, Event]]) -> None:
        portion = []
        for seconds, event in due:
            self._seq += 1
            portion.append(LoggedEvent(self._seq, EPOCH + seconds, event))
            if isinstance(event, Metrics):
                self.metrics += 1
            else:
                self.others += 1
        self.reached = due[-1][0]
        self._ahead += len(portion)
        self._run.feed(portion)

    @property
    def settled(self) -> bool:
        """Whether everything fed has been applied."""
        return self._ahead <= 0


def measure(folder: Path) -> dict[str, object]:
    """The figures, in a process that has done nothing else."""
    qt = QApplication([])
    home = Home(folder)
    home.create()
    with Store.open(home.database) as store:
        of = traffic.recipe()
        uid = store.queue_run(
            of.model_dump_json(by_alias=True), name=of.name, seed=of.seed, base=of.base.label
        )
    settings = Settings.load(home.settings)
    application = Application(home, settings)
    window = MainWindow(application, settings, Theme(qt, "light"))
    window.show()
    found: dict[str, object] = {}
    began = time.perf_counter()

    def open_run() -> None:
        importlib.import_module(BY_KEY["run"].module)
        window.open_run(uid)
        run = window.run_page.run
        assert run is not None
        feeder = Feeder(run)
        feeder.begin()
        pump = QTimer(window, interval=0)
        marks: list[tuple[float, int, int, int]] = []

        def look() -> None:
            wanted = WARM_SECONDS if not marks else WARM_SECONDS + traffic.HOUR
            if feeder.reached < wanted:
                feeder.step()
            elif feeder.settled:
                pump.stop()
                QTimer.singleShot(SETTLE_MS, weigh)

        def weigh() -> None:
            gc.collect()
            points = sum(it.x.size for key in run.available_keys() for it in run.series(key))
            marks.append(
                (psutil.Process().memory_info().rss, feeder.metrics, feeder.others, points)
            )
            if len(marks) == 1:
                pump.start()
                return
            (before, *first), (after, *second) = marks
            found["growth_mb"] = round((after - before) / 1e6, 1)
            found["replayed_metrics"] = second[0] - first[0]
            found["replayed_others"] = second[1] - first[1]
            found["replayed_points"] = second[2] - first[2]
            found["replay_seconds"] = round(time.perf_counter() - began, 1)
            window.close()
            qt.quit()

        pump.timeout.connect(look)
        pump.start()

    application.runs.loadedChanged.connect(open_run)
    qt.exec()
    return found
