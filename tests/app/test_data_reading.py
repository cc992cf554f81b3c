"""Reading data beside the window: what takes long can be left, what changes is read again, and how far it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.data_desk import DataDesk
from app.viewmodels.data_pace import DataPace
from app.views.data_items import MOST_SHOWN
from app.views.data_panel import DataPanel
from app.views.dialogs import Dialogs
from app.widgets.theme import Theme
from core.engine import data_process
from core.engine.data_process import BYTES, Report
from core.errors import UserError
from core.recipe.template import TEACHER_TEMPLATE
from core.store.home import Home
from tests.helpers import fake_tokens, slow_desk

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
WAIT_MS = 20_000
RECIPE_TEXT = """\
schema: 1
name: Data
base: {{name: rekindle-1m}}
datasets:
  mine: {{file: {file}}}
stages:
  - {{id: pruned, kind: prune}}
  - {{id: back, kind: sdft, dataset: mine{template}}}
"""


@pytest.fixture(autouse=True)
def _processes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"tokens": fake_tokens.__file__, "reading": slow_desk.__file__}
    monkeypatch.setattr(data_process, "command", lambda kind, home: [sys.executable, made[kind]])


@pytest.fixture
def panel(application: Application, theme: Theme, qtbot: QtBot) -> DataPanel:
    made = DataPanel(application, Settings(), theme, Dialogs())
    qtbot.addWidget(made)
    made.resize(1104, 736)
    made.show()
    qtbot.waitExposed(made)
    return made


def _file(path: Path, count: int = 5) -> Path:
    rows = [
        {"messages": [{"role": "user", "content": f"Item {n}?"}], "demonstration": f"It is {n}."}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _read(application: Application, qtbot: QtBot) -> None:
    items = application.data.items
    qtbot.waitUntil(lambda: items.survey is not None and items.item is not None, timeout=WAIT_MS)


def _import(application: Application, path: Path, qtbot: QtBot) -> None:
    application.data.import_file(str(path))
    qtbot.waitUntil(lambda: application.data.source.get("file") == str(path), timeout=WAIT_MS)


def test_that_items_are_read_while_all_rows_are_looked_at_and_that_can_be_left(
    panel: DataPanel, application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    _import(application, _file(tmp_path / slow_desk.ENDLESS), qtbot)
    items = application.data.items
    qtbot.waitUntil(
        lambda: panel.progress.told.text() == "all rows: 3 of 40 items", timeout=WAIT_MS
    )
    qtbot.waitUntil(lambda: items.item is not None, timeout=WAIT_MS)
    items.step(1)
    qtbot.waitUntil(lambda: items.item is not None and items.item.number == 1, timeout=WAIT_MS)
    panel.refresh_now()
    assert panel.columns.format.isEnabled()  # by the columns of a single row
    assert panel.columns.boxes["prompt"].isEnabled()
    assert "messages" in application.data.columns
    assert panel.progress.stop.accessibleName() == "Stop reading all rows"
    qtbot.mouseClick(panel.progress.stop, Qt.MouseButton.LeftButton)
    panel.refresh_now()
    assert not items.loading
    assert panel.progress.told.text() == ""
    assert "not all rows were read" in panel.details.caption.text()
    actions = {it.title: it for it in panel.page_actions()}
    assert not actions["Stop reading all rows"].enabled()
    panel.progress.stop.setFocus()
    qtbot.keyClick(panel.progress.stop, Qt.Key.Key_Return)  # it reads all rows now
    qtbot.waitUntil(
        lambda: panel.progress.told.text() == "all rows: 3 of 40 items", timeout=WAIT_MS
    )
    _import(application, _file(tmp_path / "short.jsonl"), qtbot)  # what is left is not waited for
    _read(application, qtbot)
    assert items.survey is not None
    assert items.survey.items == 5
    panel.refresh_now()
    assert not panel.progress.stop.isVisible()


def test_that_what_is_withdrawn_is_not_answered_and_holds_nothing_up(
    home: Home, tmp_path: Path, qtbot: QtBot
) -> None:
    desk = DataDesk("reading", home)
    endless = {"source": {"file": str(_file(tmp_path / slow_desk.ENDLESS))}}
    short = {"source": {"file": str(_file(tmp_path / "a.jsonl"))}}
    answers: list[object] = []
    told: list[tuple[int, str]] = []
    desk.progress.connect(lambda *it: told.append(it))

    def failed(error: UserError) -> None:
        answers.append(error)

    first = desk.ask("survey", endless, answers.append, failed)
    desk.ask("survey", short, lambda record: answers.append(record["rows"]), failed)
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert told[0] == (first, "3 of 40 items")
    desk.withdraw(first)
    assert desk.busy
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT_MS)
    assert answers == [5]
    assert not desk.busy
    desk.close()


def test_that_a_file_that_changes_while_it_is_looked_at_is_read_again(
    panel: DataPanel, application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    path = _file(tmp_path / "growing.jsonl")
    _import(application, path, qtbot)
    _read(application, qtbot)
    _file(path, 9)
    items = application.data.items
    items.step(1)
    qtbot.waitUntil(lambda: "has changed on the disk" in items.note, timeout=WAIT_MS)
    _read(application, qtbot)
    assert items.survey is not None
    assert items.survey.rows == 9
    assert items.item is not None
    assert items.item.number == 1

    def listed() -> bool:
        entry = application.data.entry
        return entry is not None and entry.known is not None and entry.known.rows == 9

    qtbot.waitUntil(listed, timeout=WAIT_MS)


def test_that_an_import_that_has_changed_since_is_said_once_and_read_as_it_is(
    home: Home, theme: Theme, tmp_path: Path, qtbot: QtBot
) -> None:
    path = _file(tmp_path / "mine.jsonl")
    settings = Settings()
    problems: list[str] = []
    told: list[str] = []
    for count in (5, 7, 7):
        if count != 5 and not told:
            _file(path, count)
        application = Application(home, settings)
        application.begin()
        application.data.message.connect(lambda _, text, hint: told.append(f"{text} {hint}"))
        library = application.data.library
        application.data.watch(True)
        if count == 5:
            _import(application, path, qtbot)
        qtbot.waitUntil(
            lambda library=library: any(it.place == str(path) for it in library.model.entries()),
            timeout=WAIT_MS,
        )
        row = library.model.row_of(json.dumps({"file": str(path)}))
        problems.append(library.model.index(row, 6).data())
        application.data.select(library.model.entries()[row].key)
        _read(application, qtbot)
        assert application.data.items.survey is not None
        assert application.data.items.survey.rows == count
        application.close()
        application.deleteLater()
    assert problems == ["", "changed since the import", ""]
    (said,) = told
    assert "mine.jsonl has changed since it was imported" in said
    assert "Runs that used it before have read other rows" in said


def test_that_a_file_imported_twice_is_one_import_and_keeps_its_columns(
    application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "own.csv"
    path.write_text("ask,reply\nWhat?,That.\n")
    data = application.data
    data.watch(True)
    _import(application, path, qtbot)
    _read(application, qtbot)
    data.set_column("prompt", "ask")
    qtbot.waitUntil(lambda: data.entry is not None and not data.is_changed, timeout=WAIT_MS)
    told: list[str] = []
    data.message.connect(lambda _, text, hint: told.append(text))
    data.import_file(str(tmp_path / "." / "sub" / ".." / "own.csv"))
    assert told == ["own.csv is imported already; its columns are kept."]
    assert [it["columns"] for it in data.library.imported()] == [{"prompt": "ask"}]


def test_that_columns_chosen_and_not_used_yet_are_there_when_one_comes_back(
    application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    path, other = tmp_path / "own.csv", _file(tmp_path / "other.jsonl")
    path.write_text("ask,reply\nWhat?,That.\n")
    application.new_run.load_recipe(RECIPE_TEXT.format(file=path, template=""))
    data = application.data
    data.watch(True)
    wanted = json.dumps({"file": str(path)})
    qtbot.waitUntil(lambda: data.library.entry(wanted) is not None, timeout=WAIT_MS)
    data.select(wanted)
    _read(application, qtbot)
    data.set_column("prompt", "ask")
    assert data.is_changed
    _import(application, other, qtbot)
    assert not data.is_changed
    data.select(wanted)
    assert data.source["columns"] == {"prompt": "ask"}


def test_that_an_empty_file_is_said_and_shows_nothing_of_another(
    panel: DataPanel, application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    own, empty = tmp_path / "own.csv", tmp_path / "empty.jsonl"
    own.write_text("ask,reply\n,That.\nWhat?,That.\n")
    empty.touch()
    data = application.data
    _import(application, own, qtbot)
    _read(application, qtbot)
    panel.part.choose("columns")
    data.set_column("prompt", "ask")
    qtbot.waitUntil(lambda: data.items.source == data.source, timeout=WAIT_MS)
    _read(application, qtbot)
    panel.refresh_now()
    assert panel.columns.problems["prompt"].text() == "Empty in 1 of 2 rows."
    _import(application, empty, qtbot)
    qtbot.waitUntil(lambda: data.items.survey is not None, timeout=WAIT_MS)
    panel.refresh_now()
    assert not panel.columns.problems["prompt"].isVisible()
    assert panel.columns.boxes["prompt"].count() == 0
    assert panel.columns.about.text().startswith("The data hold no items.")
    assert panel.details.caption.text() == "no rows"
    assert data.items.error[0] == "The data hold no items."
    row = data.library.model.row_of(data.key)
    assert data.library.model.index(row, 6).data() == "no rows"


@pytest.mark.parametrize("named", ["mine", "other"])
def test_that_the_teacher_is_shown_as_the_recipes_stage_asks_it(
    panel: DataPanel, application: Application, tmp_path: Path, qtbot: QtBot, named: str
) -> None:
    path = _file(tmp_path / "mine.jsonl")
    template = ", teacher_template: 'So: {demonstration} - {question}'"
    text = RECIPE_TEXT.format(file=path, template=template)
    text = text.replace("dataset: mine", f"dataset: {named}")
    application.new_run.load_recipe(text)
    _import(application, path, qtbot)
    _read(application, qtbot)
    panel.refresh_now()
    item = application.data.items.item
    assert item is not None
    own = "So: It is 0. - Item 0?"
    usual = TEACHER_TEMPLATE.replace("{question}", "Item 0?").replace("{demonstration}", "It is 0.")
    assert item.teacher[-1][1] == (own if named == "mine" else usual)
    told = "Teacher reads, as back asks it" if named == "mine" else "Teacher reads"
    assert panel.items.reading.teacher.title.text() == told
    application.new_run.load_recipe(text.replace("So: ", "Thus: "))
    thus = own.replace("So", "Thus") if named == "mine" else usual

    def shown() -> bool:
        item = application.data.items.item
        return item is not None and item.teacher[-1][1] == thus

    qtbot.waitUntil(shown, timeout=WAIT_MS)


def test_that_a_template_is_shown_again_after_measuring_was_left(
    panel: DataPanel, application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    path = _file(tmp_path / "mine.jsonl")
    template = f", teacher_template: {fake_tokens.ENDLESS}"
    application.new_run.load_recipe(RECIPE_TEXT.format(file=path, template=template))
    _import(application, path, qtbot)
    _read(application, qtbot)
    data = application.data
    data.measure("base")
    data.items.render(data.model("base"))
    assert data.items.rendering
    qtbot.waitUntil(lambda: "of 5 items" in panel.lengths.state.text(), timeout=WAIT_MS)
    data.lengths.cancel()
    qtbot.waitUntil(lambda: bool(data.items.rendered), timeout=WAIT_MS)
    assert not data.items.rendering
    assert not data.lengths.measuring


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ([(0.0, 0, 100, "items")], "0 of 100 items"),
        ([(0.0, 0, 100, "items"), (0.5, 40, 100, "items")], "40 of 100 items"),
        (
            [(5.0, 1_000, 9_000, "items"), (7.0, 3_000, 9_000, "items")],
            "3,000 of 9,000 items · 1,000 items/s · 6 s left",
        ),
        (
            [(0.0, 0, 2**30, BYTES), (4.0, 2**28, 2**30, BYTES)],
            "256 MiB of 1.0 GiB · 64.0 MiB/s · 12 s left",
        ),
        (
            [(0.0, 0, 2**30, BYTES), (9.0, 2**30, 2**30, BYTES), (9.0, 0, 50, "items")],
            "0 of 50 items",
        ),
        ([(0.0, 0, 50, "items"), (3.0, 50, 50, "items"), (4.0, 0, 50, "items")], "0 of 50 items"),
        ([(0.0, 0, 0, "items")], "comparing…"),
    ],
)
def test_that_a_rate_is_told_once_it_is_known_and_begins_anew_with_each_phase(
    reports: list[tuple[float, int, int, str]], told: str
) -> None:
    times = iter([it[0] for it in reports])
    pace = DataPace(lambda: next(times))
    said = [pace.told(Report(1, done, of, unit)) for _, done, of, unit in reports]
    assert said[-1] == told


def test_that_a_very_long_item_is_shown_in_part_says_so_and_is_copied_whole(
    panel: DataPanel, application: Application, tmp_path: Path, qtbot: QtBot
) -> None:
    path, asked = tmp_path / "long.jsonl", "word " * 9_000 + "end"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": asked}]
    path.write_text(json.dumps({"messages": turns}) + "\n")
    _import(application, path, qtbot)
    _read(application, qtbot)
    panel.refresh_now()
    shown = panel.items.reading.student.text.toPlainText()
    more = len("Be brief.") + len(asked) - MOST_SHOWN
    assert shown.endswith(f"… and {more:,} more characters; “Copy the item” has them")
    assert len(shown) < MOST_SHOWN + 200
    panel.items.copy()
    assert QGuiApplication.clipboard().text().endswith(f"[user]\n{asked}")
