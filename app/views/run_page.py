"""The run page: header, stage strip, charts, completions, scores, guards, log; live or years old alike."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.run import RunViewModel
from app.views.demonstration_line import DemonstrationLine
from app.views.dialogs import Dialogs
from app.views.keeping import Keeper
from app.views.machine_panel import MachinePanel
from app.views.page import SPACING, Page
from app.views.run_actions import run_actions
from app.views.run_charts import ChartsArea
from app.views.run_cka import CkaCard
from app.views.run_completions import CompletionsCard
from app.views.run_panels import DetailsCard
from app.views.splitting import restore, splitter
from app.widgets.actions import PageAction
from app.widgets.controls import Button, Chip, Elided
from app.widgets.messages import Empty, Notice
from app.widgets.stage_strip import StageStrip
from app.widgets.theme import Theme

TEACHING = (
    "Open a run from the list, or start one: its stages, curves, completions and the similarity of its "
    "layers stand here, live while it works and unchanged when you come back."
)
LEAST_HEIGHT = 400
"""Of charts and what stands below them; where the window has less, the page scrolls."""
LAST_LINES = 2
"""Lines of the log in the notice of a failure."""
DISCARD_TEXT = (
    "The stage in progress is thrown away. Checkpoints of finished stages, and all that was recorded up to "
    "now, stay."
)


FORCE_TEXT = (
    "What the stage has trained since its last saved training state is lost. Checkpoints of finished stages, "
    "and all that was recorded up to now, stay; Resume goes on from what was saved."
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
        self.keeper = Keeper(
            self, theme, dialogs, application.message.emit, application.offload, self._name
        )
        self.empty = Empty(theme, "chart-line-up", "No run is open", TEACHING)
        self.empty.add_action("Choose a run", "rows", self.runs_wanted.emit, primary=False)
        self.empty.add_action("New run", "plus-circle", self.new_wanted.emit)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.column.addWidget(self.stack)
        self._listen()

    def page_actions(self) -> tuple[PageAction, ...]:
        """What can be done with the run that is shown."""
        return run_actions(self)

    def _listen(self) -> None:
        """Make the keys of the actions work while the focus is on this page; Escape does nothing here."""
        for action in self.page_actions():
            if action.keys:
                shortcut = QShortcut(QKeySequence(action.keys), self)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(lambda it=action: it.act() if it.enabled() else None)

    def _name(self) -> str:
        return self._run.name if self._run is not None else ""

    @property
    def run(self) -> RunViewModel | None:
        """The run that is shown."""
        return self._run

    def show_run(self, run: RunViewModel) -> None:
        """Show a run instead of the one before."""
        if run is self._run:
            return
        if self._run is not None:
            for signal, slot in self._wires:
                signal.disconnect(slot)
            self._run.destroyed.disconnect(self._gone)
        self._run = run
        run.destroyed.connect(self._gone)
        self._wires = [
            (run.headerChanged, lambda: self.later(self._show_header)),
            (run.loadedChanged, lambda: self.later(self._show_header)),
            (run.stagesChanged, lambda: self.later(self._show_stages)),
            (run.seriesChanged, lambda: self.later(self.area.refresh)),
            (run.scoresChanged, lambda: self.later(self.area.refresh_accuracy, self._show_scores)),
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
            self.area,
            self.cka,
            self.completions,
            self.details,
        ):
            part.show_run(run)
        self.stack.setCurrentIndex(1)

    def _gone(self) -> None:
        """The run that is shown was deleted."""
        if isValid(self):  # not the whole window with it
            self._run, self._wires = None, []
            self.stack.setCurrentIndex(0)

    def _content(self) -> QWidget:
        content = QWidget()
        whole = QVBoxLayout(content)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(SPACING)
        whole.addLayout(self._head())
        ground = QWidget()
        ground.setProperty("surface", "none")
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroller.setWidget(ground)
        whole.addWidget(self.scroller, 1)
        column = QVBoxLayout(ground)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        self.failure = Notice(self._theme)
        self.failure.add_action("Copy diagnostics", "copy", self.copy_diagnostics).setToolTip(
            "Recipe, versions and the last lines of the log, without names, folders and tokens"
        )
        column.addWidget(self.failure)
        self.strip = StageStrip(self._theme)
        column.addWidget(self.strip)
        self.demonstration = DemonstrationLine(self._theme)
        self.demonstration.preset_wanted.connect(self.preset_wanted)
        column.addWidget(self.demonstration)
        self.area = ChartsArea(self._settings, self._theme, self.keeper)
        self.cka = CkaCard(self._settings, self._theme, self.keeper)
        self.completions = CompletionsCard(self._theme)
        self.details = DetailsCard(self._settings, self._theme)
        self.details.step_wanted.connect(self.area.show_step)
        self.details.add_panel_later("machine", "Machine", self._machine)
        across = Qt.Orientation.Horizontal
        self.charts: QSplitter = splitter(self._settings, "run charts", across)
        self.charts.addWidget(self.area)
        self.charts.addWidget(self.cka)
        restore(self.charts, self._settings, [678, 394])
        self.details_row: QSplitter = splitter(self._settings, "run details", across)
        self.details_row.addWidget(self.completions)
        self.details_row.addWidget(self.details)
        restore(self.details_row, self._settings, [610, 450])
        self.halves: QSplitter = splitter(self._settings, "run halves", Qt.Orientation.Vertical)
        self.halves.addWidget(self.charts)
        self.halves.addWidget(self.details_row)
        restore(self.halves, self._settings, [300, 290])
        self.halves.setMinimumHeight(LEAST_HEIGHT)
        # As high as there is room for: what the charts would like to have is no reason to scroll.
        self.halves.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        column.addWidget(self.halves, 1)
        return content

    def _machine(self) -> QWidget:
        return MachinePanel(self._theme, self._application.machine)

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.title = Elided("", "title")
        self.status = Chip(self._theme, "")
        self.rung = Chip(self._theme, "", "warning")
        self.rung.hide()
        self.facts = Elided("", "caption")
        row.addWidget(self.title)
        row.addWidget(self.status)
        row.addWidget(self.rung)
        row.addWidget(self.facts, 1)
        self.save_now = Button(self._theme, "Checkpoint now", "", "floppy-disk")
        self.save_now.setToolTip("Save the training state now; training goes on")
        self.save_now.clicked.connect(self.act_save_now)
        self.stop = Button(self._theme, "Stop and save", "", "stop-circle")
        self.stop.setToolTip("Finish the step, save the training state, stop; resume at any time")
        self.stop.clicked.connect(self.act_stop)
        self.force = Button(self._theme, "End by force…", "", "warning-octagon")
        self.force.setToolTip("Do not wait any longer: end the worker now")
        self.force.clicked.connect(self.act_force)
        self.leave = Button(self._theme, "Leave the queue", "", "stop-circle")
        self.leave.setToolTip("Take the run out of the queue; it can be started again at any time")
        self.leave.clicked.connect(self.act_stop)
        self.discard = QAction("Stop and discard…", self)
        self.discard.setToolTip("Stop at once and throw the stage in progress away")
        self.discard.triggered.connect(self.act_discard)
        self.resume = Button(self._theme, "Resume", "primary", "play")
        self.resume.setToolTip("Go on from the last saved state")
        self.resume.clicked.connect(self.act_resume)
        self.reuse = Button(self._theme, "Use these settings", "", "copy")
        self.reuse.setToolTip("Begin a new run with this recipe, and edit it")
        self.reuse.clicked.connect(self.act_reuse)
        self.more = Button(self._theme, "", "", "dots-three")
        self.more.setAccessibleName("More actions")
        self.more.setToolTip("More actions")
        self.more.clicked.connect(self._menu)
        for button in (
            self.save_now,
            self.stop,
            self.force,
            self.leave,
            self.reuse,
            self.resume,
            self.more,
        ):
            row.addWidget(button)
        return row

    def _show_header(self) -> None:
        run = self._run
        if run is None:
            return
        self.title.set_text(run.name)
        self.status.set_status(run.state, run.status_text)
        self.facts.set_text(" · ".join(run.facts))
        self.rung.set(run.phase_text, "warning")
        self.rung.setVisible(run.is_stopping)
        going = run.can_stop and not run.is_stopping
        self.save_now.setVisible(going)
        self.save_now.setEnabled(not run.is_starting)
        self.stop.setVisible(going)
        self.discard.setVisible(going)
        self.force.setVisible(run.is_stopping)
        self.leave.setVisible(run.is_waiting)
        self.resume.setVisible(run.can_resume)
        self.reuse.setVisible(not run.can_stop)
        message, hint = run.failure
        if message:
            self.failure.tell("error", message, hint, run.last_lines(LAST_LINES))
        else:
            self.failure.hide()

    def _show_stages(self) -> None:
        if self._run is not None:
            self.strip.set_cards(self._run.stages())

    def _show_scores(self) -> None:
        self.details.refresh_scores()
        self._show_stages()

    def act_save_now(self) -> None:
        """Ask for a checkpoint."""
        self._tell(self._application.save_now)

    def act_stop(self) -> None:
        """Finish the step, save and stop."""
        self._tell(lambda uid: self._application.stop(uid, True))

    def act_resume(self) -> None:
        """Go on from what was saved last; a second click does nothing."""
        if self._run is not None and self._run.can_resume:
            self._application.resume(self._run.uid)

    def act_discard(self) -> None:
        """Ask, then stop at once and throw the stage in progress away."""
        if self._run is None:
            return
        title = f"Discard the work in progress of “{self._run.name}”?"
        if self._dialogs.confirm(self, title, DISCARD_TEXT, "Stop and discard"):
            self._application.stop(self._run.uid, False)

    def act_force(self) -> None:
        """Ask, then go to the next rung of the stop ladder at once."""
        run = self._run
        if run is None or not run.is_stopping:
            return
        title = f"End the worker of “{run.name}” by force?"
        if self._dialogs.confirm(self, title, FORCE_TEXT, "End by force") and run.is_stopping:
            self._application.stop(run.uid, False)

    def act_reuse(self) -> None:
        """Begin a new recipe with these settings."""
        self._tell(self.reused.emit)

    def act_compare(self) -> None:
        """Set the run beside others."""
        self._tell(self.compared.emit)

    def act_save_picture(self) -> None:
        """Save the map or the chart that has the focus; else the first chart."""
        if self.cka.isAncestorOf(self.focusWidget()):
            self.cka.save_picture()
        else:
            self.area.save_picture()

    def copy_diagnostics(self) -> None:
        """Put into the clipboard what others need to see, without what is private."""
        if self._run is not None:
            QGuiApplication.clipboard().setText(self._run.diagnostics())
            self._application.message.emit("info", "The diagnostics are in the clipboard.", "")

    def _tell(self, act: Callable[[str], None]) -> None:
        if self._run is not None:
            act(self._run.uid)

    def _menu(self) -> None:
        if self._run is None:
            return
        menu = QMenu(self)
        menu.addAction("Use these settings").triggered.connect(self.act_reuse)
        menu.addAction("Add to Compare").triggered.connect(self.act_compare)
        menu.addAction("Copy diagnostics").triggered.connect(self.copy_diagnostics)
        menu.addSeparator()
        menu.addAction(self.discard)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))
