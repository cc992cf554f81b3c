"""Models and data: the checkpoints and the datasets, each a panel of its own."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QApplication, QHBoxLayout, QStackedWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.checkpoints_panel import CheckpointsPanel
from app.views.data_panel import DataPanel
from app.views.density import apply as apply_density
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
        self._make_data = partial(DataPanel, application, settings, theme, dialogs)
        self.checkpoints = CheckpointsPanel(application, settings, theme, dialogs)
        self.checkpoints.run_wanted.connect(self.run_wanted)
        self.checkpoints.new_wanted.connect(self.new_wanted)
        self._data: DataPanel | None = None
        self.parts = Segments(theme, "Part", ((MODELS, "Models"), (DATA, "Data")))
        self.stack = QStackedWidget()
        self.stack.addWidget(self.checkpoints)
        self.column.addLayout(self._head())
        self.column.addWidget(self.stack, 1)
        self.parts.chosen.connect(self._choose)
        kept = settings.views.get(PART_KEY, MODELS)
        self.parts.choose(kept if kept in (MODELS, DATA) else MODELS)
        self._choose(self.parts.current())

    @property
    def data(self) -> DataPanel:
        """The datasets; made when somebody looks at them first: both panels at once would take too long."""
        if self._data is None:
            self._data = self._make_data()
            self._data.new_wanted.connect(self.new_wanted)
            apply_density(self._data, self._settings.density)
            self.stack.addWidget(self._data)
        return self._data

    @property
    def _panel(self) -> Page:
        return self.data if self.parts.current() == DATA else self.checkpoints

    def show_checkpoint(self, key: str) -> None:
        """Show a checkpoint, and what is known of it."""
        self.parts.choose(MODELS)
        self.checkpoints.show_checkpoint(key)

    def page_actions(self) -> tuple[PageAction, ...]:
        """Those of the panel that is shown."""
        return self._panel.page_actions()

    def take_focus(self) -> None:
        """The keys of the panel that is shown work from here on."""
        self._panel.take_focus()

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
        self.stack.setCurrentWidget(self._panel)
        held = QApplication.focusWidget()
        if self.isVisible() and not (held and self.parts.isAncestorOf(held)):
            self.take_focus()
