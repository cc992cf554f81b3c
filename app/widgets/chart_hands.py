"""What a person does with a chart: the crosshair and the zoom, by mouse and by keys. Draws no curves.

Everything the mouse does, the keys do when the chart has the focus: left and right move the crosshair (with
Shift by ten points, with Ctrl from mark to mark), + and - zoom, 0 and Home show all again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QKeyEvent,
)

from app.widgets.chart_marks import References
from app.widgets.crosshair import Crosshair, Reading, moved, readings
from app.widgets.curves import Line
from app.widgets.plot_words import PlotPanel

AXIS_WIDTH = 38
ZOOM_STEP = 0.7
FAR = 10
MOST_READINGS = 12
Range = tuple[float, float]


class HandledPanel(PlotPanel):
    """A chart that can be pointed at, walked through and zoomed; subclasses make its parts and draw.

    `crossed` tells where a person moved the crosshair (None: away), `ranged` which range of x they chose,
    `followed` that they want to see everything again: what links charts listens to them.
    """

    crossed = Signal(object)
    ranged = Signal(float, float)
    followed = Signal()

    _item: pg.PlotItem
    _name: str
    _x_label: str
    _lines: Sequence[Line]
    cross: Crosshair
    references: References
    _follow = True
    _ranging = False

    def reset_view(self) -> None:
        """Follow the data again after a zoom."""
        raise NotImplementedError

    def _touch(self) -> None:
        raise NotImplementedError

    def _shown(self) -> list[Line]:
        raise NotImplementedError

    def _x_text(self, x: float) -> str:
        raise NotImplementedError

    @property
    def x_range(self) -> Range:
        """The range of x that is shown."""
        low, high = self._item.getViewBox().viewRange()[0]
        return float(low), float(high)

    def zoom(self, factor: float) -> None:
        """Show `factor` of the range of x, around the crosshair where it stands in it."""
        low, high = self.x_range
        at = self.cross.at
        centre = at if at is not None and low <= at <= high else (low + high) / 2
        self.take_range(centre - (centre - low) * factor, centre + (high - centre) * factor)
        self.ranged.emit(*self.x_range)

    def take_range(self, low: float, high: float) -> None:
        """Show this range of x, as a linked chart does."""
        self._follow = False
        self._ranging = True
        self._item.getViewBox().setXRange(low, high, padding=0)
        self._ranging = False
        self._touch()

    def show_at(self, x: float) -> None:
        """Bring a place into view and stand the crosshair there."""
        low, high = self.x_range
        if not low <= x <= high:
            half = (high - low) / 2
            self.take_range(x - half, x + half)
            self.ranged.emit(*self.x_range)
        self._cross_to(x)

    def follow_again(self) -> None:
        """What a double click does: show everything, here and in all charts that are linked."""
        self.reset_view()
        self.followed.emit()

    def put_cross(self, at: float | None, *, leading: bool = True) -> None:
        """Stand the crosshair at `at` and tell the values there; None takes both away.

        Only the `leading` chart, the one under the hand, says where its numbers come from.
        """
        found = readings(self._shown(), at) if at is not None else []
        if at is None or not found:
            self.cross.put(None)
            self.readout.hide()
            return
        self.cross.put(at)
        texts = [self._told(it, at, leading) for it in found[:MOST_READINGS]]
        if len(found) > MOST_READINGS:
            texts.append(f"and {len(found) - MOST_READINGS} more")
        if leading:
            texts.insert(0, f"{self._x_label} {self._x_text(at)}")
            texts += [mark.text for mark in self.references.near(at, self._per_pixel())]
        low, high = self.x_range
        self._words.tell_with(
            "\n".join(texts),
            self._source if leading else "",
            left=AXIS_WIDTH + 6,
            right=10,
            at_right=at < (low + high) / 2,
        )
        self.setAccessibleDescription(self.readout.text())

    def _hover(self, place: QPointF) -> None:
        box = self._item.getViewBox()
        if not box.sceneBoundingRect().contains(place):
            self._cross_to(None)
            return
        at = float(box.mapSceneToView(place).x())
        found = readings(self._shown(), at)
        if found:
            met = self.references.near(at, self._per_pixel())
            self._cross_to(
                met[0].x if met else min((it.x for it in found), key=lambda x: abs(x - at))
            )

    def _cross_to(self, at: float | None) -> None:
        """Move the crosshair here and in all linked charts."""
        self.put_cross(at)
        self.crossed.emit(at)

    def _told(self, reading: Reading, at: float, leading: bool) -> str:
        name = f"{reading.label or self._name} " if leading or len(self._lines) > 1 else ""
        where = "" if reading.x == at else f" ({self._x_label} {self._x_text(reading.x)})"
        value = f"{reading.value:.4g}" if isfinite(reading.value) else "no value"
        return f"{name}{value}{where}"

    def _per_pixel(self) -> float:
        low, high = self.x_range
        return (high - low) / max(float(self._item.getViewBox().width()), 1.0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The crosshair and the zoom by keys."""
        key, held = event.key(), event.modifiers()
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._step(key == Qt.Key.Key_Right, held)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(ZOOM_STEP)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / ZOOM_STEP)
        elif key in (Qt.Key.Key_0, Qt.Key.Key_Home):
            self.follow_again()
        else:
            super().keyPressEvent(event)

    def _step(self, forwards: bool, held: Qt.KeyboardModifier) -> None:
        shown = self._shown()
        if held & Qt.KeyboardModifier.ControlModifier:
            start = self.cross.at if self.cross.at is not None else self.x_range[not forwards]
            to = self.references.next_mark(start, forwards)
        else:
            points = FAR if held & Qt.KeyboardModifier.ShiftModifier else 1
            to = moved(shown, self.cross.at, points if forwards else -points)
        if to is not None:
            self.show_at(to)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the crosshair away, too, unless a menu takes the focus."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self._cross_to(None)
