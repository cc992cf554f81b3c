"""The main window: header bar, rail, pages, status bar.

Nothing here, and nothing it imports, loads pyqtgraph (1.5 s): the pages that draw charts are modules that
are imported in a background thread once the window has been painted, and made on their first visit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QByteArray, Qt, QThread, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Density, Settings
from app.viewmodels.application import Application
from app.viewmodels.presets import QUICKSTART
from app.viewmodels.projects import Project
from app.views import pages
from app.views.density import apply as apply_density
from app.views.dialogs import Dialogs
from app.views.first_steps import FirstSteps
from app.views.header import Header
from app.views.leaving import may_leave
from app.views.notifications import Desk, Notifications
from app.views.page import Page
from app.views.palette import Palette
from app.views.palette_finds import Finds
from app.views.project_menu import project_menu
from app.views.rail import Rail
from app.views.shell_commands import Acts, ShellCommands, overlay_keys
from app.views.shortcuts_drawer import ShortcutsDrawer
from app.views.status_bar import StatusBar, window_title
from app.views.telling import Telling
from app.widgets.messages import Notice
from app.widgets.theme import Theme

if TYPE_CHECKING:
    from app.views.compare_page import ComparePage
    from app.views.models_page import ModelsPage
    from app.views.new_run_page import NewRunPage
    from app.views.run_page import RunPage
    from app.views.runs_page import RunsPage
    from app.views.settings_page import SettingsPage

FIRST_SIZE = (1280, 800)
SMALLEST_SIZE = (960, 600)
APP_ICON = "fire"
NO_SAMPLE = "There is no finished run here."
LAST_RUN = "shell.run"
"""The run shown last, in the settings."""


class MainWindow(QMainWindow):
    """Everything a person sees; it paints the view models and forwards clicks."""

    page_shown = Signal(str)
    project_wanted = Signal(str)  # the folder of another project

    def __init__(
        self,
        application: Application,
        settings: Settings,
        theme: Theme,
        dialogs: Dialogs | None = None,
    ) -> None:
        super().__init__()
        self.application = application
        self._settings = settings
        self._theme = theme
        self._dialogs = dialogs or Dialogs()
        self._leaving = self._dialogs.leave
        self._parts = pages.Parts(application, settings, theme, self._dialogs)
        self._pages: dict[str, Page] = {}
        self._page = self._wanted = ""
        self._begun = False
        self._imports = pages.PageImports(self)
        self.setWindowTitle("Rekindle")
        self.setMinimumSize(*SMALLEST_SIZE)
        self.header = Header(theme, settings)
        self.stack = QStackedWidget()
        self.notice = Notice(theme)
        listed = [(place.key, place.title, place.icon) for place in pages.LISTED]
        self.rail = Rail(theme, listed)
        self.status = StatusBar()
        self.first_steps = FirstSteps(theme, settings)
        desk = Desk(theme.icon(APP_ICON), self)
        self.notifications = Notifications(settings, desk, self, shown=self._shown_run)
        place = str(application.home.path)
        self._projects: Sequence[Project] = (Project(application.home.path.name, place, True),)
        self._log: Callable[[], str] = str  # empty until the session gives one
        ground = self._ground()
        self._commands = ShellCommands(
            settings,
            lambda: (pages.BY_KEY[self._page], self.page_at(self._page)),
            self._acts(),
        )
        self._finds = Finds(application, settings, self.open_run, self._show_checkpoint)
        self.palette_box = Palette(
            ground, theme, self._commands.entries, self._finds, overlay_keys()
        )
        self.shortcuts = ShortcutsDrawer(ground, theme, self._commands.sections, overlay_keys())
        self._connect()
        self.show_project(self._projects, self._log)
        self._show_active()
        self._show_store()
        self._show_machine()
        self.resize(*FIRST_SIZE)
        if settings.geometry:
            self.restoreGeometry(QByteArray.fromBase64(settings.geometry.encode("ascii")))
        self._wanted = settings.page
        left = pages.BY_KEY.get(settings.page)
        self.show_page(left.key if left is not None and left.early else "runs")

    @property
    def page(self) -> str:
        """The key of the page that is shown."""
        return self._page

    @property
    def runs_page(self) -> RunsPage:
        """The run list."""
        return cast("RunsPage", self.page_at("runs"))

    @property
    def new_page(self) -> NewRunPage:
        """The recipe."""
        return cast("NewRunPage", self.page_at("new"))

    @property
    def run_page(self) -> RunPage:
        """The run page."""
        return cast("RunPage", self.page_at("run"))

    @property
    def compare_page(self) -> ComparePage:
        """The compare page."""
        return cast("ComparePage", self.page_at("compare"))

    def page_at(self, key: str) -> Page:
        """A page by its key, made when it is first needed."""
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = pages.BY_KEY[key].make(self._parts)
            for name, slot in self._wishes().items():
                wish = getattr(page, name, None)
                if wish is not None:
                    wish.connect(slot)
            if key == "runs":
                page.column.insertWidget(page.column.count() - 1, self.first_steps)
            self.stack.addWidget(page)
            apply_density(page, self._settings.density)
        return page

    def show_page(self, key: str) -> None:
        """Show a page by its key (see `app.views.pages`); one that is still being imported comes soon."""
        if not self._imports.has(key, lambda: self.show_page(key)):
            return
        page = self.page_at(key)
        if key != self._page:
            self.notice.leave()
        self._page = key
        self.stack.setCurrentWidget(page)
        page.take_focus()
        self.rail.select(key)
        self._settings.page = key
        self.page_shown.emit(key)

    def open_run(self, uid: str) -> None:
        """Show one run."""
        if not self._imports.has("run", lambda: self.open_run(uid)):
            return
        self.run_page.show_run(self.application.open_run(uid))
        self._settings.views[LAST_RUN] = uid
        self._finds.opened(uid)
        self.show_page("run")

    def compare(self, uids: list[str] | str) -> None:
        """Show these runs, or this one, beside each other."""
        self.application.compare.set_runs([uids] if isinstance(uids, str) else uids)
        self.show_page("compare")

    def show_project(self, projects: Sequence[Project], log: Callable[[], str]) -> None:
        """Say which project is open and which others there are; `log` is for diagnostics."""
        self._projects, self._log = projects, log
        opened = next(project for project in projects if project.is_open)
        self.header.set_project(opened.title, f"{self.application.home.database}")

    def showEvent(self, event: QShowEvent) -> None:
        """After the first paint: start reading, then load what charts need."""
        super().showEvent(event)
        if not self._begun:
            self._begun = True
            # No button of the header begins with the focus ring; Tab goes on into the page.
            self.page_at(self._page).take_focus()
            QTimer.singleShot(0, self._begin)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing never loses a run: it goes on, or is stopped and saved, as the person says."""
        closing, confirm = self._settings.closing, self._dialogs.confirm
        if not may_leave(self, self.application, closing, self._leaving, confirm):
            event.ignore()
            return
        self._settings.geometry = bytes(self.saveGeometry().toBase64().data()).decode("ascii")
        for page in self._pages.values():
            remember = getattr(page, "remember", None)
            if remember is not None:
                remember()
        self._settings.save()
        self.hide()
        self._imports.close()
        self.notifications.close()
        self.application.close()
        event.accept()

    def leave_project(self) -> bool:
        """Close for another project; False when the person stays."""
        self._leaving = self._dialogs.leave_project
        closed = self.close()
        self._leaving = self._dialogs.leave
        return closed

    def _shown_run(self) -> str:
        """The run on the page that is shown; "" for none."""
        run = self.run_page.run if self._page == "run" else None
        return run.uid if run is not None else ""

    def _leave(self) -> None:
        self.close()

    def _open_palette(self) -> None:
        self.shortcuts.close_it()
        self.palette_box.open()

    def _toggle_shortcuts(self) -> None:
        self.palette_box.close_it()
        self.shortcuts.toggle()

    def _ground(self) -> QWidget:
        middle = QVBoxLayout()
        middle.setSpacing(0)
        note_row = QHBoxLayout()
        note_row.setContentsMargins(16, 0, 16, 0)
        note_row.addWidget(self.notice)
        middle.addLayout(note_row)
        middle.addWidget(self.stack, 1)
        body = QHBoxLayout()
        body.setSpacing(0)
        body.addWidget(self.rail)
        body.addLayout(middle, 1)
        ground = QWidget()
        ground.setProperty("surface", "page")
        whole = QVBoxLayout(ground)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.header)
        whole.addLayout(body, 1)
        whole.addWidget(self.status)
        self.setCentralWidget(ground)
        return ground

    def _acts(self) -> Acts:
        return Acts(
            show_page=self.show_page,
            load_preset=self._load_preset,
            show_setting=self._show_setting,
            open_palette=self._open_palette,
            toggle_shortcuts=self._toggle_shortcuts,
            switch_project=self._project_menu,
            show_first_steps=self._show_first_steps,
            next_theme=self.header.next_theme,
            leave=self._leave,
        )

    def _connect(self) -> None:
        self.header.palette_wanted.connect(self._open_palette)
        self.header.shortcuts_wanted.connect(self._toggle_shortcuts)
        self.header.project_wanted.connect(self._project_menu)
        self.first_steps.chosen.connect(self._step)
        self.notifications.opened.connect(self._come_back)
        self.rail.chosen.connect(self.show_page)
        self.rail.run_chosen.connect(self.open_run)
        for keys, act in self._commands.shortcuts():
            QShortcut(QKeySequence(keys), self).activated.connect(act)
        application = self.application
        self._telling = Telling(self.notice, application, lambda: self._log(), self.open_run)
        self.notifications.untold.connect(self._telling.tell_end)
        application.message.connect(lambda *_: self.first_steps.set_busy(False))
        application.shut.connect(lambda *_: self.first_steps.set_busy(False))
        application.runAdded.connect(self.open_run)
        application.runAdded.connect(lambda _: self.first_steps.set_busy(False))
        application.runEnded.connect(self.notifications.ended)
        application.activeChanged.connect(self._show_active)
        application.runsChanged.connect(self._show_active)
        application.statusLineChanged.connect(self._show_store)
        application.machine.sampled.connect(self._show_machine)

    def _wishes(self) -> dict[str, Callable[..., None]]:
        """What pages ask of the window, by the name of their signal."""
        return {
            "opened": self.open_run,
            "run_wanted": self.open_run,
            "compared": self.compare,
            "reused": self._reuse,
            "new_wanted": lambda: self.show_page("new"),
            "runs_wanted": lambda: self.show_page("runs"),
            "preset_wanted": self._load_preset,
            "tour_wanted": self._show_first_steps,
            "theme_chosen": self.header.choose_theme,
            "density_chosen": self._choose_density,
        }

    def _begin(self) -> None:
        # The list comes first: importing competes with reading for the interpreter.
        self.application.runs.loadedChanged.connect(self._load_charts)
        self._imports.finished.connect(self._go_back)
        self.application.begin()

    def _load_charts(self) -> None:
        done = self._imports.isRunning() or self._imports.isFinished()
        if self.isVisible() and not done:
            self._imports.start(QThread.Priority.LowPriority)

    def _go_back(self) -> None:
        """Show the page that was left last, unless the person has gone somewhere already."""
        place = pages.BY_KEY.get(self._wanted)
        if place is None or place.early or place.hidden or self._page != "runs":
            return
        uid = self._settings.views.get(LAST_RUN, "")
        if self._wanted != "run":
            self.show_page(self._wanted)
        elif self.application.runs.row_of(uid) >= 0:
            self.open_run(uid)

    def _reuse(self, uid: str) -> None:
        self.application.duplicate(uid)
        self.show_page("new")

    def _load_preset(self, path: str) -> None:
        self.application.new_run.load_preset(path)
        self.show_page("new")

    def _show_checkpoint(self, key: str) -> None:
        self.show_page("models")
        cast("ModelsPage", self.page_at("models")).show_checkpoint(key)

    def _show_setting(self, key: str) -> None:
        self.show_page("settings")
        cast("SettingsPage", self.page_at("settings")).show_setting(key)

    def _project_menu(self) -> None:
        project_menu(self.header.project, self._projects, self._dialogs, self.project_wanted.emit)

    def _show_first_steps(self) -> None:
        self.show_page("runs")
        self.first_steps.bring_back()

    def _step(self, key: str) -> None:
        uid = self.application.sample_run()
        if key == "sample" and uid:
            self.open_run(uid)
        elif key == "sample":
            self._telling.tell("info", NO_SAMPLE, "Run the quickstart to make one.")
        elif key == "quickstart":
            self.first_steps.set_busy(True)
            self.application.start_preset(str(QUICKSTART))
        else:
            self.show_page("new")

    def _come_back(self, uid: str) -> None:
        """A desktop message was clicked."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()
        self.open_run(uid)

    def _choose_density(self, density: Density) -> None:
        apply_density(self, density)

    def _show_active(self) -> None:
        runs = self.application.active()
        self.rail.set_queue(runs)
        running = [run for run in runs if run.status == "running"]
        self.header.show_activity(len(running), len(runs) - len(running))
        self.status.show_running(running, self.application.pace(running[0].uid) if running else "")
        self.setWindowTitle(window_title(running))
        self.notifications.progressed(running[0].progress if running else None, len(running))

    def _show_store(self) -> None:
        self.status.store.set_text(self.application.status_line)

    def _show_machine(self) -> None:
        machine = self.application.machine
        self.status.host.set_text(machine.host_text)
        self.header.device.set(machine.device_text or "…", "recovered")
        self.header.device.setToolTip("\n".join(machine.lines()))
        if self.header.is_busy():
            self._show_active()  # rate and end change while nothing else does
