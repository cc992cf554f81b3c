from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.widgets.charts import LineChart
from app.widgets.curves import LevelLine, Line, MarkLine
from app.widgets.decimate import POINTS_PER_COLUMN, decimate, limits, smooth, thinned
from app.widgets.theme import Theme

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


def test_that_decimation_keeps_every_lone_spike() -> None:
    x = np.arange(100_000, dtype=np.float64)
    y = np.zeros(100_000)
    spikes = [3, 31_415, 50_001, 99_998]
    y[spikes] = [9.0, -7.0, 5.0, 3.0]
    kept_x, kept_y = decimate(x, y, 500)
    assert kept_x.size <= POINTS_PER_COLUMN * 500
    kept = dict(zip(kept_x.tolist(), kept_y.tolist(), strict=True))
    assert [kept[float(at)] for at in spikes] == [9.0, -7.0, 5.0, 3.0]


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(
        st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=400
    ),
    columns=st.integers(1, 40),
)
def test_that_decimation_keeps_extremes_order_ends_and_gaps(
    values: list[float], columns: int
) -> None:
    x = np.arange(len(values), dtype=np.float64)
    y = np.array(values)
    kept_x, kept_y = decimate(x, y, columns)
    assert np.all(np.diff(kept_x) > 0)
    assert kept_x[0] == x[0]
    assert kept_x[-1] == x[-1]
    assert limits(kept_y) == limits(y)
    assert np.isnan(kept_y).any() == (not np.isfinite(y).all())
    finite = np.isfinite(kept_y)
    assert np.array_equal(kept_y[finite], y[np.searchsorted(x, kept_x[finite])])


def test_that_decimation_keeps_one_neighbour_outside_the_window() -> None:
    x = np.arange(1000, dtype=np.float64)
    kept_x, _ = decimate(x, x, 2000, (100.5, 200.5))
    assert kept_x[0] == 100.0
    assert kept_x[-1] == 201.0


def test_that_points_at_one_place_are_decimated_too() -> None:
    kept_x, kept_y = decimate(np.zeros(10_000), np.arange(10_000.0), 10)
    assert kept_x.size <= 40
    assert kept_y.max() == 9999


@pytest.mark.parametrize("weight", [0.1, 0.6, 0.97, 0.999])
def test_that_smoothing_equals_the_plain_recursion(weight: float) -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(size=5000)
    y[[7, 100, 101]] = np.nan
    expected = np.full_like(y, np.nan)
    total = share = 0.0
    for place, value in enumerate(y):
        if np.isfinite(value):
            total = weight * total + (1 - weight) * value
            share = weight * share + (1 - weight)
            expected[place] = total / share
    np.testing.assert_allclose(smooth(y, weight), expected, rtol=1e-9, atol=1e-12)


def test_that_smoothing_a_constant_changes_nothing() -> None:
    np.testing.assert_allclose(smooth(np.full(50, 2.5), 0.9), 2.5, rtol=1e-12)


def test_that_names_on_an_axis_keep_the_first_and_the_last() -> None:
    names = [str(layer) for layer in range(37)]
    shown = thinned(names, 5, 0.5)
    assert shown[0] == (0.5, "0")
    assert shown[-1] == (36.5, "36")
    assert len(shown) == 5


def _chart(theme: Theme, qtbot: QtBot) -> LineChart:
    chart = LineChart(theme, "Loss", empty="nothing yet")
    qtbot.addWidget(chart)
    chart.resize(400, 240)
    chart.show()
    qtbot.waitExposed(chart)
    return chart


def _line(key: str, size: int = 5000) -> Line:
    x = np.arange(size, dtype=np.float64)
    return Line(key, key, "recovered", x, np.sin(x / 50))


def test_that_items_are_reused_and_leave_with_their_curve(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    items = chart.plot.getPlotItem().items
    chart.set_lines([_line("a"), _line("b")])
    chart.redraw()
    before = set(map(id, items))
    for size in (6000, 7000, 8000):
        chart.set_lines([_line("a", size), _line("b", size)])
        chart.redraw()
    assert set(map(id, items)) == before
    chart.set_lines([_line("a")])
    chart.redraw()
    assert len(items) < len(before)


def test_that_updates_are_drawn_at_most_once_in_a_hundred_milliseconds(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = _chart(theme, qtbot)
    qtbot.wait(250)
    drawn = chart.draws
    for size in range(100, 200):
        chart.set_lines([_line("a", size)])
    assert chart.draws == drawn
    qtbot.waitUntil(lambda: chart.draws == drawn + 1, timeout=2000)


def test_that_a_hidden_chart_is_not_drawn_and_catches_up(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    chart.hide()
    qtbot.wait(150)
    drawn = chart.draws
    chart.set_lines([_line("a")])
    qtbot.wait(250)
    assert chart.draws == drawn
    chart.show()
    qtbot.waitUntil(lambda: chart.draws > drawn, timeout=2000)


def test_that_pens_are_one_pixel_cosmetic_and_opaque(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    chart.set_smoothing(0.6)
    chart.set_lines([_line("a")])
    chart.redraw()
    pens = [
        item.opts["pen"]
        for item in chart.plot.getPlotItem().items
        if hasattr(item, "opts") and "pen" in item.opts and item.isVisible()
    ]
    assert len(pens) == 2
    for pen in pens:
        assert pen.width() == 1
        assert pen.isCosmetic()
        assert pen.color().alpha() == 255


def test_that_a_curve_is_drawn_with_no_more_points_than_its_pixels_can_show(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = _chart(theme, qtbot)
    chart.set_lines([_line("a", 100_000)])
    chart.redraw()
    (curve,) = [
        item
        for item in chart.plot.getPlotItem().items
        if getattr(item, "xData", None) is not None and item.xData.size
    ]
    assert curve.xData.size <= POINTS_PER_COLUMN * chart.width() + 2


def test_that_a_hidden_curve_comes_back_when_nothing_is_left_to_bring_it_back(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = LineChart(theme, "c")
    qtbot.addWidget(chart)
    x = np.arange(5.0)
    chart.set_lines([Line("a", "a", "base", x, x), Line("b", "b", "recovered", x, 2 * x)])
    chart.redraw()
    chart.legend.buttons["a"].click()
    chart.redraw()
    assert [line.key for line in chart.lines()] == ["b"]
    chart.set_lines([Line("a", "a", "base", x, x)])  # another metric, or another run
    chart.redraw()
    assert [line.key for line in chart.lines()] == ["a"]
    chart.set_lines([Line("a", "a", "base", x, x), Line("b", "b", "recovered", x, 2 * x)])
    chart.redraw()
    assert all(button.isChecked() for button in chart.legend.buttons.values())
    assert len(chart.lines()) == 2


def test_that_a_hidden_level_neither_spans_the_axis_nor_stands_in_a_picture(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = LineChart(theme, "c")
    qtbot.addWidget(chart)
    x = np.arange(5.0)
    chart.set_lines([Line("a", "a", "base", x, x)])
    chart.set_levels([LevelLine("level b", "b", "degraded", 100.0)])
    chart.redraw()
    box = chart.plot.getPlotItem().getViewBox()
    assert box.viewRange()[1][1] > 100
    chart.legend.buttons["level b"].click()
    chart.redraw()
    assert box.viewRange()[1][1] < 10
    assert [text for text, _ in chart.legend_entries()] == ["a"]


def test_that_points_of_one_place_are_all_copied(theme: Theme, qtbot: QtBot) -> None:
    chart = LineChart(theme, "c", x_label="entropy")
    qtbot.addWidget(chart)
    x = np.array([1.0, 1.0, 2.0])
    dots = Line("a", "a", "base", x, np.array([5.0, 6.0, 7.0]), scattered=True)
    chart.set_lines([dots, Line("b", "b", "base", x[1:], np.array([8.0, 9.0]))])
    assert chart.as_tsv().split("\n") == ["entropy\ta\tb", "1\t5\t8", "1\t6\t", "2\t7\t9"]


def test_that_the_grid_covers_neither_curves_nor_levels(theme: Theme, qtbot: QtBot) -> None:
    chart = LineChart(theme, "c")
    qtbot.addWidget(chart)
    chart.resize(400, 300)
    chart.show()
    x = np.arange(100.0)
    chart.set_lines(
        [
            Line("a", "", "recovered", x, np.full(100, 0.2)),  # along a line of the grid
            Line("b", "", "base", x, np.linspace(0, 1, 100)),
        ]
    )
    chart.set_levels([LevelLine("l", "", "degraded", 0.6)])
    chart.redraw()
    picture = chart.grab().toImage()
    found = [
        picture.pixelColor(across, down).name()
        for across in range(picture.width())
        for down in range(picture.height())
    ]
    assert found.count(theme.tokens.recovered) > 200
    assert found.count(theme.tokens.degraded) > 100


def test_that_a_level_stands_at_its_logarithm_on_a_logarithmic_axis(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = LineChart(theme, "c")
    qtbot.addWidget(chart)
    x = np.arange(5.0)
    chart.set_lines([Line("a", "a", "base", x, x + 1)])
    chart.set_levels([LevelLine("l", "l", "degraded", 1000.0)])
    chart.set_log(True)
    chart.redraw()
    low, high = chart.plot.getPlotItem().getViewBox().viewRange()[1]
    assert -1 < low < 0
    assert 3 < high < 4


def test_that_the_legend_toggles_a_curve(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    chart.set_lines([_line("a"), _line("b")])
    chart.redraw()
    button = chart.legend.buttons["b"]
    assert "b" in button.accessibleName()
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Return)
    chart.redraw()
    visible = [
        item
        for item in chart.plot.getPlotItem().items
        if getattr(item, "xData", None) is not None and item.xData.size and item.isVisible()
    ]
    assert len(visible) == 1


def test_that_the_y_axis_covers_bands_and_levels(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    x = np.array([0.0, 20.0, 40.0])
    y = np.array([30.0, 35.0, 40.0])
    chart.set_lines([Line("acc", "acc", "recovered", x, y, y - 9, y + 9, points=True)])
    chart.set_levels([LevelLine("base", "base", "base", 60.0)])
    chart.set_marks([MarkLine(20.0, "artefact phrases")])
    chart.redraw()
    low, high = chart.plot.getPlotItem().getViewBox().viewRange()[1]
    assert low < 21.0
    assert high > 60.0


def test_that_an_empty_chart_says_what_will_be_there(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    chart.set_lines([])
    chart.redraw()
    assert chart.empty.isVisible()
    chart.set_lines([_line("a")])
    chart.redraw()
    assert not chart.empty.isVisible()


def test_that_a_curve_of_nothing_but_gaps_is_no_error(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    x = np.arange(4.0)
    chart.set_lines([Line("a", "a", "base", x, np.full(4, np.nan)), _line("b")])
    chart.set_log(True)
    chart.redraw()
    theme.choose("dark")
    chart.redraw()


def test_that_the_step_axis_reaches_the_planned_end(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    chart.set_lines([_line("a", 50)])
    chart.redraw()
    assert chart.plot.getPlotItem().getViewBox().viewRange()[0][1] < 60
    chart.set_span(200)
    chart.redraw()
    assert 200 <= chart.plot.getPlotItem().getViewBox().viewRange()[0][1] < 210


def test_that_the_readout_says_where_its_numbers_come_from(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot)
    chart.set_lines([_line("a", 50)])
    chart.set_source("run x\nseed 7")
    chart.redraw()
    box = chart.plot.getPlotItem().getViewBox()
    chart.plot.scene().sigMouseMoved.emit(box.sceneBoundingRect().center())
    assert chart.readout.isVisible()
    assert chart.readout.text().endswith("run x\nseed 7")


def test_that_a_curve_of_one_point_can_be_seen_and_steps_have_no_halves(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = _chart(theme, qtbot)
    chart.set_lines([_line("a", 1)])
    chart.set_span(4)
    chart.redraw()
    ink = theme.tokens.recovered
    shot = chart.plot.grab().toImage()
    colours = {
        shot.pixelColor(x, y).name() for x in range(shot.width()) for y in range(shot.height())
    }
    assert ink in colours
    axis = chart.plot.getPlotItem().getAxis("bottom")
    assert min(spacing for spacing, _ in axis.tickSpacing(0, 4, 300)) == 1
