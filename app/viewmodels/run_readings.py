"""What the run page reads of a run: every answer comes from the fold of its events and from its recipe.

`RunViewModel` adds what changes by itself: the state, the stop ladder, the signals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from PySide6.QtCore import QObject

from app.viewmodels import demonstration, recipe_words, words
from app.viewmodels.axes import Axis
from app.viewmodels.best import HELD_OUT, Best, bests
from app.viewmodels.guard_words import guard
from app.viewmodels.journal import GuardRow, guard_rows
from app.viewmodels.provenance import provenance, run_part
from app.viewmodels.run_fold import RunFold
from app.viewmodels.types import (
    Band,
    Completion,
    Floats,
    Heatmap,
    LabelledHeatmap,
    Level,
    LogLine,
    Mark,
    Profile,
    ScoreLine,
    ScoreTable,
    Series,
    StageCard,
)
from core.events import PlannedStage
from core.recipe.spec import Recipe


class RunReadings(QObject):
    """Answers about one run; `_fold`, `_facts` and `recipe` are set by the view model."""

    uid: str
    name: str
    recipe: Recipe | None
    _fold: RunFold
    _facts: dict[str, tuple[str, ...]]

    def planned(self) -> tuple[PlannedStage, ...]:
        """The steps of the run as the worker planned them."""
        return self._fold.strip.stages

    def stages(self, implied: bool = False) -> tuple[StageCard, ...]:
        """The stage strip; before the worker has planned, what the recipe says."""
        if not self._fold.strip.stages and self.recipe is not None:
            return recipe_words.cards(self.recipe)
        return self._fold.strip.cards(self._facts, self._fold.scores.summary, implied)

    def available_keys(self) -> tuple[str, ...]:
        """Metrics with at least one point."""
        return self._fold.curves.keys()

    def untrained(self) -> str:
        """Why a run that is done has no curves, completions and live CKA; "" where it has, or may have yet."""
        found = self._fold.strip.found_again
        if not found or self._fold.curves.keys():
            return ""
        one = len(found) == 1
        return (
            f"{' and '.join(found)} {'was' if one else 'were'} found again, not trained anew: what was measured while "
            f"training is with the run that trained {'it' if one else 'them'}."
        )

    def axes(self) -> tuple[Axis, ...]:
        """What can stand on the horizontal axis of the charts."""
        return self._fold.axes.choices(self._fold.curves, lambda key: words.metric(key)[0])

    def along(self, axis: str, stage: str, steps: Floats) -> Floats:
        """Where `steps` of a stage stand on an axis; NaN where that is not known."""
        return self._fold.axes.along(axis, stage, steps, self._fold.curves)

    def key_title(self, key: str) -> tuple[str, str]:
        """Title and unit of a metric."""
        return words.metric(key)

    def series(self, key: str) -> tuple[Series, ...]:
        """The curves of one metric, one a stage."""
        return self._fold.curves.series(key, self._fold.strip.roles)

    def best(self, key: str) -> tuple[Best, ...]:
        """Where a metric was best, for those of which that decides something."""
        finished = self._fold.strip.finished
        return bests(self.series(key), self.recipe, finished) if key == HELD_OUT else ()

    def demonstrations(self) -> tuple[demonstration.Check, ...]:
        """What each stage found out about its demonstrations before it trained."""
        found = self._fold.checks.found(guard(demonstration.NO_HELP, {}))
        how = "greedy answers to held-out training items, before step 1"
        return tuple(replace(it, source=self.source([it.stage], protocol=how)) for it in found)

    def planned_steps(self, stages: Iterable[str]) -> int:
        """Steps the longest of these training stages will take; 0 while unknown."""
        return max((self._fold.strip.steps(stage) for stage in stages), default=0)

    def source(self, stages: Iterable[str], *, dataset: str = "", protocol: str = "") -> str:
        """Where numbers of `stages` come from; training stages name their datasets themselves."""
        named = tuple(stages)
        if not dataset and self.recipe is not None:
            dataset = recipe_words.datasets(self.recipe, named)
        return provenance(
            run=run_part(self.name, self.uid),
            seed=recipe_words.seed(self.recipe, named) if self.recipe is not None else None,
            checkpoint=", ".join(named),
            dataset=dataset,
            protocol=protocol,
        )

    def task_source(self, task: str) -> str:
        """Where the accuracies of `task` come from."""
        known = self.recipe.tasks.get(task) if self.recipe is not None else None
        scorer = words.SCORER.get(known.scorer, known.scorer) if known is not None else ""
        stages = [band.stage for band in self.accuracy().get(task, ())]
        dataset = (known.dataset if known is not None else None) or task
        return self.source(stages, dataset=dataset, protocol=scorer)

    def cka_source(self, checkpoints: Iterable[str], how: str) -> str:
        """Where CKA values come from; `how` names the probe, which is their dataset."""
        named = tuple(checkpoints)
        seed = recipe_words.seed(self.recipe, named) if self.recipe is not None else None
        return provenance(
            run=run_part(self.name, self.uid),
            seed=seed,
            checkpoint=", ".join(named),
            dataset="",
            protocol=how,
        )

    def marks(self) -> tuple[Mark, ...]:
        """Warnings that have a place on a chart."""
        return tuple(self._fold.journal.marks)

    def tasks(self) -> tuple[str, ...]:
        """Tasks scored so far."""
        return self._fold.scores.tasks()

    def task_title(self, task: str) -> str:
        """A task's name in words."""
        return words.plain(task)

    def accuracy(self) -> dict[str, tuple[Band, ...]]:
        """Live accuracy with its interval by task, per cent."""
        return self._fold.scores.bands(self._fold.strip.roles)

    def reference_levels(self, task: str) -> tuple[Level, ...]:
        """Accuracy of finished checkpoints, per cent."""
        return self._fold.scores.levels(task, self._fold.strip.roles)

    def score_table(self) -> ScoreTable:
        """Tasks by checkpoints."""
        return self._fold.scores.table(self._fold.strip.stages, run_part(self.name, self.uid))

    def trio_lines(self, label: str, index: int) -> dict[str, list[ScoreLine]]:
        """The lines of this run in a comparison, by task."""
        return self._fold.scores.trio_lines(self._fold.strip.stages, label, index)

    def cka_subjects(self) -> tuple[str, ...]:
        """Stages with CKA measured while training."""
        return self._fold.similarity.live_subjects()

    def cka_live(self, subject: str = "") -> Heatmap | None:
        """Layers by steps of one training stage; "" for the newest."""
        return self._fold.similarity.live(subject)

    def cka_floor(self, subject: str = "") -> Floats:
        """What chance alone gives in each layer of `cka_live`."""
        return self._fold.similarity.floor(subject)

    def cka_maps(self) -> tuple[LabelledHeatmap, ...]:
        """Layer by layer maps of finished checkpoints."""
        return self._fold.similarity.maps(self._fold.strip.roles)

    def cka_steps(self, subject: str) -> tuple[int, ...]:
        """Steps with a layer by layer map."""
        return self._fold.similarity.steps(subject)

    def cka_map(self, subject: str, step: int) -> Heatmap | None:
        """The layer by layer map of one step."""
        return self._fold.similarity.map_at(subject, step)

    def cka_profile(self, run: str = "") -> tuple[Profile, ...]:
        """CKA per layer of finished checkpoints against the reference."""
        return self._fold.similarity.profiles(self._fold.strip.roles, run)

    def completions(self) -> Sequence[Completion]:
        """The newest completions, oldest first."""
        return tuple(self._fold.completions)

    def guards(self) -> tuple[GuardRow, ...]:
        """The signals of the stage that trains (or trained last)."""
        fold = self._fold
        return guard_rows(fold.curves, fold.training, tuple(fold.journal.latest_warning.values()))

    def log(self) -> Sequence[LogLine]:
        """All lines so far; grows at the end only, until a `reset`."""
        return self._fold.journal.lines

    def last_lines(self, count: int) -> tuple[str, ...]:
        """The newest lines of the log before the one that says how the run ended."""
        lines = [
            f"{it.clock}  {it.text}"
            for it in self._fold.journal.lines
            if not it.text.startswith("Run ")
        ]
        return tuple(lines[-count:])
