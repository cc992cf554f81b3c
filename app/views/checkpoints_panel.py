"""The lineage of all checkpoints, what can be done with them, and the jobs on models."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.model_words import NodeView
from app.views.add_model import AddModel
from app.views.checkpoint_detail import CheckpointDetail
from app.views.checkpoint_table import CheckpointTable
from app.views.dialogs import Dialogs
from app.views.disk_line import DiskLine
from app.views.export_menu import ExportMenu
from app.views.jobs_panel import JobsPanel
from app.views.keeping import SAVE_KEYS
from app.views.lineage_keeping import LineageKeeping
from app.views.lineage_nodes import graph_node
from app.views.models_tools import GRAPH, TABLE, ModelsTools
from app.views.page import SPACING, Page
from app.views.splitting import restore, splitter
from app.widgets.actions import PageAction
from app.widgets.controls import Card
from app.widgets.lineage import STEP, LineageGraph
from app.widgets.messages import Empty
from app.widgets.row_hover import RowHover
from app.widgets.theme import Theme

VIEW_KEY = "models.view"
GONE_KEY, SHOWN, HIDDEN = "models.gone", "shown", "hidden"
SIZES = [800, 320]
TEACHING = (
    "Every run leaves checkpoints: the base it began with, what each stage made of it, and what it was "
    "brought back to. They stand here as a family tree, with their sizes and what was measured on them."
)


class CheckpointsPanel(Page):
    """A graph or a table of checkpoints, what is known of the chosen one beside it, and the jobs below."""

    run_wanted = Signal(str)
    new_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._application = application
        self._model = application.models
        self._settings = settings
        self._theme = theme
        self._dialogs = dialogs
        self._acts: dict[str, Callable[[], None]] = {
            "base": self.use_as_base,
            "export": self.export,
            "run": self._open_run,
            "back": self._put_back,
            "delete": self.delete,
        }
        self.column.setContentsMargins(0, 0, 0, 0)
        self.disk = DiskLine(theme)
        self.disk.gone.clicked.connect(self._turn_gone)
        self.column.addWidget(self.disk)
        self.column.addWidget(self._models(), 1)
        self._model.show_gone(settings.views.get(GONE_KEY) == SHOWN)
        self._connect()
        self._shortcuts()
        self.show_view(settings.views.get(VIEW_KEY, GRAPH))
        self._showing = (
            self._show_graph,
            self.table.show_nodes,
            self._show_disk,
            self._show_selected,
            self._show_found,
        )
        for part in self._showing:
            part()

    # what can be done here

    def page_actions(self) -> tuple[PageAction, ...]:
        """For the command palette and the shortcuts drawer."""

        def can(what: str) -> Callable[[], bool]:
            return lambda: self.possible(what)

        graph = self.graph
        return (
            PageAction("Add a model", self.show_add, "Ctrl+I", icon="plus"),
            PageAction("Search checkpoints", self.search.setFocus, "Ctrl+F"),
            PageAction("Use as base", self.use_as_base, "B", can("base"), "plus-circle"),
            PageAction("Export checkpoint", self.export, "Ctrl+E", can("export"), "export"),
            PageAction("Open the run of the checkpoint", self._open_run, "R", can("run")),
            PageAction("Delete checkpoint", self.delete, "Del", can("delete"), "trash"),
            PageAction("Copy the facts of the checkpoint", self.detail.copy, "", can("copy")),
            PageAction("Put checkpoint back", self._put_back, "", can("back")),
            PageAction("Undo deleting", self._model.undo, "Ctrl+Z", lambda: self._model.can_undo),
            PageAction(
                "Empty the trash", self.empty_trash, "", lambda: bool(self._model.trash_text)
            ),
            PageAction("Copy the table as Markdown", self.table.copy_markdown, "Ctrl+Shift+C"),
            PageAction("Export the table…", self.keeping.export_table),
            PageAction("Save the lineage as a picture…", self.keeping.save_picture, SAVE_KEYS),
            PageAction("Show graph or table", self._other_view, "T"),
            PageAction(
                "Show or hide checkpoints without files",
                self._turn_gone,
                "G",
                lambda: bool(self._model.without_files),
            ),
            PageAction("Zoom in", lambda: graph.zoom(STEP), "Ctrl++"),
            PageAction("Zoom out", lambda: graph.zoom(1 / STEP), "Ctrl+-"),
            PageAction("Fit the graph", graph.fit, "Ctrl+0"),
            PageAction("Fold all", lambda: graph.fold_all(True)),
            PageAction("Unfold all", lambda: graph.fold_all(False)),
        )

    def take_focus(self) -> None:
        """Arrows walk the lineage from the first moment."""
        shown = self.table if self.views.currentWidget() is self.table else self.graph
        shown.setFocus(Qt.FocusReason.OtherFocusReason)

    def possible(self, what: str) -> bool:
        """Whether something can be done with the selected checkpoint now."""
        node = self._model.selected
        if node is None:
            return False
        match what:
            case "base":
                return node.can_be_base
            case "export":
                return node.state == "present"
            case "copy":
                return True
            case "run":
                return bool(node.run)
            case "back":
                return node.state == "trash"
        return node.size > 0

    def show_view(self, key: str) -> None:
        """Show the graph or the table."""
        self.view.choose(key if key in (GRAPH, TABLE) else GRAPH)

    def show_add(self) -> None:
        """Open the panel that adds a model."""
        self.side.setCurrentWidget(self.add)
        self.add.source.setFocus()

    def use_as_base(self) -> None:
        """Begin a recipe with the selected checkpoint as base."""
        node = self._model.selected
        if node is not None and node.can_be_base:
            self._based(*node.source)

    def export(self) -> None:
        """Ask for the form, then for the folder."""
        node = self._model.selected
        if node is not None and self.possible("export"):
            self.export_menu(node)

    def export_menu(self, node: NodeView) -> QMenu:
        """Open the menu of the forms that fit a checkpoint."""
        return self._exports.ask(node)

    def delete(self) -> None:
        """Say what would be lost, and delete when agreed to."""
        node = self._model.selected
        if node is None or not self.possible("delete"):
            return
        question = self._model.question(node.key, self._application.jobs.exporting)
        if question.refusal:
            self._application.message.emit("error", question.refusal, question.hint)
        elif self._dialogs.confirm(self, question.title, question.text, question.accept):
            self._model.delete(node.key, question.keys)

    def empty_trash(self) -> None:
        """Ask, then delete the trash for good."""
        size = self._model.trash_text
        text = f"{size} of deleted checkpoints go for good; they cannot be put back afterwards."
        if size and self._dialogs.confirm(self, "Empty the trash?", text, "Empty the trash"):
            self._model.empty_trash()

    def remember(self) -> None:
        """Write the table's columns to the settings."""
        self.table.remember()

    def watch(self, on: bool) -> None:
        """Read while somebody looks."""
        self._model.watch(on)

    # parts

    def _models(self) -> QWidget:
        panel = QWidget()
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        self.graph = LineageGraph(self._theme, "Lineage of checkpoints")
        self.table = CheckpointTable(self._model, self._settings)
        RowHover(self.table, self._theme)
        self.keeping = LineageKeeping(
            self, self._application, self._theme, self._dialogs, self.graph, self.table
        )
        self._exports = ExportMenu(self, self._settings, self._application.jobs, self._dialogs)
        self.tools = ModelsTools(self._theme, self.graph)
        self.view, self.search = self.tools.view, self.tools.search
        self.view.chosen.connect(self._view_chosen)
        self.search.textChanged.connect(self._model.search)
        self.search.returnPressed.connect(self._first_found)
        self.tools.trash.clicked.connect(self.empty_trash)
        self.tools.add.clicked.connect(self.show_add)
        column.addWidget(self.tools)
        card = Card()
        card.heading.hide()
        card.caption.hide()
        card.layout().setContentsMargins(1, 2, 1, 2)  # type: ignore[union-attr]
        self.views = QStackedWidget()
        self.empty = Empty(self._theme, "tree-structure", "No checkpoints yet", TEACHING)
        self.empty.add_action("Add a model", "plus", self.show_add)
        for widget in (self.graph, self.table, self.empty):
            self.views.addWidget(widget)
        card.body.addWidget(self.views)
        self.detail = CheckpointDetail(self._model, self._theme, self._acts, self.possible)
        self.add = AddModel(self._application.jobs, self._theme, self._dialogs)
        self.side = QStackedWidget()
        self.side.addWidget(self.detail)
        self.side.addWidget(self.add)
        self.side.setMinimumWidth(300)
        self.halves = splitter(self._settings, "models halves", Qt.Orientation.Horizontal)
        self.halves.addWidget(card)
        self.halves.addWidget(self.side)
        self.halves.setStretchFactor(0, 1)
        restore(self.halves, self._settings, SIZES)
        column.addWidget(self.halves, 1)
        self.jobs = JobsPanel(self._application.jobs, self._theme)
        column.addWidget(self.jobs)
        return panel

    def _connect(self) -> None:
        self._model.changed.connect(lambda: self.later(*self._showing))
        self._model.diskChanged.connect(lambda: self.later(self._show_disk))
        self._model.selectionChanged.connect(self._show_selected)
        self._model.searchChanged.connect(self._show_found)
        self._application.jobs.ended.connect(lambda *_: self._model.something_changed())
        self.graph.selected.connect(self.show_checkpoint)
        self.graph.activated.connect(lambda _: self._open_run())
        self.table.chosen.connect(self.show_checkpoint)
        self.table.opened.connect(lambda _: self._open_run())
        self.add.closed.connect(lambda: self.side.setCurrentWidget(self.detail))
        self.add.based.connect(self._based)

    def _shortcuts(self) -> None:
        """Keys of the page; single letters only where nobody types."""
        for keys, act in (
            ("Ctrl+I", self.show_add),
            ("Ctrl+F", self.search.setFocus),
            ("Ctrl+E", self.export),
            ("Ctrl+Z", self._model.undo),
            ("Ctrl++", lambda: self.graph.zoom(STEP)),
            ("Ctrl+-", lambda: self.graph.zoom(1 / STEP)),
            ("Ctrl+0", self.graph.fit),
            ("Ctrl+Shift+C", self.table.copy_markdown),
            (SAVE_KEYS, self.keeping.save_picture),
        ):
            made = QShortcut(QKeySequence(keys), self)
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            made.activated.connect(act)
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.graph)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.detail.copy)
        for widget in (self.graph, self.table):
            widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            widget.customContextMenuRequested.connect(
                lambda at, widget=widget: self._menu(widget.mapToGlobal(at))
            )
            for keys, act in (
                ("Del", self.delete),
                ("B", self.use_as_base),
                ("R", self._open_run),
                ("T", self._other_view),
                ("G", self._turn_gone),
            ):
                made = QShortcut(QKeySequence(keys), widget)
                made.setContext(Qt.ShortcutContext.WidgetShortcut)
                made.activated.connect(act)

    # showing

    def _show_graph(self) -> None:
        self.graph.set_nodes([graph_node(node) for node in self._model.shown()])
        self._show_which()

    def _show_disk(self) -> None:
        self.disk.show_texts(
            self._model.disk_text, self._model.without_files, self._model.with_gone
        )
        size = self._model.trash_text
        self.tools.trash.setVisible(bool(size))
        self.tools.trash.setToolTip(f"Delete {size} for good")

    def _show_which(self) -> None:
        if self._model.loaded and not self._model.nodes():
            self.views.setCurrentWidget(self.empty)
        else:
            chosen = self.view.current()
            self.views.setCurrentWidget(self.graph if chosen == GRAPH else self.table)
        self.tools.zoom.setVisible(self.views.currentWidget() is self.graph)

    def _show_selected(self) -> None:
        node = self._model.selected
        self.graph.select(node.key if node is not None else "")
        self.table.show_selected()
        self.detail.show_selected()

    def _show_found(self) -> None:
        matching = self._model.matching()
        self.graph.set_matching(matching)
        self.table.proxy.set_keys(matching)
        shown = {node.key for node in self._model.shown()}
        text = "" if matching is None else f"{len(matching & shown)} found"
        if matching is not None and not matching <= shown:
            text += f", {len(matching - shown)} more without files"
        self.tools.found.setText(text)

    # inside

    def show_checkpoint(self, key: str) -> None:
        """Choose a checkpoint and show what is known of it."""
        self._model.select(key)
        self.side.setCurrentWidget(self.detail)

    def _view_chosen(self, key: str) -> None:
        self._settings.views[VIEW_KEY] = key
        self._show_which()

    def _other_view(self) -> None:
        self.show_view(TABLE if self.view.current() == GRAPH else GRAPH)
        (self.graph if self.view.current() == GRAPH else self.table).setFocus()

    def _turn_gone(self) -> None:
        on = not self._model.with_gone
        self._settings.views[GONE_KEY] = SHOWN if on else HIDDEN
        self._model.show_gone(on)

    def _first_found(self) -> None:
        matching = self._model.matching()
        found = [it.key for it in self._model.shown() if matching and it.key in matching]
        if found:
            here = self._model.selected
            at = found.index(here.key) + 1 if here is not None and here.key in found else 0
            self._model.select(found[at % len(found)])

    def _menu(self, place: QPoint) -> None:
        if self._model.selected is not None:
            self.detail.menu(place)

    def _open_run(self) -> None:
        node = self._model.selected
        if node is not None and node.run:
            self.run_wanted.emit(node.run)

    def _put_back(self) -> None:
        node = self._model.selected
        if node is not None and node.state == "trash":
            self._model.put_back(node.key)

    def _based(self, kind: str, value: str) -> None:
        new_run = self._application.new_run
        new_run.set("base.source", kind)
        new_run.set(f"base.{kind}", value)
        self.new_wanted.emit()
