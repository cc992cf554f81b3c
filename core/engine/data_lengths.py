"""The lengths of many items as a distribution: which lengths there are, and how many items have each.

A hundred thousand items come to a few thousand lengths, which the window takes over in a moment.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("prompt", "demonstration", "teacher", "total")
SHARE_PARTS = 10_000
"""A share is told as a whole number of such parts."""
Lengths = tuple[int, int, int]
"""Of the prompt, of the demonstration, of the teacher's prompt; 0 where there is none."""


def distributions(numbers: Sequence[int], lengths: Sequence[Lengths]) -> dict[str, Any]:
    """By part: the lengths that occur in ascending order, their counts, and the number of the longest item.

    Args:
        numbers: of the items.
        lengths: of the same items. "total" is that of prompt and demonstration.
    """
    table = np.array(lengths, dtype="<i4").reshape(-1, 3)
    table = np.column_stack([table, table[:, 0] + table[:, 1]])
    found: dict[str, Any] = {}
    for place, part in enumerate(PARTS):
        values = table[:, place]
        lengths_, counts = np.unique(values[values > 0], return_counts=True)
        longest = numbers[int(values.argmax())] if lengths_.size else None
        found[part] = {"lengths": packed(lengths_), "counts": packed(counts), "longest": longest}
    return found


def packed(values: Any) -> str:
    """Little-endian 32-bit integers in base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<i4").tobytes()).decode("ascii")


def unpacked(text: str) -> NDArray[np.int64]:
    """What `packed` made."""
    return np.frombuffer(base64.b64decode(text), "<i4").astype(np.int64)
