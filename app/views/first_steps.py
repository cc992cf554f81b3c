"""The first steps: three ways in, on the run list until they are dismissed; the palette brings them back."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QVBoxLayout

from app.settings import Settings
from app.widgets.controls import Button, label
from app.widgets.theme import Theme

VIEW = "shell.first_steps"
DISMISSED = "dismissed"
STEPS = (
    (
        "sample",
        "1  Explore the sample",
        "A finished run: base, degraded and recovered side by side. No GPU needed.",
        "Open a sample run",
        "chart-line-up",
    ),
    (
        "quickstart",
        "2  Run the quickstart",
        "A small model is damaged and brought back, live, in about a minute.",
        "Run the quickstart",
        "play",
    ),
    (
        "own",
        "3  Use your own model",
        "A folder, a hub id or a GGUF. You see whether it fits before anything starts.",
        "Choose a model",
        "folder-open",
    ),
)
"""Key, title, text, words on the button, icon."""


class FirstSteps(QFrame):
    """A card with a button for each step. It asks nothing and holds nothing up."""

    chosen = Signal(str)  # sample, quickstart or own

    def __init__(self, theme: Theme, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.setProperty("surface", "card")
        self.setAccessibleName("First steps")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 12)
        column.setSpacing(6)
        head = QHBoxLayout()
        head.addWidget(label("First steps", "heading"))
        head.addStretch(1)
        self.cross = Button(theme, "", "quiet", "x")
        self.cross.setAccessibleName("Dismiss the first steps")
        self.cross.setToolTip("Dismiss; Ctrl+K, “Show the first steps” brings them back")
        self.cross.clicked.connect(self.dismiss)
        head.addWidget(self.cross)
        column.addLayout(head)
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(4)
        self.buttons: dict[str, Button] = {}
        for place, (key, title, text, words, icon) in enumerate(STEPS):
            button = Button(theme, words, "primary" if key == "quickstart" else "", icon)
            button.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            self.buttons[key] = button
            grid.addWidget(label(title, "heading"), 0, place)
            grid.addWidget(label(text, "caption", wrap=True), 1, place, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(button, 3, place, Qt.AlignmentFlag.AlignLeft)
            grid.setColumnStretch(place, 1)
        grid.setRowMinimumHeight(2, 4)
        column.addLayout(grid)
        self.setVisible(settings.views.get(VIEW) != DISMISSED)

    def dismiss(self) -> None:
        """Hide it, also at the next start."""
        self._settings.views[VIEW] = DISMISSED
        self._settings.save()
        self.hide()

    def bring_back(self) -> None:
        """Show it again."""
        self._settings.views.pop(VIEW, None)
        self._settings.save()
        self.show()

    def set_busy(self, busy: bool) -> None:
        """While the quickstart is being queued, a second click does nothing."""
        self.buttons["quickstart"].setEnabled(not busy)
