"""What a run is expected to need, as plain data: bytes with their sum, seconds with their rates.

The numbers are made by `core.engine.forecast`, which needs torch; this module does not, so that window and
command line can read what a child process says. Names here are codes; their words are the app's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

ItemName = Literal[
    "libraries",
    "student",
    "student_nf4",
    "adapter",
    "teachers",
    "ema",
    "reference",
    "second_copy",
    "packed",
    "masters",
    "moments",
    "best",
    "gradients",
    "activations",
    "logits",
    "head_gradient",
    "kv_cache",
    "working",
]
PhaseName = Literal["load", "rewrite", "rollout", "loss", "backward", "step", "score", "write"]
LengthsFrom = Literal["data", "characters", "limits", ""]
Knob = Literal[
    "gradient_checkpointing",
    "per_device_train_batch_size",
    "max_completion_length",
    "chunk_tokens",
    "lora",
    "quantize",
    "batch_size",
]


@dataclass(frozen=True)
class Item:
    """One thing that takes memory, in bytes."""

    name: ItemName
    bytes: int


@dataclass(frozen=True)
class Phase:
    """What is in memory at one time of a stage; the stage's peak is the largest of its phases."""

    name: PhaseName
    items: tuple[Item, ...]

    @property
    def bytes(self) -> int:
        """The sum."""
        return sum(item.bytes for item in self.items)


@dataclass(frozen=True)
class StageEstimate:
    """What a stage is expected to need.

    Attributes:
        stage: its id in the plan.
        kind: of the stage.
        phases: in order of time; empty when nothing can be said.
        steps: optimizer steps of a training stage; 0 for the others.
        seconds: rough; None when the speed of the device was not measured.
        flops: floating-point operations of the whole stage.
        lengths: where the lengths of prompts and answers come from: the data, its characters (a tokenizer
            is not at hand), or only the limits in the recipe.
        tokens: the longest sequence reckoned with, of the student.
        implied: whether `measure` implies it.
        knobs: settings that would lower the peak, the most helpful first.
        unknown: why nothing can be said, a sentence; "" when something can.
    """

    stage: str
    kind: str
    phases: tuple[Phase, ...] = ()
    steps: int = 0
    seconds: float | None = None
    flops: float = 0.0
    lengths: LengthsFrom = ""
    tokens: int = 0
    implied: bool = False
    knobs: tuple[Knob, ...] = ()
    unknown: str = ""

    @property
    def peak(self) -> Phase | None:
        """The phase that takes most, None when nothing can be said."""
        return max(self.phases, key=lambda phase: phase.bytes, default=None)

    @property
    def memory(self) -> int | None:
        """Bytes at the peak."""
        return self.peak.bytes if self.peak is not None else None


@dataclass(frozen=True)
class Machine:
    """The device that the stages compute on.

    Attributes:
        device: "cpu" or "cuda:N".
        dtype: in which it computes.
        memory: bytes of the device, of the host for a CPU.
        free: bytes of these that are free now, 0 when that is not known.
        flops: measured floating-point operations a second in matrix products; 0 when not measured.
        bandwidth: measured bytes a second, read or written.
        call_seconds: measured time of one decoder layer on next to nothing: what calling it costs.
    """

    device: str
    dtype: str
    memory: int
    free: int = 0
    flops: float = 0.0
    bandwidth: float = 0.0
    call_seconds: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """A recipe's stages in the order of the plan, and the machine they were reckoned for."""

    machine: Machine
    stages: tuple[StageEstimate, ...]

    @property
    def seconds(self) -> float | None:
        """Of the whole run; None when a stage's time is not known."""
        known = [stage.seconds for stage in self.stages]
        return None if not known or None in known else sum(it for it in known if it is not None)

    @property
    def memory(self) -> int | None:
        """Bytes of the most demanding stage; None when none is known."""
        return max((stage.memory or 0 for stage in self.stages), default=0) or None

    def fits(self, stage: StageEstimate) -> bool | None:
        """Whether the device has the memory at all; None when that cannot be said."""
        if stage.memory is None or not self.machine.memory:
            return None
        return stage.memory + reserved(self.machine.device) <= self.machine.memory


CUDA_CONTEXT = 600 * 2**20
"""What the driver takes on a GPU before the first tensor (300-600 MiB on present cards): not in the peak
that torch measures, and therefore no item, but it has to fit too."""


def reserved(device: str) -> int:
    """Bytes of a device that tensors cannot have."""
    return CUDA_CONTEXT if device.startswith("cuda") else 0


def to_record(estimate: Estimate) -> dict[str, Any]:
    """The estimate as JSON-ready data, with its sums."""
    record = asdict(estimate)
    for stage, told in zip(estimate.stages, record["stages"], strict=True):
        told["memory"] = stage.memory
        told["fits"] = estimate.fits(stage)
        told["peak"] = stage.peak.name if stage.peak is not None else None
        for phase, told_phase in zip(stage.phases, told["phases"], strict=True):
            told_phase["bytes"] = phase.bytes
    record["seconds"], record["memory"] = estimate.seconds, estimate.memory
    return record


def from_record(record: Mapping[str, Any]) -> Estimate:
    """The estimate that `to_record` told."""
    return Estimate(
        Machine(**record["machine"]),
        tuple(_stage(told) for told in record["stages"]),
    )


def _stage(told: Mapping[str, Any]) -> StageEstimate:
    fields = {name: told[name] for name in StageEstimate.__dataclass_fields__ if name in told}
    fields["knobs"] = tuple(told["knobs"])
    fields["phases"] = tuple(
        Phase(phase["name"], tuple(Item(**item) for item in phase["items"]))
        for phase in told["phases"]
    )
    return StageEstimate(**fields)
