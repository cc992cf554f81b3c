"""Looks over a shown window for what a careful eye would find: clipped words, overlaps, controls that the
keyboard or a screen reader misses, words that are hard to read. A library; the tests are in test_looks.py.

Only what can be decided without taste is reported. Words that a widget shortens on purpose are no finding
where a tooltip has them in full.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QAccessible, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QRadioButton,
    QScrollBar,
    QSplitter,
    QSplitterHandle,
    QStackedWidget,
    QStyle,
    QStyleOptionButton,
    QStyleOptionComboBox,
    QTabBar,
    QTextEdit,
    QToolButton,
    QWidget,
)

from app.widgets.tokens import contrast
from tests.app.looks_finding import SLACK, Finding, place, shown
from tests.app.looks_plots import plot_words
from tests.app.looks_views import cells, clipped_cells, clipped_headings, headings

SAMPLED_AA = 3.6
"""Least contrast of the strongest pixel of a painted word. Stems thinner than a pixel never reach the token's
full colour; the tokens themselves are held to 4.5 in test_theme.py."""
BEST_CONTRAST = 21.0
MOST_TABS = 600
SMALLEST_WORD = (6, 6)
TAB_LINE = 3
"""Below the words of a tab, in the accent."""
VIEWPORT = "qt_scrollarea_viewport"
"""Qt's own name of what scrolls."""
CONTROLS = (
    QAbstractButton,
    QLineEdit,
    QComboBox,
    QAbstractSpinBox,
    QAbstractSlider,
    QAbstractItemView,
    QPlainTextEdit,
    QTextEdit,
    QTabBar,
)
INSIDE = (QComboBox, QAbstractSpinBox, QLineEdit, QTabBar, QHeaderView)
"""Controls whose children are parts of themselves."""
HOLDERS = (*INSIDE, QAbstractScrollArea, QSplitter, QStackedWidget, QMainWindow)
"""Their children are placed by Qt."""


def look(window: QWidget) -> list[Finding]:
    """Everything that is wrong with what the window shows now, except what the Tab key misses (see `tab`)."""
    return [
        *clipped(window),
        *overlaps(window),
        *nameless(window),
        *faint(window),
        *(found for widget in shown(window) for found in plot_words(widget)),
    ]


# Words that do not fit


def clipped(window: QWidget) -> Iterator[Finding]:
    """Words that are cut or shortened without the whole in a tooltip."""
    for widget in shown(window):
        if not _whole_in_view(widget):
            continue
        if isinstance(widget, QLabel):
            yield from _clipped_label(widget)
        elif isinstance(widget, QPushButton | QCheckBox | QRadioButton | QToolButton):
            yield from _clipped_button(widget)
        elif isinstance(widget, QComboBox):
            option = QStyleOptionComboBox()
            widget.initStyleOption(option)
            field = widget.style().subControlRect(
                QStyle.ComplexControl.CC_ComboBox,
                option,
                QStyle.SubControl.SC_ComboBoxEditField,
                widget,
            )
            yield from _too_wide(widget, widget.currentText(), field.width())
        elif isinstance(widget, QLineEdit):
            margins = widget.textMargins()
            room = widget.contentsRect().width() - margins.left() - margins.right()
            text = widget.text() or widget.placeholderText()
            yield from _too_wide(widget, text, room)
        elif isinstance(widget, QTabBar):
            for at in range(widget.count()):
                if widget.tabRect(at).width() < widget.tabSizeHint(at).width() - SLACK:
                    yield Finding("clipped", place(widget), widget.tabText(at))
        elif isinstance(widget, QHeaderView):
            yield from clipped_headings(widget)
        elif isinstance(widget, QAbstractItemView):
            yield from clipped_cells(widget)


def _whole_in_view(widget: QWidget) -> bool:
    """Not half scrolled out of a view, which is no defect."""
    return bool(widget.visibleRegion().boundingRect().width() >= widget.width())


def _too_wide(widget: QWidget, text: str, room: int) -> Iterator[Finding]:
    needed = widget.fontMetrics().horizontalAdvance(text)
    if text and needed > room + SLACK and text.strip() not in widget.toolTip():
        yield Finding("clipped", place(widget), f"“{text}” needs {needed} px and has {room}")


def _clipped_label(label: QLabel) -> Iterator[Finding]:
    text = label.text()
    if not text or _is_rich(label):
        return
    if text.endswith("…") and not label.toolTip() and label.accessibleName() not in ("", text):
        yield Finding("clipped", place(label), f"“{text}” is shortened and no tooltip has it")
    box = label.contentsRect()
    metrics = label.fontMetrics()
    if label.wordWrap():
        needed = label.heightForWidth(label.width())
        if needed > label.height() + SLACK:
            yield Finding(
                "clipped", place(label), f"“{text}” needs {needed} px high and has {label.height()}"
            )
        return
    wide = max(metrics.horizontalAdvance(line) for line in text.split("\n"))
    if wide > box.width() + SLACK and text not in label.toolTip():
        yield Finding("clipped", place(label), f"“{text}” needs {wide} px and has {box.width()}")
    if metrics.height() > box.height() + 2 * SLACK:
        yield Finding(
            "clipped",
            place(label),
            f"“{text}” needs {metrics.height()} px high and has {box.height()}",
        )


def _is_rich(label: QLabel) -> bool:
    kind = label.textFormat()
    automatic = kind == Qt.TextFormat.AutoText and label.text().lstrip().startswith("<")
    return automatic or kind in (Qt.TextFormat.RichText, Qt.TextFormat.MarkdownText)


def _clipped_button(button: QAbstractButton) -> Iterator[Finding]:
    text = button.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
    if not text.strip():
        return
    if isinstance(button, QPushButton):
        option = QStyleOptionButton()
        button.initStyleOption(option)
        element = QStyle.SubElement.SE_PushButtonContents
        room = button.style().subElementRect(element, option, button).width()
    elif isinstance(button, QToolButton):
        room = button.width()
    else:
        option = QStyleOptionButton()
        button.initStyleOption(option)
        element = (
            QStyle.SubElement.SE_RadioButtonContents
            if isinstance(button, QRadioButton)
            else QStyle.SubElement.SE_CheckBoxContents
        )
        room = button.style().subElementRect(element, option, button).width()
    if not button.icon().isNull():
        room -= button.iconSize().width()
    if text.strip().endswith("…") and text.strip() in button.accessibleName():
        text = text.strip()
    yield from _too_wide(button, text.strip(), room)


# Things on top of each other


def overlaps(window: QWidget) -> Iterator[Finding]:
    """Visible siblings that cover each other, and children that stick out of their parent."""
    for parent in [window, *shown(window)]:
        if isinstance(parent, HOLDERS):
            continue
        children = [
            child
            for child in parent.children()
            if isinstance(child, QWidget)
            and child.isVisible()
            and not child.isWindow()
            and not isinstance(child, QSplitterHandle | QScrollBar)
            and not child.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            and not child.visibleRegion().isEmpty()
        ]
        for at, first in enumerate(children):
            if _sticks_out(first, parent):
                yield Finding("outside", place(first), f"{_box(first)} in {_box(parent)}")
            for second in children[at + 1 :]:
                common = first.geometry().intersected(second.geometry())
                if common.width() > SLACK and common.height() > SLACK:
                    yield Finding(
                        "overlap", place(first), f"{_box(first)} and {place(second)} {_box(second)}"
                    )


def _sticks_out(child: QWidget, parent: QWidget) -> bool:
    if parent.objectName() == VIEWPORT:
        return False
    return not parent.rect().adjusted(-SLACK, -SLACK, SLACK, SLACK).contains(child.geometry())


def _box(widget: QWidget) -> str:
    box = widget.geometry()
    return f"[{box.x()},{box.y()} {box.width()}x{box.height()}]"


# Controls without a name, or out of the keyboard's reach


def controls(window: QWidget) -> Iterator[QWidget]:
    """What a person works with; parts of a control are not controls."""
    for widget in shown(window):
        if not isinstance(widget, CONTROLS) or isinstance(widget, QScrollBar | QHeaderView):
            continue
        parent = widget.parentWidget()
        if isinstance(parent, INSIDE) or (
            isinstance(parent, QAbstractItemView) and isinstance(widget, QAbstractButton)
        ):
            continue
        yield widget


def nameless(window: QWidget) -> Iterator[Finding]:
    """Controls of which a screen reader would say no name."""
    for widget in controls(window):
        seen = QAccessible.queryAccessibleInterface(widget)
        name = seen.text(QAccessible.Text.Name) if seen is not None else widget.accessibleName()
        if not (name or widget.accessibleName()).strip():
            yield Finding("nameless", place(widget), _box(widget))


def tab(window: QWidget) -> list[Finding]:
    """Press Tab until it comes round, and tell which controls it missed and where it stuck."""
    found: list[Finding] = []
    if not window.isActiveWindow():
        # What is shown before it has a parent is a window for a moment, and takes the keyboard with it.
        found.append(Finding("inactive", place(window), "another window took the focus"))
        window.activateWindow()
    start = QApplication.focusWidget() or window
    reached: set[int] = set()
    at: QWidget = start
    for _ in range(MOST_TABS):
        QTest.keyClick(at, Qt.Key.Key_Tab)
        now = QApplication.focusWidget() or window
        reached.add(id(at))
        if now is at and _others(window, at):
            found.append(Finding("trap", place(at), "Tab does not leave it"))
            break
        if now is at or id(now) in reached:
            break
        at = now
    start.setFocus()
    grouped = {id(it) for it in window.findChildren(QWidget) if _has_arrows(it)}
    for widget in controls(window):
        proxy = widget.focusProxy() or widget
        if not widget.isEnabled() or id(proxy) in reached or id(widget) in grouped:
            continue
        if isinstance(widget, QAbstractButton) and not _acts(widget):
            continue
        found.append(Finding("unreachable", place(widget), _box(widget)))
    return found


def _others(window: QWidget, at: QWidget) -> bool:
    """Whether Tab has anywhere else to go."""
    return any(
        it is not at
        and it.isEnabled()
        and it.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
        and not it.isAncestorOf(at)
        for it in shown(window)
    )


def _has_arrows(widget: QWidget) -> bool:
    """One of an exclusive group, which the arrow keys walk through."""
    if not isinstance(widget, QAbstractButton):
        return False
    group = widget.group()
    exclusive = group is not None and group.exclusive()
    return exclusive or (widget.autoExclusive() and widget.isCheckable())


def _acts(button: QAbstractButton) -> bool:
    """Whether a press does anything: a painted card that is only looked at is no control."""
    return button.focusPolicy() != Qt.FocusPolicy.NoFocus or (
        button.cursor().shape() == Qt.CursorShape.PointingHandCursor
    )


# Words that are hard to read


def faint(window: QWidget) -> Iterator[Finding]:
    """Painted words whose strongest pixel stands too little out of their ground."""
    picture = window.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    ratio = picture.devicePixelRatio()
    for widget in shown(window):
        if not widget.isEnabled():
            continue
        for text, box in _painted(widget):
            if box.width() < SMALLEST_WORD[0] or box.height() < SMALLEST_WORD[1]:
                continue
            if not any(letter.isalnum() for letter in text):
                continue  # a dash is thinner than a pixel
            best = sampled_contrast(
                picture, QRect(widget.mapTo(window, box.topLeft()), box.size()), ratio
            )
            if best < SAMPLED_AA:
                yield Finding("faint", place(widget), f"“{text}” has a contrast of {best:.1f}")


def _painted(widget: QWidget) -> Iterator[tuple[str, QRect]]:
    """Words that a widget paints, and where in it; only what is wholly in view."""
    if isinstance(widget, QHeaderView):
        for text, box, _ in headings(widget):
            yield text, box.adjusted(1, 1, -1, -1)
        return
    if isinstance(widget, QAbstractItemView):
        corner = widget.viewport().pos()
        for index, box in cells(widget):
            text = str(index.data() or "")
            if text.strip() and index.flags() & Qt.ItemFlag.ItemIsEnabled:
                yield text, box.translated(corner).adjusted(1, 1, -1, -1)
        return
    if isinstance(widget, QTabBar):
        for at in range(widget.count()):
            if widget.isTabEnabled(at) and widget.tabText(at):
                yield widget.tabText(at), widget.tabRect(at).adjusted(0, 0, 0, -TAB_LINE)
        return
    if isinstance(widget, QComboBox):
        text, box = widget.currentText(), widget.rect().adjusted(4, 4, -22, -4)
    elif isinstance(widget, QLineEdit):
        text = widget.text() or widget.placeholderText()
        box = widget.rect().adjusted(4, 4, -4, -4)
    elif isinstance(widget, QLabel | QAbstractButton):
        text, box = widget.text(), widget.rect()
    else:
        return
    if text.strip() and widget.visibleRegion().boundingRect() == widget.rect():
        yield text, box


def menu(shown_menu: QMenu) -> list[Finding]:
    """Entries of an open menu that are cut or hard to read."""
    found = []
    picture = shown_menu.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    metrics = shown_menu.fontMetrics()
    for action in shown_menu.actions():
        words = action.text().replace("&", "")
        box = shown_menu.actionGeometry(action)
        if action.isSeparator() or not words.strip():
            continue
        needed = sum(metrics.horizontalAdvance(part) for part in words.split("\t"))
        if needed > box.width() or not shown_menu.rect().contains(box):
            found.append(
                Finding("clipped", "menu", f"“{words}” needs {needed} px and has {box.width()}")
            )
        best = sampled_contrast(picture, box, picture.devicePixelRatio())
        if action.isEnabled() and best < SAMPLED_AA:
            found.append(Finding("faint", "menu", f"“{words}” has a contrast of {best:.1f}"))
    return found


def sampled_contrast(picture: QImage, box: QRect, ratio: float = 1.0) -> float:
    """The highest contrast of any colour in `box` (logical pixels) against its most frequent one."""
    pixels = as_array(picture)
    left, top = max(round(box.left() * ratio), 0), max(round(box.top() * ratio), 0)
    right, bottom = round((box.right() + 1) * ratio), round((box.bottom() + 1) * ratio)
    colours, counts = np.unique(pixels[top:bottom, left:right], return_counts=True)
    if not len(colours):
        return BEST_CONTRAST
    ground = f"#{colours[counts.argmax()]:06x}"
    return max(contrast(f"#{colour:06x}", ground) for colour in colours)


def as_array(picture: QImage) -> NDArray[np.uint32]:
    """The picture's pixels as 0xRRGGBB, (height, width)."""
    flat = np.frombuffer(picture.constBits(), np.uint32)
    rows = flat.reshape(picture.height(), picture.bytesPerLine() // 4)
    return rows[:, : picture.width()] & 0xFFFFFF
