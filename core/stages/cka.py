"""Compare a checkpoint with the reference, layer by layer, by linear CKA on the probe.

The reference is read first and freed before the other network is opened (`core.stages.reference`). Every value
of a layer with the same layer has a 95 % interval: over samples by the jackknife, per sequence over sequences.

Second opinions are taken of the same layers on the same inputs, per sequence as means over sequences; the KL of
next-token distributions is taken at the last prompt token of each item, per sequence at every kept token but
the last, after which nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from core.analysis.cka import (
    SMALLEST_SEQUENCE,
    grams,
    kept_tokens,
    null_floor,
    over_sequences,
    similarity,
)
from core.analysis.jackknife import interval
from core.analysis.second_opinions import opinions
from core.analysis.sequences import mean_interval
from core.analysis.streaming import prepare
from core.errors import UserError
from core.events import CkaMeasured, GuardWarning
from core.lm.activations import FINAL_NORM
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model
from core.recipe.stage_specs import CkaSettings, CkaSpec
from core.stages.context import StageContext
from core.stages.next_token import NextTokenKl
from core.stages.probe import Layers, per_item, read, read_pooled
from core.stages.progress import Counter
from core.stages.reference import Reference, reference_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Floats = NDArray[np.float64]
OnRead = Callable[[int], None]


def run(spec: CkaSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Measure `checkpoint` against the spec's reference and hand it back.

    Raises:
        UserError: the probe does not suit, or its states would not fit into memory.
    """
    progress = Counter(context, "sample")
    reference = reference_of(
        spec, context, on_start=lambda count: progress.expect(2 * count), on_read=progress.advance
    )
    report_scored(reference, context)
    if not progress.total:  # the reference was kept from an earlier measurement
        progress.expect(len(reference.inputs.sequences))
    model = load_model(checkpoint, context.compute)
    measure(
        model,
        reference,
        spec,
        context,
        subject=context.subject,
        step=None,
        on_read=progress.advance,
    )
    return checkpoint


def report_scored(reference: Reference, context: StageContext, step: int | None = None) -> None:
    """Say how many items of the probe were passed over because a task scores them, if any."""
    if reference.inputs.scored:
        values = {
            "dropped": reference.inputs.scored,
            "kept": len(reference.inputs.sequences),
        }
        context.emit(
            GuardWarning(stage=context.stage, code="probe_overlap", step=step, values=values)
        )


@dataclass(frozen=True, eq=False)
class _Found:
    """What a comparison gave.

    Attributes:
        names: of the layers.
        values: (layers, layers) CKA.
        floor: (layers,) what chance alone gives the diagonal.
        low: (layers,) lower end of the diagonal's interval.
        high: (layers,) upper end.
        n: samples, or sequences.
        spread: (layers,) inter-quartile range over sequences; else empty.
        opinions: (layers,) by the name of the measure.
        kl: of next-token distributions; None when not asked for.
    """

    names: tuple[str, ...]
    values: Floats
    floor: Floats
    low: Floats
    high: Floats
    n: int
    spread: Floats = field(default_factory=lambda: np.empty(0))
    opinions: dict[str, Floats] = field(default_factory=dict)
    kl: float | None = None


def measure(
    model: PreTrainedModel,
    reference: Reference,
    settings: CkaSettings,
    context: StageContext,
    *,
    subject: str,
    step: int | None,
    on_read: OnRead = lambda count: None,
) -> None:
    """Compare a network with the reference and report `CkaMeasured`, and what was left out.

    Args:
        model: the network; it is only read, and its mode is restored.
        reference: from `reference_of` with the same settings.
        settings: of the measurement.
        context: of the stage that measures.
        subject: id of the stage whose weights these are.
        step: of the training, if in one.
        on_read: told the number of items of each batch read.
    """
    if reference.prepared is not None:
        found = _compare_samples(model, reference, settings, context, on_read)
    else:
        compared = _compare_sequences(model, reference, settings, context, on_read)
        _report_left_out(compared, context, step)
        found = compared.summed(settings)
    shown = np.diagonal(found.values) if settings.layout == "diagonal" else found.values.ravel()
    context.emit(
        CkaMeasured(
            stage=context.stage,
            subject=subject,
            reference=settings.reference,
            probe=settings.probe,
            step=step,
            mode=settings.mode,
            token=settings.token if settings.mode == "per_sample" else "all",
            preprocessing=settings.preprocessing,
            variant=settings.variant,
            layout=settings.layout,
            rows=found.names,
            cols=reference.names,
            values=_plain(shown),
            null_floor=_plain(found.floor),
            spread=_plain(found.spread),
            low=_plain(found.low),
            high=_plain(found.high),
            opinions={name: _plain(values) for name, values in found.opinions.items()},
            probe_kl=found.kl,
            n=found.n,
        )
    )


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def _compare_samples(
    model: PreTrainedModel,
    reference: Reference,
    settings: CkaSettings,
    context: StageContext,
    on_read: OnRead,
) -> _Found:
    assert reference.prepared is not None  # per sample
    features, ahead = read_pooled(model, reference.inputs, context.check_stop, on_read)
    seconded: dict[str, Floats] = {}
    kl = None
    if reference.features is not None and reference.head is not None:
        assert ahead is not None
        assert reference.ahead is not None
        seconded = opinions(features, reference.features, preprocessing=settings.preprocessing)
        functional = NextTokenKl(reference.head, model)
        functional.add(reference.ahead, ahead)
        kl = functional.mean
    own = prepare(features, variant=settings.variant, preprocessing=settings.preprocessing)
    sure = interval(own, reference.prepared)
    return _Found(
        own.names,
        similarity(own, reference.prepared),
        np.diagonal(null_floor(own, reference.prepared)),
        sure.low,
        sure.high,
        own.n,
        opinions=seconded,
        kl=kl,
    )


@dataclass
class _Compared:
    """CKA (layers, layers), null floor and second opinions of each sequence, and what was left out."""

    short: int
    names: tuple[str, ...] = ()
    values: list[Floats] = field(default_factory=list)
    floors: list[Floats] = field(default_factory=list)
    opinions: dict[str, list[Floats]] = field(default_factory=dict)
    kl: float | None = None
    tokens: int = 0
    sinks: int = 0

    def compare(self, own: Layers, other: Layers, settings: CkaSettings) -> None:
        """Add a sequence, given by the layers of both networks at its kept tokens."""
        a, b = (
            grams(it, variant=settings.variant, preprocessing=settings.preprocessing)
            for it in (own, other)
        )
        self.values.append(similarity(a, b))
        self.floors.append(null_floor(a, b))
        if settings.second_opinions:
            found = opinions(own, other, preprocessing=settings.preprocessing)
            for name, values in found.items():
                self.opinions.setdefault(name, []).append(values)

    def summed(self, settings: CkaSettings) -> _Found:
        """Means over sequences."""
        summed = over_sequences(self.values)
        sure = mean_interval([np.diagonal(it) for it in self.values], settings.variant)
        return _Found(
            self.names,
            summed.mean,
            np.diagonal(over_sequences(self.floors).mean),
            sure.low,
            sure.high,
            summed.n,
            np.diagonal(summed.iqr),
            {name: over_sequences(values).mean for name, values in self.opinions.items()},
            self.kl,
        )


def _compare_sequences(
    model: PreTrainedModel,
    reference: Reference,
    settings: CkaSettings,
    context: StageContext,
    on_read: OnRead,
) -> _Compared:
    result = _Compared(short=reference.inputs.dropped)
    functional = None if reference.head is None else NextTokenKl(reference.head, model)
    for batch, states, _ in read(model, reference.inputs, context.check_stop):
        result.names = tuple(states)
        others = (reference.sequences[index] for index in batch)
        for other, own in zip(others, per_item(states), strict=True):
            length = len(next(iter(own.values())))
            kept = np.ones(length, dtype=np.bool_)
            if settings.drop_sinks:
                kept = kept_tokens([*own.values(), *other.values()])
            result.tokens += length
            result.sinks += length - int(kept.sum())
            if kept.sum() < SMALLEST_SEQUENCE:
                result.short += 1
                continue
            result.compare(_at(own, kept), _at(other, kept), settings)
            if functional is not None:
                kept[-1] = False
                functional.add(*(torch.from_numpy(it[FINAL_NORM][kept]) for it in (other, own)))
        on_read(len(batch))
    if not result.values:
        raise UserError(
            f"No sequence of {settings.probe} has {SMALLEST_SEQUENCE} tokens left to compare.",
            "Choose a dataset with longer items, or set drop_sinks to false.",
        )
    result.kl = None if functional is None else functional.mean
    return result


def _at(layers: Layers, kept: NDArray[np.bool_]) -> Layers:
    return {name: layer[kept] for name, layer in layers.items()}


def _report_left_out(compared: _Compared, context: StageContext, step: int | None) -> None:
    if compared.sinks:
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="sink_tokens_dropped",
                step=step,
                values={"dropped": compared.sinks, "tokens": compared.tokens},
            )
        )
    if compared.short:
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="samples_dropped",
                step=step,
                values={"dropped": compared.short, "kept": len(compared.values)},
            )
        )
