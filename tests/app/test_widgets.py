from __future__ import annotations

import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.viewmodels.types import (
    Completion,
    ScoreCell,
    ScoreColumn,
    ScoreLine,
    ScoreTable,
    StageCard,
)
from app.views.run_panels import choose
from app.views.score_rows import score_rows
from app.widgets.completions import CompletionView, last_line, tint
from app.widgets.controls import Elided, Segments
from app.widgets.delegates import spark_parts
from app.widgets.stage_strip import StageStrip
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme
from app.widgets.tokens import DARK, LIGHT, contrast

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


def _completion(step: int, kl: float) -> Completion:
    return Completion("s", step, "i", "p", "d", ("a",), (kl,), kl, 80.0, True)


def test_that_best_and_worst_go_by_the_divergence() -> None:
    found = [_completion(1, 0.5), _completion(2, 0.1), _completion(3, 0.9), _completion(4, 0.3)]
    assert choose(found, "best").step == 2
    assert choose(found, "worst").step == 3
    assert choose(found, "newest").step == 4
    assert choose(found, "random") in found


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_that_token_tints_grow_and_keep_the_text_readable(tokens: object) -> None:
    assert isinstance(tokens, type(LIGHT))
    assert tint(tokens, None) is None
    assert tint(tokens, float("nan")) is None
    seen = []
    for nats in (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 50.0):
        colour = tint(tokens, nats)
        assert colour is not None
        assert contrast(tokens.ink, colour) >= 4.5
        seen.append(contrast(colour, tokens.panel))
    assert seen[-1] == seen[-2]
    assert seen[0] < seen[3] < seen[5]


def test_that_text_of_models_is_never_markup(theme: Theme, qtbot: QtBot) -> None:
    view = CompletionView(theme)
    qtbot.addWidget(view)
    evil = "<img src=x><b>bold</b>"
    view.show_completion(
        Completion("s", 1, "i", f"q\n{evil}", evil, ("<b>", "x"), (None, 0.2), 0.2, 90.0, False)
    )
    assert view.student.toPlainText() == "<b>x"
    assert view.demonstration.toPlainText() == evil
    assert view.prompt.textFormat() == Qt.TextFormat.PlainText
    assert "cut at the length limit" in view.figures.whole()
    assert last_line("a\n b \n\n") == "b"


def test_that_a_card_is_chosen_by_the_keyboard(theme: Theme, qtbot: QtBot) -> None:
    strip = StageStrip(theme, recipe=True)
    qtbot.addWidget(strip)
    strip.set_cards(
        [
            StageCard("base", "base", "base", "", "base"),
            StageCard("a", "quantize", "degraded", "", "a", source="base", problems=2),
            StageCard("b", "sdft", "recovered", "", "b", source="base"),
        ],
        selected=0,
    )
    strip.show()
    qtbot.waitExposed(strip)
    chosen: list[int] = []
    strip.chosen.connect(chosen.append)
    qtbot.keyClick(strip.cards[1], Qt.Key.Key_Return)
    qtbot.keyClick(strip.cards[2], Qt.Key.Key_Space)
    assert chosen == [1, 2]
    assert "2 problems" in strip.cards[1].accessibleName()
    assert "from base" in strip.cards[2].accessibleName()
    assert "from" not in strip.cards[1].accessibleName()


def _cell(value: float, protocol: str = "p") -> ScoreCell:
    return ScoreCell(value, value - 5, value + 5, 100, round(value), protocol)


def test_that_a_refusal_stands_where_the_difference_would(theme: Theme) -> None:
    table = ScoreTable(
        (ScoreColumn("b", "base", "base"), ScoreColumn("r", "recovered", "recovered")),
        (
            ScoreLine("t", "Tooluse", "v1", (_cell(30), _cell(50)), "+20.0", "", "nothing lost"),
            ScoreLine("s", "Science", "", (_cell(30), None), "", "different protocols", ""),
        ),
        "recovered",
    )
    columns, rows = score_rows(table, theme)
    assert [column.title for column in columns][:3] == ["task · protocol", "base", "recovered"]
    assert rows[0][3].text == "+20.0"
    assert rows[1][3].text == "different protocols"
    assert rows[1][2].text == "\N{EN DASH}"
    assert rows[0][4].text == "nothing lost"
    assert "interval 45.0 to 55.0" in rows[0][2].tip


def test_that_a_table_is_copied_with_its_headings(theme: Theme, qtbot: QtBot) -> None:
    table = Table(theme, "t")
    qtbot.addWidget(table)
    table.show_rows([Column("a"), Column("b")], [[Cell("1"), Cell("2")], [Cell("3"), Cell("4")]])
    table.selectRow(1)
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "a\tb\n3\t4"
    theme.choose("dark")
    item = table.item(0, 0)
    assert item is not None
    assert item.text() == "1"


def test_that_gaps_split_a_sparkline() -> None:
    box = QRectF(0, 0, 100, 10)
    nan = float("nan")
    assert spark_parts((1.0,), box) == []
    assert spark_parts((nan, nan), box) == []
    parts = spark_parts((1.0, 2.0, nan, 4.0, 3.0), box)
    assert [len(part) for part in parts] == [2, 2]
    assert parts[1][0].y() == 0.0
    assert parts[0][0].y() == 10.0


def test_that_long_text_is_shortened_and_kept_in_the_tooltip(theme: Theme, qtbot: QtBot) -> None:
    shown = Elided("a very long name of a run that does not fit")
    qtbot.addWidget(shown)
    shown.resize(80, 20)
    shown.show()
    qtbot.waitExposed(shown)
    assert shown.text().endswith("…")
    assert shown.toolTip() == shown.whole() == shown.accessibleName()
    shown.resize(600, 20)
    assert shown.text() == shown.whole()
    assert shown.toolTip() == ""


def test_that_segments_tell_only_what_is_new(theme: Theme, qtbot: QtBot) -> None:
    segments = Segments(theme, "s", (("a", "A"), ("b", "B")))
    qtbot.addWidget(segments)
    told: list[str] = []
    segments.chosen.connect(told.append)
    segments.choose("a")
    segments.choose("b")
    assert told == ["b"]
    assert segments.current() == "b"
