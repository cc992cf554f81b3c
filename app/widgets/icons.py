"""Icons of one set: Phosphor, drawn from the font that the qtawesome package carries.

The package itself is not imported: its Qt shim reads every name of PySide6 and costs half a second at
start-up (measured); the font and its table of names are all that is needed.
"""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QIconEngine, QPainter, QPixmap

logger = logging.getLogger(__name__)

PACKAGE = "qtawesome"
GLYPH_SHARE = 0.92
"""Height of a glyph in its box; the font's own margins make up the rest."""


class IconFont:
    """The icon font: loaded once by the theme, then asked for icons by name."""

    def __init__(self) -> None:
        self._family = ""
        self._glyphs: dict[str, str] = {}
        spec = find_spec(PACKAGE)
        folders = [
            Path(place) / "fonts" for place in (spec and spec.submodule_search_locations) or ()
        ]
        fonts = [path for folder in folders for path in folder.glob("phosphor-*.ttf")]
        tables = [path for folder in folders for path in folder.glob("phosphor-charmap-*.json")]
        if not fonts or not tables:
            logger.warning("The icon font of %s was not found; buttons show words only.", PACKAGE)
            return
        families = QFontDatabase.applicationFontFamilies(
            QFontDatabase.addApplicationFont(str(fonts[0]))
        )
        self._family = families[0] if families else ""
        table: dict[str, str] = json.loads(tables[0].read_text(encoding="utf-8"))
        self._glyphs = {name: chr(int(code, 16)) for name, code in table.items()}

    def names(self) -> frozenset[str]:
        """All names of the set."""
        return frozenset(self._glyphs)

    def icon(self, name: str, *, plain: str, lit: str, disabled: str) -> QIcon:
        """An icon by name; `lit` is its colour when checked or selected. No icon where there is no font.

        Raises:
            KeyError: the set has no icon of this name.
        """
        if not self._family:
            return QIcon()
        return QIcon(_Glyph(self._family, self._glyphs[name], plain, lit, disabled))


class _Glyph(QIconEngine):
    """Draws one glyph at any size, so that it is sharp on every screen."""

    def __init__(self, family: str, glyph: str, plain: str, lit: str, disabled: str) -> None:
        super().__init__()
        self._family = family
        self._glyph = glyph
        self._colours = (plain, lit, disabled)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw the glyph into `rect`."""
        plain, lit, disabled = self._colours
        colour = lit if mode == QIcon.Mode.Selected or state == QIcon.State.On else plain
        if mode == QIcon.Mode.Disabled:
            colour = disabled
        font = QFont(self._family)
        font.setPixelSize(max(round(rect.height() * GLYPH_SHARE), 1))
        painter.save()
        painter.setFont(font)
        painter.setPen(QColor(colour))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, self._glyph)
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """The glyph on a transparent ground."""
        made = QPixmap(size)
        made.fill(Qt.GlobalColor.transparent)
        painter = QPainter(made)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return made
