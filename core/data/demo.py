"""Rows of the generated tasks, in the formats that data files have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from core.data.rows import Row
from core.demo import datasets
from core.demo.draw import Split
from core.recipe.sources import DatasetSource


def demo_rows(source: DatasetSource) -> Iterator[Row]:
    """The rows that a recipe's `demo` source names; the recipe has checked its fields."""
    assert source.demo is not None
    assert source.limit is not None
    split = cast(Split, source.split)
    label = f"demo {source.demo}, {source.config}, {source.split}"
    found = datasets.rows(source.demo, str(source.config), split, source.limit)
    for number, row in enumerate(found, start=1):
        yield Row(f"{label}, item {number}", dict(row))
