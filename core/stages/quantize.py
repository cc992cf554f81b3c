"""Quantize the linear layers to NF4.

The packed form is the checkpoint; computing is done with weights dequantized once (`core.lm.nf4`). Adapters are
merged first: an NF4 checkpoint is always one whole network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from transformers import PreTrainedModel

from core.events import Progress
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_tokenizer
from core.lm.nf4 import save_packed
from core.recipe.stage_specs import QuantizeSpec
from core.stages.context import StageContext
from core.stages.weights import full_weights, proof_logits, prove, seal, unsealed


def run(spec: QuantizeSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Quantize every linear layer of `checkpoint` but the head.

    Raises:
        UserError: the weights are quantized already, or there is no layer to quantize.
        BugError: the written checkpoint does not compute as its dequantized weights do.
    """
    model = full_weights(checkpoint, context)
    context.check_stop()
    context.emit(Progress(stage=context.stage, done=0, total=1, unit="step"))
    packed = save_packed(model, context.folder, double_quant=spec.use_double_quant)
    load_tokenizer(checkpoint).save_pretrained(context.folder)
    round_trip(model, packed.layers, spec)
    expected = proof_logits(model)
    del model
    made = unsealed(spec, checkpoint, context, "nf4")
    facts = {
        "bits_per_weight": packed.bits_per_weight,
        "quantized_layers": len(packed.layers),
        "quantized_weights": packed.weights,
        "bytes_before": packed.bytes_before,
        "bytes_after": packed.bytes_after,
        "max_error": packed.max_error,
        "reload_difference": prove(made, expected, context.compute),
    }
    sealed = seal(made, facts, context)
    context.emit(Progress(stage=context.stage, done=1, total=1, unit="step"))
    return sealed


@torch.no_grad()
def round_trip(model: PreTrainedModel, layers: Sequence[str], spec: QuantizeSpec) -> None:
    """Replace the weights of these layers, in place, by what quantizing leaves of them."""
    for name in layers:
        weight = model.get_parameter(f"{name}.weight")
        packed, state = quantize_4bit(
            weight.contiguous(),
            blocksize=spec.blocksize,
            compress_statistics=spec.use_double_quant,
            quant_type=spec.quant_type,
        )
        weight.copy_(dequantize_4bit(packed, state))
