"""Everything that can happen in a run, as one frozen tagged union with a JSON form.

The event log is the truth of a run: the tables of the store are indexes over it, and the window folds
the same events whether they are a second or a month old. Events carry states and numbers, never
words, colours or icons for people (a `Failure` excepted, whose message comes from the error itself).
Adding a kind is a design decision.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Role = Literal["base", "degraded", "recovered", "expert"]
RunStatus = Literal["queued", "running", "done", "stopped", "failed", "interrupted"]
StageStatus = Literal["waiting", "running", "done", "stopped", "failed"]
FailureClass = Literal["out_of_memory", "data", "diverged", "bug"]
Number = float | int


class _Event(BaseModel):
    # "constants": NaN and the infinities survive the round trip through JSON.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class PlannedStage(_Event):
    """One step of a run's plan, in the order of execution.

    `source` is the id of the stage whose checkpoint it reads (None for base); a measurement that the
    recipe's `measure` section implies has `implied=True` and the id `<source>.<kind>`.
    """

    id: str
    kind: str
    source: str | None
    role: Role | None
    implied: bool = False


class RunStarted(_Event):
    """The worker has begun (or resumed: `session` counts from 1)."""

    kind: Literal["run_started"] = "run_started"
    session: int
    stages: tuple[PlannedStage, ...]
    environment: dict[str, str]


class Failure(_Event):
    """Why a run failed: its class, what happened, what to do."""

    failure: FailureClass
    message: str
    hint: str = ""


class RunFinished(_Event):
    """The last event of a session; `recovered_fraction` maps stage id -> task -> fraction or None."""

    kind: Literal["run_finished"] = "run_finished"
    status: RunStatus
    seconds: float
    failure: Failure | None = None
    recovered_fraction: dict[str, dict[str, float | None]] = {}


class StageStarted(_Event):
    """A stage begins; `device` and `dtype` say where and in which precision it computes, `why` the reason.

    `estimated_memory` (bytes at the peak) and `estimated_seconds` are what was expected of it before it
    began, from the model's config alone; None when that could not be said. On a GPU the memory is that of
    its tensors, on a CPU the resident memory of the whole process, so that it compares with `peak_memory`.
    """

    kind: Literal["stage_started"] = "stage_started"
    stage: str
    device: str = ""
    dtype: str = ""
    why: str = ""
    estimated_memory: int | None = None
    estimated_seconds: float | None = None


class StageFinished(_Event):
    """A stage ended; `reused` when an identical checkpoint was found instead of made.

    `peak_memory` is what it took at most, measured, in bytes: of tensors on a GPU, resident on a CPU. None
    when nothing was computed or the system does not tell.
    """

    kind: Literal["stage_finished"] = "stage_finished"
    stage: str
    status: StageStatus
    checkpoint: str | None = None
    reused: bool = False
    seconds: float = 0.0
    peak_memory: int | None = None


class Progress(_Event):
    """How far a stage is. Only the newest per stage is kept. `rate` in units a second, `eta` in seconds."""

    kind: Literal["progress"] = "progress"
    stage: str
    done: int
    total: int
    unit: Literal["step", "item", "layer", "sample", "byte"]
    rate: float | None = None
    eta: float | None = None


class Metrics(_Event):
    """Named scalars at one step of one stage; `tokens` counts trained tokens so far."""

    kind: Literal["metrics"] = "metrics"
    stage: str
    step: int
    values: dict[str, float]
    tokens: int = 0


class CompletionSampled(_Event):
    """A rollout kept for reading: the student's text, token by token, with its divergence.

    `tokens` are decoded pieces (plain text); `divergence` has one value a token in nats, None where the
    token is skipped or masked. `kl` is the mean over the counted tokens.
    """

    kind: Literal["completion_sampled"] = "completion_sampled"
    stage: str
    step: int
    item: str
    prompt: str
    demonstration: str
    tokens: tuple[str, ...]
    divergence: tuple[float | None, ...]
    kl: float
    teacher_top1_agreement: float
    ended: bool


class EvaluatedItem(_Event):
    """One scored item. `score` is what the scorer computed (log-likelihood margin, 0/1, …).

    `group` is what items cluster by in intervals, the subject or the tool; "" if none.
    `values` is what else was found; the task's own `values` are their means by name.
    """

    item: str
    correct: bool
    score: float
    completion: str = ""
    gold: str = ""
    group: str = ""
    values: dict[str, float] = {}


class ItemsEvaluated(_Event):
    """A batch of scored items of one task on one checkpoint; `step` is set while training.

    `checkpoint` and `protocol` say on which weights and how, so that a resumed run knows which items stand.
    """

    kind: Literal["items_evaluated"] = "items_evaluated"
    stage: str
    subject: str  # id of the stage whose checkpoint is measured
    checkpoint: str | None = None
    protocol: str = ""
    task: str
    step: int | None = None
    items: tuple[EvaluatedItem, ...]


class TaskEvaluated(_Event):
    """The score of one task on one checkpoint. Never subtract across `protocol` fingerprints.

    `protocol_parts` is what the fingerprint is made of, by name, so that a refusal can say what differs; long
    texts are given by their digest.
    """

    kind: Literal["task_evaluated"] = "task_evaluated"
    stage: str
    subject: str
    checkpoint: str | None
    task: str
    step: int | None = None
    n: int
    correct: int
    protocol: str
    scorer: str
    dataset: str
    seed: int
    values: dict[str, float] = {}
    protocol_parts: dict[str, str] = {}


class CheckpointSaved(_Event):
    """Weights reached the disk. `final` is False for a mid-training state that resume reads."""

    kind: Literal["checkpoint_saved"] = "checkpoint_saved"
    stage: str
    identity: str
    parent: str | None
    stage_kind: str
    path: str  # relative to the home folder
    bytes: int
    step: int | None = None
    final: bool = True


class CkaMeasured(_Event):
    """Linear CKA of every layer of `subject` against the same layer of `reference` (or all pairs).

    `values` is row-major (len(rows), len(cols)) when `layout` is "map", one value a layer when "diagonal";
    `null_floor` is the permutation expectation for each value of the diagonal. `n` samples;
    `spread` holds the inter-quartile range per layer in per-sequence mode. `low` and `high` bound a 95 %
    interval for each value of the diagonal. `opinions` holds other measures of the same layers by name, a
    value for each of the diagonal. `probe_kl` is the mean KL (nats) of the reference's next-token
    distribution from the subject's on the probe.
    """

    kind: Literal["cka_measured"] = "cka_measured"
    stage: str
    subject: str
    reference: str
    probe: str
    step: int | None = None
    mode: Literal["per_sample", "per_sequence"]
    token: str
    preprocessing: str
    variant: Literal["biased", "debiased"]
    layout: Literal["diagonal", "map"] = "diagonal"
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    values: tuple[float, ...]
    null_floor: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    opinions: dict[str, tuple[float, ...]] = {}
    probe_kl: float | None = None
    n: int


class GuardWarning(_Event):
    """Something a person should look at; `code` names it and `values` hold its numbers."""

    kind: Literal["guard_warning"] = "guard_warning"
    stage: str
    code: Literal[
        "samples_dropped",
        "truncated_completions",
        "artefact_phrases",
        "entropy_collapse",
        "no_counted_tokens",
        "sink_tokens_dropped",
        "achieved_ratio",
        "demonstration_no_help",
        "thinking_model",
        "stopped_early",
        "slow_device",
        "probe_budget",
        "probe_overlap",
        "contaminated",
    ]
    step: int | None = None
    values: dict[str, float] = {}


class Heartbeat(_Event):
    """The worker lives. Only the newest is kept. Memory in bytes, utilisation 0-1 or None."""

    kind: Literal["heartbeat"] = "heartbeat"
    rss: int
    device_memory: int | None = None
    device_utilisation: float | None = None


Event = (
    RunStarted
    | RunFinished
    | StageStarted
    | StageFinished
    | Progress
    | Metrics
    | CompletionSampled
    | ItemsEvaluated
    | TaskEvaluated
    | CheckpointSaved
    | CkaMeasured
    | GuardWarning
    | Heartbeat
)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])

REPLACED_KINDS = frozenset({"progress", "heartbeat"})
"""Kinds of which the log keeps only the newest (per stage)."""


def to_json(event: Event) -> str:
    """The event as one line of JSON; NaN and infinities are written as constants."""
    return event.model_dump_json()


def from_json(text: str) -> Event:
    """The event that `to_json` wrote.

    Raises:
        pydantic.ValidationError: the text is no event of this version.
    """
    return _ADAPTER.validate_json(text)
