from __future__ import annotations

import math
from dataclasses import replace

import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.viewmodels.types import (
    Completion,
    RunSummary,
    ScoreCell,
    ScoreColumn,
    ScoreLine,
    ScoreTable,
    StageCard,
)
from app.views.run_completions import choose
from app.views.score_rows import score_rows
from app.widgets.completions import CompletionView, question, tint
from app.widgets.controls import Elided, Segments
from app.widgets.delegates import spark_lines, spark_parts
from app.widgets.stage_strip import StageStrip, _whole_parts
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
    assert view.prompt.whole() == evil


def test_that_the_token_at_the_cursor_is_found_behind_signs_of_two_units(
    theme: Theme, qtbot: QtBot
) -> None:
    view = CompletionView(theme)
    qtbot.addWidget(view)
    view.show()
    given = ("\N{FOX FACE}", "\N{AXE}", "b"), (0.1, 0.2, 0.3)
    view.show_completion(Completion("s", 1, "i", "q", "d", *given, math.nan, 90.0, True))
    assert view.figures.whole().startswith("no divergence measured")
    view.student.setFocus()
    qtbot.waitUntil(view.student.hasFocus)
    qtbot.keyClick(view.student, Qt.Key.Key_Right)
    assert view.figures.whole().startswith("“\N{AXE}” 0.200 nats")


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("a\n b \n\n", "b"),
        ("Which symbol?\nOptions: H, Rh", "Which symbol? Options: H, Rh"),
        ("Why?\nTools:\nWhich family?\nA. one\nB. two", "Which family? A. one B. two"),
        ("", ""),
    ],
)
def test_that_a_prompt_is_told_from_its_question_on(prompt: str, told: str) -> None:
    assert question(prompt) == told


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


def test_that_words_on_a_card_are_left_out_whole() -> None:
    def fits(room: int) -> str:
        return _whole_parts("teacher base · 200 steps · LoRA 64", len, room)

    assert fits(40) == "teacher base · 200 steps · LoRA 64"
    assert fits(30) == "teacher base · 200 steps"
    assert fits(5) == "teacher base"


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
    titles = [column.title for column in columns]
    assert titles == ["task", "protocol", "base", "recovered", "gain", "fraction"]
    assert rows[0][4].text == "+20.0"
    assert rows[1][4].text == "not comparable"
    assert "different protocols" in rows[1][4].tip
    assert rows[1][3].text == "\N{EN DASH}"
    assert (rows[0][5].text, rows[0][5].token) == ("nothing lost", "second")
    assert "interval 45.0 to 55.0" in rows[0][3].tip
    assert columns[1].optional == 0  # what differs must be seen


def test_that_every_score_carries_its_origin_in_the_tooltip(theme: Theme) -> None:
    cell = ScoreCell(48.5, 38.7, 58.3, 97, 47, "f" * 64, "back", "science_exact_v1", "held", 42)
    line = ScoreLine(
        "t", "Tooluse", "v1", (cell,), "+20.0", recovered="loss within noise", why="Lost 1.0 points",
        judged="base → nf4 → back", source="r (01234567)",
    )  # fmt: skip
    _, (cells,) = score_rows(ScoreTable((ScoreColumn("r", "back", "recovered"),), (line,)), theme)
    for at, checkpoint in ((2, "back"), (3, "base → nf4 → back"), (4, "base → nf4 → back")):
        lines = cells[at].tip.split("\n")
        assert lines[-5:] == [
            "run r (01234567)",
            f"checkpoint {checkpoint}",
            "dataset held · n 97",
            "protocol exact v1 · ffffffff",
            "seed 42",
        ]
    assert (cells[4].token, cells[4].tip.split("\n")[0]) == ("second", "Lost 1.0 points")


def test_that_the_tooltip_of_a_score_tells_the_other_readings(theme: Theme) -> None:
    beside = (("strict", "40.2 %"), ("lenient", "50 %"))
    cell = replace(_cell(40.0), beside=beside)
    _, (cells,) = score_rows(
        ScoreTable((ScoreColumn("r", "nf4", "degraded"),), (ScoreLine("t", "T", "v1", (cell,)),)),
        theme,
    )
    assert cells[2].tip.split("\n")[1] == "strict 40.2 % · lenient 50 %"


def test_that_lines_name_their_run_by_letter_colour_and_own_words(theme: Theme) -> None:
    runs = [
        RunSummary(uid, f"fixture · {uid}", "", "done", "done", letter=letter, short=uid)
        for uid, letter in (("nf4", "A"), ("pruned", "B"))
    ]
    lines = (
        ScoreLine("t", "T", "", (), run="x", run_index=0, source="fixture · nf4 (12)"),
        ScoreLine("t", "T", "", (), run="y", run_index=1, stage="back_expert"),
    )
    _, rows = score_rows(ScoreTable((), lines), theme, runs, ["#111111", "#222222"])
    assert [(cells[1].text, cells[1].dot) for cells in rows] == [
        ("A nf4", "#111111"),
        ("B back_expert · pruned", "#222222"),
    ]
    assert rows[0][1].tip == "fixture · nf4 (12)"


def test_that_a_narrow_table_leaves_out_optional_columns_instead_of_cutting(
    theme: Theme, qtbot: QtBot
) -> None:
    table = Table(theme, "t")
    qtbot.addWidget(table)
    columns = [
        Column("task", numeric=False, stretch=True),
        Column("protocol", optional=2),
        Column("value"),
        Column("gain", optional=1),
    ]
    table.resize(600, 100)
    table.show()
    table.show_rows(
        columns, [[Cell("Tooluse"), Cell("official v1 · n 97"), Cell("48.5"), Cell("+1.0")]]
    )
    hidden = [table.isColumnHidden(place) for place in range(4)]
    assert hidden == [False] * 4
    needed = sum(table.sizeHintForColumn(place) for place in range(4))
    table.resize(needed - 20, 100)
    assert [table.isColumnHidden(place) for place in range(4)] == [False, True, False, False]
    table.resize(90, 100)
    assert [table.isColumnHidden(place) for place in range(4)] == [False, True, False, True]
    assert "official v1" in table.as_text(all_rows=True)
    table.resize(600, 100)
    assert not any(table.isColumnHidden(place) for place in range(4))


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


def test_that_a_sparkline_is_made_once_for_all_paintings_of_its_size() -> None:
    values = (1.0, 2.0, float("nan"), 4.0, 3.0)
    first = spark_lines(values, 100.0, 10.0)
    assert spark_lines(values, 100.0, 10.0) is first
    assert [line.size() for line in first] == [2, 2]
    assert first[1].at(0).y() == 0.0
    assert spark_lines(values, 200.0, 10.0)[1].at(1).x() == 200.0


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
