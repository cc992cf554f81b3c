"""Python's garbage collector, kept on the window's thread.

A collection runs in whichever thread happens to allocate. If that is a run's thread, it destroys Qt objects of
the window's thread that were only held by a cycle (a page, a menu, a view model), and the process ends
with a segmentation fault. So automatic collection is switched off, and a timer on the window's thread
does the same work by the same thresholds.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL_MS = 500


class Collector(QObject):
    """Collects on the thread that made it, for as long as it lives; `stop` gives the work back to Python."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        gc.freeze()  # modules and everything else made by now: nothing to look at again and again
        self._timer = QTimer(self, interval=INTERVAL_MS)
        self._timer.timeout.connect(collect_what_is_due)
        self._timer.start()

    def stop(self) -> None:
        """Let Python collect by itself again; call it when the window's threads have ended."""
        self._timer.stop()
        gc.enable()


def collect_what_is_due() -> int:
    """Collect the oldest generation that is over its threshold; the number of objects found unreachable."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if counts[generation] > thresholds[generation] > 0:
            return gc.collect(generation)
    return 0


def keep() -> None:
    """What has been made by now stays: a run list of thousands is not looked through again and again."""
    gc.freeze()
