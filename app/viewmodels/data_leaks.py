"""Evaluation items that training data already ask, pair of datasets by pair, and repeats within one dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.viewmodels import data_words
from app.viewmodels.data_desk import DataDesk
from app.viewmodels.data_entries import Entry
from core.errors import UserError

KIND: Mapping[str, str] = {"same": "the same question", "near": "nearly the same"}
CRITERION = (
    "Found are the same question (case, spaces and the order of options aside), and items of whose own runs of "
    "13 words at least 70 % stand in the training data. Paraphrases are not found."
)


@dataclass(frozen=True)
class Pair:
    """An evaluation item and the training item that asks it too; numbers from 0, texts "" where not told."""

    evaluated: int
    trained: int
    kind: str
    share: float
    asked: str
    taught: str


@dataclass(frozen=True)
class Finding:
    """What was found between two datasets; the same name twice: within one."""

    training: str
    evaluation: str
    trained: int = 0
    evaluated: int = 0
    pairs: tuple[Pair, ...] = ()
    error: tuple[str, str] = ("", "")

    @property
    def within(self) -> bool:
        """Looked for within one dataset."""
        return self.training == self.evaluation

    def count(self, kind: str) -> int:
        """How many of a kind."""
        return sum(it.kind == kind for it in self.pairs)

    @property
    def summary(self) -> str:
        """The finding in a sentence."""
        if self.error[0]:
            return self.error[0]
        shared = data_words.share(len(self.pairs), self.evaluated)
        if self.within:
            if not self.pairs:
                return f"No item of {self.training} is asked twice."
            return f"{shared} of {self.evaluated:,} items of {self.training} ask what an earlier one asks."
        if not self.pairs:
            return (
                f"None of the {self.evaluated:,} items of {self.evaluation} is asked in the "
                f"{self.trained:,} of {self.training}."
            )
        return (
            f"{shared} of {self.evaluated:,} items of {self.evaluation} are asked in {self.training}: "
            f"{self.count('same'):,} the same, {self.count('near'):,} nearly."
        )


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
        self.findings: tuple[Finding, ...] = ()
        self.comparing = False
        desk.progress.connect(self._heard)

    def compare(self, pairs: Sequence[tuple[Entry, Entry]]) -> None:
        """Look for items of the second dataset of each pair in the first."""
        if self.comparing:
            self.cancel()
        self._turn += 1
        self.findings = ()
        self._waiting, self._total = list(pairs), len(pairs)
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
        self._desk.ask(
            "leaks",
            {"training": training.source, "evaluation": evaluation.source},
            lambda record: self._take(turn, _finding(training.name, evaluation.name, record)),
            lambda error: self._take(turn, _failed(training.name, evaluation.name, error)),
        )

    def _take(self, turn: int, finding: Finding) -> None:
        if turn == self._turn:
            self.findings = (*self.findings, finding)
            self._next()
            self.changed.emit()

    def _heard(self, done: int, of: int) -> None:
        if self.comparing:
            pair = f"pair {len(self.findings) + 1} of {self._total}: " if self._total > 1 else ""
            self.progress.emit(pair + data_words.progress(done, of))


def _finding(training: str, evaluation: str, record: Mapping[str, Any]) -> Finding:
    return Finding(
        training,
        evaluation,
        record["trained"],
        record["evaluated"],
        tuple(
            Pair(
                it["evaluated"],
                it["trained"],
                it["kind"],
                it["share"],
                it.get("asked", ""),
                it.get("taught", ""),
            )
            for it in record["pairs"]
        ),
    )


def _failed(training: str, evaluation: str, error: UserError) -> Finding:
    return Finding(training, evaluation, error=(error.message, error.hint))
