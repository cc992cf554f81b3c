"""What the pictures and the looks checks see: every page of the window, empty, at work and full.

A page that joins `app.views.pages.PAGES` gets its three scenes without a word here; `PREPARE` says how a page
comes into a state when opening it is not enough. Everything that changes by itself is held still: the clock,
the figures of the machine, cursors, animations.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import psutil
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.gpus import NO_GPU
from app.viewmodels.machine import MachineMonitor, Sample
from app.views.dialogs import Dialogs
from app.views.gallery_page import GalleryPage
from app.views.main_window import MainWindow
from app.views.page import Page
from app.views.pages import PAGES
from app.widgets.theme import Theme
from core.engine import estimate_process
from core.recipe.files import dump
from core.store.home import Home
from core.store.store import Store
from tests.app.sample_runs import add, checked, fill, two_stage
from tests.helpers import fake_foresight

STATES = ("empty", "running", "full")
NOW = 1_790_000_000.0
"""The clock of every picture: 21 September 2026, 14:13:20 UTC."""
GIB = 2**30
MEMORY = SimpleNamespace(total=32 * GIB, available=20 * GIB, percent=37.5, used=12 * GIB)
DISK = SimpleNamespace(total=512 * GIB, used=300 * GIB, free=212 * GIB)
POLL_SECONDS = 0.02
SAME_LOOKS = 5
"""A picture that stayed the same for this many looks is finished."""
LEAST_SECONDS = 0.3
MOST_SECONDS = 20.0
SWEEPS_BELOW_MS = 100
"""A timer that repeats faster than this moves something."""
SMALL = Path(__file__).parents[2] / "resources" / "recipes" / "smollm2_nf4.yaml"


@dataclass
class Stage:
    """One window in one state, and the runs it knows by name."""

    window: MainWindow
    application: Application
    theme: Theme
    runs: dict[str, str]


@dataclass(frozen=True)
class Scene:
    """One thing to look at: `name` is that of its picture; `page` opens it, `prepare` does the rest."""

    name: str
    page: str
    state: str
    prepare: Callable[[Stage], None] | None = None
    extra: bool = False


def _problems(stage: Stage) -> None:
    stage.application.new_run.load_preset(str(SMALL))
    stage.application.new_run.select("1")


def _recipe(stage: Stage) -> None:
    stage.application.new_run.load_recipe(dump(two_stage()))
    stage.application.new_run.set("datasets.tooluse.source", "demo")
    stage.application.new_run.select("2")


def _run(name: str) -> Callable[[Stage], None]:
    return lambda stage: stage.window.open_run(stage.runs[name])


def _compare(*names: str) -> Callable[[Stage], None]:
    return lambda stage: stage.window.compare([stage.runs[name] for name in names])


def _charts(stage: Stage) -> None:
    gallery = stage.window.page_at("gallery")
    assert isinstance(gallery, GalleryPage)
    gallery.show_charts()


PREPARE: dict[tuple[str, str], Callable[[Stage], None]] = {
    ("new", "running"): _problems,
    ("new", "full"): _recipe,
    ("run", "running"): _run("running"),
    ("run", "full"): _run("done"),
    ("gallery", "full"): _charts,
    ("compare", "running"): _compare("running"),
    ("compare", "full"): _compare("done", "pruned"),
}
EXTRAS = (
    Scene("run-failed", "run", "full", _run("failed"), extra=True),
    Scene("run-no-help", "run", "full", _run("no help"), extra=True),
    Scene("compare-one", "compare", "full", _compare("done"), extra=True),
)


def scenes(states: tuple[str, ...] = STATES) -> list[Scene]:
    """Every page in every one of `states`, then the scenes of special cases."""
    made = [
        Scene(f"{key}-{state}", key, state, PREPARE.get((key, state)))
        for state in states
        for key in (place.key for place in PAGES)
    ]
    return made + [scene for scene in EXTRAS if scene.state in states]


class NobodyAsks(Dialogs):
    """Answers the question at closing."""

    def leave(self, parent: QWidget, running: int) -> str:
        """Close, and leave the worker."""
        return "keep"


def refuse(*_: object) -> None:
    """No worker is started for a picture."""
    raise OSError("pictures start no worker")


def _one_sample(monitor: MachineMonitor) -> None:
    """Instead of a look every second."""
    monitor.gpu_reason = NO_GPU
    busy = MEMORY.total - MEMORY.available
    monitor.take(Sample(NOW, 12.0, 16, busy, MEMORY.total, DISK.free, DISK.total))


@contextlib.contextmanager
def held_still() -> Iterator[None]:
    """The clock, the machine's figures and the answers of other processes are the same every time."""
    os.environ["TZ"] = "UTC"
    if hasattr(time, "tzset"):
        time.tzset()
    command = [sys.executable, fake_foresight.__file__]
    with (
        mock.patch.object(time, "time", return_value=NOW),
        mock.patch.object(psutil, "virtual_memory", return_value=MEMORY),
        mock.patch.object(MachineMonitor, "begin", _one_sample),
        mock.patch.object(shutil, "disk_usage", return_value=DISK),
        mock.patch.object(estimate_process, "command", return_value=command),
    ):
        yield


def runs_of(home: Home, state: str) -> dict[str, str]:
    """Fill a home for a state; the runs' ids by name."""
    home.create()
    with Store.open(home.database) as store:
        if state == "empty":
            return {}
        uids = fill(store)
        taught = two_stage()
        uids["helps"] = add(store, taught, checked(taught), age=7200)
        uids["no help"] = add(store, taught, checked(taught, taught=0.48), age=9000)
        return uids


@contextlib.contextmanager
def stage_of(state: str, place: Path, qt: QApplication) -> Iterator[Stage]:
    """A shown window in a state, closed again afterwards. Its theme is its own: pages listen to it for life."""
    home = Home(place)
    theme = Theme(qt, "light")
    runs = runs_of(home, state)
    settings = Settings(smoothing=0.6)
    application = Application(home, settings, spawn=refuse)
    window = MainWindow(application, settings, theme, NobodyAsks())
    window.show()
    made = Stage(window, application, theme, runs)
    try:
        wait(lambda: application.runs.rowCount() == len(runs))
        yield made
    finally:
        window.close()
        qt.styleHints().colorSchemeChanged.disconnect(theme.follow)
        for it in (window, application, theme):
            it.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def show(stage: Stage, scene: Scene) -> None:
    """Open a scene; it may still be filling itself."""
    stage.window.show_page(scene.page)
    wait(lambda: stage.window.page == scene.page)  # its module may still be on its way
    if scene.prepare is not None:
        scene.prepare(stage)


def wait(ready: Callable[[], bool]) -> None:
    """Turn the event loop until `ready`."""
    end = time.monotonic() + MOST_SECONDS
    while not ready():
        assert time.monotonic() < end, "the window did not come to rest"
        turn(POLL_SECONDS)


def turn(seconds: float) -> None:
    """Let timers and threads do their work."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def settled(stage: Stage) -> QImage:
    """The window's picture once it changes no more."""
    _work_is_done(stage)
    begun, same = time.monotonic(), 0
    before = QImage()
    while same < SAME_LOOKS or time.monotonic() - begun < LEAST_SECONDS:
        assert time.monotonic() - begun < MOST_SECONDS, "the window did not come to rest"
        turn(POLL_SECONDS)
        freeze(stage.window)
        _work_is_done(stage)
        now = stage.window.grab().toImage()
        same = same + 1 if now == before else 0
        before = now
    return before


def _work_is_done(stage: Stage) -> None:
    """Nothing is being read or reckoned, and no part of the page waits to be refreshed."""
    application = stage.application
    wait(lambda: not application.estimates.busy and not application.compare.loading)
    answered: list[int] = []
    application.offload(lambda: 0, lambda _: answered.append(1))
    wait(lambda: bool(answered))
    pages = [page for page in stage.window.findChildren(Page) if page.isVisible()]
    wait(lambda: not any(page._parts for page in pages))


def freeze(window: MainWindow) -> None:
    """Stop what moves by itself; the focus goes where the window puts it when a page is opened."""
    QApplication.setCursorFlashTime(0)
    for timer in window.findChildren(QTimer):
        if timer.isActive() and not timer.isSingleShot() and timer.interval() < SWEEPS_BELOW_MS:
            timer.stop()
    window.stack.setFocus()
    for area in window.findChildren(QScrollArea):  # the walk by Tab has scrolled them
        area.verticalScrollBar().setValue(0)
        area.horizontalScrollBar().setValue(0)
