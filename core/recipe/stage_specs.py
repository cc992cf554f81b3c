"""One frozen spec per stage kind: the settings that decide what the stage makes or measures.

Each field carries what a form shows: description, unit, limits, and what the paper used. Field names
follow TRL's `SDFTConfig` and PEFT's `LoraConfig` where one exists.
"""

from __future__ import annotations

from typing import Literal

from core.events import Role
from core.recipe.field import BASE, Spec, StageId, StageSpecBase, about
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec


class CkaSettings(Spec):
    """What a CKA measurement reads; shared by the `cka` stage and `measure.cka`."""

    reference: StageId = about("The checkpoint that others are compared with.", default=BASE)
    probe: str = about(
        "Dataset whose items are the fixed inputs on which activations are compared."
    )
    samples: int = about(
        "Number of probe items.", default=64, ge=4, le=4096, unit="items", paper="507"
    )
    disjoint: bool = about(
        "Leave out probe items that a task of this recipe scores.",
        default=True,
        paper="not left out",
    )
    mode: Literal["per_sample", "per_sequence"] = about(
        "One vector per item (section 5.4), or the tokens of each sequence (section 4.3).",
        default="per_sample",
    )
    token: Literal["last_prompt", "last", "answer_mean"] = about(
        "Which position gives an item's vector, in per-sample mode.",
        default="last_prompt",
        paper="not stated",
    )
    preprocessing: Literal["center", "row_normalise", "paper_5_4"] = about(
        "Centre each dimension; or scale every vector to length one first, so that none weighs more than "
        "another; or scale each dimension to unit variance (section 5.4; loses rotation invariance).",
        default="center",
        paper="paper_5_4",
    )
    variant: Literal["biased", "debiased"] = about(
        "The estimator: biased as in the paper, or debiased (HSIC1).",
        default="debiased",
        paper="biased",
    )
    drop_sinks: bool = about(
        "Leave out the first token and tokens of extreme norm, in per-sequence mode.",
        default=True,
        paper="not stated",
    )
    layout: Literal["diagonal", "map"] = about(
        "Each layer against the same layer, or all pairs of layers.", default="map"
    )
    second_opinions: bool = about(
        "Also compute Procrustes similarity, mutual nearest neighbours and RSA of each layer, and the KL "
        "of the next-token distributions on the probe.",
        default=False,
    )


class QuantizeSpec(StageSpecBase):
    """Quantize the linear layers with bitsandbytes; embeddings, norms and the head keep their precision."""

    kind: Literal["quantize"] = "quantize"
    quant_type: Literal["nf4"] = about("Number format of the weights.", default="nf4", paper="nf4")
    use_double_quant: bool = about(
        "Quantize the block scales too (8 bits).", default=True, paper="not stated"
    )
    blocksize: Literal[64] = about("Weights that share one scale.", default=64, paper="not stated")
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="degraded", advanced=True
    )


class PruneSpec(StageSpecBase):
    """Remove a share of the FFN neurons of every layer (rows of gate and up, columns of down)."""

    kind: Literal["prune"] = "prune"
    ratio: float = about(
        "Share of FFN neurons to remove from each layer.", default=0.10, gt=0, lt=1, paper="0.10"
    )
    criterion: Literal["magnitude"] = about(
        "How a neuron's importance is scored.", default="magnitude", paper="not stated"
    )
    round_to: int = about(
        "The width that is kept is rounded to a multiple of this.",
        default=128,
        ge=1,
        le=1024,
        unit="neurons",
        advanced=True,
    )
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="degraded", advanced=True
    )


class EvaluateSpec(StageSpecBase):
    """Score tasks on one checkpoint."""

    kind: Literal["evaluate"] = "evaluate"
    tasks: list[str] = about("Tasks to score.", min_length=1)


class CkaSpec(StageSpecBase, CkaSettings):
    """Compare the checkpoint with the reference, layer by layer."""

    kind: Literal["cka"] = "cka"


CheckpointSpec = QuantizeSpec | PruneSpec | SftSpec | BootstrapSpec | SdftSpec
StageSpec = CheckpointSpec | EvaluateSpec | CkaSpec
STAGE_SPECS: dict[str, type[StageSpecBase]] = {
    "quantize": QuantizeSpec,
    "prune": PruneSpec,
    "sft": SftSpec,
    "bootstrap": BootstrapSpec,
    "sdft": SdftSpec,
    "evaluate": EvaluateSpec,
    "cka": CkaSpec,
}
