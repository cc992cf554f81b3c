"""From an empty recipe to a run and an exported checkpoint, by mouse and keyboard and a real worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from transformers import AutoModelForCausalLM

from core.lm.checkpoint import read_manifest
from core.store.store import Store
from tests.flow.desk import Desk
from tests.flow.hands import Hands
from tests.helpers.tiny import FFN, build_tiny, write_datasets

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)", "grabbing the keyboard")


@pytest.fixture
def hands(qtbot: QtBot) -> Hands:
    return Hands(qtbot)


def test_that_a_recipe_is_built_from_nothing_by_its_form_run_and_exported(
    desk: Desk, hands: Hands, tmp_path: Path
) -> None:
    model = build_tiny(tmp_path / "model")
    data = write_datasets(tmp_path / "data")
    window = desk.open()
    hands.press("Ctrl+2")
    hands.choose("Preset", "Empty recipe")
    hands.click("Beside the form: Problems")
    hands.type("Name", "built by hand")
    hands.choose("Comes from", "folder")
    hands.type("Folder", str(model))

    hands.click("Part of the recipe: Data")
    hands.click("Add or remove a dataset, a task or a further model")
    hands.click("Dataset")
    hands.type("File", str(data.tooluse))
    hands.click("Add or remove a dataset, a task or a further model")
    hands.click("Task")
    hands.choose("Scorer", "tool use, strict v1")
    hands.type("First items only", "2")
    hands.type("Longest answer", "8")

    hands.click("Add stage")
    hands.click("sdft: recover by self-distillation")
    hands.type("Steps", "1")
    hands.type("Prompts per micro-batch", "2")
    hands.type("Micro-batches per step", "1")
    hands.type("Longest completion", "8")
    hands.until(lambda: hands.reads("no problems"))
    hands.press("Ctrl+Return")
    hands.until(lambda: window.page == "run" and window.run_page.run is not None)
    run = window.run_page.run
    assert run is not None
    hands.until(lambda: run.status == "done")
    assert run.name == "built by hand"
    assert [it.id for it in window.application.new_run.cards()] == [
        "base",
        "quantized",
        "recovered",
    ]
    with Store.open(desk.home.database, read_only=True) as store:
        scored = {(row.subject, row.task) for row in store.scores(run.uid)}
    assert scored == {(it, "task") for it in ("base", "quantized", "recovered")}

    hands.click("Models and data")
    hands.click("View: Table")
    hands.row("Checkpoints", "recovered")
    hands.press("Ctrl+E")
    target = tmp_path / "exported"
    desk.answers.path = str(target)
    hands.click("Safetensors, merged into its base")
    jobs = window.application.jobs
    hands.until(lambda: [it.state for it in jobs.jobs()] == ["done"])
    assert hands.reads(str(target))
    assert read_manifest(target) is not None
    assert (target / "provenance.json").is_file()
    exported = AutoModelForCausalLM.from_pretrained(target)
    assert exported.config.intermediate_size == FFN
