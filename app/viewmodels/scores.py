"""Accuracies of a run: the newest final score per checkpoint and task, and the live ones over the steps.

A difference or a recovered fraction is given only between scores of one protocol; otherwise the reason
for its absence is. Where the single items are known the difference is that of pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.viewmodels import gain, words
from app.viewmodels.answers import Answers
from app.viewmodels.curves import Curve
from app.viewmodels.protocol_words import beside, refusal
from app.viewmodels.recovered import Recovered, judge, judge_items
from app.viewmodels.types import Band, Level, ScoreCell, ScoreColumn, ScoreLine, ScoreTable
from core.analysis import recovery
from core.analysis.comparison import Comparison
from core.analysis.statistics import wilson
from core.events import ItemsEvaluated, PlannedStage, TaskEvaluated
from core.recipe.plan import Step

BASE_DIFFERS = "the base was measured by another protocol"


def cell(score: TaskEvaluated) -> ScoreCell | None:
    """A score with its interval, in per cent; None when no item was scored."""
    if score.n <= 0:
        return None
    low, high = wilson(score.correct, score.n)
    return ScoreCell(
        100 * score.correct / score.n,
        100 * low,
        100 * high,
        score.n,
        score.correct,
        score.protocol,
        score.subject,
        score.scorer,
        score.dataset,
        score.seed,
        beside(score.values),
        score.protocol_parts,
    )


class Scores:
    """Folds `TaskEvaluated`, and `ItemsEvaluated` where single items are read."""

    def __init__(self, answers: Answers | None = None) -> None:
        self._final: dict[str, dict[str, TaskEvaluated]] = {}  # task -> subject -> score
        self._live: dict[str, dict[str, Curve]] = {}  # task -> subject -> value, low, high
        self._answers = answers or Answers()

    def add(self, score: TaskEvaluated) -> None:
        """A score measured on a finished checkpoint, or at a step of a training stage."""
        if score.step is None:
            self._answers.add_score(score)
            self._final.setdefault(score.task, {})[score.subject] = score
            return
        found = cell(score)
        if found is None:
            return
        curves = self._live.setdefault(score.task, {})
        curve = curves.get(score.subject)
        if curve is None:
            curve = curves[score.subject] = Curve(width=3)
        curve.add(score.step, found.value, found.low, found.high)

    def add_items(self, items: ItemsEvaluated) -> None:
        """Which items a finished checkpoint answered right."""
        self._answers.add_items(items)

    def tasks(self) -> tuple[str, ...]:
        """All tasks scored so far, in the order of their first score."""
        return tuple(dict.fromkeys([*self._live, *self._final]))

    def final(self, task: str, subject: str) -> TaskEvaluated | None:
        """The newest score of a finished checkpoint."""
        return self._final.get(task, {}).get(subject)

    def bands(self, roles: Mapping[str, str], run: str = "") -> dict[str, tuple[Band, ...]]:
        """The live accuracies by task, in per cent."""
        return {
            task: tuple(
                Band(
                    subject,
                    subject,
                    roles.get(subject, ""),
                    curve.x,
                    curve.y(0),
                    curve.y(1),
                    curve.y(2),
                    run,
                )
                for subject, curve in curves.items()
            )
            for task, curves in self._live.items()
        }

    def levels(self, task: str, roles: Mapping[str, str]) -> tuple[Level, ...]:
        """The final accuracies of `task`, for reference lines."""
        return tuple(
            Level(subject, subject, roles.get(subject, ""), 100 * score.correct / score.n)
            for subject, score in self._final.get(task, {}).items()
            if score.n > 0
        )

    def summary(self, subject: str) -> str:
        """ "Tooluse 28.9 · Science 30.4": final scores, or the newest live ones while there are none."""
        parts = []
        for task in self.tasks():
            score = self.final(task, subject)
            live = self._live.get(task, {}).get(subject)
            if score is not None and score.n > 0:
                parts.append(f"{words.plain(task)} {100 * score.correct / score.n:.1f}")
            elif live is not None:
                parts.append(f"{words.plain(task)} {live.last:.1f}")
        return " · ".join(parts)

    def table(self, stages: Sequence[PlannedStage], source: str = "") -> ScoreTable:
        """Tasks by checkpoints; the difference is that of the recovered stage in the headline to its degraded one.

        `source` names the run in tooltips.
        """
        makers = [stage for stage in stages if stage.role is not None]
        columns = tuple(ScoreColumn(it.id, it.id, it.role or "") for it in makers)
        kinds = {it.id: it.kind for it in stages}
        judged = {it.recovered: it for it in trios(stages)}
        last = judged.get(recovery.headline({it: kinds[it] for it in judged}))
        lines = (self._line(task, [it.id for it in makers], last) for task in self.tasks())
        return ScoreTable(
            columns,
            tuple(replace(line, source=source) for line in lines),
            f"{last.recovered} {words.MINUS} {last.degraded}" if last else "",
            last.recovered if last and len(judged) > 1 else "",
        )

    def trio_lines(
        self, stages: Sequence[PlannedStage], run: str, run_index: int
    ) -> dict[str, list[ScoreLine]]:
        """By task, one line (base, degraded, recovered) for each recovered stage of this run.

        A run that recovers nothing gets one line of its base and its last degraded stage.
        """
        judged: list[tuple[str, str, str]] = [
            (it.base, it.degraded, it.recovered) for it in trios(stages)
        ]
        if not judged:
            degraded = [it.id for it in stages if it.role == "degraded"]
            base = [it.id for it in stages if it.role == "base"]
            judged = [("".join(base[:1]), "".join(degraded[-1:]), "")]
        several = len(judged) > 1
        lines: dict[str, list[ScoreLine]] = {}
        for task in self.tasks():
            for base_id, degraded_id, recovered_id in judged:
                trio = recovery.Trio(base_id, degraded_id, recovered_id)
                line = self._line(task, [base_id, degraded_id, recovered_id], trio)
                stage = recovered_id if several else ""
                lines.setdefault(task, []).append(
                    replace(line, run=run, run_index=run_index, stage=stage)
                )
        return lines

    def _line(self, task: str, subjects: Sequence[str], judged: recovery.Trio | None) -> ScoreLine:
        found = [self.final(task, subject) for subject in subjects]
        present = [score for score in found if score is not None]
        delta = refusal = chain = ""
        recovered = sure = None
        if judged is not None:
            chain = " → ".join(filter(None, (judged.base, judged.degraded, judged.recovered)))
            base, degraded, best = (
                self.final(task, subject)
                for subject in (judged.base, judged.degraded, judged.recovered)
            )
            delta, refusal, recovered = _judge(base, degraded, best)
            if delta and degraded is not None and best is not None:
                sure = self._gain(degraded, best)
            if recovered is not None and base is not None and degraded is not None:
                by_item = self._answers.recovered(
                    task, judged.base, judged.degraded, judged.recovered
                )
                recovered = judge_items(by_item, base, degraded) if by_item else recovered
        return ScoreLine(
            task,
            words.plain(task),
            _protocol(present),
            tuple(None if score is None else cell(score) for score in found),
            delta,
            refusal,
            recovered.text if recovered is not None else "",
            recovered.note if recovered is not None else "",
            chain,
            certain=sure is not None and sure.certain,
            rests_on=sure.note if sure is not None else "",
        )

    def _gain(self, before: TaskEvaluated, after: TaskEvaluated) -> gain.Gain:
        found = self._answers.compared(before.task, before.subject, after.subject)
        return (
            gain.of_items(found) if isinstance(found, Comparison) else gain.of_counts(before, after)
        )


def steps_of(stages: Sequence[PlannedStage]) -> list[Step]:
    """The plan as lineage is walked, without the stages' settings."""
    return [
        Step(it.id, it.kind, spec=None, source=it.source, role=it.role, implied=it.implied)
        for it in stages
    ]


def trios(stages: Sequence[PlannedStage]) -> list[recovery.Trio]:
    """Base, degraded, recovered for every recovered stage whose lineage has them."""
    steps = steps_of(stages)
    found = (recovery.trio(steps, step.id) for step in steps if step.role == "recovered")
    return [trio for trio in found if trio is not None]


def _judge(
    base: TaskEvaluated | None, degraded: TaskEvaluated | None, recovered: TaskEvaluated | None
) -> tuple[str, str, Recovered | None]:
    """(delta in points, why there is none or no fraction, recovered fraction)."""
    if degraded is None or recovered is None or not degraded.n or not recovered.n:
        return "", "", None
    if degraded.protocol != recovered.protocol:
        return "", refusal(degraded.protocol_parts, recovered.protocol_parts), None
    gained = 100 * (recovered.correct / recovered.n - degraded.correct / degraded.n)
    delta = words.signed(gained)
    if base is None or not base.n:
        return delta, "", None
    if base.protocol != degraded.protocol:
        why = refusal(base.protocol_parts, degraded.protocol_parts, BASE_DIFFERS)
        return delta, why, None
    fraction = recovery.fraction(*map(_accuracy, (base, degraded, recovered)))
    return delta, "", judge(fraction, base, degraded)


def _accuracy(score: TaskEvaluated) -> recovery.Accuracy:
    return recovery.Accuracy(score.correct / score.n, score.protocol)


def _protocol(scores: Sequence[TaskEvaluated]) -> str:
    if not scores:
        return ""
    if len({score.protocol for score in scores}) > 1:
        return "several protocols"
    newest = scores[-1]
    return f"{words.SCORER.get(newest.scorer, newest.scorer)} · n {newest.n:,}"
