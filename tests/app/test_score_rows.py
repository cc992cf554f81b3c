"""What the cell of a difference claims by its colour."""

from __future__ import annotations

import pytest

from app.viewmodels import words
from app.viewmodels.types import ScoreColumn, ScoreLine, ScoreTable
from app.views.score_rows import score_rows
from app.widgets.theme import Theme


def test_that_several_recovered_stages_of_one_run_are_told_apart(theme: Theme) -> None:
    lines = tuple(ScoreLine("t", "T", "p", (None,), stage=it) for it in ("sdft", "sft"))
    table = ScoreTable((ScoreColumn("recovered", "recovered", "recovered"),), lines)
    columns, rows = score_rows(table, theme)
    place = [column.title for column in columns].index("stage")
    assert [cells[place].text for cells in rows] == ["sdft", "sft"]


def test_that_gain_and_fraction_stand_behind_the_stage_they_judge_and_name_it(theme: Theme) -> None:
    line = ScoreLine("t", "T", "p", (None, None, None), delta="+15.0", recovered="0.75")
    places = tuple(ScoreColumn(it, it, "recovered") for it in ("pruned", "sdft", "sft"))
    several = ScoreTable(places, (line,), "sdft - pruned", "sdft")
    columns, (cells,) = score_rows(several, theme)
    heads = [column.title for column in columns][2:]
    assert heads == ["pruned", "sdft", "sdft gain", "fraction", "sft"]
    (tip,) = [column.tip for column in columns if column.title == "fraction"]
    assert tip.startswith("Of sdft - pruned. ")
    assert [cell.text for cell in cells][4:6] == ["+15.0", "0.75"]
    columns, _ = score_rows(ScoreTable(places, (line,), "sft - pruned"), theme)
    assert [column.title for column in columns][2:] == ["pruned", "sdft", "sft", "gain", "fraction"]


@pytest.mark.parametrize(
    ("delta", "certain", "token"),
    [
        ("+15.0", True, "recovered_text"),
        (f"{words.MINUS}15.0", True, "bad_text"),
        ("+2.0", False, "second"),
        (f"{words.MINUS}2.0", False, "second"),
    ],
)
def test_that_only_a_sure_difference_is_coloured_and_each_says_what_it_rests_on(
    theme: Theme, delta: str, certain: bool, token: str
) -> None:
    line = ScoreLine("t", "T", "p", (None,), delta=delta, certain=certain, rests_on="mid-p 0.3")
    table = ScoreTable((ScoreColumn("back", "back", "recovered"),), (line,), "back - nf4")
    columns, (cells,) = score_rows(table, theme)
    cell = cells[[column.title for column in columns].index("gain")]
    assert (cell.text, cell.token) == (delta, token)
    assert "mid-p 0.3" in cell.tip
