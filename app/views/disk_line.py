"""The line above the lineage: what the checkpoints take of the disk, and whether those without files are shown."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.widgets.controls import Button, Elided
from app.widgets.theme import Theme

ABOUT_GONE = (
    "Rows of the database whose files are not here: deleted, or from runs of the sample and of other "
    "machines. Their lineage and numbers can still be read. (G)"
)


class DiskLine(QWidget):
    """Words and a button; the page connects it."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.text = Elided("", "caption")
        row.addWidget(self.text, 1)
        self.gone = Button(theme, "", "quiet")
        self.gone.setToolTip(ABOUT_GONE)
        row.addWidget(self.gone)

    def show_texts(self, disk: str, without_files: int, with_gone: bool) -> None:
        """Show the sizes, and how many have no files where some have."""
        self.text.set_text(disk)
        self.gone.setVisible(bool(without_files))
        text = f"{'Hide' if with_gone else 'Show'} {without_files} without files"
        self.gone.setText(text)
        self.gone.setAccessibleName(text)
