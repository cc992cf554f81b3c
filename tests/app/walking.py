"""Behind the pages: every side of every card, every open list, the menus, the palette and the drawer.

They are looked at and not pictured: there are too many of them, and they look like what is pictured.
"""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QPoint
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QComboBox, QMenu, QWidget

from app.views.overlay import Overlay
from app.views.pages import PAGES
from app.widgets.controls import Segments
from tests.app import looks
from tests.app.scenes import PREPARE, Stage, settled, turn, wait

STATE = "full"
LEFT_OUT = ("gallery",)
MOMENT = 0.05


def walk(stage: Stage) -> dict[str, list[str]]:
    """What the looks checks find, by place."""
    found: dict[str, list[str]] = {}
    for key in (place.key for place in PAGES if place.key not in LEFT_OUT):
        stage.window.show_page(key)
        prepare = PREPARE.get((key, STATE))
        if prepare is not None:
            prepare(stage)
        settled(stage)
        for name, findings in _page(stage):
            found[f"{key}: {name}"] = [str(it) for it in findings]
    for overlay in stage.window.findChildren(Overlay):
        overlay.open()
        turn(MOMENT)
        found[overlay.accessibleName()] = [str(it) for it in looks.look(overlay.panel)]
        overlay.close_it()
    return found


def _page(stage: Stage) -> Iterator[tuple[str, list[looks.Finding]]]:
    window = stage.window
    yield from _opened(window, "as it opens")
    seen: set[int] = set()
    while True:
        new = [it for it in window.findChildren(Segments) if it.isVisible() and id(it) not in seen]
        if not new:
            return
        segments = new[0]
        seen.add(id(segments))
        first = segments.current()
        for key in segments.choices():
            if key == first or not segments.isVisible():
                continue
            segments.choose(key)
            settled(stage)
            name = f"{segments.accessibleName()}, {key}"
            yield name, looks.look(window)
            yield from _opened(window, name)
        segments.choose(first)


def _opened(window: QWidget, where: str) -> Iterator[tuple[str, list[looks.Finding]]]:
    """The lists and the menus that can be opened now."""
    for combo in [it for it in window.findChildren(QComboBox) if it.isVisible()]:
        combo.showPopup()
        wait(lambda combo=combo: combo.view().isVisible())  # type: ignore[misc]
        popup = combo.view().window()
        popup.grab()  # the style is known only when it has been painted
        yield f"{where}, list {combo.accessibleName()}", looks.look(popup)
        combo.hidePopup()
    for view in [it for it in window.findChildren(QAbstractItemView) if it.isVisible()]:
        model = view.model()
        if model is None or not model.rowCount() or view.window() is not window:
            continue
        at = view.visualRect(model.index(0, 0)).center()
        _ask(view.viewport(), at)
        menu = QApplication.activePopupWidget()
        if isinstance(menu, QMenu):
            yield f"{where}, menu of {view.accessibleName()}", looks.menu(menu)
            menu.close()


def _ask(viewport: QWidget, at: QPoint) -> None:
    mouse = QContextMenuEvent.Reason.Mouse
    QApplication.postEvent(viewport, QContextMenuEvent(mouse, at, viewport.mapToGlobal(at)))
    turn(MOMENT)
