"""The line across the page: what happened stands out from what to do and from the log."""

from __future__ import annotations

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from app.widgets.messages import Notice
from app.widgets.theme import Theme


def _parts(notice: Notice) -> dict[str, QLabel]:
    return {it.text(): it for it in notice.findChildren(QLabel) if it.isVisibleTo(notice)}


def test_that_what_happened_what_to_do_and_the_log_differ(theme: Theme, qtbot: QtBot) -> None:
    notice = Notice(theme)
    qtbot.addWidget(notice)
    notice.tell("error", "It ran out of memory.", "Halve the batch.", ("12:00  began", "12:01  x"))
    parts = _parts(notice)
    assert list(parts) == ["It ran out of memory.", "Halve the batch.", "12:00  began\n12:01  x"]
    what, hint, log = parts.values()
    assert what.font().weight() == QFont.Weight.DemiBold
    assert hint.font().weight() == QFont.Weight.Normal
    assert log.font().families() == theme.mono().families()


def test_that_a_single_sentence_is_plain_and_nothing_of_the_one_before_stays(
    theme: Theme, qtbot: QtBot
) -> None:
    notice = Notice(theme)
    qtbot.addWidget(notice)
    notice.tell("error", "First.", "Do this.", ("log",))
    notice.tell("info", "Done.")
    parts = _parts(notice)
    assert list(parts) == ["Done."]
    assert parts["Done."].font().weight() == QFont.Weight.Normal
