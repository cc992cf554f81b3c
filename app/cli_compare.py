"""The command `compare`: what the difference between two checkpoints is worth, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli_display import write_json
from app.viewmodels import gain, words
from app.viewmodels.pairings import Checkpoint, Found, Pair, chosen, named, pair, read, within
from app.viewmodels.provenance import FINGERPRINT_CHARACTERS, run_part
from core.analysis.comparison import Combined, Comparison, Refusal, combined
from core.analysis.paired_proportions import Verdict
from core.analysis.recovery import FractionInterval
from core.analysis.statistics import wilson
from core.errors import UserError
from core.events import TaskEvaluated
from core.store.store import Store

ARROW = "\N{RIGHTWARDS ARROW}"
_COLUMNS = (
    "task", "before %", "after %", "difference", "lost/gained", "mid-p", "Holm", "detects", "preserved",
    "recovered", "dataset, protocol, seed",
)  # fmt: skip
_LEGEND = (
    "In brackets 95 % intervals: Wilson's of an accuracy; Tango's of a paired difference, or a bootstrap over groups of "
    "items; bootstrap of a recovered fraction. lost/gained: items right before and wrong after, and the other way "
    "round. mid-p: exact McNemar; Holm: adjusted for the tasks of a pair. detects: the least difference, in points, that "
    "so many items show with a power of 0.8; * marks differences beyond chance and not below that. preserved: within "
    "{margin} points by two one-sided tests; unclear: too few items to say."
)
_PRESERVED: Mapping[Verdict, str] = {"preserved": "yes", "changed": "no", "unresolved": "unclear"}


def pairs_of(store: Store, names: Sequence[str], margin: float) -> list[Pair]:
    """The pairs that a person asks for.

    One run: its undegraded, degraded and recovered checkpoints. Several runs, or checkpoints ("RUN:STAGE"): each
    against the first.

    Args:
        store: where the runs are.
        names: of runs, each with or without a checkpoint.
        margin: change (share, 0..1) within which an accuracy counts as preserved.

    Raises:
        UserError: a run or checkpoint is not there, or only one checkpoint was named.
    """
    asked = [named(store, name) for name in names]
    known = {row.uid: read(store, row) for row, _ in asked}
    row, stage = asked[0]
    if len(asked) > 1:
        first, *others = (chosen(known[row.uid], stage) for row, stage in asked)
        return [pair(first, other, margin=margin) for other in others]
    if stage:
        raise UserError(
            f"{stage} needs another checkpoint to be compared with.",
            f"Name two, for example: {row.uid}:base {row.uid}:{stage}",
        )
    return within(known[row.uid], margin)


def report(pairs: Sequence[Pair], margin: float, console: Console | None) -> None:
    """Show the pairs to a person, or a JSON line for each task."""
    if console is None:
        for it in pairs:
            _write(it, margin)
        return
    for it in pairs:
        _show(console, it)
    console.print(Text(_LEGEND.format(margin=words.number(100 * margin)), "dim"))


def _show(console: Console, it: Pair) -> None:
    console.print(Text(_title(it), "bold"))
    if not it.found:
        console.print(Text("No task was scored on both.", "yellow"))
        return
    table = Table(pad_edge=False)
    for title in _COLUMNS:
        table.add_column(title, justify="left" if title in (_COLUMNS[0], _COLUMNS[-1]) else "right")
    for found in it.found:
        table.add_row(*map(Text, _cells(found)))
    mean = _mean(it)
    if mean is not None:
        table.add_section()
        sure = (
            abs(mean.delta.value) >= mean.detectable and not mean.delta.low <= 0 <= mean.delta.high
        )
        cells = ["mean", "", "", _delta(mean.delta.value, mean.delta.low, mean.delta.high, sure)]
        table.add_row(*map(Text, [*cells, "", "", "", _points(mean.detectable)]))
    console.print(table)
    for found in it.found:
        sentence = _refusal(found)
        if sentence:
            console.print(Text(f"{words.plain(found.task)}: {sentence}.", "yellow"))


def _title(it: Pair) -> str:
    before, after = it.before, it.after
    if before.measured.row.uid == after.measured.row.uid:
        return f"{_run(after)}: {before.subject} {ARROW} {after.subject}"
    return f"{_run(before)}: {before.subject} {ARROW} {_run(after)}: {after.subject}"


def _run(checkpoint: Checkpoint) -> str:
    return run_part(checkpoint.measured.row.name, checkpoint.measured.row.uid)


def _cells(found: Found) -> list[str]:
    cells = [words.plain(found.task), _accuracy(found.before), _accuracy(found.after)]
    it = found.result
    if isinstance(it, Comparison):
        cells += [
            _delta(it.delta.value, it.delta.low, it.delta.high, it.certain),
            f"{it.lost}/{it.gained}",
            gain.p_value(it.test.mid_p),
            gain.p_value(found.holm) if found.holm is not None else words.NONE,
            _points(it.detectable),
            _PRESERVED[it.equivalence.verdict],
            _fraction(found.recovered),
        ]
    else:
        cells += [words.NONE] * 7
    return [*cells, _origin(found)]


def _accuracy(score: TaskEvaluated) -> str:
    low, high = wilson(score.correct, score.n)
    return f"{_points(score.correct / score.n)}\n[{_points(low)}, {_points(high)}]"


def _delta(value: float, low: float, high: float, certain: bool) -> str:
    mark = "*" if certain else ""
    return f"{words.signed(100 * value)}{mark}\n[{words.signed(100 * low)}, {words.signed(100 * high)}]"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _fraction(found: FractionInterval | None) -> str:
    if found is None:
        return words.NONE
    if found.value is None:
        return words.NOTHING_LOST
    if not found.defined:
        return words.WITHIN_NOISE
    bounds = f"[{words.fraction(found.low)}, {words.fraction(found.high)}]"
    return f"{words.fraction(found.value)}\n{bounds}"


def _origin(found: Found) -> str:
    """Dataset, protocol and seed of both sides, once where they are equal."""
    sides = [
        (it.dataset[:FINGERPRINT_CHARACTERS], it.protocol[:FINGERPRINT_CHARACTERS], str(it.seed))
        for it in (found.before, found.after)
    ]
    parts = [one if one == other else f"{one} / {other}" for one, other in zip(*sides, strict=True)]
    return "{}\n{} · {}".format(*parts)


def _mean(it: Pair) -> Combined | None:
    """Over the tasks that can be compared, where there are several."""
    results = [found.result for found in it.found if isinstance(found.result, Comparison)]
    return combined(results) if len(results) > 1 else None


def _refusal(found: Found) -> str:
    if isinstance(found.result, Refusal):
        return gain.refusal(found.result)
    if found.result is None:
        return "the log does not hold all single items, so there is no paired comparison"
    return ""


def _write(it: Pair, margin: float) -> None:
    for found in it.found:
        write_json(
            {
                "type": "comparison",
                "task": found.task,
                "before": _side(it.before, found.before),
                "after": _side(it.after, found.after),
                "base": it.base,
                "refusal": _refusal(found),
                **_numbers(found, margin),
            }
        )
    mean = _mean(it)
    if mean is not None:
        write_json(
            {
                "type": "mean_comparison",
                "before": _name(it.before),
                "after": _name(it.after),
                "delta": mean.delta.value,
                "delta_low": mean.delta.low,
                "delta_high": mean.delta.high,
                "detectable": mean.detectable,
            }
        )


def _name(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "run": checkpoint.measured.row.uid,
        "name": checkpoint.measured.row.name,
        "stage": checkpoint.subject,
    }


def _side(checkpoint: Checkpoint, score: TaskEvaluated) -> dict[str, Any]:
    low, high = wilson(score.correct, score.n)
    return {
        **_name(checkpoint),
        "checkpoint": score.checkpoint,
        "correct": score.correct,
        "n": score.n,
        "accuracy": score.correct / score.n,
        "low": low,
        "high": high,
        "dataset": score.dataset,
        "protocol": score.protocol,
        "seed": score.seed,
    }


def _numbers(found: Found, margin: float) -> dict[str, Any]:
    it = found.result
    if isinstance(it, Refusal):
        differing = {name: list(values) for name, values in it.differing.items()}
        missing = {"only_before": it.only_before, "only_after": it.only_after}
        return {"reason": it.reason, "differing": differing, **missing}
    if it is None:
        return {"reason": "items_unknown"}
    numbers: dict[str, Any] = {
        "n": it.n,
        "lost": it.lost,
        "gained": it.gained,
        "delta": it.delta.value,
        "delta_low": it.delta.low,
        "delta_high": it.delta.high,
        "clusters": it.delta.clusters,
        "mcnemar_p": it.test.p,
        "mcnemar_mid_p": it.test.mid_p,
        "holm_p": found.holm,
        "detectable": it.detectable,
        "certain": it.certain,
        "margin": margin,
        "equivalence_p": it.equivalence.p,
        "equivalence": it.equivalence.verdict,
    }
    if found.recovered is not None:
        numbers["recovered_fraction"] = found.recovered.value
        numbers["recovered_low"] = found.recovered.low
        numbers["recovered_high"] = found.recovered.high
        numbers["recovered_defined"] = found.recovered.defined
    return numbers
