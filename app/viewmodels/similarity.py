"""CKA of a run: layers by steps while training, layer by layer for finished checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.viewmodels import words
from app.viewmodels.curves import MOST, Curve
from app.viewmodels.types import Floats, Heatmap, LabelledHeatmap, Profile
from core.analysis.cka import adjusted
from core.events import CkaMeasured

INTERVAL = "95 % interval"
SPREAD = "middle half of the sequences"
"""What the band around a profile is; runs of earlier versions have no interval."""


class Similarity:
    """Folds `CkaMeasured`."""

    def __init__(self) -> None:
        self._live: dict[str, _Live] = {}  # by subject
        self._final: dict[str, CkaMeasured] = {}  # by subject

    def add(self, measured: CkaMeasured) -> None:
        """A measurement of a finished checkpoint, or at a step of a training stage."""
        if measured.step is None:
            self._final[measured.subject] = measured
            return
        live = self._live.get(measured.subject)
        if live is None or live.rows != measured.rows:
            live = self._live[measured.subject] = _Live(measured)
        live.add(measured, measured.step)

    def live_subjects(self) -> tuple[str, ...]:
        """Stages measured while training, oldest first."""
        return tuple(self._live)

    def live(self, subject: str) -> Heatmap | None:
        """Layers by steps of one training stage; the newest one for ""."""
        live = self._live.get(subject or next(reversed(self._live), ""))
        return None if live is None else live.heatmap()

    def steps(self, subject: str) -> tuple[int, ...]:
        """Steps of a training stage for which there is a layer by layer map."""
        live = self._live.get(subject)
        return () if live is None else tuple(sorted(live.maps))

    def floor(self, subject: str) -> Floats:
        """What chance alone gives in each layer of a training stage; NaN where it was not measured."""
        live = self._live.get(subject or next(reversed(self._live), ""))
        if live is None:
            return np.empty(0)
        return _aligned(live.newest.null_floor, len(live.rows), np.nan)

    def map_at(self, subject: str, step: int) -> Heatmap | None:
        """Layer by layer at one of `steps`."""
        live = self._live.get(subject)
        values = None if live is None else live.maps.get(step)
        if live is None or values is None:
            return None
        caption = f"step {step} · {live.newest.subject} against {live.newest.reference} · {_noted(live.newest)}"
        return _heatmap(live.rows, live.newest.cols, values.astype(np.float64), caption)

    def maps(self, roles: Mapping[str, str]) -> tuple[LabelledHeatmap, ...]:
        """Layer by layer maps of finished checkpoints."""
        return tuple(
            LabelledHeatmap(
                f"{subject} against {it.reference}",
                subject,
                roles.get(subject, ""),
                _heatmap(it.rows, it.cols, _matrix(it), _noted(it)),
            )
            for subject, it in self._final.items()
            if it.layout == "map"
        )

    def profiles(self, roles: Mapping[str, str], run: str = "") -> tuple[Profile, ...]:
        """CKA per layer of finished checkpoints against the reference."""
        return tuple(
            _profile(it, roles.get(subject, ""), run) for subject, it in self._final.items()
        )

    def captions(self) -> frozenset[tuple[str, str]]:
        """(reference, how it was measured) of all finished measurements."""
        return frozenset((it.reference, _caption(it)) for it in self._final.values())


class _Live:
    """The measurements of one training stage, a column a step."""

    def __init__(self, first: CkaMeasured) -> None:
        self.rows = first.rows
        self.newest = first
        self.maps: dict[int, NDArray[np.float32]] = {}
        self._columns = Curve(width=len(first.rows))

    def add(self, measured: CkaMeasured, step: int) -> None:
        self.newest = measured
        self._columns.add(step, *_diagonal(measured))
        for later in [it for it in self.maps if it > step]:
            del self.maps[later]
        if measured.layout == "map":
            self.maps[step] = _matrix(measured).astype(np.float32)

    def heatmap(self) -> Heatmap:
        steps = tuple(float(step) for step in self._columns.x)
        return _heatmap(
            self.rows,
            tuple(f"{step:.0f}" for step in steps),
            self._columns.matrix().T,
            f"{self.newest.subject} against {self.newest.reference} · {_noted(self.newest)}",
            col_axis="step",
            positions=steps,
        )


def _heatmap(
    rows: tuple[str, ...],
    cols: tuple[str, ...],
    values: Floats,
    caption: str,
    col_axis: str = "layer",
    positions: tuple[float, ...] = (),
) -> Heatmap:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return Heatmap(
        tuple(words.layer(row) for row in rows),
        cols if col_axis == "step" else tuple(words.layer(col) for col in cols),
        values,
        low,
        high,
        caption,
        col_axis=col_axis,
        positions=positions,
    )


def _matrix(measured: CkaMeasured) -> Floats:
    return _sound(measured.values).reshape(len(measured.rows), -1)


def _sound(values: tuple[float, ...]) -> Floats:
    """The values as an array; what overflowed is undefined."""
    found = np.asarray(values, np.float64)
    return np.where(np.abs(found) < MOST, found, np.nan)


def _diagonal(measured: CkaMeasured) -> Floats:
    if measured.layout == "map":
        return np.diagonal(_matrix(measured))
    return _sound(measured.values)


def _profile(measured: CkaMeasured, role: str, run: str) -> Profile:
    values = _diagonal(measured)
    low, high, band = _band(measured, values)
    return Profile(
        measured.subject,
        measured.subject,
        role,
        tuple(words.layer(row) for row in measured.rows[: len(values)]),
        values,
        low,
        high,
        _aligned(measured.null_floor, len(values), np.nan),
        " · ".join(filter(None, (f"against {measured.reference}", _caption(measured), band))),
        run,
    )


def _band(measured: CkaMeasured, values: Floats) -> tuple[Floats, Floats, str]:
    """The band around the values and what it is: an interval, else the spread over sequences, else none."""
    if len(measured.low) == len(measured.high) == len(values):
        low, high = (_sound(ends) for ends in (measured.low, measured.high))
        known = np.isfinite(low) & np.isfinite(high)
        return np.where(known, low, values), np.where(known, high, values), INTERVAL
    half = _aligned(measured.spread, len(values), 0.0) / 2
    return values - half, values + half, SPREAD if half.any() else ""


def told(measured: CkaMeasured) -> str:
    """A measurement in a sentence or two: its last layer with interval, and what other measures say of it."""
    values = _diagonal(measured)
    if not len(values) or not np.isfinite(values[-1]):
        return ""
    low, high, band = _band(measured, values)
    facts = []
    if band == INTERVAL and high[-1] > low[-1]:
        facts.append(f"{INTERVAL} {_number(low[-1])} to {_number(high[-1])}")
    floor = _aligned(measured.null_floor, len(values), 0.0)
    if floor[-1] > 0:
        facts.append(f"{_number(adjusted(values, floor)[-1])} above chance")
    layer = words.plain(measured.rows[len(values) - 1]).lower()
    text = f"{layer} {_number(values[-1])}" + (f" ({', '.join(facts)})" if facts else "")
    others = [
        f"{words.OPINION.get(name, words.plain(name))} {_number(found[-1])}"
        for name, found in measured.opinions.items()
        if found
    ]
    if others:
        text += f"; {', '.join(others)}"
    if measured.probe_kl is not None:
        text += f"; {_kl(measured)}"
    return text


def _number(value: float) -> str:
    return words.NONE if not np.isfinite(value) else f"{value:.4f}".replace("-", words.MINUS)


def _kl(measured: CkaMeasured) -> str:
    assert measured.probe_kl is not None
    return f"next-token KL {words.number(measured.probe_kl)} nats"


def _noted(measured: CkaMeasured) -> str:
    """How a map was measured, what chance gives, and the functional measure beside it."""
    floor = _sound(measured.null_floor)
    known = floor[np.isfinite(floor)]
    parts = (
        _caption(measured),
        f"null floor {known.mean():.2f}" if known.size else "",
        _kl(measured) if measured.probe_kl is not None else "",
    )
    return " · ".join(filter(None, parts))


def _aligned(values: tuple[float, ...], length: int, absent: float) -> Floats:
    if len(values) == length:
        return _sound(values)
    return np.full(length, absent)


def _caption(measured: CkaMeasured) -> str:
    """How the numbers came about, in a few words."""
    how = "per sequence" if measured.mode == "per_sequence" else words.token(measured.token)
    preprocessing = words.PREPROCESSING.get(measured.preprocessing, measured.preprocessing)
    return f"{measured.variant} · {preprocessing} · {measured.n} items of {measured.probe} · {how}"


def mean_cka(event: CkaMeasured) -> float:
    """The mean over the layers where CKA is defined; NaN where it is nowhere."""
    values = _sound(event.values)
    if event.layout == "map":
        values = np.diagonal(values.reshape(len(event.rows), -1))
    # Undefined where a layer says the same for all items: embeddings at a token that all prompts share.
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else float("nan")
