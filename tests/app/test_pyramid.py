"""Curves of a million points: every spike is drawn, whatever is read of them, and growth costs what is new."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from app.widgets import charts
from app.widgets.charts import LineChart
from app.widgets.curves import Line
from app.widgets.decimate import Floats, Smoother, decimate, limits, smooth
from app.widgets.pixel_columns import SharedColumns
from app.widgets.pyramid import BLOCK, BLOCKS_PER_COLUMN, FAN, LEAST, Growing, Pyramid
from app.widgets.theme import Theme
from app.widgets.trace import Trace

MILLION = 1_000_000
HUGE = 10**9


def _pyramid(y: Floats, portion: int = HUGE, *, positive: bool = False) -> Pyramid:
    made = Pyramid(positive=positive)
    for start in range(0, y.size, portion):
        made.extend(y, min(start + portion, y.size))
    return made


def _walk(size: int, seed: int = 1) -> Floats:
    return np.cumsum(np.random.default_rng(seed).normal(size=size))


def test_that_every_lone_spike_of_a_million_points_is_picked() -> None:
    x = np.arange(MILLION, dtype=np.float64)
    y = np.zeros(MILLION)
    spikes = [3, 31_415, 500_001, 999_990, 999_999]
    y[spikes] = [9.0, -7.0, 5.0, 3.0, -1.0]
    picked = _pyramid(y, 77_777).pick(x, y, 900, 0, MILLION)
    assert picked is not None
    assert set(spikes) <= set(picked.tolist())
    assert picked.size <= 4 * 900


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    size=st.integers(3_000, 9_000),
    portion=st.integers(50, 4_000),
    columns=st.integers(1, 12),
    pauses=st.booleans(),
    gaps=st.integers(0, 40),
    window=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_that_what_is_picked_has_the_extremes_gaps_and_ends_of_what_is_there(
    seed: int,
    size: int,
    portion: int,
    columns: int,
    pauses: bool,
    gaps: int,
    window: tuple[float, float],
) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.choice([1.0, 500.0], p=[0.99, 0.01], size=size) if pauses else np.ones(size))
    y = rng.normal(size=size)
    holes = rng.integers(0, size, gaps)
    y[holes] = rng.choice([np.nan, np.inf, -np.inf], size=gaps)
    first, last = int(min(window) * size), max(int(max(window) * size), int(min(window) * size) + 1)
    picked = _pyramid(y, portion).pick(x, y, columns, first, last)
    if picked is None:
        assert last - first < BLOCKS_PER_COLUMN * columns * BLOCK
        return
    assert np.all(np.diff(picked) > 0)
    assert {first, last - 1} <= set(picked.tolist())
    part = y[first:last]
    assert limits(y[picked]) == limits(part)
    assert np.isfinite(part).all() == np.isfinite(y[picked]).all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 100), columns=st.integers(5, 40), pauses=st.booleans())
def test_that_each_column_shows_its_extremes(seed: int, columns: int, pauses: bool) -> None:
    rng = np.random.default_rng(seed)
    size = 20_000
    x = np.cumsum(
        rng.choice([1.0, 900.0], p=[0.995, 0.005], size=size) if pauses else np.ones(size)
    )
    y = rng.normal(size=size)
    picked = _pyramid(y).pick(x, y, columns, 0, size)
    assert picked is not None
    borders = np.searchsorted(x, x[0] + (x[-1] - x[0]) * np.arange(columns) / columns)
    for start, end in zip(borders, [*borders[1:], size], strict=True):
        if end > start:
            inside = y[picked[(picked >= start) & (picked < end)]]
            assert limits(inside) == limits(y[start:end])


def test_that_a_pyramid_cut_and_grown_again_equals_a_new_one() -> None:
    first, second = _walk(60_000), _walk(60_000, seed=2)
    second[:20_011] = first[:20_011]
    second[30_000] = np.nan
    grown = _pyramid(first)
    grown.cut(20_011)
    grown.extend(second, second.size)
    x = np.arange(60_000, dtype=np.float64)
    mine, anew = (
        grown.pick(x, second, 30, 0, 60_000),
        _pyramid(second).pick(x, second, 30, 0, 60_000),
    )
    assert mine is not None
    assert anew is not None
    assert mine.tolist() == anew.tolist()


def test_that_levels_hold_a_third_of_the_values_at_most() -> None:
    pyramid = _pyramid(_walk(MILLION))
    held = sum(len(low) for low in pyramid._low)
    assert held <= MILLION / BLOCK * FAN / (FAN - 1)


def test_that_a_growing_array_keeps_the_views_it_handed_out() -> None:
    growing = Growing()
    growing.extend(np.arange(2000.0))
    view = growing.view
    growing.cut(1000)
    growing.extend(np.full(500, -1.0))
    assert view.tolist() == list(range(2000))
    assert growing.view[-500:].tolist() == [-1.0] * 500
    assert len(growing) == 1500


@pytest.mark.parametrize("weight", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("log", [False, True])
def test_that_a_trace_fed_in_portions_draws_what_a_whole_one_draws(
    weight: float, log: bool
) -> None:
    y = np.exp(_walk(90_000) / 50)
    y[[5, 40_000]] = np.nan
    y[70_000] = -1.0
    x = np.arange(y.size, dtype=np.float64)
    grown, whole = Trace(), Trace()
    for end in (10_000, 40_000, 40_001, 77_000, 90_000):
        grown.take(y[:end], weight=weight, log=log)
        while grown.left:
            grown.digest(9_999)
    whole.take(y.copy(), weight=weight, log=log)
    whole.digest(HUGE)
    for window in ((0.0, 90_000.0), (20_000.5, 60_000.5), (89_000.0, 89_100.0)):
        for mine, other in zip(
            grown.reduced(x, 200, window), whole.reduced(x, 200, window), strict=True
        ):
            np.testing.assert_allclose(mine, other, rtol=1e-9)


def test_that_a_trace_whose_curve_was_rewound_forgets_what_is_gone() -> None:
    first = _walk(80_000)
    trace = Trace()
    trace.take(first)
    trace.digest(HUGE)
    rewound = np.concatenate([first[:50_000], np.full(20_000, 1e6)])
    trace.take(rewound)
    assert trace.left == 20_000
    trace.digest(HUGE)
    _, y = trace.reduced(np.arange(70_000.0), 300, (0.0, 70_000.0))
    assert y.max() == 1e6
    assert limits(y) == limits(rewound)


def test_that_more_points_of_the_same_curve_cost_only_what_is_new() -> None:
    trace = Trace()
    whole = _walk(100_000)
    trace.take(whole[:60_000])
    assert trace.digest(HUGE) == 60_000
    trace.take(whole[:60_500])  # the same buffer
    assert trace.left == 500
    trace.digest(HUGE)
    trace.take(whole.copy())  # a buffer that was doubled meanwhile
    assert trace.left == 39_500


def test_that_smoothing_in_portions_equals_smoothing_at_once() -> None:
    y = _walk(5000)
    y[[7, 2500]] = np.nan
    for weight in (0.3, 0.97, 0.9999):
        smoother = Smoother(weight)
        parts = [smoother.extend(y[at : at + 700]) for at in range(0, y.size, 700)]
        np.testing.assert_allclose(np.concatenate(parts), smooth(y, weight), rtol=1e-9)


def test_that_short_curves_are_drawn_point_by_point() -> None:
    y = _walk(LEAST - 1)
    x = np.arange(y.size, dtype=np.float64)
    trace = Trace()
    trace.take(y)
    assert trace.left == 0
    for mine, plain in zip(
        trace.reduced(x, 300, (0.0, 9e9)), decimate(x, y, 300, (0.0, 9e9)), strict=True
    ):
        assert mine.tolist() == plain.tolist()


@pytest.mark.qt_log_ignore("propagateSizeHints")
def test_that_long_curves_appear_over_several_drawings_and_none_takes_them_all(
    theme: Theme, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "DIGESTED", 50_000)
    chart = LineChart(theme, "Loss")
    qtbot.addWidget(chart)
    chart.resize(400, 240)
    chart.show()
    qtbot.waitExposed(chart)
    x = np.arange(120_000, dtype=np.float64)
    before = chart.draws
    chart.set_lines(Line(key, key, "base", x, _walk(x.size, seed)) for seed, key in enumerate("ab"))
    qtbot.waitUntil(lambda: chart.draws >= before + 5, timeout=5000)
    qtbot.wait(2 * charts.REDRAW_MS)
    assert chart.draws == before + 5  # 240,000 points, 50,000 a drawing
    drawn = [
        item
        for item in chart.plot.getPlotItem().items
        if getattr(item, "xData", None) is not None and item.xData.size
    ]
    assert [item.xData[-1] for item in drawn] == [x[-1], x[-1]]


def test_that_curves_over_one_x_share_their_columns_and_others_do_not() -> None:
    count = 100_000
    x, other = np.arange(float(count)), np.arange(float(count)) ** 2
    values = [np.sin(x * 0.01), np.cos(x * 0.03)]
    shared = SharedColumns()
    for positions in (x, other, x):
        for y in values:
            pyramid = _pyramid(y)
            alone = pyramid.pick(positions, y, 400, 10, count - 10)
            assert alone is not None
            together = pyramid.pick(positions, y, 400, 10, count - 10, shared)
            np.testing.assert_array_equal(together, alone)
    once = shared.of(x, 400, 0, count, 64, 1000)
    assert shared.of(x[:count], 400, 0, count, 64, 1000) is once
    assert shared.of(other, 400, 0, count, 64, 1000) is not once
