"""The panel of datasets, with mouse and keys, over the real process that reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtWidgets import QComboBox, QLabel, QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.data_entries import DEMO, IMPORTED, RECIPE, RUNS, Entry, Known, cleaned, key_of
from app.viewmodels.data_library import LibraryModel
from app.viewmodels.data_mapping import guessed, mapped, roles, with_format
from app.views.data_panel import DataPanel
from app.views.dialogs import Dialogs
from app.widgets.controls import Button
from app.widgets.theme import Theme
from core.engine import data_process
from core.store.home import Home
from tests.app.conftest import Sample
from tests.helpers import fake_tokens

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
WAIT_MS = 20_000
RECIPE_TEXT = """\
schema: 1
name: Data
base: {name: rekindle-1m}
datasets:
  science: {demo: science, config: known-own, split: train, limit: 30}
  questions: {demo: science, config: known-own, split: eval, limit: 5}
stages:
  - {id: pruned, kind: prune}
  - {id: back, kind: sdft, dataset: science, max_completion_length: 16}
tasks:
  asked: {scorer: science_exact_v1, dataset: questions}
"""
ROWS = 40


class Answering(Dialogs):
    """Answers with a path that the test sets."""

    def __init__(self) -> None:
        self.path = ""

    def choose_file(self, parent: QWidget, title: str, start: str, kinds: str) -> str:
        return self.path


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def application(home: Home, settings: Settings) -> Iterator[Application]:
    made = Application(home, settings)
    made.begin()
    made.new_run.load_recipe(RECIPE_TEXT)
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def dialogs() -> Answering:
    return Answering()


@pytest.fixture
def panel(
    application: Application, settings: Settings, theme: Theme, dialogs: Answering, qtbot: QtBot
) -> DataPanel:
    made = DataPanel(application, settings, theme, dialogs)
    qtbot.addWidget(made)
    made.resize(1104, 736)
    made.show()
    qtbot.waitExposed(made)
    qtbot.waitUntil(lambda: application.data.library.model.rowCount() > 0, timeout=WAIT_MS)
    return made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV file whose columns have names of their own; one record is broken."""
    path = tmp_path / "mine.csv"
    lines = [f'"What is {n}, please?",It is {n}.,{"odd" if n % 2 else "even"}' for n in range(ROWS)]
    path.write_text("\n".join(["ask,reply,kind", *lines, "one,two"]) + "\n")
    return path


def _read(panel: DataPanel, application: Application, qtbot: QtBot) -> None:
    """Wait until the chosen dataset has been looked at, and show it."""
    items = application.data.items
    qtbot.waitUntil(lambda: items.survey is not None and items.item is not None, timeout=WAIT_MS)
    panel.refresh_now()


def _import(
    panel: DataPanel, application: Application, dialogs: Answering, path: Path, qtbot: QtBot
) -> None:
    dialogs.path = str(path)
    panel.list.setFocus()
    qtbot.keyClick(panel.list, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: application.data.key != "", timeout=WAIT_MS)
    _read(panel, application, qtbot)


def _choose(box: QComboBox, text: str, qtbot: QtBot) -> None:
    """Choose by the arrow keys."""
    box.setFocus()
    distance = box.findText(text) - box.currentIndex()
    for _ in range(abs(distance)):
        qtbot.keyClick(box, Qt.Key.Key_Down if distance > 0 else Qt.Key.Key_Up)
    assert box.currentText() == text


def _select(panel: DataPanel, application: Application, name: str, qtbot: QtBot) -> None:
    names = [panel.proxy.index(row, 0).data() for row in range(panel.proxy.rowCount())]
    place = panel.list.visualRect(panel.proxy.index(names.index(name), 0)).center()
    qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert application.data.entry is not None
    assert application.data.entry.name == name
    _read(panel, application, qtbot)


def _texts(parent: QWidget) -> str:
    return " ".join(it.text() for it in parent.findChildren(QLabel))


def _button(parent: QWidget, words: str) -> Button:
    return next(it for it in parent.findChildren(Button) if words in it.accessibleName())


def test_that_the_library_model_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = LibraryModel()
    source = {"file": "/data/a.jsonl"}
    entry = Entry(key_of(source), "a", source, (IMPORTED,), runs=2, size=2048)
    model.take([entry])
    qtmodeltester.check(model)
    known = Entry(entry.key, "a", source, (IMPORTED, RUNS), 2, 2048, known=Known("mmlu", 1500, 3))
    model.take([known])
    texts = [model.index(0, column).data() for column in range(model.columnCount())]
    assert texts == ["a", "MMLU", "1,500", "2.0 KiB", "imported, runs", "2", "3 broken rows"]
    qtmodeltester.check(model)


def test_that_the_library_holds_the_recipes_the_runs_and_generated_datasets(
    sample: Sample, theme: Theme, qtbot: QtBot, settings: Settings
) -> None:
    application = Application(sample.home, settings)
    application.begin()
    application.new_run.load_recipe(RECIPE_TEXT)
    library = application.data.library
    library.refresh()
    qtbot.waitUntil(lambda: library.model.rowCount() > 0, timeout=WAIT_MS)
    entries = library.model.entries()
    assert [it.name for it in entries if RECIPE in it.origins] == ["science", "questions"]
    used = [it for it in entries if RUNS in it.origins]
    assert used
    assert all(it.runs > 0 for it in used)
    assert all(it.missing for it in used if "file" in it.source)
    assert any(DEMO in it.origins for it in entries)
    assert len({it.key for it in entries}) == len(entries)
    application.close()


def test_that_a_file_is_imported_its_columns_mended_and_used_in_a_valid_recipe(
    panel: DataPanel, application: Application, dialogs: Answering, table: Path, qtbot: QtBot
) -> None:
    before = table.read_bytes()
    data = application.data
    _import(panel, application, dialogs, table, qtbot)
    panel.part.choose("columns")
    panel.refresh_now()
    assert "fit no known format" in panel.columns.about.text()
    _choose(panel.columns.format, "own columns", qtbot)
    qtbot.waitUntil(lambda: data.items.survey is not None, timeout=WAIT_MS)
    panel.refresh_now()
    _choose(panel.columns.boxes["prompt"], "kind", qtbot)  # wrong: that is no question
    _choose(panel.columns.boxes["demonstration"], "reply", qtbot)

    def read(prompt: str) -> Callable[[], bool]:
        items = data.items
        return lambda: (
            items.survey is not None
            and items.item is not None
            and items.item.student == (("user", prompt),)
        )

    qtbot.waitUntil(read("even"), timeout=WAIT_MS)
    _choose(panel.columns.boxes["prompt"], "ask", qtbot)
    qtbot.waitUntil(read("What is 0, please?"), timeout=WAIT_MS)
    assert data.items.survey is not None
    assert data.items.survey.items == ROWS
    panel.refresh_now()
    assert "What is 0, please?" in panel.columns.reading.student.text.toPlainText()
    assert "It is 0." in panel.columns.reading.teacher.text.toPlainText()
    assert "2 values for the 3 columns" in panel.columns.faults.item(0, 1).text()
    qtbot.keyClick(panel.columns.faults, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert application.new_run.at("datasets.mine") == {
        "file": str(table),
        "format": "columns",
        "columns": {"prompt": "ask", "demonstration": "reply"},
    }
    assert application.new_run.problems() == ()
    assert table.read_bytes() == before


def test_that_a_broken_row_is_one_click_from_its_place(
    panel: DataPanel, application: Application, dialogs: Answering, table: Path, qtbot: QtBot
) -> None:
    _import(panel, application, dialogs, table, qtbot)
    panel.part.choose("columns")
    _choose(panel.columns.format, "own columns", qtbot)
    application.data.set_column("prompt", "ask")
    survey = lambda: application.data.items.survey  # noqa: E731
    qtbot.waitUntil(lambda: (it := survey()) is not None and it.items == ROWS, timeout=WAIT_MS)
    panel.refresh_now()
    item = panel.columns.faults.visualItemRect(panel.columns.faults.item(0, 1))
    viewport = panel.columns.faults.viewport()
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=item.center())
    assert panel.part.current() == "items"
    shown = application.data.items
    qtbot.waitUntil(lambda: shown.item is not None and shown.item.number == ROWS, timeout=WAIT_MS)
    panel.refresh_now()
    assert shown.item is not None
    assert "line 42" in shown.item.problem
    assert panel.items.reading.empty.isVisible()


def test_that_items_are_reached_by_mouse_keys_number_and_search(
    panel: DataPanel, application: Application, qtbot: QtBot
) -> None:
    _select(panel, application, "science", qtbot)
    items = application.data.items

    def reached(number: int) -> Callable[[], bool]:
        return lambda: items.item is not None and items.item.number == number

    qtbot.mouseClick(panel.items.next, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(reached(1), timeout=WAIT_MS)
    qtbot.keyClick(panel.items.next, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(reached(2), timeout=WAIT_MS)
    for _ in range(3):  # round the beginning
        qtbot.keyClick(panel.items.previous, Qt.Key.Key_Return)
    qtbot.waitUntil(reached(29), timeout=WAIT_MS)
    panel.items.number.setFocus()
    panel.items.number.selectAll()
    qtbot.keyClicks(panel.items.number, "12")
    qtbot.keyClick(panel.items.number, Qt.Key.Key_Return)
    qtbot.waitUntil(reached(11), timeout=WAIT_MS)
    assert items.item is not None
    panel.refresh_now()
    assert panel.items.reading.student.text.toPlainText() == f"user\n{items.item.student[0][1]}"
    wanted = items.item.student[0][1]
    items.go(0)
    qtbot.waitUntil(reached(0), timeout=WAIT_MS)
    qtbot.keyClick(panel.items.next, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(panel.items.search, wanted.splitlines()[0][:40].upper())
    qtbot.keyClick(panel.items.search, Qt.Key.Key_Return)
    qtbot.waitUntil(
        lambda: items.item is not None and items.item.number > 0 and not items.note, timeout=WAIT_MS
    )
    assert wanted.splitlines()[0][:40] in items.item.student[0][1]
    panel.items.search.setText("nowhere to be found")
    qtbot.keyClick(panel.items.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "No item holds" in items.note, timeout=WAIT_MS)


def test_that_the_row_stands_as_it_is_and_markup_is_text(
    panel: DataPanel, application: Application, dialogs: Answering, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "marked.jsonl"
    turns = [{"role": "user", "content": "<b>bold</b> & <i>so</i>"}]
    path.write_text(json.dumps({"prompt": turns, "answer": "A"}) + "\n")
    _import(panel, application, dialogs, path, qtbot)
    assert panel.items.reading.student.text.toPlainText() == "user\n<b>bold</b> & <i>so</i>"
    qtbot.mouseClick(_button(panel.items, "Row"), Qt.MouseButton.LeftButton)
    assert panel.items.fields.item(1, 0).text() == "answer"
    assert panel.items.value.text.toPlainText() == json.dumps(turns)


def test_that_a_template_of_a_model_is_shown_when_asked(
    panel: DataPanel, application: Application, qtbot: QtBot
) -> None:
    _select(panel, application, "science", qtbot)
    place = panel.items.template.findData("base")
    panel.items.template.setFocus()
    panel.items.template.setCurrentIndex(place)
    panel.items.template.activated.emit(place)
    qtbot.waitUntil(lambda: bool(application.data.items.rendered), timeout=WAIT_MS)
    panel.refresh_now()
    assert panel.items.reading.student.text.toPlainText().startswith("<start>")
    assert "tokens" in panel.items.reading.student.title.text()


def test_that_lengths_are_drawn_with_what_is_beyond_the_limits(
    panel: DataPanel, application: Application, qtbot: QtBot
) -> None:
    _select(panel, application, "science", qtbot)
    qtbot.mouseClick(_button(panel, "shown of the dataset: Lengths"), Qt.MouseButton.LeftButton)
    panel.lengths.measure.setFocus()
    qtbot.keyClick(panel.lengths.measure, Qt.Key.Key_Return)
    lengths = application.data.lengths
    qtbot.waitUntil(lambda: lengths.known, timeout=WAIT_MS)
    panel.refresh_now()
    histograms = {it.part: it for it in lengths.histograms()}
    assert set(histograms) == {"prompt", "demonstration", "teacher", "total"}
    assert all(it.y[::2].sum() == 30 for it in histograms.values())
    limits = {it.title: it for it in lengths.limits()}
    assert limits["the model's context"].value == fake_tokens.CONTEXT
    room = limits["back: context less 16"]
    assert room.value == fake_tokens.CONTEXT - 16
    assert 0 < room.beyond <= 30
    assert limits["back: longest prompt"].beyond == 0
    assert panel.lengths.limits.rowCount() == len(limits)
    row = panel.lengths.figures.visualItemRect(panel.lengths.figures.item(0, 0)).center()
    longest = lengths.longest(0)
    viewport = panel.lengths.figures.viewport()
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=row)
    items = application.data.items
    qtbot.waitUntil(lambda: items.item is not None and items.item.number == longest)
    assert panel.part.current() == "items"
    panel.part.choose("lengths")
    qtbot.mouseClick(panel.lengths.copy, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert copied.startswith("tokens of\titems\tshortest")
    assert f"back: context less 16\tteacher's prompt\t24\t{room.beyond}\t30" in copied


def test_that_measuring_can_be_left(
    panel: DataPanel, application: Application, qtbot: QtBot
) -> None:
    endless = f"max_completion_length: 16, teacher_template: {fake_tokens.ENDLESS}"
    application.new_run.load_recipe(RECIPE_TEXT.replace("max_completion_length: 16", endless))
    _select(panel, application, "science", qtbot)
    panel.part.choose("lengths")
    qtbot.mouseClick(panel.lengths.measure, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "of 30 items" in panel.lengths.state.text(), timeout=WAIT_MS)
    panel.refresh_now()
    assert panel.lengths.cancel.isVisible()
    qtbot.mouseClick(panel.lengths.cancel, Qt.MouseButton.LeftButton)
    panel.refresh_now()
    assert not application.data.lengths.measuring
    assert panel.lengths.measure.isEnabled()


def test_that_a_planted_leak_is_found_shown_and_copied(
    panel: DataPanel, application: Application, dialogs: Answering, tmp_path: Path, qtbot: QtBot
) -> None:
    def write(name: str, questions: list[str]) -> Path:
        path = tmp_path / name
        rows = [{"messages": [{"role": "user", "content": it}], "answer": "A"} for it in questions]
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
        return path

    train = write("train.jsonl", [f"What about thing {n}?" for n in range(20)])
    test = write("test.jsonl", ["Something new?", "what about THING 7", "Something else?"])
    _import(panel, application, dialogs, train, qtbot)
    dialogs.path = str(test)
    qtbot.keyClick(panel.list, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: application.data.source.get("file") == str(test), timeout=WAIT_MS)
    qtbot.mouseClick(_button(panel, "shown of the dataset: Leaks"), Qt.MouseButton.LeftButton)
    panel.refresh_now()
    for picker, path in ((panel.leaks.training, train), (panel.leaks.evaluation, test)):
        picker.setCurrentIndex(picker.findData(key_of({"file": str(path)})))
        picker.activated.emit(picker.currentIndex())
    qtbot.mouseClick(panel.leaks.compare, Qt.MouseButton.LeftButton)
    leaks = application.data.leaks
    qtbot.waitUntil(lambda: bool(leaks.findings) and not leaks.comparing, timeout=WAIT_MS)
    panel.refresh_now()
    assert "1 (33.3 %) of 3 items" in panel.leaks.summary.text()
    assert panel.leaks.asked.text.toPlainText() == "what about THING 7"
    assert panel.leaks.taught.text.toPlainText() == "What about thing 7?"
    panel.leaks.markdown.setFocus()
    qtbot.keyClick(panel.leaks.markdown, Qt.Key.Key_Return)
    copied = QGuiApplication.clipboard().text()
    assert "/test.jsonl | 2 | " in copied
    assert "| 8 | the same question | 100 % |" in copied


def test_that_all_pairs_of_the_recipe_are_compared(
    panel: DataPanel, application: Application, qtbot: QtBot
) -> None:
    panel.part.choose("leaks")
    panel.refresh_now()
    qtbot.mouseClick(panel.leaks.every, Qt.MouseButton.LeftButton)
    leaks = application.data.leaks
    qtbot.waitUntil(lambda: bool(leaks.findings) and not leaks.comparing, timeout=WAIT_MS)
    assert [(it.training, it.evaluation) for it in leaks.findings] == [("science", "questions")]
    assert (leaks.findings[0].trained, leaks.findings[0].evaluated) == (30, 5)


@pytest.mark.parametrize("named", ["science", "science_again"])
def test_that_a_dataset_trained_on_and_evaluated_is_shared_as_a_whole(
    panel: DataPanel, application: Application, qtbot: QtBot, named: str
) -> None:
    text = RECIPE_TEXT.replace("dataset: questions", f"dataset: {named}")
    again = "  science_again: {demo: science, config: known-own, split: train, limit: 30}\nstages:"
    application.new_run.load_recipe(text.replace("stages:", again))
    panel.part.choose("leaks")
    panel.refresh_now()
    qtbot.mouseClick(panel.leaks.every, Qt.MouseButton.LeftButton)
    leaks = application.data.leaks
    qtbot.waitUntil(lambda: bool(leaks.findings) and not leaks.comparing, timeout=WAIT_MS)
    panel.refresh_now()
    assert panel.leaks.summary.text() == (
        f"30 (100.0 %) of 30 items of {named} are asked in science: 30 the same, 0 nearly."
    )


def test_that_near_repeats_within_a_dataset_are_found_with_what_that_means(
    panel: DataPanel, application: Application, dialogs: Answering, tmp_path: Path, qtbot: QtBot
) -> None:
    texts = [" ".join(f"w{n * 100 + place}" for place in range(60)) for n in range(3)]
    texts += [texts[1] + " please", texts[0].upper()]
    path = tmp_path / "twice.jsonl"
    rows = [{"messages": [{"role": "user", "content": it}], "answer": "A"} for it in texts]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    _import(panel, application, dialogs, path, qtbot)
    panel.part.choose("leaks")
    panel.refresh_now()
    assert panel.leaks.compare.text().strip() == "Find repeats"
    assert "at least 70%" in _texts(panel.leaks.empty)
    panel.leaks.compare.setFocus()
    qtbot.keyClick(panel.leaks.compare, Qt.Key.Key_Return)
    leaks = application.data.leaks
    qtbot.waitUntil(lambda: bool(leaks.findings) and not leaks.comparing, timeout=WAIT_MS)
    panel.refresh_now()
    told = f"2 (40.0 %) of 5 items of {leaks.findings[0].training} ask what an earlier one asks"
    assert panel.leaks.summary.text() == f"{told}: 1 the same, 1 nearly."
    shown = [[panel.leaks.pairs.item(row, at).text() for at in range(4)] for row in (0, 1)]
    assert shown == [
        ["4", "2", "nearly the same", "98 %"],
        ["5", "1", "the same question", "100 %"],
    ]
    assert "instruction or documentation" in panel.leaks.criterion.text()
    assert panel.leaks.criterion.isVisible()


def test_that_a_dropped_file_is_remembered_until_it_is_forgotten(
    panel: DataPanel, application: Application, settings: Settings, table: Path, qtbot: QtBot
) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(table))])
    panel.dropEvent(
        QDropEvent(
            QPointF(5, 5),
            Qt.DropAction.CopyAction,
            mime,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    data = application.data
    qtbot.waitUntil(lambda: data.entry is not None, timeout=WAIT_MS)
    assert str(table) in settings.views["data.imported"]
    panel.refresh_now()
    qtbot.mouseClick(panel.forget, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: not any(IMPORTED in it.origins for it in data.library.model.entries()),
        timeout=WAIT_MS,
    )
    assert settings.views["data.imported"] == "[]"
    assert table.exists()


def test_that_what_cannot_be_read_is_said_and_not_imported(
    panel: DataPanel, application: Application, dialogs: Answering, tmp_path: Path, qtbot: QtBot
) -> None:
    told: list[tuple[str, str, str]] = []
    application.message.connect(lambda *it: told.append(it))
    dialogs.path = str(tmp_path / "picture.png")
    qtbot.keyClick(panel.list, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    assert told[0][0] == "error"
    assert "picture.png is of no kind" in told[0][1]
    assert application.data.library.imported() == []


def test_that_every_action_has_a_name_and_waits_for_a_dataset(panel: DataPanel) -> None:
    actions = {it.title: it for it in panel.page_actions()}
    assert actions["Import data…"].enabled()
    assert not actions["Use the dataset in New run"].enabled()
    keys = [it.keys for it in actions.values() if it.keys]
    assert len(set(keys)) == len(keys)
    named = [it for it in panel.findChildren(Button) if it.isVisibleTo(panel)]
    assert all(it.accessibleName() for it in named)


def test_that_columns_are_guessed_by_their_names() -> None:
    assert guessed(["id", "Question", "gold", "answer"]) == {
        "prompt": "Question",
        "answer": "answer",
    }
    assert guessed(["a", "b"]) == {}


def test_that_choosing_a_column_keeps_the_rest_and_says_what_is_wrong() -> None:
    source = {"file": "/a.csv", "limit": 5}
    changed = mapped(mapped(source, "prompt", "ask"), "answer", "key")
    assert changed == {
        "file": "/a.csv",
        "limit": 5,
        "format": "columns",
        "columns": {"prompt": "ask", "answer": "key"},
    }
    fields = [("ask", "number", 3, "1"), ("text", "text", 2, "x")]
    problems = {it.role: it.problem for it in roles(changed, fields, 3)}
    assert "holds a number" in problems["prompt"]
    assert "no column key" in problems["answer"]
    empty = {it.role: it.problem for it in roles(mapped(source, "prompt", "text"), fields, 3)}
    assert "Empty in 1 of 3 rows" in empty["prompt"]
    assert with_format(changed, "auto", {}) == source
    assert cleaned({"file": "b.csv", "format": "auto", "hub": None}, Path("/x")) == {
        "file": "/x/b.csv"
    }


def test_that_a_process_that_dies_is_said_where_the_item_would_stand(
    home: Home, theme: Theme, qtbot: QtBot, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)"]
    monkeypatch.setattr(data_process, "command", lambda *_: died)
    application = Application(home, settings)
    application.begin()
    panel = DataPanel(application, settings, theme, Answering())
    qtbot.addWidget(panel)
    panel.show()
    data = application.data
    qtbot.waitUntil(lambda: data.library.model.rowCount() > 0, timeout=WAIT_MS)
    data.select(data.library.model.entries()[-1].key)
    qtbot.waitUntil(lambda: data.items.error[0] != "", timeout=WAIT_MS)
    panel.refresh_now()
    assert panel.items.reading.empty.isVisible()
    assert "the process that reads them ended" in data.items.error[0]
    application.close()
    application.deleteLater()
