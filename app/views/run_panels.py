"""The lower right of the run page: scores, guards and log, and what others add to them. Loads no pyqtgraph."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from app.settings import Settings
from app.viewmodels.journal import GuardRow
from app.viewmodels.run import RunViewModel
from app.views.run_log import LogPanel
from app.views.score_rows import score_rows
from app.widgets.controls import Card, Segments
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

SIDES = (("scores", "Scores"), ("guards", "Guards"), ("log", "Log"))
SIDE = "run.details"
NO_SCORES = "Each task is scored on base, degraded and recovered; the first scores appear here."
NO_GUARDS = (
    "Guards watch for what goes wrong silently: completions that shrink or never end, entropy that "
    "collapses, phrases copied from the demonstration."
)
TO_CHART = "Enter or a click shows the step in the charts"
GUARD_COLUMNS = (
    Column("signal", numeric=False, stretch=True),
    Column("now"),
    Column("start", optional=2),
    Column("limit", optional=1),
    Column("warned", optional=3),
)


class DetailsCard(Card):
    """Scores, guards and log behind one row of segments; `step_wanted` asks the charts for a stage's step."""

    step_wanted = Signal(str, int)

    def __init__(self, settings: Settings, theme: Theme) -> None:
        super().__init__("")
        self.setAccessibleName("Scores, guards and log")
        self._settings = settings
        self._theme = theme
        self._run: RunViewModel | None = None
        self._guards: tuple[GuardRow, ...] = ()
        self._titles = dict(SIDES)
        self._makers: dict[str, Callable[[], QWidget]] = {}
        self._panels: dict[str, QWidget] = {}
        self.side = Segments(theme, "Details", SIDES)
        self.side.chosen.connect(self._remember)
        self.add_tool(self.side)
        self.scores = Table(theme, "Scores")
        self.guards = Table(theme, "Guards")
        self.guards.activated.connect(lambda index: self._show_step(index.row()))
        self.guards.clicked.connect(lambda index: self._show_step(index.row()))
        self.log_panel = LogPanel(theme)
        self.log = self.log_panel.text
        self._empty = Empty(theme, "hourglass", "", "", small=True)
        self._stack = QStackedWidget()
        for widget in (self.scores, self.guards, self.log_panel, self._empty):
            self._stack.addWidget(widget)
        self.body.addWidget(self._stack)
        self._choose_kept()

    def add_panel(self, key: str, title: str, widget: QWidget) -> None:
        """One more panel behind the segments; it looks after itself."""
        self.add_panel_later(key, title, lambda: widget)

    def add_panel_later(self, key: str, title: str, make: Callable[[], QWidget]) -> None:
        """One more panel behind the segments, made when it is looked at for the first time."""
        self._titles[key] = title
        self._makers[key] = make
        self.side.add(key, title)
        self._choose_kept()

    def show_run(self, run: RunViewModel) -> None:
        """Show a run."""
        self._run = run
        self.refresh_scores()
        self.refresh_guards()
        self.log_panel.show_run(run)

    def refresh_scores(self) -> None:
        """Take the score table."""
        if self._run is not None:
            self.scores.show_rows(*score_rows(self._run.score_table(), self._theme))
            self._choose()

    def refresh_guards(self) -> None:
        """Take the guards."""
        if self._run is None:
            return
        self._guards = self._run.guards()
        source = self._run.source([it.stage for it in self._guards[:1] if it.stage])
        self.guards.show_rows(GUARD_COLUMNS, [_guard_cells(it, source) for it in self._guards])
        self._choose()

    def refresh_log(self) -> None:
        """Append the lines that are new."""
        self.log_panel.refresh()

    def _show_step(self, row: int) -> None:
        guard = self._guards[row] if 0 <= row < len(self._guards) else None
        if guard is not None and guard.step is not None:
            self.step_wanted.emit(guard.stage, guard.step)

    def _remember(self, side: str) -> None:
        self._settings.views[SIDE] = side
        self._choose()

    def _choose_kept(self) -> None:
        kept = self._settings.views.get(SIDE, "")
        if kept in self._titles:
            self.side.choose(kept)
        self._choose()

    def _choose(self) -> None:
        run, side = self._run, self.side.current()
        self.heading.set_text(self._titles[side])
        self.set_caption("")
        if side == "scores":
            empty = self.scores.rowCount() == 0
            self._empty.set("No scores yet", NO_SCORES)
            self._stack.setCurrentWidget(self._empty if empty else self.scores)
            self.set_caption("" if empty else "per cent")
        elif side == "guards":
            empty = self.guards.rowCount() == 0
            self._empty.set("Nothing to guard yet", NO_GUARDS)
            self._stack.setCurrentWidget(self._empty if empty else self.guards)
            bad = sum(guard.bad for guard in self._guards) if run is not None else 0
            quiet = "all quiet" if not bad else f"{bad} outside the limit"
            self.set_caption("" if empty else quiet)
        elif side == "log":
            self._stack.setCurrentWidget(self.log_panel)
        else:
            if side not in self._panels:
                self._panels[side] = self._makers[side]()
                self._stack.addWidget(self._panels[side])
            self._stack.setCurrentWidget(self._panels[side])


def _guard_cells(guard: GuardRow, source: str) -> list[Cell]:
    token = "warning_text" if guard.bad else ""
    warned = "" if guard.step is None else f"step {guard.step}"
    parts = (guard.signal, guard.help, TO_CHART if warned else "")
    help_text = "\n".join(filter(None, parts))
    outside = "outside its limit\n" if guard.bad else ""
    return [
        Cell(guard.signal, token, tip=help_text),
        Cell(guard.now, token, tip=f"{outside}{source}"),
        Cell(guard.start, tip=source),
        Cell(guard.limit),
        Cell(warned, token, tip=TO_CHART if warned else ""),
    ]
