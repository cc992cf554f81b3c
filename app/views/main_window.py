"""The main window: header bar, rail, pages, status bar.

Nothing here, and nothing it imports, loads pyqtgraph (1.5 s): the pages that draw charts are modules that
are imported in a background thread once the window has been painted, and made on their first visit.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, Qt, QThread, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Settings
from app.settings import Theme as ThemeChoice
from app.viewmodels.application import Application
from app.viewmodels.types import RunSummary
from app.views.dialogs import Dialogs
from app.views.new_run_page import NewRunPage
from app.views.rail import Rail
from app.views.runs_page import RunsPage
from app.widgets.controls import Button, Chip, Elided, label
from app.widgets.messages import Notice
from app.widgets.theme import Theme

if TYPE_CHECKING:
    from app.views.compare_page import ComparePage
    from app.views.run_page import RunPage

PAGES = (
    ("runs", "Runs", "rows"),
    ("new", "New run", "plus-circle"),
    ("run", "Run", "chart-line-up"),
    ("compare", "Compare", "git-diff"),
)
CHART_PAGES = ("app.views.run_page", "app.views.compare_page")
HEADER_HEIGHT = 40
STATUS_HEIGHT = 24
FIRST_SIZE = (1280, 800)
THEMES: tuple[ThemeChoice, ...] = ("system", "light", "dark")
THEME_ICONS = {"system": "circle-half", "light": "sun", "dark": "moon"}


class _ChartImports(QThread):
    """Imports the chart pages beside the event loop; the window stays alive meanwhile."""

    def run(self) -> None:
        """Import; the modules stay in `sys.modules`."""
        for name in CHART_PAGES:
            importlib.import_module(name)


class MainWindow(QMainWindow):
    """Everything a person sees; it paints the view models and forwards clicks."""

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
        self._begun = False
        self._run_page: RunPage | None = None
        self._compare_page: ComparePage | None = None
        self._imports = _ChartImports(self)
        self.setWindowTitle("Rekindle")
        self.setMinimumSize(960, 600)

        self.stack = QStackedWidget()
        self.notice = Notice(theme)
        self.rail = Rail(theme, PAGES)
        self.rail.chosen.connect(self.show_page)
        self.rail.run_chosen.connect(self.open_run)
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
        whole.addWidget(self._header())
        whole.addLayout(body, 1)
        whole.addWidget(self._status_bar())
        self.setCentralWidget(ground)

        self.runs_page = RunsPage(application, settings, theme, self._dialogs)
        self.runs_page.opened.connect(self.open_run)
        self.runs_page.compared.connect(self.compare)
        self.runs_page.reused.connect(self._reuse)
        self.runs_page.new_wanted.connect(lambda: self.show_page("new"))
        self.new_page = NewRunPage(application.new_run, application.estimates, settings, theme)
        self.stack.addWidget(self.runs_page)
        self.stack.addWidget(self.new_page)

        for place, (key, _, _) in enumerate(PAGES, start=1):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{place}"), self)
            shortcut.activated.connect(lambda key=key: self.show_page(key))
        quit_keys = QShortcut(QKeySequence(QKeySequence.StandardKey.Quit), self)
        quit_keys.activated.connect(self.close)

        application.message.connect(self.notice.tell)
        application.runAdded.connect(self.open_run)
        application.activeChanged.connect(self._show_active)
        application.statusLineChanged.connect(self._show_status)
        self._show_active()
        self._show_status()
        self.resize(*FIRST_SIZE)
        if settings.geometry:
            self.restoreGeometry(QByteArray.fromBase64(settings.geometry.encode("ascii")))
        self.show_page("new" if settings.page == "new" else "runs")

    @property
    def page(self) -> str:
        """The key of the page that is shown."""
        return self._page

    @property
    def run_page(self) -> RunPage:
        """The run page, made when it is first needed."""
        if self._run_page is None:
            module: Any = importlib.import_module(CHART_PAGES[0])
            page: RunPage = module.RunPage(
                self.application, self._settings, self._theme, self._dialogs
            )
            page.new_wanted.connect(lambda: self.show_page("new"))
            page.runs_wanted.connect(lambda: self.show_page("runs"))
            page.reused.connect(self._reuse)
            page.compared.connect(lambda uid: self.compare([uid]))
            page.preset_wanted.connect(self._load_preset)
            self._run_page = page
            self.stack.addWidget(page)
        return self._run_page

    @property
    def compare_page(self) -> ComparePage:
        """The compare page, made when it is first needed."""
        if self._compare_page is None:
            module: Any = importlib.import_module(CHART_PAGES[1])
            page: ComparePage = module.ComparePage(self.application, self._settings, self._theme)
            page.runs_wanted.connect(lambda: self.show_page("runs"))
            page.opened.connect(self.open_run)
            self._compare_page = page
            self.stack.addWidget(page)
        return self._compare_page

    def show_page(self, key: str) -> None:
        """Show a page by key: runs, new, run, compare."""
        pages: dict[str, Callable[[], QWidget]] = {
            "runs": lambda: self.runs_page,
            "new": lambda: self.new_page,
            "run": lambda: self.run_page,
            "compare": lambda: self.compare_page,
        }
        page = pages[key]()
        self._page = key
        self.stack.setCurrentWidget(page)
        self.stack.setFocus()
        self.rail.select(key)
        self._settings.page = key

    def open_run(self, uid: str) -> None:
        """Show one run."""
        self.run_page.show_run(self.application.open_run(uid))
        self.show_page("run")

    def compare(self, uids: list[str]) -> None:
        """Show these runs beside each other."""
        self.application.compare.set_runs(uids)
        self.show_page("compare")

    def showEvent(self, event: QShowEvent) -> None:
        """After the first paint: start reading, then load what charts need."""
        super().showEvent(event)
        if not self._begun:
            self._begun = True
            # No button of the header begins with the focus ring; Tab goes on into the page.
            self.stack.setFocus()
            QTimer.singleShot(0, self._begin)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing never loses a run: it goes on, or is stopped and saved, as the person says."""
        running = [run for run in self.application.active() if run.status == "running"]
        if running:
            answer = self._dialogs.leave(self, len(running))
            if answer == "cancel":
                event.ignore()
                return
            if answer == "stop":
                for run in running:
                    self.application.stop(run.uid, True)
        self._settings.geometry = bytes(self.saveGeometry().toBase64().data()).decode("ascii")
        self.runs_page.remember()
        self._settings.save()
        self.hide()
        self._imports.wait()
        self.application.close()
        event.accept()

    def _begin(self) -> None:
        # The list comes first: importing competes with reading for the interpreter.
        self.application.runs.loadedChanged.connect(self._load_charts)
        self.application.begin()

    def _load_charts(self) -> None:
        done = self._imports.isRunning() or self._imports.isFinished()
        if self.isVisible() and not done:
            self._imports.start(QThread.Priority.LowPriority)

    def _reuse(self, uid: str) -> None:
        self.application.duplicate(uid)
        self.show_page("new")

    def _load_preset(self, path: str) -> None:
        self.application.new_run.load_preset(path)
        self.show_page("new")

    def _header(self) -> QFrame:
        bar = QFrame()
        bar.setProperty("surface", "bar")
        bar.setFixedHeight(HEADER_HEIGHT)
        row = QHBoxLayout(bar)
        row.setContentsMargins(16, 0, 10, 0)
        row.setSpacing(12)
        row.addWidget(label("Rekindle", "brand"))
        self._database = Chip(self._theme, "…")
        row.addWidget(self._database)
        row.addStretch(1)
        self._activity = Chip(self._theme, "")
        row.addWidget(self._activity)
        self._theme_button = Button(self._theme, "", "quiet", THEME_ICONS[self._theme.choice])
        self._theme_button.clicked.connect(self._next_theme)
        row.addWidget(self._theme_button)
        self._name_theme()
        return bar

    def _status_bar(self) -> QFrame:
        bar = QFrame()
        bar.setProperty("surface", "status")
        bar.setFixedHeight(STATUS_HEIGHT)
        row = QHBoxLayout(bar)
        row.setContentsMargins(16, 0, 16, 0)
        row.setSpacing(16)
        self._doing = Elided("", "small")
        self._host = Elided("", "small")
        self._store = Elided("", "small")
        self._store.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._doing)
        row.addWidget(self._host)
        row.addStretch(1)
        row.addWidget(self._store)
        return bar

    def _next_theme(self) -> None:
        following = THEMES[(THEMES.index(self._theme.choice) + 1) % len(THEMES)]
        self._theme.choose(following)
        self._settings.theme = following
        self._theme_button.set_icon(THEME_ICONS[following])
        self._name_theme()

    def _name_theme(self) -> None:
        words = f"Theme: {self._theme.choice}"
        self._theme_button.setAccessibleName(words)
        self._theme_button.setToolTip(f"{words}. Press for the next one.")

    def _show_active(self) -> None:
        runs = self.application.active()
        self.rail.set_queue(runs)
        running = [run for run in runs if run.status == "running"]
        waiting = len(runs) - len(running)
        texts = [f"{len(running)} running"] if running else ["idle"]
        texts += [f"{waiting} waiting"] if waiting else []
        self._activity.set(" · ".join(texts), "accent" if running else "third")
        self._doing.set_text(_doing(running[0]) if running else "Nothing is running")
        self.setWindowTitle(_window_title(running))

    def _show_status(self) -> None:
        host, store = self.application.status_line
        self._host.set_text(host)
        self._store.set_text(store)
        self._database.set(store.split(" · ")[0] or "…")


def _doing(run: RunSummary) -> str:
    share = "" if run.progress is None else f" · {run.progress:.0%}"
    note = f" · {run.note}" if run.note else ""
    return f"● {run.label}: {run.status_text}{share}{note}"


def _window_title(running: list[RunSummary]) -> str:
    if not running:
        return "Rekindle"
    share = "" if running[0].progress is None else f"{running[0].progress:.0%} · "
    return f"{share}{running[0].label} · Rekindle"
