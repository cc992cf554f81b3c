from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QToolTip, QWidget
from pytestqt.qtbot import QtBot

from app.viewmodels.glossary import WORDS, explain
from app.widgets.controls import Card
from app.widgets.explained import Explained, explain_heading
from app.widgets.theme import Theme
from tests.app.looks import as_array, look

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")

MOST_CHARACTERS = 220
"""A text that has to be read in passing."""


@pytest.fixture
def row(theme: Theme, qtbot: QtBot) -> Iterator[QWidget]:
    """A shown window with a button and the word CKA."""
    window = QWidget()
    window.setProperty("surface", "page")
    line = QHBoxLayout(window)
    line.addWidget(QPushButton("Before"))
    line.addWidget(Explained("CKA", explain("CKA"), "heading"))
    window.resize(300, 60)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    yield window
    QToolTip.hideText()
    qtbot.waitUntil(lambda: not QToolTip.isVisible())
    window.hide()
    window.deleteLater()


def word(row: QWidget) -> Explained:
    """The word of the row."""
    found = row.findChild(Explained)
    assert isinstance(found, Explained)
    return found


def test_that_every_text_is_short_and_ends_as_a_sentence() -> None:
    for name, text in WORDS.items():
        assert text.endswith("."), name
        assert len(text) <= MOST_CHARACTERS, name
        assert text[0].isupper() or text[0] == "(", name


def test_that_the_words_of_the_method_are_explained() -> None:
    wanted = {"CKA", "NF4", "SDFT", "null floor", "recovered fraction", "Wilson interval"}
    wanted |= {"divergence", "teacher", "demonstration", "probe"}
    assert wanted <= set(WORDS)
    with pytest.raises(KeyError):
        explain("no such word")


def test_that_tab_reaches_the_word_and_explains_it(row: QWidget, qtbot: QtBot) -> None:
    row.findChild(QPushButton).setFocus()
    qtbot.keyClick(row.findChild(QPushButton), Qt.Key.Key_Tab)
    assert word(row).hasFocus()
    assert "alike" in QToolTip.text()
    qtbot.keyClick(word(row), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not QToolTip.isVisible())
    qtbot.keyClick(word(row), Qt.Key.Key_Return)
    assert "alike" in QToolTip.text()


def test_that_a_click_explains(row: QWidget, qtbot: QtBot) -> None:
    qtbot.mouseClick(word(row), Qt.MouseButton.LeftButton)
    assert QToolTip.isVisible()
    assert explain("CKA")[:20] in QToolTip.text()


def test_that_the_explanation_is_there_for_hovering_and_for_screen_readers(row: QWidget) -> None:
    shown = word(row)
    assert "alike" in shown.toolTip()
    assert shown.accessibleName() == "CKA"
    assert shown.accessibleDescription() == shown.explanation == explain("CKA")


def test_that_a_shortened_word_has_its_whole_in_front_of_the_explanation(row: QWidget) -> None:
    shown = word(row)
    shown.setMaximumWidth(60)
    shown.set_text("CKA by layer & token")
    assert shown.text().endswith("…")
    assert "<b>CKA by layer &amp; token</b>" in shown.toolTip()
    assert look(row) == []


def test_that_dots_stand_under_the_word_and_a_ring_around_it_with_the_focus(
    row: QWidget, theme: Theme
) -> None:
    def colours() -> set[int]:
        return set(as_array(word(row).grab().toImage()).ravel().tolist())

    dots = QColor(theme.tokens.third).rgb() & 0xFFFFFF
    ring = QColor(theme.tokens.accent).rgb() & 0xFFFFFF
    row.findChild(QPushButton).setFocus()
    assert dots in colours()
    assert ring not in colours()
    word(row).setFocus()
    assert ring in colours()


def test_that_a_heading_of_a_card_can_explain_itself(theme: Theme, qtbot: QtBot) -> None:
    card = Card("CKA by layer", "a caption")
    qtbot.addWidget(card)
    made = explain_heading(card, explain("CKA"))
    assert card.heading is made
    card.resize(400, 100)
    card.show()
    assert made.isVisible()
    assert made.text() == "CKA by layer"
    assert made.x() < card.caption.x()
    card.hide()
