"""The small window in which runs get and lose tags: those there are as boxes, new ones as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCompleter, QLineEdit, QListWidget, QListWidgetItem, QWidget

from app.views.questions import Question

MOST_SHOWN = 8
"""Known tags that are seen without scrolling."""
SHARE = {0.0: Qt.CheckState.Unchecked, 1.0: Qt.CheckState.Checked}


class TagDialog(Question):
    """Tags of one or several runs; a tag that only some have stays with those unless it is touched.

    Args:
        parent: the page.
        title: what is tagged.
        shares: every known tag, and the share (0-1) of the chosen runs that have it.
    """

    def __init__(self, parent: QWidget, title: str, shares: Mapping[str, float]) -> None:
        super().__init__(parent, title)
        self._shares = dict(shares)
        self.new = QLineEdit()
        self.new.setAccessibleName("New tags, with commas between them")
        self.new.setPlaceholderText("New tag, another one")
        self.new.setCompleter(QCompleter(list(shares), self.new))
        self.body.addWidget(self.new)
        self.known = QListWidget()
        self.known.setAccessibleName("Known tags")
        for tag, share in shares.items():
            item = QListWidgetItem(tag, self.known)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(SHARE.get(share, Qt.CheckState.PartiallyChecked))
        self.known.setVisible(bool(shares))
        rows = min(len(shares), MOST_SHOWN)
        self.known.setFixedHeight(self.known.sizeHintForRow(0) * rows + 2 if rows else 0)
        self.body.addWidget(self.known)
        self.add_answer("Cancel")
        self.add_answer("Save", "save", "primary", default=True)
        self.new.setFocus()

    def answer(self) -> tuple[Sequence[str], Sequence[str]]:
        """Tags to add, and tags to take away."""
        add = [it.strip() for it in self.new.text().split(",") if it.strip()]
        remove = []
        for row in range(self.known.count()):
            item = self.known.item(row)
            share = self._shares[item.text()]
            if item.checkState() == Qt.CheckState.Checked and share < 1:
                add.append(item.text())
            elif item.checkState() == Qt.CheckState.Unchecked and share > 0:
                remove.append(item.text())
        return add, remove
