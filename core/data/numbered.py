"""Items of a dataset by number: what a row means, each one read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.data.example import Example
from core.data.formats import EXPECTED, Misfit, example_of
from core.data.index import Heard, readable, rows_in, unheard
from core.data.load import check_columns, format_of
from core.data.rows import Row
from core.errors import UserError
from core.recipe.sources import DatasetSource

TRIED = 50
"""Rows that are tried for one that can be read and tells the format."""


class Items:
    """The examples of a source, as a run would read them, with their numbers from 0.

    Args:
        source: as in a recipe.
        folder: to which a relative path belongs.
        heard: is told how far it is, now and then.

    Raises:
        UserError: there is no such data, or of no kind that can be read.
    """

    def __init__(self, source: DatasetSource, folder: Path, heard: Heard = unheard) -> None:
        self.source = source
        self._name = Path(source.file or "").name or str(source.hub or source.demo)
        self._rows = rows_in(source, folder, heard)
        self.format, self.trouble = self._look()

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Row:
        """A row as it stands in the file.

        Raises:
            UserError: it cannot be read.
        """
        with readable(self._name):
            return self._rows.row(number)

    def example(self, number: int) -> Example:
        """The item that a row is.

        Raises:
            UserError: it cannot be read, or does not fit the format; says where and what is expected.
        """
        row = self.row(number)
        if self.trouble is not None:
            raise self.trouble
        return self.meant(row, number)

    def meant(self, row: Row, number: int) -> Example:
        """The item that this row is.

        Raises:
            UserError: it does not fit the format.
        """
        try:
            return example_of(self.format, row.fields, number, self.source.columns)
        except Misfit as error:
            raise UserError(
                f"{row.where}: {error}.",
                f"Expected in every row of format {self.format}: {EXPECTED[self.format]}.",
            ) from error

    def good(self) -> Iterator[tuple[int, Example | None]]:
        """Every number with its example, None where there is none."""
        for number in range(len(self)):
            try:
                yield number, self.example(number)
            except UserError:
                yield number, None

    def _look(self) -> tuple[str, UserError | None]:
        """The format by the first row that can be read, or why there is none."""
        trouble = UserError("The data hold no items.", "Give a file with at least one item.")
        for number in range(min(TRIED, len(self._rows))):
            try:
                row = self.row(number)
            except UserError as error:
                trouble = error
                continue
            try:
                check_columns(self.source.columns)
                return format_of(row, self.source), None
            except UserError as error:
                return "", error
        return "", trouble
