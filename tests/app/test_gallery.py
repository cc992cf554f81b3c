from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTabWidget, QWidget
from pytestqt.qtbot import QtBot

import app.widgets
from app.views.gallery_page import ICONS, GalleryPage
from app.views.pages import BY_KEY, LISTED
from app.widgets.controls import Button
from app.widgets.icons import IconFont
from app.widgets.theme import Theme

ELSEWHERE = {
    # Bases of what is shown.
    "Editor",
    "HandledPanel",
    "PlotPanel",
    # Parts of a page's chart that stand beside others, shown by their own tests.
    "ProfileStrip",
    "TintScale",
}


@pytest.fixture
def gallery(theme: Theme, qtbot: QtBot) -> Iterator[GalleryPage]:
    made = GalleryPage(theme)
    made.resize(1100, 760)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.hide()
    made.deleteLater()


def own_widgets() -> set[str]:
    """The names of all public widget classes of app.widgets."""
    found = set()
    for entry in pkgutil.iter_modules(app.widgets.__path__, "app.widgets."):
        module = importlib.import_module(entry.name)
        for name, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == entry.name and not name.startswith("_")
            if own and issubclass(kind, QWidget):
                found.add(name)
    return found


def test_that_every_widget_of_the_window_is_in_the_gallery(
    gallery: GalleryPage, qtbot: QtBot
) -> None:
    qtbot.mouseClick(gallery.load, Qt.MouseButton.LeftButton)
    shown = {base.__name__ for it in gallery.findChildren(QWidget) for base in type(it).__mro__}
    assert own_widgets() - shown - ELSEWHERE == set()


def test_that_the_gallery_needs_no_pyqtgraph_until_charts_are_wanted() -> None:
    code = "import sys, app.views.gallery_page\nprint('pyqtgraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_that_the_charts_are_made_once(gallery: GalleryPage) -> None:
    gallery.show_charts()
    before = len(gallery.charts.findChildren(QWidget))
    gallery.show_charts()
    assert len(gallery.charts.findChildren(QWidget)) == before
    assert not gallery.load.isVisible()


def test_that_it_is_a_page_of_the_window_which_only_developers_see() -> None:
    assert BY_KEY["gallery"] not in LISTED
    assert BY_KEY["gallery"].hidden


def test_that_the_contrasts_are_those_of_the_theme_in_force(
    gallery: GalleryPage, theme: Theme
) -> None:
    light = gallery._names["ink"].whole()
    theme.choose("dark")
    dark = gallery._names["ink"].whole()
    assert theme.tokens.ink in dark
    assert light != dark
    assert float(dark.split()[-1]) > 4.5


def test_that_its_icons_exist_and_its_states_differ(gallery: GalleryPage) -> None:
    assert set(ICONS) <= IconFont().names()
    pictures = {}
    for state in ("normal", "hover", "focus", "disabled", "checked"):
        name = f"quiet button, {state}"
        button = next(it for it in gallery.findChildren(Button) if it.accessibleName() == name)
        pictures[state] = bytes(button.grab().toImage().constBits())
    assert len(set(pictures.values())) == len(pictures)


def test_that_the_tabs_of_rows_are_walked_by_keys(gallery: GalleryPage, qtbot: QtBot) -> None:
    tabs = gallery.findChild(QTabWidget)
    assert isinstance(tabs, QTabWidget)
    tabs.tabBar().setFocus()
    qtbot.keyClick(tabs.tabBar(), Qt.Key.Key_Right)
    assert tabs.currentIndex() == 1
