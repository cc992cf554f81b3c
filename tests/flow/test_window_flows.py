"""What a person does in the window, with mouse and keyboard, over a real worker and the tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PySide6.QtWidgets import QPlainTextEdit
from pytestqt.qtbot import QtBot

from core.engine import liveness
from core.recipe.files import dump
from core.recipe.spec import Recipe
from core.store.store import Store
from tests.app.sample_runs import add, events, recipe
from tests.flow.desk import Desk
from tests.flow.hands import Hands
from tests.flow.road import road

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)", "grabbing the keyboard")
STEPS = 40
NAME = "typed by hand"
SPOILT = {
    "max_steps": ("-3", str(STEPS), "Steps"),
    "learning_rate": ("lots", "1e-3", "Learning rate"),
    "lora_r": ("0", "4", "LoRA rank"),
}
"""What is wrong in the file, what it should be, and what its field is called."""


@pytest.fixture
def hands(qtbot: QtBot) -> Hands:
    return Hands(qtbot)


def brief(folder: Path, *, name: str = NAME, steps: int = STEPS) -> Recipe:
    """Pruned and recovered, one task, nothing saved before it is asked for."""
    whole = road(folder, name=name, steps=steps)
    kept = [
        it.model_copy(update={"save_steps": 1000} if it.id == "recovered" else {})
        for it in whole.stages
        if it.id in ("pruned", "recovered")
    ]
    measure = {"tasks": ["mmlu"], "every_steps": 0, "cka": None}
    data = {**whole.model_dump(by_alias=True), "stages": [it.model_dump() for it in kept]}
    return Recipe.model_validate({**data, "measure": {**data["measure"], **measure}})


def spoilt(recipe: Recipe) -> str:
    """The recipe as a file with three mistakes in its last stage."""
    data = yaml.safe_load(dump(recipe))
    for key, (wrong, _, _) in SPOILT.items():
        data["stages"][-1][key] = yaml.safe_load(wrong)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def written(hands: Hands) -> str:
    """The recipe as the page shows it."""
    editor = hands.find("Recipe as YAML")
    assert isinstance(editor, QPlainTextEdit)
    return editor.toPlainText()


def test_that_a_run_is_mended_started_watched_stopped_resumed_reused_and_deleted(
    desk: Desk, hands: Hands, tmp_path: Path
) -> None:
    window = desk.open()
    hands.press("Ctrl+2")
    hands.paste("Recipe as YAML", spoilt(brief(tmp_path)))
    hands.until(lambda: hands.reads("3 problems"))
    assert not hands.sees("Start")
    for key, (_, right, field) in SPOILT.items():
        hands.click("Beside the form: Problems")
        hands.row("Problems of the recipe", f".{key}")
        hands.type(field, right)
    hands.until(lambda: hands.reads("no problems"))
    hands.click("Start")

    hands.until(lambda: window.page == "run" and window.run_page.run is not None)
    run = window.run_page.run
    assert run is not None
    hands.until(lambda: bool(run.series("loss")) and run.series("loss")[0].x.size >= 2)
    assert run.status == "running"
    assert hands.reads(NAME)

    def saved() -> list[str]:
        return [line.text for line in run.log() if "training state" in line.text]

    assert saved() == []
    hands.click("Checkpoint now")
    hands.until(lambda: len(saved()) == 1)
    hands.click("Stop and save")
    hands.until(lambda: run.status == "stopped")
    reached = run.series("loss")[0].x[-1]
    assert reached < STEPS
    hands.click("Resume")
    hands.until(lambda: run.status == "done")
    hands.until(lambda: run.series("loss")[0].x.tolist() == list(range(1, STEPS + 1)))

    hands.click("More actions")
    hands.click("Use these settings", "Duplicate and edit")
    hands.until(lambda: window.page == "new")
    hands.click("Beside the form: YAML")
    hands.until(lambda: f"max_steps: {STEPS}" in written(hands))

    hands.until(
        lambda: not window.application._workers.own
    )  # the process outlives its run a moment
    delete(desk, hands, NAME)
    hands.until(lambda: window.application.runs.rowCount() == 0)
    with Store.open(desk.home.database, read_only=True) as store:
        assert not any(liveness.is_live(row) for row in store.runs())


def delete(desk: Desk, hands: Hands, name: str) -> None:
    """Go to the list, click the run, press Delete."""
    hands.press("Ctrl+1")
    hands.row("Runs", name)
    hands.press("Delete")


def test_that_the_run_that_was_clicked_is_deleted_by_a_key(desk: Desk, hands: Hands) -> None:
    with Store.open(desk.home.database) as store:
        names = {"kept", "deleted", "kept too"}
        for name in sorted(names):
            add(store, recipe(name), events(recipe(name)))
    window = desk.open()
    hands.press("Ctrl+2")
    delete(desk, hands, "deleted")
    runs = window.application.runs
    hands.until(lambda: runs.rowCount() == len(names) - 1)
    left = {runs.name_of(runs.uid_at(row)) for row in range(runs.rowCount())}
    assert left == names - {"deleted"}
