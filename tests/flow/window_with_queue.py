"""Opens the window over a home folder and says where the lines of its queue stand; not a test.

Whoever starts it reads one line of JSON: for each line of the queue its top and bottom on the screen, and an x.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PySide6.QtCore import QPoint, QTimer
from PySide6.QtWidgets import QApplication

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.main_window import MainWindow
from app.widgets.theme import Theme
from core.store.home import Home
from tests.app.test_main_window import Answers

LOOK_MS = 100
SETTLED = 5
"""Looks in a row at which the lines stood still."""


def main(folder: str) -> None:
    app = QApplication([])
    home = Home(Path(folder))
    settings = Settings.load(home.settings)
    application = Application(home, settings)
    window = MainWindow(application, settings, Theme(app, "light"), Answers())
    window.show()
    table = window.runs_page.queue.table
    seen: list[list[list[int]]] = []
    timer = QTimer(window)

    def look() -> None:
        port, rows = table.viewport(), range(table.model().rowCount())
        tops = [
            port.mapToGlobal(QPoint(port.width() // 2, table.rowViewportPosition(it)))
            for it in rows
        ]
        seen.append([[it.x(), it.y(), it.y() + table.rowHeight(0)] for it in tops])
        if rows and table.isVisible() and seen[-SETTLED:] == [seen[-1]] * SETTLED:
            timer.stop()
            sys.stdout.write(json.dumps(seen[-1]) + "\n")
            sys.stdout.flush()

    timer.timeout.connect(look)
    timer.start(LOOK_MS)
    app.exec()


if __name__ == "__main__":
    main(sys.argv[1])
