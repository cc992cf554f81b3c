"""The queue under a real mouse: a drag is held by the desktop, so that no offscreen test sees one through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.store.home import Home
from core.store.store import Store
from tests.app.sample_runs import recipe
from tests.flow import real_mouse
from tests.flow.real_mouse import Mouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(real_mouse.missing()), reason=f"not here: {real_mouse.missing()}"),
]
SCRIPT = Path(__file__).parent / "window_with_queue.py"
NAMES = ["one", "two", "three", "four"]


def test_that_runs_are_reordered_by_the_mouse_and_stay_so_in_the_next_window(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        made = [recipe(name) for name in NAMES]
        uids = [
            store.queue_run(it.model_dump_json(by_alias=True), name=it.name, seed=it.seed, base="b")
            for it in made
        ]
        store.set_queue(uids)

    def kept() -> list[str]:
        with Store.open(home.database, read_only=True) as store:
            return [store.run(uid).name for uid in store.queue()]

    with real_mouse.display() as screen:
        mouse = Mouse(screen)
        for drags in (
            (
                ("above the first", 3, 0, 0.2, ["four", "one", "two", "three"]),
                ("below the third", 0, 2, 0.8, ["one", "two", "four", "three"]),
                ("below the last", 1, 3, 0.9, ["one", "four", "three", "two"]),
                ("under all", 0, 3, 1.0, ["four", "three", "two", "one"]),
            ),
            (("in the next window", 3, 0, 0.3, ["one", "four", "three", "two"]),),
        ):
            with real_mouse.window(screen, SCRIPT, home.path) as process:
                assert process.stdout is not None
                lines = json.loads(process.stdout.readline())
                for _, start, end, share, order in drags:
                    x, top, bottom = lines[start]
                    _, above, below = lines[end]
                    to = (x + 20, above + round(share * (below - above)))
                    mouse.drag((x, (top + bottom) // 2), to)
                    real_mouse.until(lambda order=order: kept() == order)
