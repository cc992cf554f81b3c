"""Keeping what the lineage shows: the graph as a picture, the table as a file."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from app.viewmodels import exporting
from app.viewmodels.application import Application
from app.views.checkpoint_table import CheckpointTable
from app.views.dialogs import Dialogs
from app.views.keeping import Keeper
from app.widgets import table_text
from app.widgets.lineage import LineageGraph
from app.widgets.lineage_picture import LineagePicture
from app.widgets.theme import Theme

CSV = (("Comma-separated table", ".csv"),)


class LineageKeeping:
    """Asks for a file and writes it off the window's thread."""

    def __init__(
        self,
        owner: QWidget,
        application: Application,
        theme: Theme,
        dialogs: Dialogs,
        graph: LineageGraph,
        table: CheckpointTable,
    ) -> None:
        self._owner = owner
        self._application = application
        self._dialogs = dialogs
        self._picture = LineagePicture(theme, graph)
        self._table = table
        self._keeper = Keeper(
            owner,
            theme,
            dialogs,
            application.message.emit,
            application.offload,
            lambda: "",
        )

    def save_picture(self) -> None:
        """What the graph shows, with the roles and where the numbers come from."""
        self._keeper.save(
            self._picture, "Lineage of checkpoints", self._application.models.disk_text
        )

    def export_table(self) -> None:
        """The rows in the shown order, with identities and where the numbers come from."""
        path = self._dialogs.save_file(self._owner, "Export the table", "checkpoints.csv", CSV)
        if path is None:
            return
        rows = self._table.with_sources()

        def write() -> int:
            exporting.write_text(str(path), table_text.comma_separated(rows))
            return len(rows) - 1

        told = self._application.message
        self._application.offload(
            write,
            lambda count: told.emit("info", f"{count} checkpoints were written to {path}.", ""),
        )
