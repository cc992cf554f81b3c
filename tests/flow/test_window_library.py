"""Models and data by mouse and keyboard: a dataset is imported, mapped and used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core.recipe.files import dump
from tests.flow.desk import Desk
from tests.flow.hands import Hands
from tests.flow.test_window_flows import brief

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)", "grabbing the keyboard")
OWN_ROWS = 6


@pytest.fixture
def hands(qtbot: QtBot) -> Hands:
    return Hands(qtbot)


def own_rows(folder: Path) -> Path:
    """Rows in a format of nobody's, with columns that no guess finds."""
    rows = [
        {"was_asked": f"How much is {n} + {n}?", "was_said": f"It is {2 * n}."}
        for n in range(OWN_ROWS)
    ]
    path = folder / "sums.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_that_an_imported_dataset_is_mapped_and_used_in_a_recipe(
    desk: Desk, hands: Hands, tmp_path: Path
) -> None:
    window = desk.open()
    hands.press("Ctrl+2")
    hands.paste("Recipe as YAML", dump(brief(tmp_path)))
    hands.until(lambda: hands.reads("no problems"))
    hands.click("Models and data")
    hands.click("Part: Data")
    desk.answers.path = str(own_rows(tmp_path))
    hands.click("Import…")
    hands.click("File")
    hands.row("Datasets", "sums")
    hands.click("What is shown of the dataset: Columns")
    hands.choose("Format of the rows", "own columns")
    hands.choose("Column of: Prompt", "was_asked")
    hands.choose("Column of: Demonstration", "was_said")
    hands.until(lambda: hands.reads("Each row is put together from the columns chosen here"))
    hands.click("Use in New run")
    hands.until(lambda: window.page == "new")
    hands.click("Part of the recipe: Stage")
    hands.click("recovered")
    hands.click("Dataset: sums")
    hands.click("Dataset: train")
    hands.until(lambda: hands.reads("no problems"))
    model = window.application.new_run
    assert model.at("stages")[-1]["dataset"] in ("sums", ["sums"])
    assert model.at("datasets")["sums"]["columns"] == {
        "prompt": "was_asked",
        "demonstration": "was_said",
    }
