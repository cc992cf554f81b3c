"""CKA of a run: layers by steps with the curve of one step beside it, and the layer by layer map of any step."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QSlider

from app.settings import Settings
from app.viewmodels.glossary import explain
from app.viewmodels.run import RunViewModel
from app.viewmodels.types import Heatmap
from app.views.keeping import COPY_KEYS, Keeper
from app.widgets.controls import Card, Elided, Segments, label
from app.widgets.explained import explain_heading
from app.widgets.heatmap import FULL, HeatmapView
from app.widgets.profile_strip import ProfileStrip
from app.widgets.theme import Theme
from app.widgets.title_picker import TitlePicker

NO_CKA = (
    "CKA compares what each layer computes with what the reference computes: 1 is the same up to "
    "rotation and scale. The first measurement appears here."
)
FLOOR = "CKA of each layer at the step; dashed, what chance alone gives with so few items"
FIT, FULL_KEY, OWN = "fit", "0", "own"
RANGES = (
    (FIT, "fit to data"),
    (FULL_KEY, "0 to 1"),
    ("0.5", ".5 to 1"),
    ("0.9", ".9 to 1"),
    ("0.99", ".99 to 1"),
)
HEADING_PX = 30
"""Of three letters, which are not worth being shortened to one."""
RANGE_SETTING = "run.cka_range"
FINISHED = -1
"""The place at the end of the slider: the finished checkpoint, which need not be the last step's weights."""


class CkaCard(Card):
    """CKA as layers by steps while training, or layer by layer of a checkpoint at a step."""

    def __init__(self, settings: Settings, theme: Theme, keeper: Keeper) -> None:
        super().__init__("CKA")
        self._settings = settings
        self._keeper = keeper
        self._run: RunViewModel | None = None
        self._subject = ""
        self._newest = ""
        self._held = False  # the checkpoint was chosen by hand
        self._step: int | None = None  # chosen by hand; None follows the end
        self._met = -1  # the column under the pointer or the keys
        self._shown: Heatmap | None = None
        self._turned = False  # to the layers only because there were no steps yet
        self.layout_choice = Segments(
            theme,
            "CKA layout",
            (
                ("steps", "layer \N{MULTIPLICATION SIGN} step"),
                ("layers", "layer \N{MULTIPLICATION SIGN} layer"),
            ),
        )
        self.layout_choice.chosen.connect(self._lay_out)
        self.range = TitlePicker("Range of the colours")
        self.range.setToolTip(
            "Range of the colours; the ends of the colour bar can be dragged, too"
        )
        self.range.chosen.connect(self._choose_range)
        self.heading.setMinimumWidth(HEADING_PX)
        explain_heading(self, explain("CKA"))
        self.add_tool(self.layout_choice)
        self.add_tool(self.range)
        self.map = HeatmapView(theme, "CKA by layer", empty=NO_CKA)
        self.map.column_met.connect(self._meet)
        self.map.levels_dragged.connect(self._dragged)
        self.map.menu_wanted.connect(self._menu)
        self.profile = ProfileStrip(theme, "CKA of each layer at one step")
        self.profile.setToolTip(FLOOR)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.map, 1)
        row.addWidget(self.profile)
        self.body.addLayout(row, 1)
        self.body.addLayout(self._choices())
        self.how = Elided("", "hint")
        self.body.addWidget(self.how)
        shortcut = QShortcut(QKeySequence(COPY_KEYS), self.map)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(lambda: keeper.copy(self.map, self._title(), self.how.whole()))
        self._set_range(settings.views.get(RANGE_SETTING, FIT))

    def _choices(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.subject = TitlePicker("Checkpoint")
        self.subject.chosen.connect(self._choose)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step of the map")
        self.slider.setToolTip("Step that is shown; the arrow keys go from one to the next")
        self.slider.valueChanged.connect(self._slide)
        self.at = label("", "hint")
        row.addWidget(self.subject)
        row.addWidget(self.slider, 1)
        row.addWidget(self.at)
        return row

    def show_run(self, run: RunViewModel) -> None:
        """Show a run from its newest measurement."""
        self._run = run
        self._turned = self._held = False
        self._subject = ""
        self._step = None
        self.map.leave()
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
        if self._subject not in keys or not (self._held or self._step is not None):
            self._subject = keys[-1] if keys else ""
            self._step = None
            self._held = False
        self._newest = keys[-1] if keys else ""
        self.subject.set_options(options, self._subject)
        self.subject.setVisible(len(options) > 1 or (layers and bool(options)))
        steps = self._steps(run)
        self._show_slider(steps)
        self._paint(self._layers_map(run, steps) if layers else run.cka_live(self._subject))

    def _lay_out(self, _: str) -> None:
        self._turned = False
        self._met = -1
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

    def _steps(self, run: RunViewModel) -> tuple[int, ...]:
        """The steps that the slider goes through: those measured, or those with a map and the end."""
        if not self._subject:
            return ()
        if self.layout_choice.current() == "layers":
            steps = run.cka_steps(self._subject)
            return (*steps, FINISHED) if self._finished(run) is not None else steps
        live = run.cka_live(self._subject)
        return tuple(int(step) for step in live.positions) if live is not None else ()

    def _show_slider(self, steps: tuple[int, ...]) -> None:
        self.slider.setVisible(len(steps) > 1)
        self.at.setVisible(len(steps) > 1)
        if len(steps) < 2:
            return
        step = self._step if self._step in steps else steps[-1]
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(steps) - 1)
        self.slider.setValue(steps.index(step))
        self.slider.blockSignals(False)
        self.at.setText("finished" if step == FINISHED else f"step {step}")

    def _finished(self, run: RunViewModel) -> Heatmap | None:
        found = (it.heatmap for it in run.cka_maps() if it.subject == self._subject)
        return next(found, None)

    def _layers_map(self, run: RunViewModel, steps: tuple[int, ...]) -> Heatmap | None:
        if not steps:
            return None
        step = self._step if self._step in steps else steps[-1]
        return self._finished(run) if step == FINISHED else run.cka_map(self._subject, step)

    def _paint(self, heatmap: Heatmap | None) -> None:
        self._shown = heatmap
        self.range.setVisible(heatmap is not None)
        by_steps = heatmap is not None and heatmap.col_axis == "step"
        self.profile.setVisible(by_steps)
        if heatmap is None:
            self.how.set_text("")
            self.map.set_empty((self._run.untrained() if self._run is not None else "") or NO_CKA)
            self.map.clear()
            return
        self.how.set_text(heatmap.caption)
        if self._run is not None:
            self.map.set_source(self._run.cka_source([self._subject], heatmap.caption))
        self.map.set_data(
            heatmap.values,
            heatmap.rows,
            heatmap.cols,
            row_axis=heatmap.row_axis,
            col_axis=heatmap.col_axis,
            expected=self._expected(heatmap),
        )
        self.map.mark_column(self._column(heatmap) if by_steps else None)
        self._meet(self._met)

    def _expected(self, heatmap: Heatmap) -> int:
        """Columns there will be at the last planned step, at the pace of the columns so far."""
        steps = self._run.planned_steps([self._subject]) if self._run is not None else 0
        at = heatmap.positions
        if len(at) < 2 or steps <= at[-1]:
            return 0
        return len(at) + int((steps - at[-1]) * (len(at) - 1) / (at[-1] - at[0]))

    def _column(self, heatmap: Heatmap) -> int:
        """The column of the step that was chosen; the newest one while none is."""
        steps = [int(step) for step in heatmap.positions]
        return steps.index(self._step) if self._step in steps else len(steps) - 1

    def _meet(self, column: int) -> None:
        """Draw the curve of a column; -1 goes back to that of the chosen step."""
        self._met = column
        shown, run = self._shown, self._run
        if shown is None or run is None or shown.col_axis != "step":
            return
        at = column if 0 <= column < len(shown.cols) else self._column(shown)
        self.profile.show_values(
            shown.values[:, at], run.cka_floor(self._subject), f"step {shown.cols[at]}"
        )

    def _choose(self, subject: str) -> None:
        self._held = True
        self._subject = subject
        self._step = None
        self.refresh()

    def _slide(self, place: int) -> None:
        steps = self._steps(self._run) if self._run is not None else ()
        if 0 <= place < len(steps):
            self._step = steps[place] if place < len(steps) - 1 else None  # the end follows the run
            self._held |= self._subject != self._newest
            self.refresh()

    def _choose_range(self, key: str) -> None:
        if key != OWN:
            self._settings.views[RANGE_SETTING] = key
            self._set_range(key)

    def _set_range(self, key: str) -> None:
        own = _own_range(key)
        if own is not None:
            self._show_own(*own)
            self.map.set_range(own)
            return
        known = key if key in dict(RANGES) else FIT
        self.range.set_options(RANGES, known)
        self.map.set_range(None if known == FIT else (float(known), FULL[1]))

    def _dragged(self, low: float, high: float) -> None:
        self._settings.views[RANGE_SETTING] = f"{low!r} {high!r}"
        self._show_own(low, high)

    def _show_own(self, low: float, high: float) -> None:
        self.range.set_options(((OWN, f"{low:.3g} to {high:.3g}"), *RANGES), OWN)

    def _title(self) -> str:
        what = "layer by step" if self.layout_choice.current() == "steps" else "layer by layer"
        return f"CKA, {what}"

    def save_picture(self) -> None:
        """Save the map that is shown."""
        self._keeper.save(self.map, self._title(), self.how.whole())

    def _menu(self, at: QPoint) -> None:
        if self._shown is not None:
            self._keeper.menu(self.map, self._title(), self.how.whole(), at)


def _own_range(key: str) -> tuple[float, float] | None:
    """The ends that were dragged at the colour bar; None for a key of `RANGES`."""
    try:
        low, high = map(float, key.split())
    except ValueError:
        return None
    return (low, high) if FULL[0] <= low < high <= FULL[1] else None
