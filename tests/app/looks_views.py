"""The words in tables, lists, trees and their headings: where they stand, and which of them are cut.

What a delegate paints by its own hand is measured by the hint it gives for its size, all else as the style
paints it.
"""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QModelIndex, QRect, Qt
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionHeaderV2,
    QStyleOptionViewItem,
    QTreeView,
)

from app.widgets.scale import SMALL_PX
from tests.app.looks_finding import SLACK, Finding, place

ALL_BY_HAND = "paint"
"""A delegate with this method of its own paints all of the cell."""
SORT_MARK = 10
"""The arrow beside a heading, which the style does not take from the room of the words."""
TIP = Qt.ItemDataRole.ToolTipRole


def cells(view: QAbstractItemView) -> Iterator[tuple[QModelIndex, QRect]]:
    """The cells that are wholly in view, with their boxes in the viewport."""
    model = view.model()
    if model is None or isinstance(view, QHeaderView):
        return
    seen = view.viewport().rect()
    for parent in _parents(view, QModelIndex()):
        listed = isinstance(view, QListView)
        columns = [view.modelColumn()] if listed else range(model.columnCount(parent))
        for row in range(model.rowCount(parent)):
            for column in columns:
                index = model.index(row, column, parent)
                box = view.visualRect(index)
                if not box.isEmpty() and seen.contains(box):
                    yield index, box


def _parents(view: QAbstractItemView, parent: QModelIndex) -> Iterator[QModelIndex]:
    """The root, and in a tree every item that is open."""
    yield parent
    if not isinstance(view, QTreeView):
        return
    model = view.model()
    for row in range(model.rowCount(parent)):
        index = model.index(row, 0, parent)
        if view.isExpanded(index):
            yield from _parents(view, index)


def clipped_cells(view: QAbstractItemView) -> Iterator[Finding]:
    """Words of cells that do not fit into them and stand in no tooltip."""
    for index, box in cells(view):
        text = str(index.data() or "")
        if not text or text in str(index.data(TIP) or ""):
            continue
        needed, room = _measure(view, index, box)
        if needed > room + SLACK:
            yield Finding("clipped", place(view), f"“{text}” needs {needed} px and has {room}")


def _measure(view: QAbstractItemView, index: QModelIndex, box: QRect) -> tuple[int, int]:
    """The width that a cell's words need, and the one they have."""
    delegate = view.itemDelegateForIndex(index)
    option = QStyleOptionViewItem()
    view.initViewItemOption(option)
    option.rect = box
    by_hand = any(ALL_BY_HAND in kind.__dict__ for kind in _own(type(delegate)))
    if by_hand or not isinstance(delegate, QStyledItemDelegate):
        hint = index.data(Qt.ItemDataRole.SizeHintRole)
        size = hint if hint is not None else delegate.sizeHint(option, index)
        return min(size.width(), box.width()), box.width()
    delegate.initStyleOption(option, index)
    style = view.style()
    part = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, option, view)
    margin = style.pixelMetric(QStyle.PixelMetric.PM_FocusFrameHMargin, option, view) + 1
    lines = str(option.text).splitlines() or [""]
    metrics = QFontMetrics(option.font)
    return max(metrics.horizontalAdvance(line) for line in lines), part.width() - 2 * margin


def _own(kind: type) -> list[type]:
    """The classes of a delegate that are not Qt's."""
    return [
        it for it in kind.__mro__ if not it.__module__.startswith("PySide6") and it is not object
    ]


def headings(header: QHeaderView) -> Iterator[tuple[str, QRect, QRect]]:
    """Text, box, and the place for the words, of every heading in view; in the header's viewport."""
    model = header.model()
    if model is None or header.orientation() != Qt.Orientation.Horizontal:
        return
    seen = header.viewport().rect()
    for section in range(header.count()):
        text = str(model.headerData(section, header.orientation()) or "")
        box = QRect(
            header.sectionViewportPosition(section), 0, header.sectionSize(section), header.height()
        )
        if header.isSectionHidden(section) or not text or not seen.contains(box):
            continue
        option = QStyleOptionHeaderV2()
        header.initStyleOption(option)
        header.initStyleOptionForIndex(option, section)
        option.rect = box
        room = header.style().subElementRect(QStyle.SubElement.SE_HeaderLabel, option, header)
        if header.isSortIndicatorShown() and header.sortIndicatorSection() == section:
            room.setWidth(room.width() - SORT_MARK)
        yield text, box, room


def clipped_headings(header: QHeaderView) -> Iterator[Finding]:
    """Headings that do not fit into their column and stand in no tooltip."""
    model = header.model()
    tips = {
        str(model.headerData(at, header.orientation()) or ""): str(
            model.headerData(at, header.orientation(), TIP) or ""
        )
        for at in range(header.count())
    }
    font = QFont(header.font())
    font.setPixelSize(SMALL_PX)  # as the style sheet has it, which the widget does not know
    font.setWeight(QFont.Weight.Medium)
    metrics = QFontMetrics(font)
    for text, box, room in headings(header):
        needed = metrics.horizontalAdvance(text)
        if text not in tips[text] and needed > min(room.width(), box.width()) + SLACK:
            yield Finding(
                "clipped", place(header), f"“{text}” needs {needed} px and has {room.width()}"
            )
        elif metrics.height() > box.height():
            yield Finding("clipped", place(header), f"“{text}” is cut in its height")
