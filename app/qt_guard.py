"""Refuses a PySide6/Python pair that leaks references to None.

PySide6 6.12.0 under Python 3.11 and older drops one reference to None in almost every void call; after
some 5,000 calls the interpreter aborts with `none_dealloc`. A few hundred calls show it. From Python 3.12
None is immortal, its count stands still, and there is nothing to lose.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import PySide6
from PySide6.QtCore import QObject

from core.errors import UserError

CALLS = 500
TOLERANCE = 100
"""Other code may take or drop a few references while we measure; a leaking pair loses all 500."""


def none_references_lost(calls: int = CALLS) -> int:
    """How many references to None `calls` void Qt calls lose. Leaves the count as it found it or lower."""
    thing = QObject()
    before = sys.getrefcount(None)
    for _ in range(calls):
        thing.setObjectName("guard")
    return before - sys.getrefcount(None)


def refuse_leaking_qt(measure: Callable[[], int] = none_references_lost) -> None:
    """Raise UserError when void Qt calls drop references to None.

    Args:
        measure: returns the number of references that `CALLS` void calls lost.
    """
    lost = measure()
    if lost > TOLERANCE:
        raise UserError(
            f"PySide6 {PySide6.__version__} loses references under Python "
            f"{sys.version_info.major}.{sys.version_info.minor} ({lost} in {CALLS} calls) "
            "and would abort the window after a few minutes.",
            "Install PySide6 >= 6.10 and < 6.12, or use Python 3.12 or newer.",
        )
