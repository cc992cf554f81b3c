"""The road through the real window: typed, started, watched, left, killed and found again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from PySide6.QtCore import Qt

from app.viewmodels.run import RunViewModel
from app.views.main_window import MainWindow
from core.engine import liveness
from core.recipe.files import dump
from core.recipe.spec import Recipe
from core.store.store import Store
from tests.app.replaying import picture
from tests.flow.desk import Desk
from tests.flow.road import road

SETTLED_MS = 700
"""Longer than the log is behind: a batch of the recorder, a look of the tail, and a slice."""


def small(folder: Path, steps: int) -> Recipe:
    """The road without its longer half."""
    whole = road(folder, steps=steps)
    kept = [stage for stage in whole.stages if stage.id in ("pruned", "recovered")]
    return whole.model_copy(update={"stages": kept})


def start(desk: Desk, window: MainWindow, recipe: Recipe) -> RunViewModel:
    """Type the recipe into the New run page and click Start."""
    window.show_page("new")
    window.new_page.sides.yaml.setPlainText(dump(recipe))
    desk.until(lambda: window.new_page.start.isEnabled())
    desk.qtbot.mouseClick(window.new_page.start, Qt.MouseButton.LeftButton)
    desk.until(lambda: window.page == "run" and window.run_page.run is not None)
    run = window.run_page.run
    assert run is not None
    return run


def whole_picture(desk: Desk, run: RunViewModel) -> dict[str, object]:
    """The picture of a finished run whose whole log is applied; its row can say "done" a moment earlier."""
    desk.until(lambda: run.status == "done" and run.loaded)
    while True:
        before = picture(run)
        desk.qtbot.wait(SETTLED_MS)
        if picture(run) == before:
            return before


def test_that_a_run_started_in_the_window_is_seen_live_and_found_again_unchanged(
    desk: Desk, tmp_path: Path
) -> None:
    window = desk.open()
    run = start(desk, window, small(tmp_path, steps=4))
    desk.until(lambda: len(run.series("loss")) > 0 and len(run.series("loss")[0].x) >= 2)
    assert run.status == "running"
    live = run.cka_live()
    assert live is not None
    assert live.values.shape[1] >= 1
    assert run.completions()
    before = whole_picture(desk, run)
    uid = run.uid
    desk.close()

    again = desk.open()
    desk.until(lambda: again.application.runs.rowCount() == 1)
    again.open_run(uid)
    found = again.run_page.run
    assert found is not None
    assert whole_picture(desk, found) == before


def test_that_a_run_goes_on_when_the_window_is_closed_and_is_seen_live_by_the_next(
    desk: Desk, tmp_path: Path
) -> None:
    window = desk.open()
    run = start(desk, window, small(tmp_path, steps=60))
    desk.until(lambda: len(run.series("loss")) > 0)
    uid = run.uid
    desk.answers.leaving = "keep"
    desk.close()
    with Store.open(desk.home.database, read_only=True) as store:
        assert liveness.is_live(store.run(uid))

    again = desk.open()
    desk.until(lambda: again.application.runs.rowCount() == 1)
    again.open_run(uid)
    found = again.run_page.run
    assert found is not None
    desk.until(lambda: len(found.series("loss")) > 0)
    seen = len(found.series("loss")[0].x)
    desk.until(lambda: len(found.series("loss")[0].x) > seen or found.status == "done")
    desk.qtbot.mouseClick(again.run_page.stop, Qt.MouseButton.LeftButton)
    desk.until(lambda: found.status in ("stopped", "done"))
    assert found.status == "stopped"


def test_that_a_killed_worker_leaves_the_window_alive_and_the_run_to_resume(
    desk: Desk, tmp_path: Path
) -> None:
    window = desk.open()
    run = start(desk, window, small(tmp_path, steps=30))
    desk.until(lambda: len(run.series("loss")) > 0 and len(run.series("loss")[0].x) >= 2)
    with Store.open(desk.home.database, read_only=True) as store:
        pid = store.run(run.uid).pid
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    desk.until(lambda: run.status == "interrupted")
    assert window.isVisible()
    with Store.open(desk.home.database, read_only=True) as store:
        assert store.run(run.uid).status == "interrupted"
        states = [it for it in store.checkpoints(run.uid) if not it.final]
    assert [it.stage for it in states] == ["recovered"]
    desk.until(lambda: window.run_page.resume.isVisible())
    desk.qtbot.mouseClick(window.run_page.resume, Qt.MouseButton.LeftButton)
    desk.until(lambda: run.status == "done")
    (curve,) = run.series("loss")
    assert curve.x.tolist() == list(range(1, 31))
