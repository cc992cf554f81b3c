"""The combo box of the window: a choice too long for its box ends in an ellipsis, and its list looks like a menu.

Qt's own one cuts the words anywhere, and its list does not listen to the style sheet.
"""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, Qt
from PySide6.QtGui import QFont, QFontMetrics, QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
)

from app.widgets.scale import SMALL_PX

MOST_ROWS = 16
"""Entries that are seen without scrolling."""
POPUP_PADDING = 52
"""Borders, padding and the scroll bar of the list."""


class _Entries(QStyledItemDelegate):
    """What cannot be chosen is a heading over what follows it."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Headings are small; all else is written as everywhere, whatever the type of the box."""
        super().initStyleOption(option, index)
        font = QFont(QApplication.font())
        if not index.flags() & Qt.ItemFlag.ItemIsEnabled:
            font.setPixelSize(SMALL_PX)
        option.font = font


class Combo(QComboBox):
    """A combo box whose list opens below it, as wide as the longest of its entries."""

    def __init__(self) -> None:
        super().__init__()
        self.setMaxVisibleItems(MOST_ROWS)
        self.setItemDelegate(_Entries(self))

    def initStyleOption(self, option: QStyleOptionComboBox) -> None:
        """Shorten what is shown to the room there is."""
        super().initStyleOption(option)
        room = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room.width()
        )

    def showPopup(self) -> None:
        """Open the list."""
        metrics = QFontMetrics(QApplication.font())
        widest = max(
            (metrics.horizontalAdvance(self.itemText(it)) for it in range(self.count())), default=0
        )
        self.view().setMinimumWidth(max(widest + POPUP_PADDING, self.width()))
        self.view().setAccessibleName(self.accessibleName())
        super().showPopup()
        # Qt lines the list up with the words in the box, not with the box.
        popup, left = self.view().window(), self.mapToGlobal(QPoint(0, 0)).x()
        most = self.screen().availableGeometry().right() + 1 - popup.width()
        popup.move(max(min(left, most), 0), popup.y())


class FormCombo(Combo):
    """A combo box that leaves the wheel to the form it stands in."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Change by the wheel only when it has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
