"""What a training stage will hold and compute: load, rollout, loss, backward, optimizer step, live scores.

The phases follow `core.stages.student`, `core.stages.sdft` and `core.stages.optimizer`. The sum of a
phase is an upper bound for the data it was reckoned with; its peak is the largest phase.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.distill.rollout import GROWTH
from core.engine import pace
from core.engine.estimate import ItemName, Knob, Phase, StageEstimate
from core.engine.footprint import (
    ADAM_MOMENTS,
    FLOAT32,
    SDFT_CHUNK,
    SFT_CHUNK,
    Trained,
    activations,
    backward_space,
    chunk_logits,
    head_gradient,
    phase,
    step_space,
)
from core.engine.lengths import Lengths, Span, limits
from core.engine.reckoning import Items, Reckoning
from core.recipe.field import EMA, LIVE
from core.recipe.training_specs import (
    BootstrapSpec,
    DistillSpecBase,
    SdftSpec,
    SftSpec,
    TrainSpec,
)
from core.stages.aligning import LARGEST_ROWS
from core.stages.rewrite import BATCH_GROWTH
from core.stages.schedule import DataOrder
from core.stages.sft import CHUNK_TOKENS


@dataclass(frozen=True)
class _Sizes:
    """Tokens of a stage: the longest decide the memory, the means the time."""

    prompt: Span
    taught: Span
    answer: Span
    completion: int  # reckoned with for memory

    @property
    def length(self) -> int:
        """Of the longest sequence of the student."""
        return self.prompt.longest + self.completion


def training(reckoning: Reckoning, spec: TrainSpec) -> StageEstimate:
    """The estimate of a training stage."""
    return _Training(reckoning, spec).estimate()


class _Training:
    def __init__(self, reckoning: Reckoning, spec: TrainSpec) -> None:
        self._on, self._spec = reckoning, spec
        self._network, self._bytes = reckoning.read.network, reckoning.dtype_bytes
        known = reckoning.around.lengths(spec.datasets)
        self._lengths = known or limits(spec.max_prompt_length, spec.max_completion_length)
        self._sizes = self._tokens(self._lengths)
        full = spec.method == "full"
        trainable = self._network.parameters if full else self._network.lora(spec.lora_r)
        rank = 0 if full else spec.lora_r
        self._how = Trained(full, trainable, rank, spec.gradient_checkpointing)
        self._order = DataOrder.plan(
            max(1, self._lengths.items),
            spec.per_device_train_batch_size * spec.gradient_accumulation_steps,
            max_steps=spec.max_steps,
            epochs=spec.num_train_epochs,
            seed=0,
            repeats=self._times_learned,
        )

    @property
    def _generations(self) -> int:
        return self._spec.num_generations if isinstance(self._spec, SdftSpec) else 1

    @property
    def _times_learned(self) -> int:
        return self._spec.num_iterations if isinstance(self._spec, SdftSpec) else 1

    def estimate(self) -> StageEstimate:
        """All phases, the steps, and the work."""
        spec, on = self._spec, self._on
        teachers, second = self._teachers()
        opened = [*on.libraries, *self._student(), *teachers]
        loading = max(on.read.while_loading(self._bytes, merge=self._how.full), second)
        phases = [phase("load", [*opened, ("second_copy", loading)])]
        if isinstance(spec, SftSpec) and spec.teacher is not None:
            phases.insert(0, self._answered(spec.teacher))
        if isinstance(spec, BootstrapSpec) and spec.completions == "teacher":
            phases.append(self._answered(spec.teacher))
        running = [*opened, *self._optimizer()]
        if isinstance(spec, SdftSpec):
            phases.append(self._rollout(running))
        phases += [*self._gradient(running), self._step(running), *self._live(running)]
        if on.around.pace is not None:
            self._count()
        return on.told(
            phases,
            steps=self._order.steps,
            knobs=self._knobs(),
            lengths=self._lengths.source,
            tokens=self._sizes.length,
        )

    def _tokens(self, lengths: Lengths) -> _Sizes:
        spec, context = self._spec, self._network.context
        longest = spec.max_prompt_length
        if context:
            longest = min(longest, context - 1)
        prompt = lengths.prompt.within(longest)
        answer = lengths.answer.within(spec.max_completion_length)
        # A student's own answer may be as long as the limit; a demonstration is as long as it is.
        own = isinstance(spec, SdftSpec) or (
            isinstance(spec, BootstrapSpec) and spec.completions == "teacher"
        )
        completion = spec.max_completion_length if own else answer.longest
        if context:
            completion = min(completion, max(1, context - prompt.longest))
        taught = lengths.teacher.within(longest)
        if isinstance(spec, BootstrapSpec):
            prompt = taught  # both are shown the demonstration
        return _Sizes(prompt, taught, answer, completion)

    def _student(self) -> Items:
        """The opened network with what is trained on it; full training merges the adapters under it."""
        read = self._on.read
        name: ItemName = "student_nf4" if read.nf4 else "student"
        weights = self._network.parameters * self._bytes
        adapters = 0 if self._how.full else self._how.trainable + read.adapters
        return [(name, weights), ("adapter", adapters * FLOAT32)]

    def _teachers(self) -> tuple[Items, int]:
        """What the teachers hold beside the student, and the second copy of one being opened.

        The student's own network serves as a teacher that is the student's parent, under LoRA
        (`core.distill.teacher.can_share`), or the student itself; several teachers sum up.
        """
        spec, on = self._spec, self._on
        held = second = ema = 0
        for name in self._named():
            if name == EMA:
                ema = self._how.trainable * FLOAT32
            elif name != LIVE and not (spec.method == "lora" and name == on.source):
                teacher = on.around.held[name]
                held += teacher.weights(self._bytes)
                second = max(second, teacher.while_loading(self._bytes))
        return [("teachers", held), ("ema", ema)], second

    def _named(self) -> tuple[str, ...]:
        """Teachers that are there while the student trains; the one of `sft` has gone by then."""
        spec = self._spec
        if isinstance(spec, SdftSpec):
            return tuple(dict.fromkeys(spec.teachers))
        return (spec.teacher,) if isinstance(spec, BootstrapSpec) else ()

    def _optimizer(self) -> Items:
        """What AdamW keeps from its first step on, and the best weights where they are kept."""
        trainable = self._how.trainable
        masters = trainable * FLOAT32 if self._how.full and self._bytes != FLOAT32 else 0
        kept = self._spec.eval_steps and self._spec.load_best_model_at_end
        best = trainable * FLOAT32 if kept else 0
        return [("masters", masters), ("moments", trainable * ADAM_MOMENTS), ("best", best)]

    def _answered(self, name: str) -> Phase:
        """The teacher that answers all items before the training."""
        on, sizes, spec = self._on, self._sizes, self._spec
        teacher = on.around.held[name]
        batch = BATCH_GROWTH * spec.per_device_train_batch_size
        weights = teacher.weights(self._bytes)
        decoded = pace.decoding(
            teacher.network,
            batch,
            sizes.taught.mean,
            sizes.answer.longest,
            weights=weights,
            dtype_bytes=self._bytes,
        )
        on.works.append(decoded * math.ceil(max(1, self._lengths.items) / batch))
        opened: Items = [*on.libraries, ("teachers", weights)]
        new = spec.max_completion_length
        return on.decoding("rewrite", opened, teacher, batch, sizes.taught.longest, new)

    @property
    def _sampled_together(self) -> int:
        spec = self._spec
        growth = min(GROWTH, spec.gradient_accumulation_steps * self._generations)
        return growth * spec.per_device_train_batch_size

    def _rollout(self, running: Items) -> Phase:
        sizes = self._sizes
        return self._on.decoding(
            "rollout",
            running,
            self._on.read,
            self._sampled_together,
            sizes.prompt.longest,
            sizes.completion,
        )

    def _gradient(self, running: Items) -> list[Phase]:
        """The loss, when all activations and the logits of a chunk exist; then the backward pass."""
        spec, network, how, b = self._spec, self._network, self._how, self._bytes
        tokens = spec.per_device_train_batch_size * self._sizes.length
        width = how.trainable * (b if how.full else FLOAT32)
        completions = spec.per_device_train_batch_size * self._sizes.completion
        states = 2 * completions * network.hidden * (b + FLOAT32) + self._compared(completions)
        kept = activations(network, how, tokens, self._sizes.length, b)
        head = head_gradient(network, how, b)
        base: Items = [*running, ("gradients", width), ("activations", kept)]
        return [
            phase(
                "loss",
                [*base, ("head_gradient", head), ("logits", self._logits()), ("working", states)],
            ),
            phase(
                "backward",
                [
                    *base,
                    ("head_gradient", head),
                    ("working", states + backward_space(network, tokens, how, b)),
                ],
            ),
        ]

    def _compared(self, completions: int) -> int:
        """Where CKA is in the loss: the rows of both networks at the compared blocks, and the gradient at them."""
        spec, network = self._spec, self._network
        if not isinstance(spec, SdftSpec) or spec.cka_loss == "off":
            return 0
        blocks = min(spec.cka_layers or network.layers, network.layers)
        rows = min(LARGEST_ROWS, completions * spec.gradient_accumulation_steps * self._generations)
        return 3 * blocks * rows * network.hidden * FLOAT32

    def _logits(self) -> int:
        spec, sizes, batch = self._spec, self._sizes, self._spec.per_device_train_batch_size
        if isinstance(spec, DistillSpecBase):
            counted = batch * max(0, sizes.completion - spec.num_loss_tokens_to_skip)
            return chunk_logits(self._network, counted, spec.chunk_tokens, SDFT_CHUNK)
        return chunk_logits(self._network, batch * sizes.completion, CHUNK_TOKENS, SFT_CHUNK)

    def _step(self, running: Items) -> Phase:
        """Gradients in float32 beside masters and moments, and what AdamW needs in passing."""
        gradients = self._how.trainable * FLOAT32
        space = step_space(self._network, self._how, cuda=self._on.around.cuda)
        return phase("step", [*running, ("gradients", gradients), ("working", space)])

    def _live(self, running: Items) -> list[Phase]:
        """Measurements while training: tasks, and CKA, whose reference is opened beside the student."""
        on, measure, steps = self._on, self._on.around.recipe.measure, self._order.steps
        found = []
        if measure.tasks and measure.every_steps:
            times = 1 + steps // measure.every_steps
            found.append(on.scoring(measure.tasks, measure.live_items, running, times))
        cka = measure.cka
        reference = on.around.held.get(cka.reference) if cka is not None else None
        if cka is not None and cka.every_steps and reference is not None:
            copies = reference.weights(self._bytes) + reference.while_loading(self._bytes)
            found.append(phase("score", [*running, ("reference", copies)]))
            on.read_probe(cka.probe, cka.samples * (1 + steps // cka.every_steps))
        return found

    def _count(self) -> None:
        """The work of all steps."""
        spec, on, network, sizes = self._spec, self._on, self._network, self._sizes
        batch, lora = spec.per_device_train_batch_size, not self._how.full
        sequences = self._order.total * self._generations
        micro = math.ceil(sequences / batch) * self._times_learned
        length, counted = sizes.prompt.mean + sizes.answer.mean, batch * sizes.answer.mean
        ahead = pace.forward(network, batch, length, counted=counted, lora=lora)
        back = pace.backward(
            network,
            batch,
            length,
            counted=counted,
            full=self._how.full,
            again=self._how.checkpointing,
        )
        on.works += [
            ahead * micro,
            back * micro,
            pace.adam(self._how.trainable) * self._order.steps,
        ]
        compared = isinstance(spec, SdftSpec) and spec.cka_loss != "off"
        if compared:
            on.works.append(pace.forward(network, batch, length, lora=lora) * micro)
        for name in self._named():
            teacher = on.around.held.get(name, on.read).network
            taught = sizes.taught.mean + sizes.answer.mean
            on.works.append(pace.forward(teacher, batch, taught, counted=counted) * micro)
            if compared:
                on.works.append(pace.forward(teacher, batch, length) * micro)
        if not isinstance(spec, SdftSpec):
            return
        sampled = pace.decoding(
            network,
            self._sampled_together,
            sizes.prompt.mean,
            sizes.answer.longest,
            weights=on.read.weights(self._bytes),
            dtype_bytes=self._bytes,
            lora=lora,
        )
        on.works.append(sampled * math.ceil(sequences / self._sampled_together))

    def _knobs(self) -> tuple[Knob, ...]:
        """Settings that would lower the peak, the most helpful first."""
        spec, how = self._spec, self._how
        tokens = spec.per_device_train_batch_size * self._sizes.length
        kept = activations(self._network, how, tokens, self._sizes.length, self._bytes)
        found: list[tuple[int, Knob]] = []
        if not how.checkpointing:
            found.append((kept, "gradient_checkpointing"))
        if spec.per_device_train_batch_size > 1:
            found.append((kept // 2, "per_device_train_batch_size"))
        if isinstance(spec, DistillSpecBase):
            found.append((self._logits() // 2, "chunk_tokens"))
        if isinstance(spec, SdftSpec):
            found.append((kept // 4, "max_completion_length"))
        if how.full:
            found.append((how.trainable * ADAM_MOMENTS, "lora"))
        found.sort(key=lambda pair: -pair[0])
        return tuple(knob for size, knob in found if size > 0)
