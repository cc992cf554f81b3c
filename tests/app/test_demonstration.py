"""The demonstration check, the held-out loss and the early stop on the run page and in the log."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from rich.console import Console

from app.cli_display import Display
from app.settings import Settings
from app.viewmodels import presets
from app.viewmodels.application import Application
from app.viewmodels.journal import line_of
from app.viewmodels.run import RunViewModel
from app.views.chart_choices import ChartChoices
from app.views.chart_tile import ChartTile
from app.views.demonstration_line import DemonstrationLine
from app.views.dialogs import Dialogs
from app.views.main_window import MainWindow
from app.widgets.controls import Chip
from app.widgets.theme import Theme
from core.events import GuardWarning, Metrics
from core.store.home import Home
from core.store.rows import LoggedEvent
from tests.app.sample_runs import checked, two_stage
from tests.app.test_viewmodels_run import row

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
RECIPE = two_stage()


def _run(taught: float = 1.0) -> RunViewModel:
    view = RunViewModel("u")
    view.describe(row("done", recipe_json=RECIPE.model_dump_json(by_alias=True)))
    events = checked(RECIPE, taught=taught)
    view.apply([LoggedEvent(place, 1.0 + place, it) for place, it in enumerate(events)])
    return view


def test_that_the_check_is_told_as_facts_with_their_source(qtbot: QtBot) -> None:
    (check,) = _run().demonstrations()
    assert check.answer == "yes"
    assert check.text == (
        "student 45 % → 100 % shown · teacher 100 % · "
        "divergence 0.9 shown, 0.1 not shown, nats/token · 32 held-out items"
    )
    for part in ("recovered", "tooluse", "held-out training items", "seed 7"):
        assert part in check.source
    assert (check.advice, check.remedy) == ("", "")


def test_that_the_check_makes_no_curves_of_one_point(qtbot: QtBot) -> None:
    keys = _run().available_keys()
    assert not [key for key in keys if "demonstration" in key or key == "teacher_accuracy"]
    assert "held_out_loss" in keys


def test_that_a_demonstration_that_does_not_help_offers_the_way_out(qtbot: QtBot) -> None:
    run = _run(taught=0.48)
    (check,) = run.demonstrations()
    assert check.answer == "no"
    assert check.remedy == "two_stage"
    assert "Two stages" in check.advice
    rows = {it.signal: it.now for it in run.guards()}
    assert rows["demonstration no help"] == "45 % → 48 %"
    said = "\n".join(it.text for it in run.log())
    assert "student 45 %, teacher shown it 48 %; at least 10 points more are expected" in said


def test_that_items_without_an_answer_key_leave_the_question_open(qtbot: QtBot) -> None:
    view = RunViewModel("u")
    values = {"demonstration_items": 8.0, "kl_with_demonstration": 0.5}
    view.apply([LoggedEvent(1, 1.0, Metrics(stage="s", step=0, values=values))])
    (check,) = view.demonstrations()
    assert check.answer.startswith("not told")
    assert check.facts == ("8 held-out items",)


def test_that_log_and_command_line_say_it_too() -> None:
    check = next(it for it in checked(RECIPE) if isinstance(it, Metrics))
    told = line_of(LoggedEvent(1, 1.0, check))
    assert told is not None
    assert told[1].startswith("recovered: Does the demonstration help? student 45 % → 100 %")
    later = Metrics(stage="recovered", step=1, values={"loss": 0.5})
    assert line_of(LoggedEvent(2, 1.0, later)) is None


def test_that_an_early_stop_is_told_with_its_numbers(qtbot: QtBot) -> None:
    run = _run()
    said = "\n".join(it.text for it in run.log())
    assert "lowest at step 40: 0.31 nats/token; 3 measurements since without a lower one" in said
    (stopped,) = (it for it in run.guards() if it.signal == "stopped early")
    assert (stopped.now, stopped.bad) == ("best: step 40", False)


def test_that_an_early_stop_by_loss_and_cka_tells_both() -> None:
    values = {"best_step": 40.0, "held_out_loss": 0.31, "measurements": 3.0, "held_out_cka": 0.87}
    event = GuardWarning(stage="s", code="stopped_early", step=90, values=values)
    told = line_of(LoggedEvent(1, 1.0, event))
    assert told is not None
    assert "lowest at step 40: 0.31 nats/token" in told[1]
    assert "nor the CKA to the teacher rise, which is 0.87 now" in told[1]


def test_that_a_warning_of_another_version_is_still_told() -> None:
    event = GuardWarning(stage="s", code="stopped_early", step=3, values={"patience": 2.0})
    told = line_of(LoggedEvent(1, 1.0, event))
    assert told is not None
    assert "patience 2" in told[1]


def test_that_the_best_step_of_the_held_out_loss_is_marked(theme: Theme, qtbot: QtBot) -> None:
    run = _run()
    (best,) = run.best("held_out_loss")
    assert best.text == "best: step 40, 0.31 nats/token; these weights are kept"
    assert run.best("loss") == ()
    card = ChartTile(theme, ChartChoices(Settings()))
    qtbot.addWidget(card)
    card.show_run(run, "divergence")
    assert not card.note.isVisibleTo(card)
    card.show_run(run, "held_out_loss")
    assert card.note.isVisibleTo(card)
    assert card.note.text().startswith("Best: step 40")
    card.chart.redraw()
    assert any(mark.x == 40 for mark in card.chart.references.marks)
    (curve,) = run.series("held_out_loss")
    assert curve.sparse


def test_that_the_best_so_far_keeps_nothing_yet(qtbot: QtBot) -> None:
    view = RunViewModel("u")
    view.describe(row("running", recipe_json=RECIPE.model_dump_json(by_alias=True)))
    events = checked(RECIPE)
    last = max(place for place, it in enumerate(events) if isinstance(it, Metrics))
    view.apply([LoggedEvent(place, 1.0, it) for place, it in enumerate(events[: last + 1])])
    assert [it.text for it in view.best("held_out_loss")] == [
        "best so far: step 40, 0.31 nats/token"
    ]


def test_that_the_command_line_shows_these_kinds_and_the_check() -> None:
    console = Console(file=io.StringIO(), width=200)
    with Display(console) as display:
        for event in checked(RECIPE, taught=0.48):
            display.on_event(event)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "large: started on cpu, float32." in said
    assert "taught: done" in said
    assert "Does the demonstration help? student 45 % → 48 % shown" in said
    assert "Bootstrap the model from a larger one first" in said


def test_that_the_line_is_hidden_until_something_was_checked(theme: Theme, qtbot: QtBot) -> None:
    line = DemonstrationLine(theme)
    qtbot.addWidget(line)
    line.show_run(RunViewModel("u"))
    assert line.isHidden()
    line.show_run(_run())
    assert not line.isHidden()
    assert line.facts.text().startswith("Yes · student 45 %")
    assert "seed 7" in line.toolTip()
    assert not line.remedy.isVisibleTo(line)
    assert not line.advice.isVisibleTo(line)


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe of that name, shipped or not."""
    file = tmp_path / "two_stage.yaml"
    file.write_text("schema: 1\nname: The way out\nbase: {name: rekindle-1m}\n")
    monkeypatch.setattr(presets.named, "__defaults__", (tmp_path,))
    return str(file)


def test_that_the_way_out_is_reached_by_the_keyboard(
    theme: Theme, qtbot: QtBot, preset: str
) -> None:
    line = DemonstrationLine(theme)
    qtbot.addWidget(line)
    line.show_run(_run(taught=0.45))
    line.show()
    assert line.advice.isVisible()
    with qtbot.waitSignal(line.preset_wanted) as told:
        line.remedy.setFocus()
        qtbot.keyClick(line.remedy, Qt.Key.Key_Return)
    assert told.args == [preset]


def test_that_a_missing_preset_is_not_offered(
    theme: Theme, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets.named, "__defaults__", (tmp_path,))
    line = DemonstrationLine(theme)
    qtbot.addWidget(line)
    line.show_run(_run(taught=0.45))
    assert line.advice.isVisibleTo(line)
    assert not line.remedy.isVisibleTo(line)


def test_that_the_way_out_opens_new_run_with_the_preset(
    theme: Theme, qtbot: QtBot, home: Home, preset: str
) -> None:
    application = Application(home, Settings())
    window = MainWindow(application, Settings(), theme, Dialogs())
    qtbot.addWidget(window)
    window.run_page.show_run(_run(taught=0.45))
    window.run_page.demonstration.remedy.click()
    assert window.page == "new"
    assert application.new_run.name == "The way out"
    assert isinstance(window.new_page.head.state, Chip)
    application.close()
