"""Leak guards and shared pieces of the window's tests."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.widgets.theme import Theme
from core.engine import estimate_process
from core.store.home import Home
from core.store.store import Store
from tests.app.sample_runs import fill
from tests.helpers import fake_foresight


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """No test leaves a thread or a visible window behind."""
    threads = set(threading.enumerate())
    yield
    application = QApplication.instance()
    if isinstance(application, QApplication):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        left = [widget for widget in application.topLevelWidgets() if widget.isVisible()]
        assert not left, f"visible top-level widgets left: {left}"
    running = [it for it in threading.enumerate() if it not in threads and it.is_alive()]
    # A QThread that ran Python code leaves a dummy entry that lives as long as the process.
    running = [it for it in running if not it.name.startswith("Dummy")]
    for it in running:
        it.join(timeout=2)  # rich tells its refresh thread to end and does not wait for it
    running = [it for it in running if it.is_alive()]
    assert not running, f"threads left: {running}"


@pytest.fixture(autouse=True)
def _estimates_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows ask a process without torch for estimates; it answers at once."""
    monkeypatch.setattr(
        estimate_process, "command", lambda home: [sys.executable, fake_foresight.__file__]
    )


@pytest.fixture
def theme(qtbot: QtBot, qapp: QApplication) -> Iterator[Theme]:
    """A light theme, taken off the application afterwards."""
    made = Theme(qapp, "light")
    yield made
    qapp.styleHints().colorSchemeChanged.disconnect(made.follow)
    qapp.setStyleSheet("")
    made.deleteLater()


@dataclass(frozen=True)
class Sample:
    """A home folder with hand-made runs, and their ids by name."""

    home: Home
    runs: dict[str, str]


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Made once; every test gets a copy."""
    made = Home(tmp_path_factory.mktemp("sample"))
    with Store.open(made.database) as store:
        return Sample(made, fill(store))


@pytest.fixture
def sample(_filled: Sample, tmp_path: Path) -> Sample:
    """A copy of the hand-made runs that a test may change."""
    copy = Home(tmp_path / "sample")
    copy.create()
    shutil.copy(_filled.home.database, copy.database)
    return Sample(copy, _filled.runs)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home folder with a database."""
    made = Home(tmp_path / "rekindle")
    made.create()
    Store.open(made.database).close()
    return made
