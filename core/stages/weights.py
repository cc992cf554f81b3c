"""What the stages that rewrite weights share: opening them whole, proving a written copy, sealing it.

Training stages have their own ways (`core.stages.student`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from core.errors import BugError, UserError
from core.events import CheckpointSaved
from core.lm.checkpoint import Checkpoint, Storage, read_manifest, write_manifest
from core.lm.device import Compute
from core.lm.load import load_model
from core.recipe.stage_specs import PruneSpec, QuantizeSpec
from core.stages.context import StageContext

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROOF_TOKENS = 48
"""Length of the two fixed sequences on which a written checkpoint must reproduce its logits."""

PROOF_TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference allowed, as a share of the largest logit; the same kernels usually give 0."""


def full_weights(checkpoint: Checkpoint, context: StageContext) -> PreTrainedModel:
    """The checkpoint as one network of plain weights, adapters merged, in eval mode.

    Raises:
        UserError: its weights, or those under its adapter, are quantized.
    """
    if has_quantized_weights(checkpoint):
        raise UserError(
            f"Stage {context.stage} needs whole weights, and those of {context.subject} are quantized.",
            "Prune and quantize a checkpoint that is not quantized, in this order.",
        )
    return load_model(checkpoint, context.compute, merge=True)


def has_quantized_weights(checkpoint: Checkpoint) -> bool:
    """Whether the weights under all adapters are quantized."""
    current: Checkpoint | None = checkpoint
    while current is not None and current.storage == "adapter" and current.parent_path is not None:
        current = read_manifest(current.parent_path)
    return current is not None and current.storage == "nf4"


@torch.no_grad()
def proof_logits(model: PreTrainedModel) -> torch.Tensor:
    """Logits (2, T, V) on two fixed sequences, float32 on the CPU; they say whether two networks are one function."""
    size = int(model.config.get_text_config().vocab_size)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(size, (2, PROOF_TOKENS), generator=generator)
    logits: torch.Tensor = model(input_ids=ids.to(model.device), use_cache=False).logits
    return logits.float().cpu()


def prove(made: Checkpoint, expected: torch.Tensor, compute: Compute) -> float:
    """Load what was written and compare its logits with those of the network in memory.

    Returns:
        The largest difference.

    Raises:
        BugError: it is another function.
    """
    found = proof_logits(load_model(made, compute))
    difference = float((found - expected).abs().max())
    allowed = PROOF_TOLERANCE[compute.dtype] * float(expected.abs().max())
    if not difference <= allowed:  # also when it is not a number
        raise BugError(
            f"the checkpoint written to {made.path} is another function than the network in memory: "
            f"logits differ by {difference:g}, allowed are {allowed:g}"
        )
    return difference


def unsealed(
    spec: QuantizeSpec | PruneSpec, parent: Checkpoint, context: StageContext, storage: Storage
) -> Checkpoint:
    """The checkpoint in `context.folder` before it has a manifest and facts."""
    return Checkpoint(
        identity=context.identity,
        path=context.folder,
        parent=parent.identity,
        parent_path=parent.path,
        kind=spec.kind,
        storage=storage,
        dtype=parent.dtype,
        spec=spec.model_dump(mode="json", by_alias=True),
        inputs=dict(context.inputs),
        facts={},
    )


def seal(made: Checkpoint, facts: Mapping[str, Any], context: StageContext) -> Checkpoint:
    """Add the facts, write the manifest and report the checkpoint."""
    sealed = replace(made, facts=dict(facts))
    write_manifest(sealed)
    context.emit(
        CheckpointSaved(
            stage=context.stage,
            identity=sealed.identity,
            parent=sealed.parent,
            stage_kind=sealed.kind,
            path=sealed.path.relative_to(sealed.path.parent.parent).as_posix(),
            bytes=folder_bytes(sealed),
        )
    )
    return sealed


def folder_bytes(checkpoint: Checkpoint) -> int:
    """Bytes of all files of the checkpoint."""
    return sum(file.stat().st_size for file in checkpoint.path.rglob("*") if file.is_file())
