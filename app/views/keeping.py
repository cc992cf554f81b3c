"""Keeping what a chart shows: as a picture in a file, or as numbers in the clipboard."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from app.viewmodels.answers import Offload
from app.views.dialogs import Dialogs
from app.widgets.chart_copy import with_origin
from app.widgets.pictures import Picture, Pictured
from app.widgets.plot_words import PlotPanel
from app.widgets.theme import Theme

logger = logging.getLogger(__name__)

SAVE_KEYS, COPY_KEYS = "Ctrl+Shift+E", "Ctrl+C"
KINDS = (("Picture", ".png"), ("Vector picture", ".svg"))

Tell = Callable[[str, str, str], None]
"""Takes level, text and hint of a message."""


class Keeper:
    """Saves and copies panels.

    Args:
        owner: the widget whose window asks.
        theme, dialogs: of the window.
        tell: shows a message.
        offload: runs a job away from the window's thread, then hands on its answer.
        run: the words that begin the name of a file.
    """

    def __init__(
        self,
        owner: QWidget,
        theme: Theme,
        dialogs: Dialogs,
        tell: Tell,
        offload: Offload,
        run: Callable[[], str],
    ) -> None:
        self._owner = owner
        self._theme = theme
        self._dialogs = dialogs
        self._tell = tell
        self._offload = offload
        self._run = run

    def save(self, panel: Pictured, title: str, caption: str) -> None:
        """Ask where, and write a picture of the panel."""
        path = self._dialogs.save_file(
            self._owner,
            f"Save “{title}” as a picture",
            f"{_slug(f'{self._run()} {title}')}.png",
            KINDS,
        )
        if path is None:
            return
        lines = _lines(caption, panel.source)
        picture = Picture(self._theme, panel, title, panel.legend_entries(), lines)
        encode = picture.painted(path.suffix)
        self._offload(lambda: _written(path, encode()), lambda answer: self._answer(path, answer))

    def _answer(self, path: Path, written: object) -> None:
        if written:
            self._tell("info", f"Saved {path.name}.", "")
        else:
            self._tell("error", f"The picture was not saved in {path}.", "Choose another folder.")

    def copy(self, panel: PlotPanel, title: str = "", caption: str = "") -> None:
        """Put the numbers of a panel into the clipboard, as tab-separated text, and where they come from."""
        origin = _lines(title, caption, panel.source)
        QGuiApplication.clipboard().setText(with_origin(panel.as_tsv(), origin))

    def menu(
        self,
        panel: PlotPanel,
        title: str,
        caption: str,
        at: QPoint,
        more: tuple[tuple[str, str, Callable[[], None]], ...] = (),
    ) -> QMenu:
        """Show the menu of a panel; `more` are (words, keys, act) of its own."""
        menu = QMenu(self._owner)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        entries = (
            ("Save as a picture…", SAVE_KEYS, lambda: self.save(panel, title, caption)),
            ("Copy the numbers", COPY_KEYS, lambda: self.copy(panel, title, caption)),
        )
        for words, keys, act in (*entries, *more):
            action = menu.addAction(words)
            action.setShortcut(QKeySequence(keys))
            action.setShortcutVisibleInContextMenu(True)
            action.triggered.connect(act)
        menu.popup(at)
        return menu


def _lines(*texts: str) -> list[str]:
    return [line for text in texts for line in text.splitlines() if line]


def _written(path: Path, content: bytes) -> bool:
    """Write a file in one move, in the thread of the reader."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        logger.warning("A picture was not saved: %s", error)
        return False
    return True


def _slug(text: str) -> str:
    """A name for a file out of words."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.").lower() or "chart"
