"""What a folder of safetensors holds, by its headers alone: names, shapes, precisions. Nothing is loaded.

The format: 8 bytes of length (little-endian), then that many bytes of JSON, then the tensors.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError

LENGTH_BYTES = 8
LARGEST_HEADER = 100_000_000
"""The format's own limit on the header, in bytes."""
_PACKED_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_PACKED_STATE = "quant_state.bitsandbytes__"
_WEIGHTS_IN_A_BYTE = 2
"""Of NF4."""
PRECISIONS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Stored:
    """One tensor of a file: its precision as safetensors spells it, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def header(file: Path) -> dict[str, Stored]:
    """The tensors of one file.

    Raises:
        UserError: it is no safetensors file, or a damaged one.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            if not 0 < length <= LARGEST_HEADER:
                raise ValueError("its header has an impossible length")
            entries = json.loads(stream.read(length))
        return {
            name: Stored(str(it["dtype"]), tuple(it["shape"]))
            for name, it in entries.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no safetensors file, or damaged ({error}).",
            "Copy or download the file again.",
        ) from error


def headers(folder: Path) -> dict[str, Stored]:
    """All tensors of a folder's safetensors files."""
    found: dict[str, Stored] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= header(file)
    return found


def count_weights(tensors: Mapping[str, Stored]) -> int:
    """Number of weights; packed ones count as what they unpack to, their scales not at all."""
    total = 0
    for name, stored in tensors.items():
        last = name.rsplit(".", 1)[-1]
        if last in _PACKED_PARTS or _PACKED_STATE in name:
            continue
        packed = any(f"{name}.{_PACKED_STATE}{kind}" in tensors for kind in ("nf4", "fp4"))
        total += math.prod(stored.shape) * (_WEIGHTS_IN_A_BYTE if packed else 1)
    return total


def precision(tensors: Mapping[str, Stored]) -> str:
    """The floating-point type that most weights have, for example "bfloat16"; "" when there is none."""
    weights: Counter[str] = Counter()
    for stored in tensors.values():
        if stored.dtype in PRECISIONS:
            weights[PRECISIONS[stored.dtype]] += math.prod(stored.shape)
    return weights.most_common(1)[0][0] if weights else ""
