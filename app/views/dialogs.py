"""The questions the window asks before something is lost. One object, handed to the pages, so that tests answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from app.views.questions import LineQuestion, NotesQuestion, Question
from app.views.tag_dialog import TagDialog


class Dialogs:
    """Modal questions; every text says exactly what happens."""

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        """Ask before a destructive act; the safe answer is the default one."""
        asked = Question(parent, title, text)
        asked.add_answer("Cancel", default=True)
        asked.add_answer(accept, "yes", "danger")
        return _given(asked) == "yes"

    def leave(self, parent: QWidget, running: int) -> str:
        """What becomes of running work when the window closes: "keep", "stop" or "cancel"."""
        return _leave(
            parent,
            "Close the window?",
            f"{_in_progress(running)} Training goes on without the window; open Rekindle again to watch it.",
            "Close, keep training",
            "Stop and save, then close",
        )

    def leave_project(self, parent: QWidget, running: int) -> str:
        """The same when another project is opened in its place."""
        return _leave(
            parent,
            "Open another project?",
            f"{_in_progress(running)} Training goes on without the window; open this project again to watch it.",
            "Leave, keep training",
            "Stop and save, then leave",
        )

    def ask_text(self, parent: QWidget, title: str, label: str, text: str) -> str | None:
        """A line of text, or None when cancelled or left empty."""
        asked = LineQuestion(parent, title, label, text)
        return asked.field.text().strip() or None if _given(asked) else None

    def ask_folder(self, parent: QWidget, title: str, start: str) -> str | None:
        """A folder, or None when cancelled."""
        return QFileDialog.getExistingDirectory(parent, title, start) or None

    def save_file(
        self, parent: QWidget, title: str, suggested: str, kinds: Sequence[tuple[str, str]]
    ) -> Path | None:
        """Where to write a file, or None when cancelled.

        Args:
            parent: the window it belongs to.
            title: of the dialog.
            suggested: name, or path, offered first.
            kinds: (words, suffix) of the formats, as ("Picture", ".png"); a name without one of the suffixes
                gets that of the format chosen.
        """
        filters = [f"{words} (*{suffix})" for words, suffix in kinds]
        chosen, kind = QFileDialog.getSaveFileName(parent, title, suggested, ";;".join(filters))
        if not chosen:
            return None
        path = Path(chosen)
        if path.suffix.lower() in [suffix for _, suffix in kinds]:
            return path
        return path.with_name(path.name + kinds[filters.index(kind) if kind in filters else 0][1])

    def ask_notes(self, parent: QWidget, title: str, label: str, text: str) -> str | None:
        """Several lines of text, which may be empty; None when cancelled."""
        asked = NotesQuestion(parent, title, label, text)
        return asked.field.toPlainText().strip() if _given(asked) else None

    def ask_tags(
        self, parent: QWidget, title: str, shares: Mapping[str, float]
    ) -> tuple[Sequence[str], Sequence[str]] | None:
        """Tags to add and tags to take away; None when cancelled. See `TagDialog`."""
        asked = TagDialog(parent, title, shares)
        return asked.answer() if _given(asked) else None

    def choose_file(self, parent: QWidget, title: str, start: str, kinds: str) -> str:
        """A file that exists, or "" when cancelled; `kinds` as Qt writes filters."""
        return QFileDialog.getOpenFileName(parent, title, start, kinds)[0]

    def new_folder(self, parent: QWidget, title: str, start: str) -> str:
        """The path of a folder to make, or "" when cancelled."""
        return QFileDialog.getSaveFileName(
            parent, title, start, options=QFileDialog.Option.ShowDirsOnly
        )[0]


def _given(asked: Question) -> str:
    """Show a question until it is answered; its answer's key. What was typed can still be read afterwards."""
    asked.exec()
    asked.deleteLater()
    return asked.given


def _in_progress(running: int) -> str:
    return "A run is in progress." if running == 1 else f"{running} runs are in progress."


def _leave(parent: QWidget, title: str, text: str, keeping: str, stopping: str) -> str:
    asked = Question(parent, title, text)
    asked.add_answer("Cancel")
    asked.add_answer(stopping, "stop")
    asked.add_answer(keeping, "keep", "primary", default=True)
    return _given(asked) or "cancel"
