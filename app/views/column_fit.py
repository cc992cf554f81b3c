"""Columns as wide as what they hold, or as a person dragged them; where the table is too narrow for all,
those that matter least give way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtWidgets import QHeaderView, QTableView

ADDED_PX = 110
"""Width of a column that was just added."""


class ColumnFit:
    """Order, widths and visibility of a table's columns.

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
        self._dragged: dict[str, int] = {}
        self._unwanted: set[str] = set()
        self._fitting = False
        table.horizontalHeader().sectionResized.connect(self._resized)

    def set_keys(self, keys: Sequence[str]) -> None:
        """Columns were added at the end, or some of those taken away."""
        gone = set(self._keys) - set(keys)
        new = [key for key in keys if key not in self._keys]
        self._keys = tuple(keys)
        self._giving_way = [key for key in self._giving_way if key not in gone] + new
        self._unwanted -= gone
        self._set_modes()
        self.fit()

    def wanted(self, key: str) -> bool:
        """A person wants this column, whether or not there is room."""
        return key not in self._unwanted

    def shown(self, key: str) -> bool:
        """The column is wanted and has room."""
        return not self._table.isColumnHidden(self._keys.index(key))

    def in_order(self) -> list[str]:
        """The wanted columns as a person ordered them, from left to right."""
        header = self._table.horizontalHeader()
        places = sorted(range(len(self._keys)), key=header.visualIndex)
        return [self._keys[place] for place in places if self.wanted(self._keys[place])]

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

    def forget_widths(self) -> None:
        """As wide as what they hold again."""
        self._dragged.clear()
        self.fit()

    def fit(self) -> None:
        """Lay out for the width that there is."""
        shown = [key for key in self._keys if key not in self._unwanted]
        over = sum(map(self._width, shown)) - self._table.viewport().width()
        for key in self._giving_way:
            if over > 0 and key in shown:
                shown.remove(key)
                over -= self._width(key)
        header = self._table.horizontalHeader()
        self._fitting = True
        for place, key in enumerate(self._keys):
            header.setSectionHidden(place, key not in shown)
            if key in shown and key != self._stretch:
                header.resizeSection(place, self._width(key))
        self._fitting = False

    def state(self) -> str:
        """Order, wanted columns and dragged widths, for the settings."""
        header = self._table.horizontalHeader()
        order = sorted(range(len(self._keys)), key=header.visualIndex)
        return json.dumps(
            {
                "order": [self._keys[place] for place in order],
                "unwanted": sorted(self._unwanted),
                "widths": self._dragged,
            }
        )

    def restore(self, state: str, unwanted: Iterable[str]) -> None:
        """Take a `state`, or without one leave out the columns `unwanted`."""
        known = _read(state)
        self._unwanted = set(known.get("unwanted", unwanted)) & set(self._keys)
        # A column that is new since then, and hidden at first, stays hidden.
        order = known.get("order", [])
        if order:
            self._unwanted |= {key for key in unwanted if key not in order}
        self._dragged = {key: int(px) for key, px in known.get("widths", {}).items()}
        header = self._table.horizontalHeader()
        for place, key in enumerate(key for key in order if key in self._keys):
            header.moveSection(header.visualIndex(self._keys.index(key)), place)
        self._set_modes()

    def _width(self, key: str) -> int:
        return self._dragged.get(key, self._widths.get(key, ADDED_PX))

    def _set_modes(self) -> None:
        mode = QHeaderView.ResizeMode
        header = self._table.horizontalHeader()
        for place, key in enumerate(self._keys):
            stretched = key == self._stretch
            header.setSectionResizeMode(place, mode.Stretch if stretched else mode.Interactive)

    def _resized(self, place: int, _: int, width: int) -> None:
        """A person dragged a column's edge."""
        if self._fitting or width == 0 or place >= len(self._keys):
            return
        key = self._keys[place]
        if key != self._stretch and self._widths:
            self._dragged[key] = width


def _read(state: str) -> dict[str, Any]:
    """A state as written by this version; anything else counts as none."""
    try:
        known = json.loads(state) if state else {}
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
