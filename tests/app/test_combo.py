"""The combo box: words that are too long end in an ellipsis, the list shows all of them, headings are no choice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QApplication, QStyleOptionComboBox, QStyleOptionViewItem, QWidget
from pytestqt.qtbot import QtBot

from app.widgets.combo import MOST_ROWS, Combo, FormCombo
from app.widgets.scale import BODY_PX, SMALL_PX
from app.widgets.theme import Theme
from tests.app import looks

WORDS = ("short", "a choice that is much longer than the box it has been given", "last")


@pytest.fixture
def ground(theme: Theme, qtbot: QtBot) -> Iterator[QWidget]:
    """A shown window for combo boxes."""
    made = QWidget()
    made.resize(420, 320)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.hide()
    made.deleteLater()


def put(ground: QWidget, combo: Combo, words: tuple[str, ...] = WORDS) -> Combo:
    """Show a narrow box with these choices."""
    combo.setAccessibleName("Choice")
    combo.addItems(list(words))
    combo.setParent(ground)
    combo.setGeometry(10, 10, 120, 28)
    combo.show()
    return combo


def shown(combo: Combo) -> str:
    """The words as they are painted."""
    option = QStyleOptionComboBox()
    combo.initStyleOption(option)
    return str(option.currentText)


def test_that_a_choice_too_long_for_its_box_ends_in_an_ellipsis(ground: QWidget) -> None:
    combo = put(ground, Combo())
    assert shown(combo) == "short"
    combo.setCurrentIndex(1)
    assert shown(combo).endswith("…")
    assert shown(combo)[:-1] in WORDS[1]
    combo.setFixedWidth(420)
    assert shown(combo) == WORDS[1]


@pytest.mark.qt_log_ignore("raise", "grabbing the keyboard", extend=True)
def test_that_the_list_is_wide_enough_for_the_longest_choice(ground: QWidget, qtbot: QtBot) -> None:
    combo = put(ground, Combo(), (*WORDS, *map(str, range(3 * MOST_ROWS))))
    combo.showPopup()
    popup = combo.view().window()
    qtbot.waitUntil(popup.isVisible)
    assert popup.height() < (MOST_ROWS + 2) * combo.view().sizeHintForRow(0)
    assert combo.view().sizeHintForColumn(0) <= combo.view().viewport().width()
    assert [str(it) for it in looks.look(popup)] == []
    combo.hidePopup()


def test_that_what_cannot_be_chosen_is_a_small_heading(ground: QWidget) -> None:
    combo = put(ground, Combo())
    model = combo.model()
    assert isinstance(model, QStandardItemModel)
    model.item(0).setEnabled(False)
    sizes = []
    for row in range(2):
        option = QStyleOptionViewItem()
        combo.itemDelegate().initStyleOption(option, model.index(row, 0))
        sizes.append(option.font.pixelSize())
    assert sizes == [SMALL_PX, BODY_PX]


def test_that_a_form_scrolls_over_a_box_without_changing_it(ground: QWidget, qtbot: QtBot) -> None:
    combo = put(ground, FormCombo())

    def wheel() -> None:
        at = combo.rect().center()
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(
            combo,
            QWheelEvent(
                QPointF(at),
                QPointF(combo.mapToGlobal(at)),
                QPoint(),
                QPoint(0, -120),
                Qt.MouseButton.NoButton,
                none,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            ),
        )

    wheel()
    assert combo.currentIndex() == 0
    ground.activateWindow()
    combo.setFocus()
    qtbot.waitUntil(combo.hasFocus)
    wheel()
    assert combo.currentIndex() == 1
