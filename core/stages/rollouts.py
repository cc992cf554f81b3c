"""Which completions an optimizer step learns from: who sampled them, when, and what was kept of the teacher.

Usually a step samples its own. With `num_iterations` several steps learn from the same completions; with
`teacher_cache_steps` those of many steps are sampled and scored at once, so that the teacher's network need
not be in memory while the student trains. In both cases the student has moved on since it sampled, and the
completions carry the log-probabilities that correct for it; otherwise the ratio is one and is not computed.

Randomness depends on the stage's seed, the step and the place of the prompt in it, so a resumed training, or
one on several processes, samples what the uninterrupted one would have sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.distill.rollout import GROWTH, Rollout
from core.distill.taught import cache_of
from core.errors import UserError
from core.lm.generate import Generated
from core.recipe.training_specs import SdftSpec
from core.stages.context import StageContext
from core.stages.distilling import Completion, Distiller, Shown, split
from core.stages.objective import Plan, Share
from core.stages.student import Student
from core.stages.teachers import Teachers

_WHO, _WHICH = 1, 2  # streams of random numbers, beside those of the tokens


class Rollouts:
    """Samples for a step, and keeps what later steps use too.

    Attributes:
        corrects: whether completions carry the log-probabilities of the student that sampled them.

    Raises:
        UserError: several processes are to use completions for several steps.
    """

    def __init__(
        self,
        spec: SdftSpec,
        student: Student,
        teachers: Teachers,
        distiller: Distiller,
        context: StageContext,
    ) -> None:
        self._spec, self._student, self._teachers = spec, student, teachers
        self._distiller, self._context = distiller, context
        vocabulary = min(distiller.vocabulary, *(it.vocabulary for it in teachers.loaded))
        self._rollout = rollout_of(spec, student, vocabulary, context)
        self._length = max(spec.num_iterations, spec.teacher_cache_steps)
        if self._length > 1 and context.processes.count > 1:
            raise UserError(
                f"Stage {context.stage} uses completions for several steps, which one process alone can do.",
                "Set num_iterations to 1 and teacher_cache_steps to 0, or run it in one process.",
            )
        self.corrects = self._length > 1 and spec.distillation_is_clip is not None
        self._start = 0  # first step of the round at hand
        self._sampled: dict[int, list[Completion]] = {}
        self._recalled: dict[int, list[list[Any]]] = {}

    def at(self, step: int, plan: Plan[Shown]) -> list[Completion]:
        """The completions of one optimizer step, prompt by prompt."""
        place = (step - 1) % self._spec.num_iterations
        source = step - place  # the step whose completions these are
        start = step - (step - 1) % self._length
        if start != self._start:
            self._sample_round(start, plan)
        for old in [it for it in self._sampled if it < source]:
            del self._sampled[old]
        self._take_recalled(plan)
        completions = self._sampled[source]
        if self._spec.teacher_cache_steps and any(it.kept is None for it in completions):
            self._keep_taught()
        if step == start:  # the student is the one that sampled
            return [replace(it, log_probs=None) for it in completions]
        return completions

    def of(self, items: Share[Shown], step: int) -> list[Completion]:
        """Fresh completions of some prompts by the student alone; for looking, at any step."""
        answers = self._rollout.sample(
            self._student.model,
            [item.student for item in items.items],
            step,
            self._context.check_stop,
            positions=items.positions,
        )
        return self._completions(items.items, answers, by_student=True)

    def notes(self) -> dict[str, Any]:
        """The completions that later steps use, as JSON; what was kept of the teacher is computed again."""
        if self._length == 1:
            return {}
        kept = {
            str(step): [[it.ids, it.ended, it.log_probs, it.by_student] for it in completions]
            for step, completions in self._sampled.items()
        }
        return {"start": self._start, "completions": kept}

    def recall(self, notes: Mapping[str, Any]) -> None:
        """Take over what `notes` gave."""
        if notes:
            self._start = notes["start"]
            self._recalled = {int(step): rows for step, rows in notes["completions"].items()}

    def _sample_round(self, start: int, plan: Plan[Shown]) -> None:
        self._start, self._sampled, self._recalled = start, {}, {}
        end = min(start + self._length, plan.steps + 1)
        for step in range(start, end, self._spec.num_iterations):
            self._sampled[step] = self._sample(plan.at(step), step)

    def _sample(self, items: Share[Shown], step: int) -> list[Completion]:
        """One step's completions, by the student or, for a share of the prompts, by a teacher."""
        if self._spec.lmbda == 1.0:
            by: list[int | None] = [None] * len(items.items)
        else:
            by = [
                self._sampler(it, step, at)
                for it, at in zip(items.items, items.positions, strict=True)
            ]
        found: dict[int, list[Completion]] = {}
        for who in dict.fromkeys(by):
            places = [index for index, it in enumerate(by) if it == who]
            some = [items.items[index] for index in places]
            positions = [items.positions[index] for index in places]
            if who is None:
                answers = self._rollout.sample(
                    self._student.model,
                    [it.student for it in some],
                    step,
                    self._context.check_stop,
                    positions=positions,
                    with_log_probs=self.corrects,
                )
            else:
                with self._teachers.loaded[who].at_work() as model:
                    answers = self._rollout.sample(
                        model,
                        [it.teacher for it in some],
                        step,
                        self._context.check_stop,
                        positions=positions,
                    )
            completions = self._completions(some, answers, by_student=who is None)
            count = self._spec.num_generations
            for order, index in enumerate(places):
                found[index] = completions[order * count : (order + 1) * count]
        return [it for index in range(len(by)) for it in found[index]]

    def _sampler(self, item: Shown, step: int, position: int) -> int | None:
        """Who answers one prompt: None is the student, else the number of a teacher."""
        stream = [self._context.seed, step, position]
        if np.random.default_rng([*stream, _WHO]).random() < self._spec.lmbda:
            return None
        route = self._teachers.route(item.dataset)
        if route is not None:
            return route
        weights = np.array(self._teachers.weights(item.example))
        drawn = np.random.default_rng([*stream, _WHICH]).choice(
            len(weights), p=weights / weights.sum()
        )
        return int(drawn)

    def _completions(
        self, items: Sequence[Shown], answers: Sequence[Generated], *, by_student: bool
    ) -> list[Completion]:
        count = self._spec.num_generations
        return [
            Completion(items[index // count], it.ids, it.ended, it.log_probs, by_student)
            for index, it in enumerate(answers)
        ]

    def _take_recalled(self, plan: Plan[Shown]) -> None:
        """Put the recalled completions to their prompts."""
        count = self._spec.num_generations
        for step, rows in self._recalled.items():
            items = plan.at(step).items
            self._sampled[step] = [
                Completion(items[index // count], ids, ended, log_probs, by_student)
                for index, (ids, ended, log_probs, by_student) in enumerate(rows)
            ]
        self._recalled = {}

    def _keep_taught(self) -> None:
        """Ask the teacher about all completions at hand, keep its likeliest tokens, and free its network."""
        spec, top_k = self._spec, self._spec.distillation_topk
        assert top_k is not None  # the recipe has been checked
        vocabulary = self._distiller.vocabulary
        for completions in self._sampled.values():
            for route, group in self._distiller.groups(completions):
                self._context.check_stop()
                part = [completions[index] for index in group]
                taught, batch = self._distiller.ask(route, part)
                cache = cache_of(
                    taught,
                    batch.completion.numel(),
                    top_k,
                    spec.temperature,
                    spec.chunk_tokens,
                    vocabulary,
                )
                for it, kept in zip(part, split(cache, batch), strict=True):
                    it.kept = kept
        self._teachers.free()


def rollout_of(spec: SdftSpec, student: Student, vocabulary: int, context: StageContext) -> Rollout:
    """How the stage samples, from the entries that everybody knows."""
    return Rollout(
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        min_p=spec.min_p,
        num_generations=spec.num_generations,
        max_new_tokens=spec.max_completion_length,
        batch_size=GROWTH * spec.per_device_train_batch_size,
        eos_ids=student.eos_ids,
        pad_id=student.pad_id,
        seed=context.seed,
        vocabulary=vocabulary,
    )
