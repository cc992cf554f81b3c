"""The process that has the window of `window_walk`. Run by it, with a home in REKINDLE_HOME."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QApplication

from app.collector import Collector
from core.store.home import Home
from core.store.store import Store
from tests.bench import traffic
from tests.bench.walk import Step, Walk
from tests.bench.walk_steps import steps

LIVE_SECONDS = 900
ROUNDS, WARM_ROUNDS = 50, 10


def objects(root: QObject) -> int:
    """How many Qt objects hang below one."""
    return len(root.findChildren(QObject))


def measured(walk: Walk) -> dict[str, float]:
    """What is there now, after a collection."""
    gc.collect()
    everywhere = sum(objects(it) + 1 for it in QApplication.topLevelWidgets())
    return {
        "rss_mb": psutil.Process().memory_info().rss / 1e6,
        "objects": everywhere + objects(walk.application) + objects(walk.qt),
        "python": sum(isinstance(it, QObject) for it in gc.get_objects()),
    }


def growth(walk: Walk) -> dict[str, object]:
    """Fifty of each, after ten to warm up."""
    found: dict[str, object] = {}
    walk.go(iter([Step("open", walk.open)]))
    window, application = walk.window, walk.application
    ready = lambda: window._imports.isFinished() and application.runs.rowCount() > 9_000  # noqa: E731
    walk.go(iter([Step("wait", lambda: None, ready)]))
    gc.freeze()
    uids = list(walk.runs("done") + walk.runs("stopped"))
    cycles: dict[str, Callable[[int], Iterator[Step]]] = {
        "runs": lambda at: iter(
            [Step("", lambda: window.open_run(uids[at]), lambda: window.run_page.run.loaded)]
        ),
        "comparisons": lambda at: iter(
            [
                Step(
                    "",
                    lambda: window.compare(uids[at : at + 3]),
                    lambda: not application.compare.loading,
                )
            ]
        ),
        "palettes": lambda at: iter(
            [
                Step("", window.palette_box.open),
                Step("", lambda: walk.key(Qt.Key.Key_B)),
                Step("", window.palette_box.close_it),
            ]
        ),
        "drawers": lambda at: iter(
            [Step("", window.shortcuts.toggle), Step("", window.shortcuts.toggle)]
        ),
        "themes": lambda at: iter([Step("", window.header.next_theme)]),
        "pages": lambda at: iter(
            Step("", lambda key=key: window.show_page(key))
            for key in ("new", "models", "settings", "run")
        ),
    }
    only = sys.argv[2:] or list(cycles)
    for name in only:
        at = 0
        for _ in range(WARM_ROUNDS):
            walk.go(cycles[name](at))
            at += 1
        before = measured(walk)
        for _ in range(ROUNDS):
            walk.go(cycles[name](at))
            at += 1
        after = measured(walk)
        found[name] = {key: round(after[key] - before[key], 2) for key in before}
        sys.stderr.write(f"{name}: {found[name]}\n")
    return found


def main() -> None:
    """Walk, and print one line of JSON."""
    home = Home.default()
    home.settings.unlink(missing_ok=True)
    of = traffic.recipe()
    with Store.open(home.database) as store:
        uid = store.queue_run(
            of.model_dump_json(by_alias=True), name=of.name, seed=of.seed, base=of.base.label
        )
    worker = subprocess.Popen(
        [
            sys.executable,
            traffic.__file__,
            uid,
            "--home",
            str(home.path),
            "--seconds",
            str(LIVE_SECONDS),
        ]
    )
    try:
        files = sorted((home.path / "data").glob("*.jsonl"))
        walk = Walk(home, files)
        sys.excepthook = walk.fail
        collector = Collector()
        if sys.argv[1] == "growth":
            record: dict[str, object] = growth(walk)
        else:
            only = sys.argv[2] if len(sys.argv) > 2 else ""
            walk.go(it for it in steps(walk))
            acts: dict[str, dict[str, object]] = {}
            for act in walk.acts:
                if act.name.startswith("(") or only not in act.name:
                    continue
                name = act.name
                while name in acts:
                    name += "'"
                acts[name] = {
                    "cpu_ms": act.cpu_ms,
                    "wall_ms": act.wall_ms,
                    "whole_ms": act.whole_ms,
                    "over": act.over,
                    "stacks": [f"{count} {stack}" for stack, count in act.stacks.most_common(3)],
                }
            record = {"acts": acts}
        walk.turns.close()
        walk.window.close()
        collector.stop()
    finally:
        worker.kill()
        worker.wait()
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
