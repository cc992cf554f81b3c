"""What is done to selected runs: marks, names, tags, notes, deleting, copying, writing to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.viewmodels import exporting
from app.viewmodels.application import Application
from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.run_cells import title
from app.viewmodels.run_edits import KEPT_DAYS
from app.views.dialogs import Dialogs
from app.widgets import table_text

NAMES_SHOWN = 3
COPIED_AT_ONCE = 500
"""More runs than this are put into words off the window's thread: 10,000 took 0.2 s."""
CSV = (("Comma-separated table", ".csv"),)


class RunActs:
    """One object per page.

    Args:
        page: parent of the questions asked.
        application: does what is asked for.
        model: the runs as they are shown.
        dialogs: asks.
        columns: the keys of the columns that are shown, from left to right.
    """

    def __init__(
        self,
        page: QWidget,
        application: Application,
        model: ArrangedRuns,
        dialogs: Dialogs,
        columns: Callable[[], Sequence[str]],
    ) -> None:
        self._page = page
        self._application = application
        self._model = model
        self._dialogs = dialogs
        self._columns = columns

    def mark(self, uids: Sequence[str], star: int) -> None:
        """Set a star or a cross; the same again takes it away."""
        self._application.edits.mark(self._application.runs.rows(uids), star)

    def rename(self, uids: Sequence[str]) -> None:
        """Ask for another name of the first run."""
        for row in self._application.runs.rows(uids[:1]):
            name = self._dialogs.ask_text(self._page, "Rename the run", "Name", row.name)
            if name is not None:
                self._application.edits.rename(row, name)

    def tag(self, uids: Sequence[str]) -> None:
        """Ask for tags to add and to take away, of all runs at once."""
        rows = self._application.runs.rows(uids)
        if not rows:
            return
        known = self._application.runs.vocabulary().tags
        shares = {tag: sum(tag in row.tags for row in rows) / len(rows) for tag in known}
        what = f"Tags of “{rows[0].name}”" if len(rows) == 1 else f"Tags of {len(rows)} runs"
        answer = self._dialogs.ask_tags(self._page, what, shares)
        if answer is not None:
            self._application.edits.tag(rows, *answer)

    def note(self, uids: Sequence[str]) -> None:
        """Ask for the notes of the first run."""
        for row in self._application.runs.rows(uids[:1]):
            what = f"Notes of “{row.name}”"
            notes = self._dialogs.ask_notes(self._page, what, "What is worth keeping", row.notes)
            if notes is not None:
                self._application.edits.note(row, notes)

    def delete(self, uids: Sequence[str]) -> None:
        """Ask, then delete; it can be undone."""
        names = [row.name for row in self._application.runs.rows(uids)]
        shown = ", ".join(f"“{name}”" for name in names[:NAMES_SHOWN])
        more = len(names) - NAMES_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        text = (
            f"{shown}{rest}: the recipe, all curves, completions and scores leave the list. "
            f"Undo (Ctrl+Z) brings them back; after {KEPT_DAYS} days they are deleted for good. "
            "Checkpoints on the disk stay."
        )
        heading = "Delete the run?" if len(names) == 1 else f"Delete {len(names)} runs?"
        if names and self._dialogs.confirm(self._page, heading, text, "Delete"):
            self._application.delete(uids)

    def copy(self, uids: Sequence[str]) -> None:
        """The shown columns of these runs, tab-separated."""
        self._copy(uids, table_text.tsv)

    def copy_markdown(self, uids: Sequence[str]) -> None:
        """The same as a Markdown table."""
        self._copy(uids, table_text.markdown)

    def export(self) -> None:
        """Ask for a file and write every run that is shown, in the shown order and columns."""
        path = self._dialogs.save_file(self._page, "Export the list", "runs.csv", CSV)
        if not path:
            return
        entries, columns = self._model.entries(), tuple(self._columns())
        heads = [title(key) or key for key in columns]

        def write() -> int:
            rows = [[entry.text(key) for key in columns] for entry in entries]
            exporting.write_text(str(path), table_text.comma_separated([heads, *rows]))
            return len(rows)

        told = self._application.message
        self._application.offload(
            write, lambda count: told.emit("info", f"{count} runs were written to {path}.", "")
        )

    def _copy(self, uids: Sequence[str], wording: Callable[[list[list[str]]], str]) -> None:
        columns = tuple(self._columns())
        found = (self._application.runs.entry(uid) for uid in uids)
        entries = [entry for entry in found if entry is not None]

        def text() -> str:
            rows = [[entry.text(key) for key in columns] for entry in entries]
            return wording([[title(key) or key for key in columns], *rows])

        def take(words: object) -> None:
            QGuiApplication.clipboard().setText(str(words))

        if len(entries) <= COPIED_AT_ONCE:
            take(text())
        else:
            self._application.offload(text, take)
