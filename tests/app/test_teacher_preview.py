"""The preview beside the form, on the page and with the real reading thread."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels import preview, prompt_tokens
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.new_run_page import NewRunPage
from app.widgets.controls import Button
from app.widgets.theme import Theme

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
RECIPE = """\
schema: 1
name: Preview
base: {name: rekindle-1m}
datasets:
  science: {demo: science, config: known-own, split: train, limit: 5}
stages:
  - {id: pruned, kind: prune}
  - {id: back, kind: sdft, dataset: science}
"""


@pytest.fixture
def page(application: Application, theme: Theme, qtbot: QtBot) -> NewRunPage:
    made = NewRunPage(application, Settings(), theme, Dialogs())
    qtbot.addWidget(made)
    made.resize(1104, 736)
    made.show()
    qtbot.waitExposed(made)
    application.new_run.load_recipe(RECIPE)
    made.sides.choose("teacher")
    return made


def _select(page: NewRunPage, application: Application, card: str, qtbot: QtBot) -> None:
    application.new_run.select(card)
    qtbot.waitUntil(lambda: bool(application.new_run.preview.prompt.turns), timeout=5000)
    page.refresh_now()


def test_that_the_first_item_is_read_in_another_thread_and_shown(
    page: NewRunPage, application: Application, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    read = preview.first_item

    def watched(*given: object) -> object:
        threads.append(threading.get_ident())
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(preview, "first_item", watched)
    _select(page, application, "1", qtbot)
    assert threads
    assert threading.get_ident() not in threads
    shown = page.sides.teacher.turns.toPlainText()
    assert shown.startswith("user\n")
    assert "This is an example for a response to the question:" in shown
    assert "characters" in page.sides.teacher.budget.text()


def test_that_the_preview_follows_the_template_and_names_what_is_wrong(
    page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    _select(page, application, "1", qtbot)
    application.new_run.set("stages.1.teacher_template", "{question}\nSeen: {demonstration}")
    page.refresh_now()
    assert "Seen: " in page.sides.teacher.turns.toPlainText()
    assert not page.sides.teacher.problem.isVisible()
    application.new_run.set("stages.1.teacher_template", "{question}")
    page.refresh_now()
    assert "{demonstration}" in page.sides.teacher.problem.text()
    assert page.sides.teacher.problem.isVisible()


def test_that_another_card_teaches_instead(
    page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    _select(page, application, "1", qtbot)
    application.new_run.select("base")
    page.refresh_now()
    assert page.sides.teacher.empty.isVisible()
    assert not page.sides.teacher.turns.isVisible()


def test_that_the_keyboard_reaches_the_preview_and_copies_it(
    page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    _select(page, application, "1", qtbot)
    button = next(it for it in page.sides.side.findChildren(Button) if it.text() == "Prompts")
    page.sides.side.choose("yaml")
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert page.sides.stack.currentWidget() is page.sides.teacher
    page.sides._copy.setFocus()
    qtbot.keyClick(page.sides._copy, Qt.Key.Key_Return)
    assert QGuiApplication.clipboard().text().startswith("[user]\n")
    page.sides.teacher.turns.setFocus()
    qtbot.keyClick(page.sides.teacher.turns, Qt.Key.Key_Tab)
    assert not page.sides.teacher.turns.hasFocus()


def test_that_the_template_is_one_click_away(
    page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    _select(page, application, "1", qtbot)
    control = page.card.form.editor("stages.1.teacher_template").control()
    assert not control.isVisible()  # among the settings that stay folded
    page.sides.teacher.edit.setFocus()
    qtbot.keyClick(page.sides.teacher.edit, Qt.Key.Key_Return)
    assert control.hasFocus()
    qtbot.keyClicks(control, "Well: ")
    qtbot.waitUntil(
        lambda: page.sides.teacher.turns.toPlainText().startswith("user\nWell: "), timeout=3000
    )


def test_that_a_missing_file_is_said_in_the_preview_and_not_as_a_message(
    page: NewRunPage, application: Application, qtbot: QtBot, tmp_path: Path
) -> None:
    told: list[str] = []
    application.message.connect(lambda level, text, hint: told.append(text))
    file = RECIPE.replace(
        "{demo: science, config: known-own, split: train, limit: 5}", "{file: no.csv}"
    )
    application.new_run.load_recipe(file, str(tmp_path))
    application.new_run.select("1")
    qtbot.waitUntil(
        lambda: "cannot be read" in application.new_run.preview.prompt.why_not[0], timeout=5000
    )
    assert told == []


def _labels(page: NewRunPage) -> tuple[str, str]:
    teacher = page.sides.teacher
    return teacher.counts.text(), teacher.warning.text() if teacher.warning.isVisible() else ""


def test_that_the_tokens_of_the_shown_item_are_counted_against_the_limits(
    page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    model = application.new_run
    _select(page, application, "1", qtbot)
    qtbot.waitUntil(lambda: _labels(page)[0].startswith("Tokens of rekindle-1m"), timeout=10_000)
    prompt = model.preview.prompt
    words = sum(len(turn.text.split()) for turn in prompt.turns)  # a token here is a word
    assert f"teacher's prompt {words:,}" in _labels(page)[0]
    assert f"demonstration {len(prompt.demonstration.split()):,}" in _labels(page)[0]
    model.set("stages.1.max_prompt_length", 8)
    page.refresh_now()
    qtbot.waitUntil(
        lambda: f"Left out: its prompt has {words:,} tokens, 8 are allowed." in _labels(page)[1],
        timeout=10_000,
    )
    model.set(
        "stages.1.max_prompt_length", "eight"
    )  # nonsense takes the limit's words away, no more
    page.refresh_now()
    qtbot.waitUntil(lambda: "; demonstration" in _labels(page)[0], timeout=10_000)
    assert _labels(page)[1] == ""
    before = _labels(page)[0]
    page.sides.teacher.forth.click()
    qtbot.waitUntil(lambda: prompt.item != model.preview.prompt.item, timeout=10_000)
    qtbot.waitUntil(
        lambda: "Tokens of" in _labels(page)[0] and _labels(page)[0] != before, timeout=10_000
    )
    model.select("0")
    page.refresh_now()
    assert _labels(page) == ("", "")


def test_that_nothing_is_counted_while_nobody_looks_at_the_prompts(
    page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    page.sides.choose("yaml")
    _select(page, application, "1", qtbot)
    qtbot.wait(2 * prompt_tokens.PAUSE_MS)
    assert application.prompt_tokens.told == prompt_tokens.COUNTING
    page.sides.choose("teacher")
    qtbot.waitUntil(lambda: "Tokens of" in application.prompt_tokens.told, timeout=10_000)


@pytest.mark.parametrize(
    ("stage", "counts", "said"),
    [
        ({"kind": "sdft", "max_prompt_length": 60}, (50, 20, 30, None), ()),
        ({"kind": "sdft", "max_prompt_length": 49}, (50, 20, 30, None), ("its prompt has 50",)),
        ({"kind": "sdft", "max_completion_length": 29}, (50, 20, 30, None), ("is cut at 29",)),
        ({"kind": "sdft", "max_completion_length": 30}, (50, 20, 30, 79), ("context of 79",)),
        ({"kind": "sdft", "max_completion_length": 30}, (50, 20, 30, 80), ()),
        ({"kind": "sft", "max_prompt_length": 20}, (50, 20, 30, 50), ()),
        ({"kind": "sft", "max_prompt_length": 20}, (50, 20, 30, 49), ("context of 49",)),
        (
            {"kind": "sft", "max_completion_length": 29},
            (50, 20, 30, None),
            ("Left out: the demon",),
        ),
        ({"kind": "sft", "max_completion_length": 29, "teacher": "base"}, (50, 20, 30, 9), ()),
        ({"kind": "bootstrap", "max_completion_length": 29}, (50, 50, 30, None), ("Left out",)),
        (
            {"kind": "bootstrap", "max_completion_length": 29, "completions": "teacher"},
            (50, 50, 30, None),
            ("is cut at 29",),
        ),
        ({"kind": "sdft", "max_completion_length": "nonsense"}, (50, 20, 30, 1), ()),
    ],
)
def test_that_the_limits_do_to_an_item_what_the_stages_do(
    stage: dict[str, object], counts: tuple[int, int, int, int | None], said: tuple[str, ...]
) -> None:
    found = prompt_tokens.consequences(stage, prompt_tokens.Counts(*counts))
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))
