"""The command palette: one field that finds pages, what can be done here, runs, checkpoints, presets, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.palette import ENTRY_ROLE, Entry, PaletteModel, arranged
from app.views.overlay import Overlay
from app.views.palette_finds import Finds
from app.widgets.controls import label
from app.widgets.theme import Theme

WIDTH, HEIGHT, TOP = 560, 420, 44
ROW_HEIGHT = 32
ICON_PX = 16
PAD = 10
SMALL_PX = 11
HINT = "Search runs, commands, settings"
NOTHING = (
    "Nothing fits. Try a page, a command, a checkpoint, or part of a run's name, tags or notes."
)


class EntryDelegate(QStyledItemDelegate):
    """Icon, title, and at the right the group and the keys."""

    def __init__(self, theme: Theme, parent: QObject) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """One height for all."""
        return QSize(WIDTH // 2, ROW_HEIGHT)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Paint one line."""
        entry: Entry = index.data(ENTRY_ROLE)
        tokens = self._theme.tokens
        style: QStyle.StateFlag = option.state
        box: QRect = option.rect
        font: QFont = option.font
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if style & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.accent_background))
            painter.drawRoundedRect(box.adjusted(4, 1, -4, -1), 6, 6)
        left = box.left() + PAD + 4
        if entry.icon:
            colour = tokens.second if entry.enabled else tokens.third
            self._theme.icon(entry.icon, colour).paint(
                painter, QRect(left, box.center().y() - ICON_PX // 2 + 1, ICON_PX, ICON_PX)
            )
        left += ICON_PX + PAD
        right = box.right() - PAD - 4
        small = QFont(font)
        small.setPixelSize(SMALL_PX)
        painter.setFont(small)
        if entry.keys:
            right = self._keys(painter, QRect(left, box.top(), right - left, box.height()), entry)
        width = painter.fontMetrics().horizontalAdvance(entry.group)
        painter.setPen(QColor(tokens.third))
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(
            QRect(right - width, box.top(), width + 1, box.height()), middle, entry.group
        )
        right -= width + PAD
        painter.setFont(font)
        painter.setPen(QColor(tokens.ink if entry.enabled else tokens.third))
        shown = painter.fontMetrics().elidedText(
            entry.title, Qt.TextElideMode.ElideMiddle, right - left
        )
        painter.drawText(QRect(left, box.top(), right - left, box.height()), middle, shown)
        painter.restore()

    def _keys(self, painter: QPainter, box: QRect, entry: Entry) -> int:
        """Paint the keys at the right of `box` as a key cap; where it begins."""
        text = shown_keys(entry.keys)
        metrics = painter.fontMetrics()
        width, height = metrics.horizontalAdvance(text) + PAD, metrics.height() + 4
        cap = QRect(box.right() - width, box.center().y() - height // 2 + 1, width, height)
        painter.setPen(QPen(QColor(self._theme.tokens.edge), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(cap, 4, 4)
        painter.setPen(QColor(self._theme.tokens.second))
        painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, text)
        return cap.left() - PAD


def shown_keys(keys: str) -> str:
    """Portable key names as people write them."""
    return keys.replace("Return", "Enter").replace("+", " ") if keys != "+" else keys


class Palette(Overlay):
    """A field and the list of what fits; arrows move, Enter does it, Esc closes.

    Args:
        parent: the window's ground, which it covers.
        commands: what can be done now; asked at each opening.
        finds: runs and checkpoints.
        passing: keys that the window heeds while it is open.
    """

    def __init__(
        self,
        parent: QWidget,
        theme: Theme,
        commands: Callable[[], Sequence[Entry]],
        finds: Finds,
        passing: Sequence[str] = (),
    ) -> None:
        super().__init__(parent, passing)
        self._commands_now = commands
        self._finds = finds
        self._commands: Sequence[Entry] = ()
        finds.changed.connect(self._find_again)
        self.setAccessibleName("Command palette")
        self.field = QLineEdit()
        self.field.setPlaceholderText(HINT)
        self.field.setAccessibleName(HINT)
        self.field.textChanged.connect(self._find)
        self.field.installEventFilter(self)
        self.model = PaletteModel(self)
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setItemDelegate(EntryDelegate(theme, self.list))
        self.list.setAccessibleName("What fits")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.clicked.connect(lambda index: self._do(index.row()))
        self.nothing = label(NOTHING, "caption", wrap=True)
        self.nothing.setContentsMargins(PAD, PAD, PAD, PAD)
        column = QVBoxLayout(self.panel)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        column.addWidget(self.field)
        column.addWidget(self.nothing)
        column.addWidget(self.list, 1)
        theme.changed.connect(self.list.viewport().update)

    def open(self) -> None:
        """Show it, empty, with what can be done now."""
        if self.isVisible():
            return
        self._commands = tuple(self._commands_now())
        self._finds.begin()
        super().open()
        self.field.clear()
        self._find("")
        self.field.setFocus()

    def place(self) -> None:
        """At the top, in the middle."""
        width = min(WIDTH, self.width() - 2 * PAD)
        height = min(HEIGHT, self.height() - TOP - PAD)
        self.panel.setGeometry((self.width() - width) // 2, TOP, width, height)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the list are pressed in the field."""
        if watched is self.field and isinstance(event, QKeyEvent):
            return event.type() == QEvent.Type.KeyPress and self._press(event.key())
        return super().eventFilter(watched, event)

    def _press(self, key: int) -> bool:
        row = self.list.currentIndex().row()
        page = max(self.list.height() // ROW_HEIGHT - 1, 1)
        match key:
            case Qt.Key.Key_Down:
                self._choose(self.model.next_enabled(row, 1))
            case Qt.Key.Key_Up:
                self._choose(self.model.next_enabled(row, -1))
            case Qt.Key.Key_PageDown:
                last = self.model.rowCount() - 1
                self._choose(self.model.next_enabled(min(row + page, last) - 1, 1))
            case Qt.Key.Key_PageUp:
                self._choose(self.model.next_enabled(max(row - page, 0) + 1, -1))
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self._do(row)
            case _:
                return False
        return True

    def _find(self, text: str) -> None:
        finds = self._finds
        found = arranged(text, self._commands, finds.runs(text), finds.checkpoints(text))
        self.model.take(found)
        self.nothing.setVisible(self.model.rowCount() == 0)
        self._choose(self.model.next_enabled(-1, 1))

    def _find_again(self) -> None:
        """The checkpoints have been read; what the person has chosen meanwhile stays chosen."""
        if not self.isVisible() or not self.field.text().strip():
            return
        row = self.list.currentIndex().row()
        self._find(self.field.text())
        if 0 < row < self.model.rowCount() and self.model.entry(row).enabled:
            self._choose(row)

    def _choose(self, row: int) -> None:
        if row < 0:
            self.field.setAccessibleDescription(NOTHING)
            return
        index = self.model.index(row)
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)
        # A screen reader stays on the field; this is what it says of the line that Enter would take.
        self.field.setAccessibleDescription(
            str(index.data(int(Qt.ItemDataRole.AccessibleTextRole)))
        )

    def _do(self, row: int) -> None:
        if not 0 <= row < self.model.rowCount() or not self.model.entry(row).enabled:
            return
        act = self.model.entry(row).act
        self.close_it()
        act()
