"""How long the items of a dataset are, and how many are beyond the limits of a recipe's stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.viewmodels import forms
from app.viewmodels.data_desk import DataDesk
from app.viewmodels.data_entries import Source, place_of
from app.viewmodels.types import Floats
from core.engine.data_lengths import unpacked
from core.errors import UserError
from core.recipe.stage_specs import STAGE_SPECS

PARTS: Mapping[str, tuple[str, str]] = {
    "prompt": ("prompt", "base"),
    "demonstration": ("demonstration", "expert"),
    "teacher": ("teacher's prompt", "degraded"),
    "total": ("prompt + demonstration", "recovered"),
}
"""Title and hue of what is measured."""
BINS = 40
MEDIAN, MOST = 0.5, 0.95
LEFT_OUT = "left out, never cut"
TEACHING = ("sdft", "bootstrap")

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spread:
    """The lengths that occur, ascending, how many items have each, and the number of the longest one."""

    lengths: Integers
    counts: Integers
    longest: int | None

    @property
    def items(self) -> int:
        """How many have any length."""
        return int(self.counts.sum())

    def beyond(self, limit: int) -> int:
        """How many are longer."""
        return int(self.counts[self.lengths > limit].sum())

    def quantile(self, share: float) -> int:
        """The length that this share of the items (0 to 1) does not exceed."""
        reached = np.searchsorted(np.cumsum(self.counts), share * self.items)
        return int(self.lengths[min(int(reached), len(self.lengths) - 1)])

    @property
    def mean(self) -> float:
        """Over the items that have any length."""
        return float((self.lengths * self.counts).sum() / self.items)


@dataclass(frozen=True, eq=False)
class Histogram:
    """The outline of one: `x` ascending, with every edge twice; `y` the number of items."""

    part: str
    title: str
    hue: str
    x: Floats
    y: Floats


@dataclass(frozen=True)
class LimitView:
    """A limit on the lengths: where it stands, how many items are beyond it, and what becomes of them."""

    value: int
    title: str
    part: str
    beyond: int
    of: int
    what: str


@dataclass(frozen=True)
class Limit:
    """A limit of a recipe: of "prompt", "demonstration", "teacher" or "total", and what it does to longer ones.

    `answer` is the room for a generated answer that a stage keeps free in the model's context, 0 for none.
    """

    value: int
    title: str
    part: str
    what: str
    answer: int = 0


class LengthsViewModel(QObject):
    """Measures one source at a time.

    Args:
        desk: the process that has tokenizers.
    """

    changed = Signal()
    progress = Signal(str)

    def __init__(self, desk: DataDesk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._turn = 0
        self._spreads: dict[str, Spread] = {}
        self._limits: tuple[Limit, ...] = ()
        self._histograms: tuple[Histogram, ...] = ()
        self._table: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] = ((), ())
        self._asked = 0
        self.measuring = False
        self.items = 0
        self.unit = ""
        self.model = ""
        self.place = ""
        self.context: int | None = None
        self.error: tuple[str, str] = ("", "")
        desk.progress.connect(self._heard)

    @property
    def known(self) -> bool:
        """There is something to show."""
        return bool(self._spreads)

    def reset(self) -> None:
        """Another source, not measured yet."""
        if self.measuring:
            self.cancel()
        self._turn += 1
        self._spreads, self.items = {}, 0
        self._histograms, self._table = (), ((), ())
        self.error, self.unit, self.context = ("", ""), "", None
        self.changed.emit()

    def measure(
        self,
        source: Source,
        model: Mapping[str, Any] | None,
        label: str,
        template: str,
        limits: Sequence[Limit],
    ) -> None:
        """Measure all items, in tokens of `model` where its tokenizer is at hand."""
        self.reset()
        self.measuring, self.model, self._limits = True, label, tuple(limits)
        self.place = place_of(source)
        turn = self._turn
        what = {"source": source, "model": model, "template": template}
        self._asked = self._desk.ask(
            "lengths",
            what,
            lambda record: self._take(turn, record),
            lambda error: self._fail(turn, error),
        )
        self.progress.emit("opening the tokenizer…" if model else "reading…")
        self.changed.emit()

    def cancel(self) -> None:
        """Stop measuring."""
        self._turn += 1
        self.measuring = False
        self._desk.withdraw(self._asked)
        self.progress.emit("")
        self.changed.emit()

    def histograms(self) -> tuple[Histogram, ...]:
        """One for each part that any item has; all have the same bins."""
        return self._histograms

    def _counted(self) -> tuple[Histogram, ...]:
        longest = max((int(it.lengths[-1]) for it in self._spreads.values()), default=0)
        width = max(1, -(-(longest + 1) // BINS))
        edges = np.arange(0, width * (longest // width + 2), width)
        x = np.repeat(edges, 2)[1:-1].astype(np.float64)
        found = []
        for part, spread in self._spreads.items():
            counts = np.bincount(spread.lengths // width, spread.counts, len(edges) - 1)
            title, hue = PARTS[part]
            found.append(Histogram(part, title, hue, x, np.repeat(counts, 2)))
        return tuple(found)

    def limits(self) -> tuple[LimitView, ...]:
        """The limits of the recipe's stages and of the model; they are in tokens, so none without a tokenizer."""
        if self.unit != "tokens":
            return ()
        limits = list(self._limits)
        if self.context is not None:
            limits += _within(self.context, self._limits)
        return tuple(
            LimitView(
                it.value,
                it.title,
                it.part,
                self._spreads[it.part].beyond(it.value) if it.part in self._spreads else 0,
                self.items,
                it.what,
            )
            for it in limits
        )

    def longest(self, row: int) -> int | None:
        """The number of the item that is longest in what a row of the table is about."""
        shown = list(self._spreads.values())
        return shown[row].longest if row < len(shown) else None

    def table(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Exact figures: headings and one row a part."""
        return self._table

    def _figured(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        heads = (f"{self.unit} of", "items", "shortest", "median", "mean", "95 %", "longest")
        rows = [
            (
                PARTS[part][0],
                f"{it.items:,}",
                f"{it.lengths[0]:,}",
                f"{it.quantile(MEDIAN):,}",
                f"{it.mean:,.1f}",
                f"{it.quantile(MOST):,}",
                f"{it.lengths[-1]:,}",
            )
            for part, it in self._spreads.items()
        ]
        return heads, tuple(rows)

    def text(self) -> str:
        """Figures and limits as TSV, with where they come from."""
        heads, rows = self.table()
        lines = ["\t".join(it) for it in (heads, *rows)]
        lines += ["", "\t".join(("limit", "of", "tokens", "beyond", "items"))]
        lines += [
            f"{it.title}\t{PARTS[it.part][0]}\t{it.value}\t{it.beyond}\t{it.of}"
            for it in self.limits()
        ]
        lines += ["", f"dataset\t{self.place}", f"counted in\t{self.model}"]
        return "\n".join(lines)

    def _take(self, turn: int, record: Mapping[str, Any]) -> None:
        if turn != self._turn:
            return
        self.measuring = False
        self.unit, self.context = record["unit"], record["context"]
        self.items = record["items"]
        spreads = {part: _spread(record[part]) for part in PARTS}
        self._spreads = {part: it for part, it in spreads.items() if it.lengths.size}
        self._histograms, self._table = self._counted(), self._figured()
        self.progress.emit("")
        self.changed.emit()

    def _fail(self, turn: int, error: UserError) -> None:
        if turn == self._turn:
            self.measuring = False
            self.error = (error.message, error.hint)
            self.progress.emit("")
            self.changed.emit()

    def _heard(self, number: int, told: str) -> None:
        if self.measuring and number == self._asked:
            self.progress.emit(told)


def limits_of(stages: Any, dataset: str) -> tuple[Limit, ...]:
    """The limits of the stages of a raw recipe that train on a dataset, or of all where none names it."""
    given = [it for it in stages if isinstance(it, Mapping)] if isinstance(stages, list) else []
    training = [it for it in given if "max_prompt_length" in _fields(it)]
    naming = [it for it in training if dataset and dataset in _names(it)]
    found: dict[tuple[int, str], Limit] = {}
    for stage in naming or training:
        name = str(stage.get("id") or stage.get("kind"))
        teaching = stage.get("kind") in TEACHING or bool(stage.get("teacher"))
        part = "teacher" if teaching else "prompt"
        most = _value(stage, "max_completion_length")
        longest = _value(stage, "max_prompt_length")
        room = most if teaching else 0
        limits = [Limit(longest, f"{name}: longest prompt", part, LEFT_OUT, room)]
        if not teaching:
            limits.append(Limit(most, f"{name}: longest answer", "demonstration", LEFT_OUT))
        for it in limits:
            found.setdefault((it.value, it.title), it)
    return tuple(it for it in found.values() if it.value > 0)


def _within(context: int, limits: Sequence[Limit]) -> list[Limit]:
    """What the model's context leaves: prompt and answer together, or the prompt beside room for an answer."""
    found = [Limit(context, "the model's context", "total", LEFT_OUT)]
    for it in limits:
        if it.answer:
            stage = it.title.partition(":")[0]
            title = f"{stage}: context less {it.answer:,}"
            found.append(Limit(max(context - it.answer, 0), title, it.part, LEFT_OUT))
    return found


def _fields(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = STAGE_SPECS.get(str(stage.get("kind")))
    return spec.model_fields if spec is not None else {}


def _names(stage: Mapping[str, Any]) -> Sequence[str]:
    named = stage.get("dataset")
    return [str(it) for it in named] if isinstance(named, list) else [str(named or "")]


def _value(stage: Mapping[str, Any], name: str) -> int:
    given = stage.get(name)
    value = forms.default_of(_fields(stage)[name]) if given is None else given
    return value if isinstance(value, int) else 0


def _spread(record: Mapping[str, Any]) -> Spread:
    return Spread(unpacked(record["lengths"]), unpacked(record["counts"]), record["longest"])
