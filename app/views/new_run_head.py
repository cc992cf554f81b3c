"""The head of New run: presets, files, undo, what is wrong, the check and the start."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QStandardItemModel
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.viewmodels.recipe_types import Preset
from app.widgets.controls import Button, Chip, Picker, label
from app.widgets.theme import Theme

EMPTY = "empty"
NARROW = 970
"""Pixels of width below which buttons say less."""
PRESETS_WIDTH = (150, 300)


class NewRunHead(QWidget):
    """Buttons that say what was asked for; where there is little room, they say it shorter."""

    preset_wanted = Signal(str)  # a path, or `EMPTY`
    open_wanted = Signal()
    save_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._shorter: list[tuple[Button, str, str]] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(label("New run", "title"))
        self.presets = Picker("Preset")
        self.presets.setProperty("flat", False)
        self.presets.setMinimumWidth(PRESETS_WIDTH[0])
        self.presets.setMaximumWidth(PRESETS_WIDTH[1])
        self.presets.setPlaceholderText("start from a preset")
        self.presets.chosen.connect(self.preset_wanted)
        row.addWidget(self.presets)
        for words, icon, wish, tip in (
            ("Open…", "folder-open", self.open_wanted, "Open a recipe file (Ctrl+O)"),
            ("Save…", "floppy-disk", self.save_wanted, "Save the recipe in a file (Ctrl+S)"),
        ):
            button = Button(theme, words, "", icon)
            button.setToolTip(tip)
            button.clicked.connect(wish)
            row.addWidget(button)
            self._shorter.append((button, button.text(), ""))
        self.undo = Button(theme, "", "quiet", "arrow-u-up-left")
        self.redo = Button(theme, "", "quiet", "arrow-u-up-right")
        for button, words in ((self.undo, "Undo (Ctrl+Z)"), (self.redo, "Redo (Ctrl+Shift+Z)")):
            button.setToolTip(words)
            button.setAccessibleName(words)
            row.addWidget(button)
        row.addStretch(1)
        self.state = Chip(theme, "")
        row.addWidget(self.state)
        self.check = Button(theme, "Check demonstrations", "", "flask")
        self.check.setToolTip("Does a demonstration help this model? A short run tells.")
        self._shorter.append((self.check, self.check.text(), " Check"))
        row.addWidget(self.check)
        self.start = Button(theme, "Start", "primary", "play")
        self.start.setToolTip("Start the run (Ctrl+Enter)")
        row.addWidget(self.start)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Buttons say less where there is little room."""
        super().resizeEvent(event)
        for button, words, short in self._shorter:
            button.setText(short if self.width() < NARROW else words)

    def show_presets(self, presets: Sequence[Preset], current: str) -> None:
        """Offer presets under their headings; `current` is a path, where it is none no preset is named."""
        options, described, heads = [(EMPTY, "Empty recipe")], {}, []
        group = ""
        for preset in presets:
            if preset.group != group:
                group = preset.group
                heads.append(len(options))
                options.append(("", group))
            described[len(options)] = preset.description
            options.append((preset.path, preset.name))
        known = [key for key, _ in options if key]  # the headings have none
        self.presets.set_options(options, current if current in known else "none")
        items = self.presets.model()
        for row in heads:
            if isinstance(items, QStandardItemModel):
                items.item(row).setEnabled(False)
        for row, words in described.items():
            self.presets.setItemData(row, words, Qt.ItemDataRole.ToolTipRole)

    def show_count(self, problems: int) -> None:
        """How many problems there are."""
        texts = {0: "no problems", 1: "1 problem"}
        self.state.set(
            texts.get(problems, f"{problems} problems"), "bad" if problems else "recovered"
        )
