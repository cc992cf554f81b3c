"""The charts of a run: one metric, accuracy on held-out items, and CKA by layer. Loads pyqtgraph."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QSlider

from app.settings import Settings
from app.viewmodels.run import RunViewModel
from app.viewmodels.types import Heatmap
from app.widgets.charts import LineChart
from app.widgets.controls import Button, Card, Picker, Segments, label
from app.widgets.curves import LevelLine, Line, MarkLine
from app.widgets.heatmap import HeatmapView
from app.widgets.theme import Theme

FIRST_KEYS = ("divergence", "loss")
SMOOTHING = (("0", "raw"), ("0.6", "EMA .6"), ("0.9", "EMA .9"), ("0.97", "EMA .97"))
SMOOTHING_TIP = "Exponential moving average, over the faint raw curve"
NO_CURVE = "Curves begin with the first training step."
NO_ACCURACY = "No task has been scored yet. Accuracy stands here after the first evaluation."
NOT_LIVE = "Not scored while training so far. The scores of finished checkpoints stand below."
NO_CKA = (
    "CKA compares what each layer computes with what the reference computes: 1 is the same up to "
    "rotation and scale. The first measurement appears here."
)


def hues(roles: list[str], theme: Theme) -> list[str]:
    """A colour token for each curve: its role's, or one more where a role comes twice."""
    spare = [colour for colour in theme.tokens.extra if colour not in _role_hues(theme)]
    used: set[str] = set()
    result = []
    for role in roles:
        token = role or "accent"
        if token in used:
            token = spare[len(used) % len(spare)]
        used.add(token)
        result.append(token)
    return result


def _role_hues(theme: Theme) -> set[str]:
    tokens = theme.tokens
    return {tokens.base, tokens.degraded, tokens.recovered, tokens.expert}


class MetricCard(Card):
    """One metric over the steps, chosen from all that the run has recorded."""

    def __init__(self, settings: Settings, theme: Theme) -> None:
        super().__init__("Curves")
        self._settings = settings
        self._theme = theme
        self._run: RunViewModel | None = None
        self._key = ""
        self.which = Picker("Metric")
        self.which.setProperty("heading", True)
        self.heading.hide()
        self.which.chosen.connect(self._choose)
        self.smoothing = Picker("Smoothing")
        self.smoothing.set_options(SMOOTHING, _nearest_smoothing(settings.smoothing))
        self.smoothing.setToolTip(SMOOTHING_TIP)
        self.smoothing.chosen.connect(self._smooth)
        # The metric's name, which may be long, gives way first.
        self.smoothing.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.add_first(self.which)
        self.add_tool(self.smoothing)
        self.chart = LineChart(theme, "Metric over steps", empty=NO_CURVE)
        self.chart.set_smoothing(float(self.smoothing.key()))
        self.body.addWidget(self.chart)
        self.note = label("", "caption", wrap=True)
        self.note.hide()
        self.body.addWidget(self.note)

    def show_run(self, run: RunViewModel) -> None:
        """Show a run; its first metric is the divergence where there is one."""
        self._run = run
        self._key = ""
        self.refresh()

    def refresh(self) -> None:
        """Take the curves of the chosen metric."""
        run = self._run
        if run is None:
            return
        keys = run.available_keys()
        if self._key not in keys:
            first = [key for key in FIRST_KEYS if key in keys]
            self._key = first[0] if first else keys[0] if keys else ""
        self.which.set_options([(key, run.key_title(key)[0]) for key in keys], self._key)
        self.which.setVisible(bool(keys))
        curves = run.series(self._key) if self._key else ()
        self.smoothing.setVisible(any(not curve.sparse for curve in curves))
        self.heading.setVisible(not keys)
        self.chart.set_unit(run.key_title(self._key)[1] if self._key else "")
        stages = [curve.stage for curve in curves]
        self.chart.set_source(run.source(stages))
        self.chart.set_span(run.planned_steps(stages))
        best = run.best(self._key) if self._key else ()
        notes = [f"{it.stage}, {it.text}" if len(best) > 1 else it.text for it in best]
        self.note.setText("\n".join(f"{text[:1].upper()}{text[1:]}." for text in notes))
        self.note.setVisible(bool(best))
        tokens = hues([curve.role for curve in curves], self._theme)
        self.chart.set_lines(
            Line(
                curve.stage,
                curve.stage if len(curves) > 1 else curve.title,
                token,
                curve.x,
                curve.y,
                points=curve.sparse,
            )
            for curve, token in zip(curves, tokens, strict=True)
        )
        warned = (MarkLine(mark.step, mark.text) for mark in run.marks() if mark.stage in stages)
        self.chart.set_marks([*warned, *(MarkLine(it.step, it.text, "accent") for it in best)])

    def _choose(self, key: str) -> None:
        self._key = key
        self.chart.reset_view()
        self.refresh()

    def _smooth(self, weight: str) -> None:
        self._settings.smoothing = float(weight)
        self.chart.set_smoothing(float(weight))


class AccuracyCard(Card):
    """Accuracy while training with its Wilson band, between the levels of base and degraded."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Accuracy on held-out")
        self._theme = theme
        self._run: RunViewModel | None = None
        self._task = ""
        self.task = Picker("Task")
        self.task.chosen.connect(self._choose)
        self.add_tool(self.task)
        self.chart = LineChart(theme, "Accuracy over steps", empty=NO_ACCURACY)
        self.chart.set_unit("per cent, Wilson 95 %")
        self.body.addWidget(self.chart)

    def show_run(self, run: RunViewModel) -> None:
        """Show a run's first task."""
        self._run = run
        self._task = ""
        self.refresh()

    def refresh(self) -> None:
        """Take the bands and levels of the chosen task."""
        run = self._run
        if run is None:
            return
        tasks = run.tasks()
        if self._task not in tasks:
            self._task = tasks[0] if tasks else ""
        self.task.set_options([(task, run.task_title(task)) for task in tasks], self._task)
        self.task.setVisible(bool(tasks))
        bands = run.accuracy().get(self._task, ())
        tokens = hues([band.role for band in bands], self._theme)
        self.chart.set_lines(
            Line(band.stage, band.title, token, band.x, band.y, band.low, band.high, points=True)
            for band, token in zip(bands, tokens, strict=True)
        )
        levels = run.reference_levels(self._task) if self._task else ()
        drawn = {band.stage for band in bands}
        self.chart.set_source(run.task_source(self._task))
        self.chart.set_span(run.planned_steps(drawn))
        self.chart.set_levels(
            LevelLine(
                f"level {level.stage}",
                "" if level.stage in drawn else level.title,
                level.role or "third",
                level.value,
            )
            for level in (levels if bands else ())  # alone they have no steps to stand over
        )
        if self._task and not bands:
            unscored = f"{run.task_title(self._task)} has not been scored yet."
            self.chart.set_empty(NOT_LIVE if levels else unscored)

    def _choose(self, task: str) -> None:
        self._task = task
        self.chart.reset_view()
        self.refresh()


class CkaCard(Card):
    """CKA as layers by steps while training, or layer by layer of a checkpoint at a step."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("CKA")
        self._run: RunViewModel | None = None
        self._subject = ""
        self._step: int | None = None
        self.layout_choice = Segments(
            theme,
            "CKA layout",
            (
                ("steps", "layer \N{MULTIPLICATION SIGN} step"),
                ("layers", "layer \N{MULTIPLICATION SIGN} layer"),
            ),
        )
        self.layout_choice.chosen.connect(self._lay_out)
        self._turned = False  # to the layers only because there were no steps yet
        self.zoom = Button(theme, "", "quiet", "arrows-in-line-vertical")
        self.zoom.setCheckable(True)
        self.zoom.setChecked(True)
        self.zoom.setIconSize(QSize(14, 14))
        self.zoom.setAccessibleName("Zoom the colours to the range of the values")
        self.zoom.setToolTip("Zoom the colours to the range of the values, or span 0 to 1")
        self.zoom.toggled.connect(self._zoom)
        self.add_tool(self.layout_choice)
        self.add_tool(self.zoom)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.subject = Picker("Checkpoint")
        self.subject.chosen.connect(self._choose)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step of the map")
        self.slider.valueChanged.connect(self._slide)
        self.at = label("", "hint")
        self.how = label("", "hint", wrap=True)
        row.addWidget(self.subject)
        row.addWidget(self.slider, 1)
        row.addWidget(self.at)
        self.map = HeatmapView(theme, "CKA by layer", empty=NO_CKA)
        self.body.addWidget(self.map, 1)
        self.body.addLayout(row)
        self.body.addWidget(self.how)

    def show_run(self, run: RunViewModel) -> None:
        """Show a run from its newest measurement."""
        self._run = run
        self._turned = False
        self._subject = ""
        self._step = None
        self.refresh()

    def refresh(self) -> None:
        """Take the map of the chosen layout, checkpoint and step."""
        run = self._run
        if run is None:
            return
        layers = self.layout_choice.current() == "layers"
        live = bool(run.cka_subjects())
        if self._turned and live:
            self.layout_choice.choose("steps")
            return
        if not layers and not live and run.cka_maps():
            self.layout_choice.choose("layers")
            self._turned = True
            return
        options = self._options(run, layers)
        keys = [key for key, _ in options]
        if self._subject not in keys:
            self._subject = keys[-1] if keys else ""
            self._step = None
        self.subject.set_options(options, self._subject)
        self.subject.setVisible(len(options) > 1 or (layers and bool(options)))
        self._paint(self._layers_map(run) if layers else self._steps_map(run))

    def _lay_out(self, _: str) -> None:
        self._turned = False
        self.refresh()

    def _options(self, run: RunViewModel, layers: bool) -> list[tuple[str, str]]:
        live = [(stage, stage) for stage in run.cka_subjects()]
        if not layers:
            return live
        maps = [(entry.subject, entry.label) for entry in run.cka_maps()]
        finished = {key for key, _ in maps}
        return maps + [
            entry for entry in live if entry[0] not in finished and run.cka_steps(entry[0])
        ]

    def _steps_map(self, run: RunViewModel) -> Heatmap | None:
        self.slider.hide()
        self.at.hide()
        return run.cka_live(self._subject) if self._subject else None

    def _layers_map(self, run: RunViewModel) -> Heatmap | None:
        steps = run.cka_steps(self._subject) if self._subject else ()
        self.slider.setVisible(len(steps) > 1)
        self.at.setVisible(len(steps) > 1)
        if len(steps) > 1:
            if self._step not in steps:
                self._step = steps[-1]
            self.slider.blockSignals(True)
            self.slider.setRange(0, len(steps) - 1)
            self.slider.setValue(steps.index(self._step))
            self.slider.blockSignals(False)
            self.at.setText(f"step {self._step}")
            if self._step != steps[-1]:
                return run.cka_map(self._subject, self._step)
        for entry in run.cka_maps():
            if entry.subject == self._subject:
                return entry.heatmap
        return run.cka_map(self._subject, steps[-1]) if steps else None

    def _paint(self, heatmap: Heatmap | None) -> None:
        self.zoom.setVisible(heatmap is not None)
        if heatmap is None:
            self.how.setText("")
            self.map.clear()
            return
        self.how.setText(heatmap.caption)
        if self._run is not None:
            self.map.set_source(self._run.source([self._subject], protocol=heatmap.caption))
        self.map.set_data(
            heatmap.values,
            heatmap.rows,
            heatmap.cols,
            row_axis=heatmap.row_axis,
            col_axis=heatmap.col_axis,
            expected=self._expected(heatmap),
        )

    def _expected(self, heatmap: Heatmap) -> int:
        """Columns there will be at the last planned step, at the pace of the columns so far."""
        steps = self._run.planned_steps([self._subject]) if self._run is not None else 0
        at = heatmap.positions
        if len(at) < 2 or steps <= at[-1]:
            return 0
        return len(at) + int((steps - at[-1]) * (len(at) - 1) / (at[-1] - at[0]))

    def _choose(self, subject: str) -> None:
        self._subject = subject
        self._step = None
        self.refresh()

    def _slide(self, place: int) -> None:
        steps = self._run.cka_steps(self._subject) if self._run is not None else ()
        if 0 <= place < len(steps):
            self._step = steps[place]
            self.refresh()

    def _zoom(self, on: bool) -> None:
        self.map.set_zoomed(on)


def _nearest_smoothing(weight: float) -> str:
    return min((key for key, _ in SMOOTHING), key=lambda key: abs(float(key) - weight))
