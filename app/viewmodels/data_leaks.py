"""Evaluation items that training data already ask, pair of datasets by pair, and repeats within one dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, overload

from PySide6.QtCore import QObject, Signal

from app.viewmodels import data_words
from app.viewmodels.data_desk import DataDesk
from app.viewmodels.data_entries import Entry
from core.data.overlap import NGRAM_WORDS, SHARED_NGRAMS
from core.data.within import SHARING
from core.engine.data_lengths import SHARE_PARTS, unpacked

KIND: Mapping[str, str] = {"same": "the same question", "near": "nearly the same"}
CRITERION = (
    "Found are the same question (case, spaces and the order of options aside), and items of whose own runs of "
    f"{NGRAM_WORDS} words at least {SHARED_NGRAMS:.0%} stand in the training data. Paraphrases are not found."
)
WITHIN = (
    "Within one set, an item is nearly the same when one earlier item holds at least "
    f"{SHARED_NGRAMS:.0%} of its runs of {NGRAM_WORDS} words, and of those that are their own. What more than "
    f"{SHARING} items share counts as an instruction or documentation."
)
TOO_MANY = "Too many items to look for near ones: only the same question was looked for."


@dataclass(frozen=True)
class Pair:
    """An evaluation item and the training item that asks it too; numbers from 0, texts "" where not told."""

    evaluated: int
    trained: int
    kind: str
    share: float
    asked: str
    taught: str


class Pairs(Sequence[Pair]):
    """Pairs as columns of numbers; each is put together when it is asked for.

    Args:
        record: as the process tells them (`core.engine.data_desk`).
        texts: of both items, for the first pairs.
    """

    def __init__(
        self, record: Mapping[str, str] = MappingProxyType({}), texts: Sequence[Sequence[str]] = ()
    ) -> None:
        names = ("evaluated", "trained", "near", "share")
        self._columns = tuple(unpacked(record.get(name, "")) for name in names)
        self._texts = texts

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, place: int | slice) -> Pair | tuple[Pair, ...]:
        if isinstance(place, slice):
            return tuple(self[it] for it in range(*place.indices(len(self))))
        evaluated, trained, near, share = (int(it[place]) for it in self._columns)
        asked, taught = self._texts[place] if place < len(self._texts) else ("", "")
        kind = "near" if near else "same"
        return Pair(evaluated, trained, kind, share / SHARE_PARTS, asked, taught)

    @property
    def near(self) -> int:
        """How many are nearly the same only."""
        return int(self._columns[2].sum())


@dataclass(frozen=True)
class Finding:
    """What was found between two datasets, or `within` one.

    Attributes:
        near_too: near repeats were looked for as well.
    """

    training: str
    evaluation: str
    within: bool
    trained: int = 0
    evaluated: int = 0
    pairs: Pairs = field(default_factory=Pairs)
    near_too: bool = True
    error: tuple[str, str] = ("", "")

    @property
    def summary(self) -> str:
        """The finding in a sentence."""
        if self.error[0]:
            return self.error[0]
        shared = data_words.share(len(self.pairs), self.evaluated)
        near = self.pairs.near
        kinds = f"{len(self.pairs) - near:,} the same, {near:,} nearly."
        if self.within:
            less = "" if self.near_too else f" {TOO_MANY}"
            if not self.pairs:
                return f"No item of {self.training} is asked twice.{less}"
            told = f"{shared} of {self.evaluated:,} items of {self.training} ask what an earlier one asks"
            return f"{told}: {kinds}" if self.near_too else f"{told}.{less}"
        if not self.pairs:
            return (
                f"None of the {self.evaluated:,} items of {self.evaluation} is asked in the "
                f"{self.trained:,} of {self.training}."
            )
        return f"{shared} of {self.evaluated:,} items of {self.evaluation} are asked in {self.training}: {kinds}"


class LeaksViewModel(QObject):
    """Compares datasets, one pair after another.

    Args:
        desk: a process that reads, of its own: comparing takes long.
    """

    changed = Signal()
    progress = Signal(str)

    def __init__(self, desk: DataDesk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._turn = 0
        self._waiting: list[tuple[Entry, Entry]] = []
        self._total = 0
        self._within = False
        self.findings: tuple[Finding, ...] = ()
        self.comparing = False
        desk.progress.connect(self._heard)

    def compare(self, pairs: Sequence[tuple[Entry, Entry]], *, within: bool = False) -> None:
        """Look for items of the second dataset of each pair in the first, or for repeats `within` it."""
        if self.comparing:
            self.cancel()
        self._turn += 1
        self.findings = ()
        self._waiting, self._total, self._within = list(pairs), len(pairs), within
        self.comparing = bool(pairs)
        if pairs:
            self.progress.emit("reading…")
            self._next()
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; what was found stays."""
        self._turn += 1
        self._waiting, self.comparing = [], False
        self._desk.cancel()
        self.progress.emit("")
        self.changed.emit()

    def tsv(self) -> str:
        """Every shared item, one a line."""
        return "\n".join("\t".join(it) for it in self._rows())

    def markdown(self) -> str:
        """The same as a table in Markdown, under a sentence for each pair of datasets."""
        head, *rows = self._rows()
        lines = [f"- {it.summary}" for it in self.findings]
        lines += ["", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        lines += [
            "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows
        ]
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [
            ("evaluation", "item", "training", "item", "kind", "share of its words")
        ]
        for finding in self.findings:
            rows += [
                (
                    finding.evaluation,
                    f"{it.evaluated + 1}",
                    finding.training,
                    f"{it.trained + 1}",
                    KIND[it.kind],
                    f"{100 * it.share:.0f} %",
                )
                for it in finding.pairs
            ]
        return rows

    def _next(self) -> None:
        if not self._waiting:
            self.comparing = False
            self.progress.emit("")
            self.changed.emit()
            return
        training, evaluation = self._waiting.pop(0)
        turn = self._turn
        names = (training.name, evaluation.name, self._within)
        if self._within:
            act, what = "repeats", {"source": training.source}
        else:
            act, what = "leaks", {"training": training.source, "evaluation": evaluation.source}
        self._desk.ask(
            act,
            what,
            lambda record: self._take(turn, _finding(*names, record)),
            lambda error: self._take(turn, Finding(*names, error=(error.message, error.hint))),
        )

    def _take(self, turn: int, finding: Finding) -> None:
        if turn == self._turn:
            self.findings = (*self.findings, finding)
            self._next()
            self.changed.emit()

    def _heard(self, _: int, told: str) -> None:
        if self.comparing:
            pair = f"pair {len(self.findings) + 1} of {self._total}: " if self._total > 1 else ""
            self.progress.emit(pair + told)


def _finding(training: str, evaluation: str, within: bool, record: Mapping[str, Any]) -> Finding:
    return Finding(
        training,
        evaluation,
        within,
        record["trained"],
        record["evaluated"],
        Pairs(record["pairs"], record["texts"]),
        record.get("near", True),
    )
