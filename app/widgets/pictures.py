"""Charts and heatmaps as pictures: PNG, or SVG whose lines and words stay lines and words.

Every picture carries its title, its legend and where its numbers come from, so that it can be judged without
the window it was taken from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from PySide6.QtCore import QBuffer, QIODevice, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsView

from app.widgets.flat_svg import flattened
from app.widgets.theme import Theme

SCALE = 2
"""Pixels of a PNG for each pixel of the window."""
MARGIN = 16
TITLE_PX, TEXT_PX = 15, 11
LINE_PX = 16
SWATCH = 14
GAP = 6
SVG_DPI = 96
MOST_HEIGHT = 10_000
WRAPPED = Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
AT_RIGHT = Qt.AlignmentFlag.AlignRight


class Pictured(Protocol):
    """What a picture can be taken of."""

    @property
    def plot(self) -> QGraphicsView:
        """What is drawn."""

    @property
    def source(self) -> str:
        """Where its numbers come from, a line a part."""

    def unit_text(self) -> str:
        """The unit of the values, "" for none."""

    def axis_text(self) -> str:
        """What stands along the horizontal axis, "" for nothing."""

    def legend_entries(self) -> list[tuple[str, str]]:
        """(text, colour) of what is drawn."""


class Picture:
    """A picture of one panel.

    Args:
        theme: its colours now; the picture has them, too.
        panel: the chart or heatmap, as it is shown.
        title: above it.
        entries: (text, colour) of its legend.
        caption: below it, a line each.
    """

    def __init__(
        self,
        theme: Theme,
        panel: Pictured,
        title: str,
        entries: Sequence[tuple[str, str]],
        caption: Sequence[str],
    ) -> None:
        self._theme = theme
        self._panel = panel
        self._title = title
        self._entries = tuple(entries) if len(entries) > 1 else ()
        self._caption = tuple(caption)
        self._axis = panel.axis_text()

    def size(self) -> QSize:
        """In pixels of the window."""
        plot = self._panel.plot.size()
        below = (
            LINE_PX * (len(self._entries) + bool(self._axis))
            + sum(map(self._height, self._caption))
            + GAP
        )
        return QSize(plot.width() + 2 * MARGIN, plot.height() + below + 3 * MARGIN + TITLE_PX)

    def painted(self, suffix: str) -> Callable[[], bytes]:
        """Paint it for a file of this kind; the answer gives its content, on any thread.

        Raises:
            ValueError: the suffix is neither .png nor .svg.
        """
        kinds = {".png": self._png, ".svg": self._svg}
        if suffix.lower() not in kinds:
            raise ValueError(f"{suffix}: a picture ends in .png or .svg")
        return kinds[suffix.lower()]()

    def _png(self) -> Callable[[], bytes]:
        image = QImage(self.size() * SCALE, QImage.Format.Format_ARGB32)
        image.setDevicePixelRatio(SCALE)
        image.fill(QColor(self._theme.tokens.panel))
        painter = QPainter(image)
        self._paint(painter)
        painter.end()
        image.setText("Title", self._title)
        image.setText("Description", "\n".join(self._caption))
        return partial(_encoded, image)

    def _svg(self) -> Callable[[], bytes]:
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        made = QSvgGenerator()
        made.setOutputDevice(buffer)
        made.setSize(self.size())
        made.setViewBox(QRect(0, 0, self.size().width(), self.size().height()))
        made.setResolution(SVG_DPI)
        made.setTitle(self._title)
        made.setDescription("\n".join(self._caption))
        painter = QPainter(made)
        self._paint(painter)
        painter.end()
        return partial(flattened, bytes(buffer.data().data()))

    def _paint(self, painter: QPainter) -> None:
        tokens = self._theme.tokens
        size = self.size()
        painter.fillRect(0, 0, size.width(), size.height(), QColor(tokens.panel))
        y = MARGIN
        y = self._write(painter, self._title, y, TITLE_PX, tokens.ink)
        plot = self._panel.plot
        unit = self._panel.unit_text()
        if unit:
            self._write(painter, unit, y, TEXT_PX, tokens.third)
        target = QRectF(MARGIN, y + GAP, plot.width(), plot.height())
        plot.render(painter, target, plot.viewport().rect())
        y += GAP + plot.height()
        if self._axis:
            y = self._write(painter, self._axis, y, TEXT_PX, tokens.third, align=AT_RIGHT)
        y += GAP
        for text, colour in self._entries:
            painter.fillRect(MARGIN, y + LINE_PX // 2, SWATCH, 2, QColor(colour))
            y = self._write(painter, text, y, TEXT_PX, tokens.second, MARGIN + SWATCH + GAP)
        for text in self._caption:
            y = self._write(painter, text, y, TEXT_PX, tokens.second)

    def _write(
        self,
        painter: QPainter,
        text: str,
        y: int,
        pixels: int,
        colour: str,
        x: int = MARGIN,
        align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    ) -> int:
        font = self._theme.font()
        font.setPixelSize(pixels)
        painter.setFont(font)
        painter.setPen(QColor(colour))
        height = self._height(text) if pixels == TEXT_PX else TITLE_PX + GAP // 2
        box = QRectF(x, y, self.size().width() - x - MARGIN, height)
        painter.drawText(box, WRAPPED | align, text)
        return y + height

    def _height(self, text: str) -> int:
        """Of small words in as many lines as they need."""
        font = self._theme.font()
        font.setPixelSize(TEXT_PX)
        room = QRect(0, 0, self._panel.plot.width(), MOST_HEIGHT)
        metrics = QFontMetrics(font)
        lines = round(metrics.boundingRect(room, WRAPPED, text).height() / metrics.height())
        return LINE_PX * max(lines, 1)


def _encoded(image: QImage) -> bytes:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())
