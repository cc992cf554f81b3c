"""One chart among those of a run: a metric by stage, or the accuracy of a task between its reference levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Signal

from app.viewmodels.axes import Axis
from app.viewmodels.run import RunViewModel
from app.viewmodels.types import Band, Series
from app.views.chart_choices import ChartChoices
from app.widgets.charts import LineChart
from app.widgets.controls import Button, Card, label
from app.widgets.curves import LevelLine, Line, MarkLine
from app.widgets.decimate import Floats
from app.widgets.theme import Theme
from app.widgets.title_picker import TitlePicker

ACCURACY = "accuracy"
TASK = f"{ACCURACY}/"
"""Before the name of a task in the key of its chart."""
FIRST_KEYS = ("divergence", "loss")
WILSON = "per cent, Wilson 95 %"
NO_CURVE = "Curves begin with the first training step."
NO_ACCURACY = "No task has been scored yet. Accuracy stands here after the first evaluation."
NOT_LIVE = "Not scored while training so far. The scores of finished checkpoints stand below."
CROSS = 22


def hues(roles: Sequence[str], theme: Theme) -> list[str]:
    """A colour token for each curve: its role's, or one more where a role comes twice."""
    tokens = theme.tokens
    taken = {tokens.base, tokens.degraded, tokens.recovered, tokens.expert}
    spare = [colour for colour in tokens.extra if colour not in taken]
    used: set[str] = set()
    result = []
    for role in roles:
        token = role or "accent"
        if token in used:
            token = spare[len(used) % len(spare)]
        used.add(token)
        result.append(token)
    return result


def chart_options(run: RunViewModel) -> list[tuple[str, str]]:
    """(key, words) of every chart a run can show."""
    tasks = [(f"{TASK}{task}", f"Accuracy: {run.task_title(task)}") for task in run.tasks()]
    metrics = [(key, run.key_title(key)[0]) for key in run.available_keys()]
    return metrics[:1] + tasks + metrics[1:]


def resolved(run: RunViewModel, key: str) -> str:
    """The key of a chart that the run has: a wish for the first metric or the first task is made one."""
    if key == ACCURACY:
        return next((f"{TASK}{task}" for task in run.tasks()), ACCURACY)
    if key == FIRST_KEYS[0] and key not in run.available_keys():
        known = run.available_keys()
        return next((it for it in FIRST_KEYS if it in known), known[0] if known else key)
    return key


def axis_of(run: RunViewModel, choices: ChartChoices) -> Axis:
    """The horizontal axis chosen; steps where this run has no such axis."""
    axes = run.axes()
    return next((it for it in axes if it.key == choices.x_axis), axes[0])


def smoothing_words(weight: float) -> str:
    """How curves were smoothed, for a picture; "" for raw ones."""
    return f"smoothed, EMA {weight:g}, over the raw values" if weight else ""


class ChartTile(Card):
    """A card with one chart; the metric is chosen where its heading is."""

    chosen = Signal(str)
    removed = Signal()

    def __init__(self, theme: Theme, choices: ChartChoices) -> None:
        super().__init__("Curves")
        self._theme = theme
        self._choices = choices
        self._run: RunViewModel | None = None
        self.key = ""
        self.which = TitlePicker("Metric")
        self.which.setProperty("heading", True)
        self.which.chosen.connect(self.chosen)
        self.add_first(self.which)
        self.cross = Button(theme, "", "cross", "x")
        self.cross.setFixedSize(CROSS, CROSS)
        self.cross.setToolTip("Take this chart away")
        self.cross.setAccessibleName(self.cross.toolTip())
        self.cross.clicked.connect(self.removed)
        self.add_tool(self.cross)
        self.chart = LineChart(theme, "Metric", empty=NO_CURVE)
        self.body.addWidget(self.chart)
        self.note = label("", "caption", wrap=True)
        self.note.hide()
        self.body.addWidget(self.note)

    def show_run(self, run: RunViewModel, key: str) -> None:
        """Show a metric ("entropy") or a task ("accuracy/tooluse") of a run."""
        self._run = run
        if key != self.key:
            self.key = key
        self.refresh()

    @property
    def is_accuracy(self) -> bool:
        """Whether it shows the accuracy of a task."""
        return self.key.startswith(ACCURACY)

    @property
    def caption_text(self) -> str:
        """How the curves came about, for a picture."""
        return smoothing_words(self._choices.smoothing)

    def refresh(self) -> None:
        """Take the curves."""
        run = self._run
        if run is None:
            return
        options = chart_options(run)
        self.which.set_options(options, self.key)
        known = self.key in {key for key, _ in options}
        self.which.setVisible(known)
        self.heading.setVisible(not known)
        title = dict(options).get(self.key) or self._absent(run)
        self.heading.set_text(title)
        self.setAccessibleName(title)
        self.cross.setAccessibleName(f"Take the chart {title} away")
        self.chart.set_title(title)
        self.chart.set_empty(run.untrained() or (NO_ACCURACY if self.is_accuracy else NO_CURVE))
        self._set_axes(run)
        if self.is_accuracy:
            self._show_accuracy(run, self.key.removeprefix(TASK))
        else:
            self._show_metric(run)

    def _absent(self, run: RunViewModel) -> str:
        if self.key == ACCURACY:
            return "Accuracy on held-out"
        if self.key.startswith(TASK):
            return f"Accuracy: {run.task_title(self.key.removeprefix(TASK))}"
        return run.key_title(self.key)[0]

    def _set_axes(self, run: RunViewModel) -> None:
        axis = axis_of(run, self._choices)
        self.chart.set_axis(axis.title, axis.kind)
        self.chart.set_clip(self._choices.clip)
        self.chart.set_log(self._choices.log and not self.is_accuracy)
        self.chart.set_smoothing(self._choices.smoothing)

    def _show_metric(self, run: RunViewModel) -> None:
        curves = run.series(self.key)
        self.chart.set_unit(run.key_title(self.key)[1])
        best = run.best(self.key)
        notes = [f"{it.stage}, {it.text}" if len(best) > 1 else it.text for it in best]
        self.note.setText("\n".join(f"{text[:1].upper()}{text[1:]}." for text in notes))
        self.note.setVisible(bool(best))
        axis = axis_of(run, self._choices).key
        tokens = hues([curve.role for curve in curves], self._theme)
        self.chart.set_lines(
            placed_line(run, axis, curve, token, alone=len(curves) == 1)
            for curve, token in zip(curves, tokens, strict=True)
        )
        stages = [curve.stage for curve in curves]
        self._place(run, axis, stages)
        marks = [(it.stage, it.step, it.text, "accent") for it in best]
        self._mark(run, axis, stages, marks)
        self.chart.set_levels(())

    def _show_accuracy(self, run: RunViewModel, task: str) -> None:
        bands = run.accuracy().get(task, ())
        self.chart.set_unit(WILSON)
        self.note.hide()
        axis = axis_of(run, self._choices).key
        tokens = hues([band.role for band in bands], self._theme)
        self.chart.set_lines(
            placed_band(run, axis, band, token) for band, token in zip(bands, tokens, strict=True)
        )
        levels = run.reference_levels(task)
        drawn = [band.stage for band in bands]
        self._place(run, axis, drawn)
        self.chart.set_source(run.task_source(task))
        self._mark(run, axis, drawn, [])
        self.chart.set_levels(
            LevelLine(
                f"level {level.stage}",
                "" if level.stage in drawn else level.title,
                level.role or "third",
                level.value,
            )
            for level in (levels if bands else ())  # alone they have no steps to stand over
        )
        if task in run.tasks() and not bands:
            unscored = f"{run.task_title(task)} has not been scored yet."
            self.chart.set_empty(run.untrained() or (NOT_LIVE if levels else unscored))

    def _place(self, run: RunViewModel, axis: str, stages: Sequence[str]) -> None:
        self.chart.set_source(run.source(stages))
        self.chart.set_span(run.planned_steps(stages) if axis == "step" else 0)

    def _mark(
        self,
        run: RunViewModel,
        axis: str,
        stages: Sequence[str],
        more: Sequence[tuple[str, int, str, str]],
    ) -> None:
        warned = [
            (it.stage, it.step, it.text, "warning") for it in run.marks() if it.stage in stages
        ]
        self.chart.set_marks(
            MarkLine(place_of(run, axis, stage, step), text, token)
            for stage, step, text, token in (*warned, *more)
        )


def place_of(run: RunViewModel, axis: str, stage: str, step: int) -> float:
    """Where one step of a stage stands on an axis; NaN where that is not known."""
    return float(run.along(axis, stage, np.array([float(step)]))[0])


def placed_line(run: RunViewModel, axis: str, curve: Series, token: str, *, alone: bool) -> Line:
    """A metric's curve on an axis."""
    name = curve.title if alone else curve.stage
    if axis == "step":
        return Line(curve.stage, name, token, curve.x, curve.y, points=curve.sparse)
    x, (y,), scattered = _sorted(run, axis, curve.stage, curve.x, (curve.y,))
    return Line(curve.stage, name, token, x, y, points=curve.sparse, scattered=scattered)


def placed_band(run: RunViewModel, axis: str, band: Band, token: str) -> Line:
    """A task's accuracy with its interval on an axis."""
    if axis == "step":
        return Line(band.stage, band.title, token, band.x, band.y, band.low, band.high, points=True)
    parts = (band.y, band.low, band.high)
    x, (y, low, high), scattered = _sorted(run, axis, band.stage, band.x, parts)
    return Line(band.stage, band.title, token, x, y, low, high, points=True, scattered=scattered)


def _sorted(
    run: RunViewModel, axis: str, stage: str, steps: Floats, parts: Sequence[Floats]
) -> tuple[Floats, list[Floats], bool]:
    """Places in ascending order with the values that belong to them; True when that is not the order of steps."""
    x = run.along(axis, stage, steps)
    known = np.isfinite(x)
    x, kept = x[known], [part[known] for part in parts]
    scattered = bool(np.any(np.diff(x) < 0))
    if scattered:
        order = np.argsort(x, kind="stable")
        x, kept = x[order], [part[order] for part in kept]
    return x, kept, scattered
