"""The small window in which runs get and lose tags: those there are as boxes, new ones as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCompleter,
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.widgets.controls import label

LEAST_WIDTH = 320
SHARE = {0.0: Qt.CheckState.Unchecked, 1.0: Qt.CheckState.Checked}


class TagDialog(QDialog):
    """Tags of one or several runs; a tag that only some have stays with those unless it is touched.

    Args:
        parent: the page.
        title: what is tagged.
        shares: every known tag, and the share (0-1) of the chosen runs that have it.
    """

    def __init__(self, parent: QWidget, title: str, shares: Mapping[str, float]) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(LEAST_WIDTH)
        self._shares = dict(shares)
        column = QVBoxLayout(self)
        column.addWidget(label(title, "heading", wrap=True))
        self.new = QLineEdit()
        self.new.setAccessibleName("New tags, with commas between them")
        self.new.setPlaceholderText("New tag, another one")
        self.new.setCompleter(QCompleter(list(shares), self.new))
        column.addWidget(self.new)
        self.known = QListWidget()
        self.known.setAccessibleName("Known tags")
        for tag, share in shares.items():
            item = QListWidgetItem(tag, self.known)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(SHARE.get(share, Qt.CheckState.PartiallyChecked))
        self.known.setVisible(bool(shares))
        column.addWidget(self.known)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
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
