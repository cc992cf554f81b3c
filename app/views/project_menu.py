"""The menu of the project chip: which project is open, the others, and where it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMenu, QWidget

from app.viewmodels.projects import Project
from app.views.dialogs import Dialogs

NEW = "New project…"
NEW_ASKED = "A folder to make for the new project"
NEW_NAME = "project"
ANOTHER = "Open another folder…"
FOLDER = "Open the folder"
ASKED = "A folder with a project, or an empty one"


def project_menu(
    button: QWidget,
    projects: Sequence[Project],
    dialogs: Dialogs,
    wanted: Callable[[str], None],
) -> QMenu:
    """Pop the menu up below `button`; `wanted` takes the folder of the project to open."""
    menu = QMenu(button)
    opened = next(project for project in projects if project.is_open)
    for project in projects:
        action = menu.addAction(project.title)
        action.setCheckable(True)
        action.setChecked(project.is_open)
        action.setToolTip(project.path)
        if not project.is_open:
            action.triggered.connect(lambda _=False, path=project.path: wanted(path))
    menu.addSeparator()

    def ask() -> None:
        path = dialogs.ask_folder(button, ASKED, opened.path)
        if path is not None:
            wanted(path)

    def make() -> None:
        path = dialogs.new_folder(button, NEW_ASKED, str(Path(opened.path).parent / NEW_NAME))
        if path:
            wanted(path)

    menu.addAction(NEW).triggered.connect(lambda: make())
    menu.addAction(ANOTHER).triggered.connect(lambda: ask())
    menu.addAction(FOLDER).triggered.connect(
        lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(opened.path))
    )
    menu.setToolTipsVisible(True)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.popup(button.mapToGlobal(button.rect().bottomLeft()))
    return menu
