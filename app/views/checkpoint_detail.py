"""The panel beside the lineage: everything about one checkpoint, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.model_words import Section
from app.viewmodels.models import ModelsViewModel
from app.widgets.controls import Button, Card, label
from app.widgets.messages import Empty
from app.widgets.theme import Theme

LABEL_WIDTH = 112
NOTHING = "Choose a checkpoint in the graph or in the table."
NO_BASE = {
    "adapter": "An adapter is no whole network: export it merged, then add that folder.",
    "nf4": "Packed weights cannot be a base: export them unpacked (merged), then add that folder.",
}
ACTS = (
    ("base", "Use as base", "plus-circle", "primary"),
    ("export", "Export…", "export", ""),
    ("run", "Open its run", "chart-line-up", ""),
    ("back", "Put back", "arrow-counter-clockwise", ""),
    ("delete", "Delete…", "trash", "danger"),
)
OF_FILES = ("base", "export")
"""Acts that need the files: what lies in the trash has its way back in their place."""


class CheckpointDetail(Card):
    """Shows the selected checkpoint of the view model.

    Args:
        acts: what the buttons do, by the keys of `ACTS`.
        possible: whether one can be done now.
    """

    def __init__(
        self,
        model: ModelsViewModel,
        theme: Theme,
        acts: dict[str, Callable[[], None]],
        possible: Callable[[str], bool],
    ) -> None:
        super().__init__("Checkpoint")
        self._model = model
        self._acts = acts
        self._possible = possible
        self._shown: tuple[Section, ...] = ()
        self.buttons: dict[str, Button] = {}
        rows = (QHBoxLayout(), QHBoxLayout())
        for key, text, icon, kind in ACTS:
            button = Button(theme, text, kind, icon)
            button.clicked.connect(acts[key])
            self.buttons[key] = button
            rows[0 if key in (*OF_FILES, "back") else 1].addWidget(button)
        for row in rows:
            row.setSpacing(8)
            row.addStretch(1)
        self._empty = Empty(theme, "tree-structure", "No checkpoint chosen", NOTHING, small=True)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setAccessibleName("Facts of the checkpoint")
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.body.addWidget(self._empty)
        self.body.addWidget(self._scroll, 1)
        for row in rows:
            self.body.addLayout(row)
        self.show_selected()

    def show_selected(self) -> None:
        """Show the selected checkpoint as it is now."""
        node = self._model.selected
        self._empty.setVisible(node is None)
        self._scroll.setVisible(node is not None)
        for key, button in self.buttons.items():
            trashed = node is not None and node.state == "trash"
            fits = trashed if key == "back" else not (trashed and key in OF_FILES)
            button.setVisible(node is not None and fits)
            button.setEnabled(self._possible(key))
        holds = node.storage if node is not None else ""
        self.buttons["base"].setToolTip(NO_BASE.get(holds, "") or "Begin a recipe with it (B)")
        self.heading.set_text(node.title if node is not None else "Checkpoint")
        self.set_caption(node.state_text if node is not None else "")
        sections = self._model.sections(node.key) if node is not None else ()
        if sections != self._shown:
            self._shown = sections
            self._scroll.setWidget(_facts(sections))

    def menu(self, place: QPoint) -> QMenu:
        """What can be done with the checkpoint, as a menu at a place of the screen."""
        made = QMenu(self)
        made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key, text, _, _ in ACTS:
            action = made.addAction(text)
            action.setEnabled(self._possible(key))
            action.triggered.connect(self._acts[key])
        made.addSeparator()
        made.addAction("Copy facts").triggered.connect(self.copy)
        made.popup(place)
        return made

    def copy(self) -> None:
        """All that is shown, into the clipboard."""
        QGuiApplication.clipboard().setText(self.text())

    def text(self) -> str:
        """All that is shown, as text to copy, with where each number comes from."""
        lines: list[str] = []
        for section in self._shown:
            lines.append(section.title)
            for fact in section.facts:
                cells = (f"  {fact.label}", fact.value, " / ".join(fact.tip.splitlines()))
                lines.append("\t".join(cells).rstrip("\t"))
        return "\n".join(lines)


def _facts(sections: tuple[Section, ...]) -> QWidget:
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(0, 0, 8, 0)
    column.setSpacing(10)
    for section in sections:
        column.addWidget(label(section.title, "heading"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(3)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        grid.setColumnStretch(1, 1)
        for row, fact in enumerate(section.facts):
            name = label(fact.label, "hint", wrap=True)
            name.setFixedWidth(LABEL_WIDTH)
            value = _value(fact.value)
            value.setToolTip(fact.tip)
            grid.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, row, 1)
        column.addLayout(grid)
    column.addStretch(1)
    return content


def _value(text: str) -> QLabel:
    """Text that wraps anywhere: paths and hashes have no spaces."""
    made = label(_breakable(text), "caption", wrap=True)
    made.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    made.setAccessibleName(text)
    made.setMinimumWidth(40)
    return made


def _breakable(text: str) -> str:
    """The text with places to break after slashes and underscores, which are not seen."""
    for mark in ("/", "\\", "_"):
        text = text.replace(mark, f"{mark}\u200b")
    return text
