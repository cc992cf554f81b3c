"""What one step of a plan will hold and compute, by its kind: the phases as the stage goes through them."""

from __future__ import annotations

from core.engine import pace
from core.engine.estimate import Phase, StageEstimate
from core.engine.footprint import phase, working_space
from core.engine.reckoning import PROBE_BATCH, Items, Reckoning, Surroundings
from core.engine.training_needs import training
from core.recipe.plan import Step
from core.recipe.stage_specs import CkaSpec, EvaluateSpec, PruneSpec, QuantizeSpec
from core.recipe.training_specs import TrainSpec

PASSES_OF_A_REWRITE = 4
"""Times that the weights are read or written: opened, changed, written, and opened again as a proof."""


def needs(around: Surroundings, step: Step) -> StageEstimate:
    """The estimate of one step."""
    on, spec = Reckoning(around, step), step.spec
    if isinstance(spec, TrainSpec):
        return training(on, spec)
    if isinstance(spec, EvaluateSpec):
        first = around.recipe.tasks[spec.tasks[0]].dataset
        known = around.lengths((first,)) if first else None
        return on.told(
            [on.scoring(spec.tasks, None, on.opened(on.read))],
            knobs=("batch_size",),
            lengths=known.source if known is not None else "limits",
        )
    if isinstance(spec, CkaSpec):
        return on.told([_comparing(on, spec)])
    if isinstance(spec, QuantizeSpec | PruneSpec):
        return on.told(_rewriting(on, spec))
    return StageEstimate(
        step.id,
        step.kind,
        implied=step.implied,
        unknown=f"What a stage of kind {step.kind} needs is not reckoned.",
    )


def _rewriting(on: Reckoning, spec: QuantizeSpec | PruneSpec) -> list[Phase]:
    """The network, what is made of it, and the written copy that is opened as a proof."""
    network, b = on.read.network, on.dtype_bytes
    made = on.around.held[on.step.id]
    opened: Items = [*on.libraries, ("student", network.parameters * b)]
    packed = 0
    if isinstance(spec, QuantizeSpec) and not on.around.cuda:  # gathered in host memory
        whole = network.packed_bytes(double_quant=spec.use_double_quant, dtype_bytes=b)
        packed = whole - (network.parameters - network.linear_weights) * b
    on.works.append(pace.Work(moved=PASSES_OF_A_REWRITE * network.parameters * b))
    return [
        phase("load", [*opened, ("second_copy", on.read.while_loading(b, merge=True))]),
        phase("write", [*opened, ("packed", packed)]),
        phase("load", [*on.opened(made), ("second_copy", made.while_loading(b))]),
    ]


def _comparing(on: Reckoning, spec: CkaSpec) -> Phase:
    """One network at a time: the reference is read first, then the checkpoint."""
    b = on.dtype_bytes
    reference = on.around.held[spec.reference]
    larger = max(on.read, reference, key=lambda it: it.weights(b) + it.while_loading(b))
    on.read_probe(spec.probe, 2 * spec.samples)
    network, length = larger.network, on.probe_length(spec.probe)
    tokens = PROBE_BATCH * length
    states = tokens * network.hidden * (network.layers + 2) * b
    passing = states + working_space(network, tokens, length, PROBE_BATCH, b)
    copy = larger.while_loading(b)
    return phase("score", [*on.opened(larger), ("second_copy", copy), ("working", passing)])
