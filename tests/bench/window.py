"""How soon the window is usable, how late its event loop is while a busy run works, how long a frame of a large
chart takes, and how much memory an hour of a run costs.

Each figure comes from a process of its own, on the offscreen platform. Prints one JSON object as its last
line:

* `start_seconds`: from before the first import to the filled list, median of five starts with 10,000 runs in the
  database; `torch_loaded` must be false.
* `lateness_p50_ms`, `lateness_p99_ms`, `lateness_max_ms`: of a 5 ms timer, over all ticks while a worker process logs
  200 metrics a second through the real recorder, its page is open, and so is a chart of ten curves of a million
  points that is panned ten times a second.
* `frame_ms_median` and what it is compared with: see `panning`.
* `growth_mb` and what was replayed: see `replay`.
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
RUNS = 10_000
TICK_MS = 5
BUSY_SECONDS = 30
PAN_MS = 100
PAN_SHARE = 0.2


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


def watch_once() -> None:
    """In a child: start the busy run in its worker, open its page and a large chart, and time the event loop."""
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtWidgets import QApplication, QWidget

    from app.settings import Settings
    from app.viewmodels.application import Application
    from app.views.dialogs import Dialogs
    from app.views.main_window import MainWindow
    from app.widgets.theme import Theme
    from core.store.home import Home
    from tests.bench import traffic

    class LeaveIt(Dialogs):
        def leave(self, parent: QWidget, running: int) -> str:
            """The worker may still be closing its files when the run is done."""
            return "keep"

    def spawn(uid: str, home: Home) -> subprocess.Popen[bytes]:
        command = [sys.executable, traffic.__file__, uid, "--home", str(home.path)]
        return subprocess.Popen([*command, "--seconds", str(BUSY_SECONDS)], start_new_session=True)

    qt = QApplication([])
    home = Home.default()
    settings = Settings.load(home.settings)
    application = Application(home, settings, spawn=spawn)
    theme = Theme(qt, settings.theme)
    window = MainWindow(application, settings, theme, LeaveIt())
    window.show()
    late: list[float] = []
    timer = QTimer(interval=TICK_MS)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    last = time.perf_counter()
    panned = 0

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        run = window.run_page.run if window.page == "run" else None
        if run is not None and run.series("loss") and panned > 1:
            late.append(max(0.0, 1000 * (now - last) - TICK_MS))
        last = now

    def look() -> None:
        run = window.run_page.run if window.page == "run" else None
        if run is not None and run.status in ("done", "failed", "stopped"):
            points = sum(it.x.size for key in run.available_keys() for it in run.series(key))
            print(json.dumps({"status": run.status, "late": late, "points": points}), flush=True)
            chart.close()
            window.close()
            qt.quit()

    from app.widgets.charts import LineChart
    from tests.bench.panning import POINTS, SIZE, curves

    chart = LineChart(theme, "bench")
    chart.resize(*SIZE)
    chart.set_lines(curves(theme))
    box = chart.plot.getPlotItem().getViewBox()

    def pan() -> None:
        nonlocal panned
        panned += 1
        span = PAN_SHARE * POINTS
        low = (panned * span / 20) % (POINTS - span)
        box.setXRange(low, low + span, padding=0)
        box.sigRangeChangedManually.emit(box.state["mouseEnabled"])

    panner = QTimer(interval=PAN_MS)
    panner.timeout.connect(pan)

    def begin() -> None:
        application.start(traffic.recipe())
        chart.show()
        panner.start()

    application.runs.loadedChanged.connect(begin)
    timer.timeout.connect(tick)
    timer.start()
    ender = QTimer(interval=200)
    ender.timeout.connect(look)
    ender.start()
    qt.exec()


def frame_once() -> None:
    """In a child: the panned chart."""
    from tests.bench.panning import measure

    print(json.dumps(measure()), flush=True)


def replay_once() -> None:
    """In a child: an hour of events."""
    from tests.bench.replay import measure

    print(json.dumps(measure(Path(os.environ["REKINDLE_HOME"]))), flush=True)


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
    from tests.bench.many_runs import fill

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        fill(folder / "full", RUNS)
        print(f"{RUNS:,} runs written in {time.perf_counter() - began:.1f} s")
        starts = [child("start", home=folder / "full") for _ in range(STARTS)]
        seconds = [float(str(it["filled"])) for it in starts]
        print("usable after", ", ".join(f"{it:.2f} s" for it in seconds))
        frames = child("frame", home=folder / "frame")
        print("frames", frames)
        watched = child("watch", home=folder / "live")
        late = sorted(watched["late"])  # type: ignore[call-overload]
        print(f"{len(late)} ticks while the run was {watched['status']}")
        replayed = child("replay", home=folder / "replay")
        print("replay", replayed)
        figures = {
            "start_seconds": round(statistics.median(seconds), 3),
            "shown_seconds": round(statistics.median(float(str(it["shown"])) for it in starts), 3),
            "rows": starts[0]["rows"],
            "torch_loaded": any(it["torch"] for it in starts),
            "lateness_p50_ms": round(late[len(late) // 2], 2),
            "lateness_p99_ms": round(late[int(0.99 * len(late))], 2),
            "lateness_max_ms": round(late[-1], 2),
            "ticks": len(late),
            "points_logged": watched["points"],
            **frames,
            **replayed,
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start"]:
            start_once()
        case ["watch"]:
            watch_once()
        case ["frame"]:
            frame_once()
        case ["replay"]:
            replay_once()
        case _:
            main()
