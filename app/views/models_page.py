"""Models and data: the checkpoints and the datasets, each a panel of its own."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QApplication, QHBoxLayout, QStackedWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.checkpoints_panel import CheckpointsPanel
from app.views.data_panel import DataPanel
from app.views.dialogs import Dialogs
from app.views.page import SPACING, Page, page_title
from app.widgets.actions import PageAction
from app.widgets.controls import Segments
from app.widgets.theme import Theme

MODELS, DATA = "models", "data"
PART_KEY = "models.part"


class ModelsPage(Page):
    """Segments "Models | Data"."""

    run_wanted = Signal(str)
    new_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._settings = settings
        self.checkpoints = CheckpointsPanel(application, settings, theme, dialogs)
        self.checkpoints.run_wanted.connect(self.run_wanted)
        self.checkpoints.new_wanted.connect(self.new_wanted)
        self.data = DataPanel(application, settings, theme, dialogs)
        self.data.new_wanted.connect(self.new_wanted)
        self._panels: dict[str, Page] = {MODELS: self.checkpoints, DATA: self.data}
        self.parts = Segments(theme, "Part", ((MODELS, "Models"), (DATA, "Data")))
        self.stack = QStackedWidget()
        for panel in self._panels.values():
            self.stack.addWidget(panel)
        self.column.addLayout(self._head())
        self.column.addWidget(self.stack, 1)
        self.parts.chosen.connect(self._choose)
        kept = settings.views.get(PART_KEY, MODELS)
        self.parts.choose(kept if kept in self._panels else MODELS)

    def show_checkpoint(self, key: str) -> None:
        """Show a checkpoint, and what is known of it."""
        self.parts.choose(MODELS)
        self.checkpoints.show_checkpoint(key)

    def page_actions(self) -> tuple[PageAction, ...]:
        """Those of the panel that is shown."""
        return self._panels[self.parts.current()].page_actions()

    def take_focus(self) -> None:
        """The keys of the panel that is shown work from here on."""
        self._panels[self.parts.current()].take_focus()

    def remember(self) -> None:
        """Write the columns of the table to the settings."""
        self.checkpoints.remember()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(page_title("Models and data"))
        row.addWidget(self.parts)
        row.addStretch(1)
        return row

    def _choose(self, key: str) -> None:
        self._settings.views[PART_KEY] = key
        self.stack.setCurrentWidget(self._panels[key])
        held = QApplication.focusWidget()
        if self.isVisible() and not (held and self.parts.isAncestorOf(held)):
            self.take_focus()
