"""The charts of a run as small multiples: which stand there is the person's choice; all move together."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QScrollArea, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.run import RunViewModel
from app.views.chart_choices import ChartChoices
from app.views.chart_tile import (
    ACCURACY,
    FIRST_KEYS,
    ChartTile,
    axis_of,
    chart_options,
    place_of,
    resolved,
)
from app.views.keeping import COPY_KEYS, Keeper
from app.widgets.controls import Button, Picker
from app.widgets.linked import LinkedCharts
from app.widgets.theme import Theme
from app.widgets.title_picker import TitlePicker

FIRST_CHARTS = (FIRST_KEYS[0], ACCURACY)
SMOOTHING = (("0", "raw"), ("0.6", "EMA .6"), ("0.9", "EMA .9"), ("0.97", "EMA .97"))
SMOOTHING_TIP = "Exponential moving average, over the faint raw curve"
TILE_WIDTH, TILE_HEIGHT = 240, 200
"""Least size of a chart with its heading."""
GAP = 12
TOOLS_GAP = 6
READY_MS = 400
"""After which the next chart is made ready: making one when it is asked for would stop the window for a moment."""


class ChartsArea(QWidget):
    """A row of choices for all charts, and the charts in a grid that scrolls."""

    def __init__(self, settings: Settings, theme: Theme, keeper: Keeper) -> None:
        super().__init__()
        self._theme = theme
        self._keeper = keeper
        self._choices = ChartChoices(settings)
        self._run: RunViewModel | None = None
        self._spare: list[ChartTile] = []
        self.tiles: list[ChartTile] = []
        self._axis = ""  # the one that is shown; "" before a run is
        self.linked = LinkedCharts(self)
        self.linked.changed.connect(self._keep_range)
        self._ready = QTimer(self)
        self._ready.setSingleShot(True)
        self._ready.timeout.connect(self._make_ready)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(TOOLS_GAP)
        column.addLayout(self._tools())
        self._ground = QWidget()
        self._ground.setProperty("surface", "none")
        self._grid = QGridLayout(self._ground)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroller.setWidget(self._ground)
        column.addWidget(self.scroller, 1)
        self._lay_out(len(FIRST_CHARTS))  # made with the page, not when a run is opened
        self._show_tools()

    def _tools(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(TOOLS_GAP)
        self.add = Button(self._theme, "Charts", "quiet", "chart-line-up")
        self.add.setToolTip("Choose which charts stand here")
        self.add.clicked.connect(self.choose_charts)
        self.x_axis = TitlePicker("Horizontal axis")
        self.x_axis.setToolTip("What stands on the horizontal axis of all charts")
        self.x_axis.chosen.connect(self._set_x_axis)
        self.smoothing = Picker("Smoothing")
        self.smoothing.setToolTip(SMOOTHING_TIP)
        self.smoothing.set_options(SMOOTHING, _nearest_smoothing(self._choices.smoothing))
        self.smoothing.chosen.connect(self._smooth)
        self.log = self._switch("log y", "Logarithmic vertical axes, but for accuracies")
        self.log.toggled.connect(self._set_log)
        self.clip = self._switch(
            "clip", "Leave outliers out: axes span from the 1st to the 99th percentile"
        )
        self.clip.toggled.connect(self._set_clip)
        self.whole = Button(self._theme, "", "quiet", "arrows-out-line-horizontal")
        self.whole.setAccessibleName("Show all steps")
        self.whole.setToolTip("Show all steps again (0, or a double click on a chart)")
        self.whole.clicked.connect(self.linked.follow)
        for tool in (self.add, self.x_axis, self.smoothing, self.log, self.clip, self.whole):
            row.addWidget(tool)
        row.addStretch(1)
        return row

    def _switch(self, text: str, tip: str) -> Button:
        made = Button(self._theme, text, "segment")
        made.setCheckable(True)
        made.setToolTip(tip)
        return made

    def show_run(self, run: RunViewModel) -> None:
        """Show a run's charts: those chosen last, or divergence and accuracy."""
        self._run = run
        self._axis = ""
        self.linked.put_cross(None)
        self.refresh()

    def refresh(self) -> None:
        """Take the curves; where charts were wished for that the run has by now, they take their place."""
        run = self._run
        if run is None:
            return
        wanted: list[str] = []
        for key in self._choices.charts or FIRST_CHARTS:
            found = resolved(run, key)
            if found not in wanted:
                wanted.append(found)
        self._lay_out(len(wanted))
        if not self._spare and not self._ready.isActive():
            self._ready.start(READY_MS)
        for tile, key in zip(self.tiles, wanted, strict=True):
            tile.show_run(run, key)
        self._show_tools()
        axis = axis_of(run, self._choices).key
        if axis != self._axis:  # another run, or its time is known by now
            self._axis = axis
            self.linked.take(self._choices.x_range(run.uid, axis))

    def _keep_range(self) -> None:
        """Views remember: what a person zoomed to is shown again when the run is opened again."""
        if self._run is not None and self._axis:
            self._choices.set_x_range(self._run.uid, self._axis, self.linked.range)

    def refresh_accuracy(self) -> None:
        """Take the accuracies only."""
        run = self._run
        if run is None:
            return
        if any(resolved(run, tile.key) != tile.key for tile in self.tiles):
            self.refresh()
            return
        for tile in self.tiles:
            if tile.is_accuracy:
                tile.refresh()

    def options(self) -> list[tuple[str, str]]:
        """(key, words) of the charts there can be."""
        return chart_options(self._run) if self._run is not None else []

    def shown(self) -> list[str]:
        """Keys of the charts that stand there."""
        return [tile.key for tile in self.tiles]

    def set_shown(self, key: str, on: bool) -> None:
        """Add a chart at the end, or take one away; the last one stays."""
        keys = [it for it in self.shown() if it != key]
        if on:
            keys.append(key)
        if keys:
            self._choices.set_charts(keys)
            self.refresh()

    def choose_charts(self) -> QMenu:
        """The menu of all charts; those that stand there are ticked."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        shown = self.shown()
        for key, text in self.options():
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(key in shown)
            action.setEnabled(shown != [key])
            action.toggled.connect(lambda on, key=key: self.set_shown(key, on))
        menu.popup(self.add.mapToGlobal(self.add.rect().bottomLeft()))
        return menu

    def show_step(self, stage: str, step: int) -> None:
        """Bring a step of a stage into view in all charts, with the crosshair on it."""
        if self._run is not None:
            x = place_of(self._run, axis_of(self._run, self._choices).key, stage, step)
            if x == x:
                self.linked.show_at(x)

    def zoom(self, factor: float) -> None:
        """Show `factor` of the steps."""
        self.linked.zoom(factor)

    def _show_tools(self) -> None:
        run = self._run
        if run is not None:
            axes = [(it.key, f"x: {it.title}") for it in run.axes()]
            self.x_axis.set_options(axes, axis_of(run, self._choices).key)
        self.x_axis.setVisible(run is not None)
        for switch, on in ((self.log, self._choices.log), (self.clip, self._choices.clip)):
            switch.blockSignals(True)
            switch.setChecked(on)
            switch.blockSignals(False)
        self.add.setEnabled(bool(self.options()))

    def _lay_out(self, count: int) -> None:
        while len(self.tiles) > count:
            tile = self.tiles.pop()
            self.linked.remove(tile.chart)
            self._grid.removeWidget(tile)
            tile.hide()
            self._spare.append(tile)
        while len(self.tiles) < count:
            tile = self._spare.pop() if self._spare else self._tile()
            self.tiles.append(tile)
            self.linked.add(tile.chart)
            tile.show()
            self._chain()
        self._arrange()

    def _make_ready(self) -> None:
        """Make the next chart before it is asked for."""
        if not self._spare:
            self._spare.append(self._tile())

    def _chain(self) -> None:
        """Let Tab go from the choices through the charts in their order, and on to what follows."""
        before: QWidget = self.whole
        for tile in self.tiles:
            legend = tile.chart.legend
            for widget in (tile.which, tile.cross, tile.chart, legend, *legend.buttons.values()):
                QWidget.setTabOrder(before, widget)
                before = widget

    def _arrange(self) -> None:
        columns = max(min(len(self.tiles), self.scroller.width() // TILE_WIDTH), 1)
        for place, tile in enumerate(self.tiles):
            self._grid.addWidget(tile, place // columns, place % columns)
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, int(column < columns))
        rows = -(-len(self.tiles) // columns)
        self._ground.setMinimumHeight(rows * TILE_HEIGHT + (rows - 1) * GAP if rows else 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many charts beside each other as there is room for."""
        super().resizeEvent(event)
        self._arrange()

    def _tile(self) -> ChartTile:
        """A tile for good: pyqtgraph leaks plots, so those taken away are used again."""
        made = ChartTile(self._theme, self._choices)
        made.setParent(self._ground)
        made.setMinimumSize(TILE_WIDTH - GAP, TILE_HEIGHT)
        made.chosen.connect(lambda key: self._replace(made, key))
        made.removed.connect(lambda: self.set_shown(made.key, False))
        made.chart.menu_wanted.connect(lambda at: self._menu(made, at))
        shortcut = QShortcut(QKeySequence(COPY_KEYS), made.chart)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(
            lambda: self._keeper.copy(made.chart, made.chart.title, made.caption_text)
        )
        return made

    def _replace(self, tile: ChartTile, key: str) -> None:
        keys = self.shown()
        here = self.tiles.index(tile)
        if key in keys:  # it stands elsewhere: the two change places
            keys[keys.index(key)] = keys[here]
        keys[here] = key
        self._choices.set_charts(keys)
        self.refresh()

    def save_picture(self) -> None:
        """Save the chart that has the focus; the first one where none has it."""
        focused = [tile for tile in self.tiles if tile.isAncestorOf(self.focusWidget())]
        for tile in (focused or self.tiles)[:1]:
            self._save(tile)

    def _save(self, tile: ChartTile) -> None:
        self._keeper.save(tile.chart, tile.chart.title, tile.caption_text)

    def _menu(self, tile: ChartTile, at: QPoint) -> None:
        more = (
            ("Show all steps", "0", tile.chart.follow_again),
            ("Take this chart away", "", lambda: self.set_shown(tile.key, False)),
        )
        self._keeper.menu(tile.chart, tile.chart.title, tile.caption_text, at, more)

    def _set_x_axis(self, key: str) -> None:
        self._choices.set_x_axis(key)
        self.linked.put_cross(None)
        self.refresh()

    def _smooth(self, weight: str) -> None:
        self._choices.set_smoothing(float(weight))
        self.refresh()

    def _set_log(self, on: bool) -> None:
        self._choices.set_log(on)
        self.refresh()

    def _set_clip(self, on: bool) -> None:
        self._choices.set_clip(on)
        self.refresh()


def _nearest_smoothing(weight: float) -> str:
    return min((key for key, _ in SMOOTHING), key=lambda key: abs(float(key) - weight))
