"""The numbers of a chart or a heatmap as tab-separated text, and below them where they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.widgets.curves import Line
from app.widgets.decimate import Floats


def lines_as_tsv(lines: Sequence[Line], x_label: str, name: str) -> str:
    """A row a place, a column a curve, with the ends of its band where it has one; empty where it has no point.

    Points of one curve at the same place have a row each.
    """
    keys = [_keys(line.x) for line in lines]
    places = sorted({key for found in keys for key in found})
    heads, columns = [x_label], [[_text(x) for x, _ in places]]
    for line, own in zip(lines, keys, strict=True):
        label = line.label or name
        parts = (("", line.y), (" low", line.low), (" high", line.high))
        for suffix, values in parts:
            if values is not None:
                heads.append(f"{label}{suffix}")
                known = dict(zip(own, values.tolist(), strict=True))
                columns.append([_text(known[it]) if it in known else "" for it in places])
    rows = zip(*columns, strict=True)
    return "\n".join("\t".join(row) for row in (heads, *rows))


def matrix_as_tsv(values: Floats, rows: Sequence[str], cols: Sequence[str], corner: str) -> str:
    """A heatmap with its names, the first row of the matrix first."""
    lines = ["\t".join((corner, *cols))]
    for name, line in zip(rows, values.tolist(), strict=True):
        lines.append("\t".join((name, *(_text(value) for value in line))))
    return "\n".join(lines)


def with_origin(text: str, lines: Sequence[str]) -> str:
    """The numbers, and below them as comments where they come from."""
    return "\n".join((text, *(f"# {line}" for line in lines)))


def _keys(x: Floats) -> list[tuple[float, int]]:
    """Every point of ascending `x` as its place and how many of the same place come before it."""
    before = np.arange(x.size) - np.searchsorted(x, x, "left")
    return list(zip(x.tolist(), before.tolist(), strict=True))


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.10g}"
