"""What the estimates of all kinds of stages share: opened networks, decoding, scoring, and the sum of work.

Where a number is not known before the run, the side that needs more is taken: the longest prompt, and
completions up to their limit. The time of decoding is reckoned with answers as long as the longest
demonstration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.engine import pace
from core.engine.estimate import ItemName, Knob, LengthsFrom, Phase, PhaseName, StageEstimate
from core.engine.footprint import FLOAT32, Held, drawing, kv_cache, phase, working_space
from core.engine.lengths import Lengths, limits
from core.recipe.plan import Step
from core.recipe.sources import GENERATING
from core.recipe.spec import Recipe

OPTIONS = 4
"""Answers whose likelihoods are compared for one item."""
PROBE_BATCH = 8
"""Items read together for CKA."""
UNKNOWN_PROMPT = 512
"""Tokens of a prompt of data that are not at hand and that no limit bounds."""

Items = list[tuple[ItemName, int]]


@dataclass(frozen=True)
class Surroundings:
    """What a step is reckoned in.

    Attributes:
        recipe: as a whole.
        held: the network of every checkpoint, by stage id.
        dtype_bytes: of the compute precision.
        libraries: resident bytes of a process before its first network (engine-room.md, trap 7); 0 on a
            GPU, whose memory they do not take.
        lengths: of the items of datasets; None where they are not at hand.
        pace: of the device; None when time is not asked for.
    """

    recipe: Recipe
    held: Mapping[str, Held]
    dtype_bytes: int
    libraries: int
    lengths: Callable[[tuple[str, ...]], Lengths | None]
    pace: pace.Pace | None

    @property
    def cuda(self) -> bool:
        """Whether the device has memory of its own."""
        return self.libraries == 0


class Reckoning:
    """The estimate of one step while it is made.

    Attributes:
        around: what the step is reckoned in.
        step: of the plan, not the base.
        read: the network whose checkpoint it reads.
        dtype_bytes: of the compute precision.
        libraries: what the process holds before any network.
        works: the work so far.
    """

    def __init__(self, around: Surroundings, step: Step) -> None:
        assert step.source is not None  # the base is not reckoned
        self.around, self.step = around, step
        self.source = step.source
        self.read = around.held[step.source]
        self.dtype_bytes = around.dtype_bytes
        self.libraries: Items = [("libraries", around.libraries)]
        self.works: list[pace.Work] = []

    def opened(self, held: Held) -> Items:
        """The libraries and one network, with the adapters stacked over it."""
        name: ItemName = "student_nf4" if held.nf4 else "student"
        weights = held.network.parameters * self.dtype_bytes
        return [*self.libraries, (name, weights), ("adapter", held.adapters * FLOAT32)]

    def decoding(
        self, name: PhaseName, opened: Items, held: Held, batch: int, prompt: int, new: int
    ) -> Phase:
        """A batch of answers at its end, or its prompts as they are read, whichever takes more."""
        network, b, length = held.network, self.dtype_bytes, prompt + new
        passing = max(
            working_space(network, batch * prompt, prompt, batch, b),
            working_space(network, batch, length, batch, b) + drawing(network, batch),
        )
        cache = kv_cache(network, batch, length, b)
        return phase(name, [*opened, ("kv_cache", cache), ("working", passing)])

    def scoring(
        self, tasks: Sequence[str], limit: int | None, opened: Items, times: int = 1
    ) -> Phase:
        """The most demanding of the tasks, which are scored `times` times; counts the work of all."""
        phases = [self._scored(name, limit, opened, times) for name in tasks]
        return max(phases, key=lambda it: it.bytes)

    def _scored(self, name: str, limit: int | None, opened: Items, times: int) -> Phase:
        task, network = self.around.recipe.tasks[name], self.read.network
        known = self.around.lengths((task.dataset,)) if task.dataset else None
        lengths = known or limits(UNKNOWN_PROMPT, task.max_new_tokens)
        counts = (lengths.items or task.batch_size, task.limit, limit)
        items = min(count for count in counts if count is not None)
        batch = min(task.batch_size, items)
        batches = math.ceil(items / batch) * times
        longest = lengths.prompt.longest
        if task.scorer not in GENERATING:
            rows = batch * OPTIONS
            self.works.append(pace.forward(network, rows, lengths.prompt.mean) * batches)
            passing = working_space(network, rows * longest, longest, rows, self.dtype_bytes)
            return phase("score", [*opened, ("working", passing)])
        written = min(task.max_new_tokens, lengths.answer.longest or task.max_new_tokens)
        decoded = pace.decoding(
            network,
            batch,
            lengths.prompt.mean,
            written,
            weights=self.read.weights(self.dtype_bytes),
            dtype_bytes=self.dtype_bytes,
            lora=self.read.adapters > 0,
        )
        self.works.append(decoded * batches)
        return self.decoding("score", opened, self.read, batch, longest, task.max_new_tokens)

    def probe_length(self, probe: str) -> int:
        """Tokens of the longest item of a probe."""
        known = self.around.lengths((probe,))
        return known.prompt.longest + known.answer.longest if known else UNKNOWN_PROMPT

    def read_probe(self, probe: str, items: int) -> None:
        """Count the work of reading the states of so many items."""
        once = pace.forward(self.read.network, PROBE_BATCH, self.probe_length(probe))
        self.works.append(once * math.ceil(items / PROBE_BATCH))

    def told(
        self,
        phases: Sequence[Phase],
        *,
        steps: int = 0,
        knobs: tuple[Knob, ...] = (),
        lengths: LengthsFrom = "",
        tokens: int = 0,
    ) -> StageEstimate:
        """The estimate of these phases and of the work counted."""
        speed = self.around.pace
        return StageEstimate(
            stage=self.step.id,
            kind=self.step.kind,
            phases=tuple(phases),
            steps=steps,
            seconds=sum(work.seconds(speed) for work in self.works) if speed else None,
            flops=sum(work.flops for work in self.works),
            lengths=lengths,
            tokens=tokens,
            implied=self.step.implied,
            knobs=knobs,
        )
