"""Columns as wide as what they hold; where the table is too narrow for all, those that matter least give way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import QByteArray
from PySide6.QtWidgets import QHeaderView, QTableView


class ColumnFit:
    """Widths and visibility of a table's columns.

    Args:
        table: whose columns these are.
        keys: the columns, in the model's order.
        stretch: the column that takes what is left; it always stays.
        giving_way: columns that may be left out, the first to go first; the others always stay.
    """

    def __init__(
        self, table: QTableView, keys: Sequence[str], stretch: str, giving_way: Iterable[str]
    ) -> None:
        self._table = table
        self._keys = tuple(keys)
        self._stretch = stretch
        self._giving_way = list(giving_way)
        self._widths: dict[str, int] = {}
        self._unwanted: set[str] = set()

    def wanted(self, key: str) -> bool:
        """A person wants this column, whether or not there is room."""
        return key not in self._unwanted

    def shown(self, key: str) -> bool:
        """The column is wanted and has room."""
        return not self._table.isColumnHidden(self._keys.index(key))

    def choose(self, key: str, on: bool) -> None:
        """Want a column or not; one that is asked for gives way last."""
        if on:
            self._unwanted.discard(key)
            self._giving_way.remove(key)
            self._giving_way.append(key)
        else:
            self._unwanted.add(key)
        self.fit()

    def set_widths(self, widths: Mapping[str, int]) -> None:
        """The width each column needs; for the stretched one, the least."""
        self._widths = dict(widths)
        self.fit()

    def fit(self) -> None:
        """Lay out for the width that there is."""
        shown = [key for key in self._keys if key not in self._unwanted]
        over = sum(self._widths[key] for key in shown) - self._table.viewport().width()
        for key in self._giving_way:
            if over > 0 and key in shown:
                shown.remove(key)
                over -= self._widths[key]
        header = self._table.horizontalHeader()
        for place, key in enumerate(self._keys):
            header.setSectionHidden(place, key not in shown)
            if key in shown and key != self._stretch:
                header.resizeSection(place, self._widths[key])

    def state(self) -> str:
        """Order and wanted columns, for the settings."""
        header = self._table.horizontalHeader()
        for place, key in enumerate(self._keys):
            header.setSectionHidden(place, key in self._unwanted)
        state = bytes(header.saveState().toBase64().data()).decode("ascii")
        self.fit()
        return state

    def restore(self, state: str, unwanted: Iterable[str]) -> None:
        """Take a `state`, or without one leave out the columns `unwanted`."""
        header = self._table.horizontalHeader()
        if state and header.restoreState(QByteArray.fromBase64(state.encode("ascii"))):
            self._unwanted = {
                key for place, key in enumerate(self._keys) if header.isSectionHidden(place)
            }
        else:
            self._unwanted = set(unwanted)
        mode = QHeaderView.ResizeMode
        for place, key in enumerate(self._keys):
            header.setSectionResizeMode(place, mode.Stretch if key == self._stretch else mode.Fixed)
