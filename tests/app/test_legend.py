"""The legend: nothing overlaps, nothing is cut, rows are used before words are shortened."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.widgets.legend import ICON_PX, MOST_ROWS, ROW_PX, Legend
from app.widgets.theme import Theme


def _legend(theme: Theme, qtbot: QtBot, texts: list[str], width: int) -> Legend:
    made = Legend(theme)
    qtbot.addWidget(made)
    made.resize(width, 20)
    made.set_entries([(f"{place}", text, "base") for place, text in enumerate(texts)])
    made.show()
    qtbot.waitExposed(made)
    return made


@pytest.mark.parametrize("width", [120, 240, 480, 900])
def test_that_entries_wrap_without_overlap_and_within_the_width(
    theme: Theme, qtbot: QtBot, width: int
) -> None:
    texts = ["A nf4", "A recovered", "B pruned", "B recovered", "C back_expert"]
    legend = _legend(theme, qtbot, texts, width)
    shown = [button for button in legend.buttons.values() if button.isVisible()]
    boxes = [button.geometry() for button in shown]
    assert all(legend.rect().contains(box) for box in boxes)
    assert not any(one.intersects(other) for at, one in enumerate(boxes) for other in boxes[:at])
    assert all(button.width() >= button.sizeHint().width() for button in shown)
    if width >= 240:
        assert [button.text() for button in shown] == texts


def test_that_only_what_is_longer_than_a_row_is_shortened(theme: Theme, qtbot: QtBot) -> None:
    legend = _legend(
        theme, qtbot, ["A nf4", "a stage with a name that has no end at all, none"], 200
    )
    short, long = legend.buttons.values()
    assert short.text() == "A nf4"
    assert "…" in long.text()
    assert long.geometry().y() == ROW_PX
    legend.resize(600, legend.height())
    assert legend.height() == ROW_PX


def test_that_the_chart_keeps_its_room_from_a_crowd(theme: Theme, qtbot: QtBot) -> None:
    legend = _legend(theme, qtbot, [f"run {place} recovered" for place in range(60)], 480)
    assert legend.height() == MOST_ROWS * ROW_PX
    legend.set_entries([("0", "run", "base"), ("1", "other", "base")])
    assert list(legend.buttons) == ["0", "1"]


def test_that_tab_reaches_the_entries_where_the_legend_stands(theme: Theme, qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    column = QVBoxLayout(page)
    legend, after = Legend(theme), QPushButton("after")
    column.addWidget(legend)
    column.addWidget(after)
    legend.set_entries([("0", "run", "base"), ("1", "other", "base")])
    page.show()
    qtbot.waitExposed(page)
    first, second = legend.buttons.values()
    assert first.nextInFocusChain() is second
    assert second.nextInFocusChain() is after


def test_that_a_dashed_curve_is_dashed_in_the_legend(theme: Theme, qtbot: QtBot) -> None:
    legend = _legend(theme, qtbot, ["A nf4", "A recovered"], 400)

    def stroke(key: str) -> set[int]:
        picture = legend.buttons[key].icon().pixmap(ICON_PX, ICON_PX).toImage()
        return {x for x in range(ICON_PX) if picture.pixelColor(x, ICON_PX // 2).alpha() > 0}

    plain = stroke("0")
    assert len(plain) >= ICON_PX - 1
    assert stroke("1") == plain
    legend.set_dashed({"0"})
    assert 0 < len(stroke("0")) < len(plain)
    assert stroke("1") == plain
