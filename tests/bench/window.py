"""How soon the window is usable, and how late its event loop is while a real run works.

Two figures, each from a process of its own: start-up (from before the first import to the filled list,
200 runs in the database), and lateness of a 5 ms timer while the tiny road runs in its worker and its page
is open. Prints one JSON object as its last line: `start_seconds` is the median of five starts, `torch_loaded`
must be false, `lateness_p99_ms` and `lateness_max_ms` are over all ticks from the first trained step to the end.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTS = 5
RUNS = 200
TICK_MS = 5
STEPS = 60


def fill(home: Path) -> None:
    """A database with many finished runs."""
    from core.store.home import Home
    from core.store.store import Store
    from tests.app import sample_runs

    place = Home(home)
    place.create()
    recipe = sample_runs.recipe()
    events = sample_runs.events(recipe, until=20)
    with Store.open(place.database) as store:
        for _ in range(RUNS):
            sample_runs.add(store, recipe, events)


def start_once() -> None:
    """In a child: from before the first import to the filled list."""
    began = time.perf_counter()
    from PySide6.QtWidgets import QApplication

    from app.settings import Settings
    from app.viewmodels.application import Application
    from app.views.main_window import MainWindow
    from app.widgets.theme import Theme
    from core.store.home import Home

    qt = QApplication([])
    home = Home.default()
    settings = Settings.load(home.settings)
    application = Application(home, settings)
    window = MainWindow(application, settings, Theme(qt, settings.theme))
    window.show()
    shown = time.perf_counter() - began

    def filled() -> None:
        record = {
            "shown": shown,
            "filled": time.perf_counter() - began,
            "rows": application.runs.rowCount(),
            "torch": "torch" in sys.modules,
        }
        print(json.dumps(record), flush=True)
        window.close()
        qt.quit()

    application.runs.loadedChanged.connect(filled)
    qt.exec()


def watch_once(folder: str) -> None:
    """In a child: start the tiny road in its worker, open its page, and time the event loop."""
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtWidgets import QApplication, QWidget

    from app.settings import Settings
    from app.viewmodels.application import Application
    from app.views.dialogs import Dialogs
    from app.views.main_window import MainWindow
    from app.widgets.theme import Theme
    from core.recipe.files import load
    from core.store.home import Home

    class LeaveIt(Dialogs):
        def leave(self, parent: QWidget, running: int) -> str:
            """The worker may still be closing its files when the run is done."""
            return "keep"

    qt = QApplication([])
    home = Home.default()
    settings = Settings.load(home.settings)
    application = Application(home, settings)
    window = MainWindow(application, settings, Theme(qt, settings.theme), LeaveIt())
    window.show()
    application.runs.loadedChanged.connect(
        lambda: application.start(load(Path(folder) / "road.yaml"))
    )
    late: list[float] = []
    timer = QTimer(interval=TICK_MS)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        run = window.run_page.run if window.page == "run" else None
        if run is not None and run.series("loss"):
            late.append(max(0.0, 1000 * (now - last) - TICK_MS))
        last = now

    def look() -> None:
        run = window.run_page.run if window.page == "run" else None
        if run is not None and run.status in ("done", "failed", "stopped"):
            print(json.dumps({"status": run.status, "late": late}), flush=True)
            window.close()
            qt.quit()

    timer.timeout.connect(tick)
    timer.start()
    ender = QTimer(interval=200)
    ender.timeout.connect(look)
    ender.start()
    qt.exec()


def child(*arguments: str, home: Path) -> dict[str, object]:
    """Run this file in a process of its own and read its last line."""
    environment = {**os.environ, "REKINDLE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=900, cwd=ROOT
    )
    record: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return record


def main() -> None:
    """Measure, print for people, and print the JSON line."""
    sys.path.insert(0, str(ROOT))
    from tests.flow.road import road, write

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "full")
        starts = [child("start", home=folder / "full") for _ in range(STARTS)]
        seconds = [float(str(it["filled"])) for it in starts]
        print("usable after", ", ".join(f"{it:.2f} s" for it in seconds))
        recipe = road(folder, steps=STEPS)
        kept = [stage for stage in recipe.stages if stage.id in ("pruned", "recovered")]
        write(recipe.model_copy(update={"stages": kept}), folder)
        watched = child("watch", str(folder), home=folder / "live")
        late = sorted(watched["late"])  # type: ignore[call-overload]
        print(f"{len(late)} ticks while the run was {watched['status']}")
        figures = {
            "start_seconds": round(statistics.median(seconds), 3),
            "rows": starts[0]["rows"],
            "torch_loaded": any(it["torch"] for it in starts),
            "lateness_p50_ms": round(late[len(late) // 2], 2),
            "lateness_p99_ms": round(late[int(0.99 * len(late))], 2),
            "lateness_max_ms": round(late[-1], 2),
            "ticks": len(late),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start"]:
            start_once()
        case ["watch", place]:
            watch_once(place)
        case _:
            main()
