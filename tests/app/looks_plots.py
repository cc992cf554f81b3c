"""The words on plots: labels of axes that touch each other or are cut, and words on top of each other.

Only what pyqtgraph draws; labels that lie over a plot are widgets and looked at as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPicture
from PySide6.QtWidgets import QWidget

from tests.app.looks_finding import Finding, place

LEAST_GAP = 2.0
"""Pixels between two labels of one axis."""


def plot_words(view: QWidget) -> Iterator[Finding]:
    """What is wrong with the labels of a plot's axes."""
    if not isinstance(view, pg.GraphicsView):
        return
    seen = QRectF(view.viewport().rect())
    for item in view.scene().items():
        if not isinstance(item, pg.AxisItem) or not item.isVisible():
            continue
        words = [(item.mapRectToScene(box), text) for box, text in tick_words(item)]
        upright = item.orientation in ("left", "right")
        words.sort(key=lambda it: it[0].top() if upright else it[0].left())
        for box, text in words:
            if not seen.adjusted(-1, -1, 1, 1).contains(view.mapFromScene(box).boundingRect()):
                yield Finding("clipped", place(view), f"“{text}” at the {item.orientation} axis")
        for (first, text), (second, other) in pairwise(words):
            gap = second.top() - first.bottom() if upright else second.left() - first.right()
            if gap < LEAST_GAP:
                yield Finding(
                    "overlap",
                    place(view),
                    f"“{text}” and “{other}” at the {item.orientation} axis, {gap:.0f} px apart",
                )


def tick_words(axis: pg.AxisItem) -> list[tuple[QRectF, str]]:
    """The labels that an axis draws, and where."""
    picture = QPicture()
    painter = QPainter(picture)
    if axis.style["tickFont"] is not None:
        painter.setFont(axis.style["tickFont"])
    specs = axis.generateDrawSpecs(painter)
    painter.end()
    return [(QRectF(box), str(text)) for box, _, text in specs[2]] if specs is not None else []
