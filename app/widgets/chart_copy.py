"""The numbers of a chart or a heatmap as tab-separated text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.widgets.curves import Line
from app.widgets.decimate import Floats


def lines_as_tsv(lines: Sequence[Line], x_label: str, name: str) -> str:
    """A row a place, a column a curve, with the ends of its band where it has one; empty where it has no point."""
    places = np.unique(np.concatenate([line.x for line in lines])) if lines else np.empty(0)
    heads, columns = [x_label], [[_text(x) for x in places.tolist()]]
    for line in lines:
        label = line.label or name
        parts = (("", line.y), (" low", line.low), (" high", line.high))
        for suffix, values in parts:
            if values is not None:
                heads.append(f"{label}{suffix}")
                columns.append(_aligned(line.x, values, places))
    rows = zip(*columns, strict=True)
    return "\n".join("\t".join(row) for row in (heads, *rows))


def matrix_as_tsv(values: Floats, rows: Sequence[str], cols: Sequence[str], corner: str) -> str:
    """A heatmap with its names, the first row of the matrix first."""
    lines = ["\t".join((corner, *cols))]
    for name, line in zip(rows, values.tolist(), strict=True):
        lines.append("\t".join((name, *(_text(value) for value in line))))
    return "\n".join(lines)


def _aligned(x: Floats, values: Floats, places: Floats) -> list[str]:
    known = dict(zip(x.tolist(), values.tolist(), strict=True))
    return [_text(known[place]) if place in known else "" for place in places.tolist()]


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.10g}"
