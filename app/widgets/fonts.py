"""The bundled fonts: found beside the code, loaded once a process.

Where the files are missing the platform's own fonts stand in; the window opens all the same.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from PySide6.QtGui import QFontDatabase

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "fonts"
FILES = (
    "Inter-Regular.otf",
    "Inter-Medium.otf",
    "Inter-SemiBold.otf",
    "JetBrainsMono-Regular.ttf",
)
INTERFACE = "Inter"
MONO = "JetBrains Mono"
OTHER_MONO = ("Cascadia Mono", "SF Mono", "DejaVu Sans Mono")
"""Stand in for the bundled one, in this order."""


@cache
def load() -> frozenset[str]:
    """Make the bundled fonts known to Qt; the families that could be read."""
    families: set[str] = set()
    for name in FILES:
        number = QFontDatabase.addApplicationFont(str(FOLDER / name))
        if number < 0:
            logger.warning("The font %s could not be read; another one stands in.", name)
        else:
            families.update(QFontDatabase.applicationFontFamilies(number))
    return frozenset(families)
