"""The run page: header, stage strip, charts, completions, scores, guards, log; live or years old alike."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.run import RunViewModel
from app.views.demonstration_line import DemonstrationLine
from app.views.dialogs import Dialogs
from app.views.page import SPACING, Page
from app.views.run_charts import AccuracyCard, CkaCard, MetricCard
from app.views.run_panels import CompletionsCard, DetailsCard
from app.views.splitting import restore, splitter
from app.widgets.controls import Button, Chip, Elided
from app.widgets.messages import Empty, Notice
from app.widgets.stage_strip import StageStrip
from app.widgets.theme import Theme

TEACHING = (
    "Open a run from the list, or start one: its stages, curves, completions and the similarity of its "
    "layers stand here, live while it works and unchanged when you come back."
)
DISCARD_TEXT = (
    "The stage in progress is thrown away. Checkpoints of finished stages, and all that was recorded up to "
    "now, stay."
)


class RunPage(Page):
    """Shows one run view model at a time."""

    new_wanted = Signal()
    runs_wanted = Signal()
    reused = Signal(str)
    compared = Signal(str)
    preset_wanted = Signal(str)

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._application = application
        self._settings = settings
        self._theme = theme
        self._dialogs = dialogs
        self._run: RunViewModel | None = None
        self._wires: list[tuple[SignalInstance, Callable[[], None]]] = []
        self.empty = Empty(theme, "chart-line-up", "No run is open", TEACHING)
        self.empty.add_action("Choose a run", "rows", self.runs_wanted.emit, primary=False)
        self.empty.add_action("New run", "plus-circle", self.new_wanted.emit)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.column.addWidget(self.stack)

    @property
    def run(self) -> RunViewModel | None:
        """The run that is shown."""
        return self._run

    def show_run(self, run: RunViewModel) -> None:
        """Show a run instead of the one before."""
        if run is self._run:
            return
        for signal, slot in self._wires:
            signal.disconnect(slot)
        self._run = run
        self._wires = [
            (run.headerChanged, lambda: self.later(self._show_header)),
            (run.loadedChanged, lambda: self.later(self._show_header)),
            (run.stagesChanged, lambda: self.later(self._show_stages)),
            (run.seriesChanged, lambda: self.later(self.curves.refresh, self.accuracy.refresh)),
            (run.scoresChanged, lambda: self.later(self.accuracy.refresh, self._show_scores)),
            (run.ckaChanged, lambda: self.later(self.cka.refresh)),
            (run.completionsChanged, lambda: self.later(self.completions.refresh)),
            (
                run.guardsChanged,
                lambda: self.later(self.details.refresh_guards, self.demonstration.refresh),
            ),
            (run.logChanged, lambda: self.later(self.details.refresh_log)),
        ]
        for signal, slot in self._wires:
            signal.connect(slot)
        self._show_header()
        self._show_stages()
        for part in (
            self.demonstration,
            self.curves,
            self.accuracy,
            self.cka,
            self.completions,
            self.details,
        ):
            part.show_run(run)
        self.stack.setCurrentIndex(1)

    def _content(self) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(self._head())
        self.failure = Notice(self._theme)
        column.addWidget(self.failure)
        self.strip = StageStrip(self._theme)
        column.addWidget(self.strip)
        self.demonstration = DemonstrationLine(self._theme)
        self.demonstration.preset_wanted.connect(self.preset_wanted)
        column.addWidget(self.demonstration)
        self.curves = MetricCard(self._settings, self._theme)
        self.accuracy = AccuracyCard(self._theme)
        self.cka = CkaCard(self._theme)
        self.completions = CompletionsCard(self._theme)
        self.details = DetailsCard(self._theme)
        across = Qt.Orientation.Horizontal
        self.charts: QSplitter = splitter(self._settings, "run charts", across)
        for card in (self.curves, self.accuracy, self.cka):
            self.charts.addWidget(card)
        restore(self.charts, self._settings, [333, 333, 382])
        self.details_row: QSplitter = splitter(self._settings, "run details", across)
        self.details_row.addWidget(self.completions)
        self.details_row.addWidget(self.details)
        restore(self.details_row, self._settings, [610, 450])
        self.halves: QSplitter = splitter(self._settings, "run halves", Qt.Orientation.Vertical)
        self.halves.addWidget(self.charts)
        self.halves.addWidget(self.details_row)
        restore(self.halves, self._settings, [300, 290])
        column.addWidget(self.halves, 1)
        return content

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.title = Elided("", "title")
        self.status = Chip(self._theme, "")
        self.facts = Elided("", "caption")
        row.addWidget(self.title)
        row.addWidget(self.status)
        row.addWidget(self.facts, 1)
        self.save_now = Button(self._theme, "Checkpoint now", "", "floppy-disk")
        self.save_now.setToolTip("Save the training state now; training goes on")
        self.save_now.clicked.connect(lambda: self._tell(self._application.save_now))
        self.stop = Button(self._theme, "Stop and save", "", "stop-circle")
        self.stop.setToolTip("Finish the step, save the training state, stop; resume at any time")
        self.stop.clicked.connect(lambda: self._tell(lambda uid: self._application.stop(uid, True)))
        self.discard = QAction("Stop and discard…", self)
        self.discard.setToolTip("Stop at once and throw the stage in progress away")
        self.discard.triggered.connect(self._discard)
        self.resume = Button(self._theme, "Resume", "primary", "play")
        self.resume.setToolTip("Go on from the last saved state")
        self.resume.clicked.connect(lambda: self._tell(self._application.resume))
        self.more = Button(self._theme, "", "", "dots-three")
        self.more.setAccessibleName("More actions")
        self.more.setToolTip("More actions")
        self.more.clicked.connect(self._menu)
        for button in (self.save_now, self.stop, self.resume, self.more):
            row.addWidget(button)
        return row

    def _show_header(self) -> None:
        run = self._run
        if run is None:
            return
        self.title.set_text(run.name)
        self.status.set_status(run.status, run.status_text)
        parts = [*run.facts]
        if run.phase_text:
            parts.insert(0, run.phase_text)
        self.facts.set_text(" · ".join(parts))
        asked = bool(run.phase_text)
        for control in (self.save_now, self.stop, self.discard):
            control.setVisible(run.can_stop)
        self.save_now.setEnabled(not asked)
        self.stop.setEnabled(not asked)
        self.resume.setVisible(run.can_resume)
        message, hint = run.failure
        if message:
            self.failure.tell("error", message, hint)
        else:
            self.failure.hide()

    def _show_stages(self) -> None:
        if self._run is not None:
            self.strip.set_cards(self._run.stages())

    def _show_scores(self) -> None:
        self.details.refresh_scores()
        self._show_stages()

    def _tell(self, act: Callable[[str], None]) -> None:
        if self._run is not None:
            act(self._run.uid)

    def _discard(self) -> None:
        if self._run is None:
            return
        title = f"Discard the work in progress of “{self._run.name}”?"
        if self._dialogs.confirm(self, title, DISCARD_TEXT, "Stop and discard"):
            self._application.stop(self._run.uid, False)

    def _menu(self) -> None:
        run = self._run
        if run is None:
            return
        menu = QMenu(self)
        menu.addAction("Use these settings").triggered.connect(lambda: self.reused.emit(run.uid))
        menu.addAction("Add to Compare").triggered.connect(lambda: self.compared.emit(run.uid))
        menu.addSeparator()
        menu.addAction(self.discard)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))
