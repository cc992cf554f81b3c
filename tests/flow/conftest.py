"""The flows are guarded against leaks as the window's tests are; a desk has a window over a home of its own."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.views import pages
from core.engine import liveness
from core.store.home import Home
from core.store.store import Store
from tests.flow.desk import Desk
from tests.helpers.leaks import nothing_leaks

__all__ = ["nothing_leaks"]


@pytest.fixture(autouse=True, scope="session")
def _pages_are_imported() -> None:
    """As in a window that has been open for some seconds: every page is shown at once."""
    for place in pages.LISTED:
        importlib.import_module(place.module)


@pytest.fixture
def desk(tmp_path: Path, qtbot: QtBot, qapp: QApplication) -> Iterator[Desk]:
    home = Home(tmp_path / "home")
    home.create()
    made = Desk(home, qtbot, qapp)
    yield made
    made.close()
    with Store.open(home.database) as store:
        for row in store.runs():
            if liveness.is_live(row) and row.pid is not None:
                os.killpg(row.pid, signal.SIGKILL)
    qapp.styleHints().colorSchemeChanged.disconnect(made.theme.follow)
    qapp.setStyleSheet("")
    made.theme.deleteLater()
