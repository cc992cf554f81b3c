"""Leak guards and shared pieces of the window's tests."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.views import pages
from app.widgets.theme import Theme
from core.engine import data_process, estimate_process
from core.store.home import Home
from core.store.store import Store
from tests.app.sample_runs import fill
from tests.helpers import fake_foresight, fake_tokens
from tests.helpers.leaks import nothing_leaks

__all__ = ["nothing_leaks"]


@pytest.fixture(autouse=True, scope="session")
def _pages_are_imported() -> None:
    """As in a window that has been open for some seconds: every page is shown at once."""
    for place in pages.LISTED:
        importlib.import_module(place.module)


@pytest.fixture(autouse=True)
def _estimates_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows ask a process without torch for estimates; it answers at once."""
    monkeypatch.setattr(
        estimate_process, "command", lambda home: [sys.executable, fake_foresight.__file__]
    )


@pytest.fixture(autouse=True)
def _light_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows ask a process without transformers for tokens: a word is one."""
    real = data_process.command
    fake = [sys.executable, fake_tokens.__file__]
    monkeypatch.setattr(
        data_process, "command", lambda kind, home: fake if kind == "tokens" else real(kind, home)
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


@dataclass(frozen=True)
class Pictures:
    """A folder of pictures, and the report of the looks checks beside them."""

    folder: Path
    report: dict[str, dict[str, list[str]]]


@pytest.fixture
def application(home: Home) -> Iterator[Application]:
    """What a window shows, begun, on an empty home."""
    made = Application(home, Settings())
    made.begin()
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture(scope="session")
def full_pages(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Every page, full, at 1280x800, light and dark; taken once, by a process of its own."""
    from tests.app.screenshots import SIZES, child  # loads the whole window

    folder = tmp_path_factory.mktemp("pictures")
    return Pictures(folder, child(folder, "--states", "full", "--sizes", SIZES[0], "--no-extras"))
