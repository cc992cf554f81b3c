"""What view models hand to views: frozen, plain data, ready to be painted.

Texts are in plain words, shares are in per cent (0-100), times in seconds. `role` is "base", "degraded",
"recovered", "expert" or "" and decides the hue; nothing here knows a colour. Arrays may be views into
growing buffers: read them, do not keep or change them across signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StageCard:
    """One card of the stage strip, of a run or of a recipe.

    Attributes:
        id: of the stage; "base" for the first card.
        kind: base, model, quantize, prune, sft, bootstrap, sdft, evaluate, cka.
        role: hue of the card; "" for a measurement.
        status: waiting, running, done, stopped, failed; "" in a recipe.
        title: what stands in the role's colour ("base", "quantize", or the id where it says more).
        headline: what stands beside the title, in grey ("nf4 · 2.1 GB", "step 128 / 200").
        detail: short lines below ("Tooluse 28.9 · Science 30.4", "25 m left").
        fraction: progress 0-1; None while unknown (a moving bar when running, an empty one when waiting).
        eta: seconds left, None if unknown.
        source: id of the stage it reads from; None for base and further models. A card whose source is not
            the card before it is a branch.
        implied: a measurement that the recipe's `measure` section implies.
        problems: number of problems in its fields; recipe cards only.
    """

    id: str
    kind: str
    role: str
    status: str
    title: str
    headline: str = ""
    detail: tuple[str, ...] = ()
    fraction: float | None = None
    eta: float | None = None
    source: str | None = None
    implied: bool = False
    problems: int = 0


@dataclass(frozen=True)
class Series:
    """One curve: `x` steps (float64, ascending), `y` values (NaN for gaps); equal lengths.

    `run` is "" on the run page, and the run's label in comparisons. `sparse` ones are measured now and then.
    """

    stage: str
    key: str
    title: str
    unit: str
    role: str
    x: Floats
    y: Floats
    run: str = ""
    sparse: bool = False


@dataclass(frozen=True)
class Band:
    """A curve with its 95 % Wilson interval, in per cent; `stage` is the checkpoint's stage id."""

    stage: str
    title: str
    role: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats
    run: str = ""


@dataclass(frozen=True)
class Level:
    """A horizontal reference line: the accuracy (per cent) of one finished checkpoint."""

    stage: str
    title: str
    role: str
    value: float


@dataclass(frozen=True)
class Heatmap:
    """A matrix to paint: `values` is (len(rows), len(cols)), NaN where absent.

    `low` and `high` are the range of the finite values (for zoom-to-range); `positions` are the columns'
    numeric positions (steps) where they have some, else empty. Row 0 is the embeddings: paint it lowest.
    """

    rows: tuple[str, ...]
    cols: tuple[str, ...]
    values: Floats
    low: float
    high: float
    caption: str
    row_axis: str = "layer"
    col_axis: str = "layer"
    positions: tuple[float, ...] = ()


@dataclass(frozen=True)
class LabelledHeatmap:
    """A heatmap of a list, with the label of its entry ("recovered against base")."""

    label: str
    subject: str
    role: str
    heatmap: Heatmap


@dataclass(frozen=True)
class Profile:
    """CKA per layer of one checkpoint against the reference; `floor` is the permutation expectation.

    `y`, `low`, `high`, `floor` are aligned with `layers`; `low` and `high` bound the band that `caption` names,
    and equal `y` without one.
    """

    subject: str
    title: str
    role: str
    layers: tuple[str, ...]
    y: Floats
    low: Floats
    high: Floats
    floor: Floats
    caption: str
    run: str = ""


@dataclass(frozen=True)
class Completion:
    """A sampled completion for reading; `divergence` per token in nats, None where it carries no loss.

    `kl` is the mean over the counted tokens, `agreement` the teacher's top-1 agreement in per cent.
    """

    stage: str
    step: int
    item: str
    prompt: str
    demonstration: str
    tokens: tuple[str, ...]
    divergence: tuple[float | None, ...]
    kl: float
    agreement: float
    ended: bool


@dataclass(frozen=True)
class LogLine:
    """One line of the run's log; `level` is info, good, warning or error; `clock` is local time."""

    t: float
    level: str
    text: str
    clock: str


@dataclass(frozen=True)
class Mark:
    """A guard's warning at its place on a chart."""

    stage: str
    step: int
    text: str


@dataclass(frozen=True)
class ScoreCell:
    """An accuracy in per cent with its 95 % Wilson interval, n items, and the protocol's fingerprint.

    The rest says where it comes from: the checkpoint's stage id, scorer, dataset and the run's seed; and what
    was found beside it (("format kept", "98.2 %")). `parts` is what the fingerprint is made of, by name.
    """

    value: float
    low: float
    high: float
    n: int
    correct: int
    protocol: str
    checkpoint: str = ""
    scorer: str = ""
    dataset: str = ""
    seed: int | None = None
    beside: tuple[tuple[str, str], ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One decimal, as in the tables of the paper."""
        return f"{self.value:.1f}"


@dataclass(frozen=True)
class ScoreColumn:
    """A column of a score table: one checkpoint. `key` is unique in the table."""

    key: str
    title: str
    role: str
    run: str = ""


@dataclass(frozen=True)
class ScoreLine:
    """A row of a score table: one task.

    Attributes:
        title: "Tooluse".
        protocol: "official v1 · n 97", or how the protocols differ.
        cells: aligned with the table's columns; None where it was not measured.
        delta: recovered minus degraded in points ("+21.6"), or "" without both.
        refusal: why no difference is given (which protocols differ, and in what), else "".
        recovered: the recovered fraction ("0.75"), "nothing lost", "loss within noise", or "".
        why: what the fraction rests on: the points lost and their interval.
        judged: the checkpoints of difference and fraction ("base → nf4 → recovered").
        source: the run with the beginning of its id; "" where it is not known.
        run, run_index: in comparisons, the run that the line is about and its place in `runs()`.
        stage: in comparisons, the recovered stage where its run has several.
        certain: the difference is beyond what chance and the number of items leave open.
        rests_on: the interval of the difference, its test, and what so many items can show.
    """

    task: str
    title: str
    protocol: str
    cells: tuple[ScoreCell | None, ...]
    delta: str = ""
    refusal: str = ""
    recovered: str = ""
    why: str = ""
    judged: str = ""
    source: str = ""
    run: str = ""
    run_index: int = -1
    stage: str = ""
    certain: bool = False
    rests_on: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """Accuracy per task (rows) and checkpoint (columns); `delta_title` names the difference.

    `judged` is the stage that difference and fraction are about, where it is not the only recovered one.
    """

    columns: tuple[ScoreColumn, ...] = ()
    lines: tuple[ScoreLine, ...] = ()
    delta_title: str = ""
    judged: str = ""


@dataclass(frozen=True)
class DiffRow:
    """A recipe field and its value in each compared run, as text; a dash and a note where there is none."""

    path: str
    label: str
    values: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RunSummary:
    """A run where only its name and state are needed: the queue, the chips of Compare.

    `progress` is 0-1 or None; `note` says the rest in a few words ("sdft: step 128 / 200, 12 m left"),
    `brief` in those that fit the rail ("128 / 200, 12 m left"), `stage_left` is what the note says is left.
    In comparisons `letter` stands for the run where there is little room, `short` is what is own to its name.
    """

    uid: str
    name: str
    label: str
    status: str
    status_text: str
    note: str = ""
    brief: str = ""
    progress: float | None = None
    stage_left: float | None = None
    created: float = 0.0
    tags: tuple[str, ...] = field(default=())
    letter: str = ""
    short: str = ""
