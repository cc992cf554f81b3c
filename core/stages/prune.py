"""Structured pruning of gated FFNs: the same number of neurons leaves every layer.

Neuron j is row j of the gate and up projections and column j of the down projection. Its importance is the
product of the norms of the three (data-free); the paper does not state its criterion. All layers keep the same
width, because these architectures read one `intermediate_size`; so a ratio is rounded, and the ratio that was
achieved is reported. The result is an ordinary checkpoint that `from_pretrained` opens.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from core.errors import UserError
from core.events import GuardWarning
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_tokenizer
from core.recipe.stage_specs import PruneSpec
from core.stages.context import StageContext
from core.stages.progress import Counter
from core.stages.weights import full_weights, proof_logits, prove, seal, unsealed

RECORD = "pruning.json"
"""Which neurons were kept, per layer, in the folder of the checkpoint."""


RATIO_STATED_AS = 1e-9
"""Ratios nearer to each other than this are the same number."""

SEPARATE = ("gate_proj", "up_proj")
FUSED = ("gate_up_proj",)


@dataclass(frozen=True)
class Ffn:
    """One layer's FFN: `inputs` are gate and up, or the two halves of one fused projection."""

    module: nn.Module
    inputs: tuple[str, ...]

    def linear(self, name: str) -> nn.Linear:
        """The projection of that name."""
        linear = getattr(self.module, name)
        assert isinstance(linear, nn.Linear)  # `find_ffns` has looked
        return linear

    @property
    def width(self) -> int:
        """Neurons."""
        return self.linear("down_proj").in_features


def find_ffns(model: PreTrainedModel) -> list[Ffn]:
    """The FFN of every layer, in order.

    Raises:
        UserError: the architecture has none of the known forms in each layer, or layers of different width.
    """
    config = model.config.get_text_config()
    found = [
        Ffn(module, names)
        for module in model.modules()
        for names in (SEPARATE, FUSED)
        if all(isinstance(getattr(module, name, None), nn.Linear) for name in (*names, "down_proj"))
    ]
    widths = {ffn.width for ffn in found}
    whole = all(
        sum(ffn.linear(name).out_features for name in ffn.inputs) == 2 * ffn.width for ffn in found
    )
    layers = getattr(config, "num_hidden_layers", None)
    if len(found) == layers and widths == {getattr(config, "intermediate_size", None)} and whole:
        return found
    raise UserError(
        f"{type(model).__name__} cannot be pruned: in each of its {layers} layers one FFN with linear "
        "gate_proj, up_proj and down_proj (or gate_up_proj and down_proj) of the width that "
        f"config.intermediate_size states was looked for, and {len(found)} were found.",
        "Use a dense model of the Qwen2, Llama, Mistral, Gemma or Phi-3 families.",
    )


def target_width(width: int, ratio: float, round_to: int) -> int:
    """Neurons to keep: (1 - ratio) of `width`, rounded to a multiple of `round_to`.

    Raises:
        UserError: rounding would keep all of them or none; it says which settings work.
    """
    target = _rounded(width, ratio, round_to)
    if 0 < target < width:
        return target
    ways = []
    multiples = range(round_to, width, round_to)
    if multiples:
        nearest = multiples[-1] if target else multiples[0]
        ways.append(f"set ratio to {1 - nearest / width:.4f}, which keeps {nearest}")
    finer = [2**power for power in range(11) if 2**power < round_to]
    finer = [size for size in finer if 0 < _rounded(width, ratio, size) < width]
    if finer:
        ways.append(f"set round_to to {finer[-1]}")
    raise UserError(
        f"Pruning {ratio:.2%} of {width} neurons, rounded to a multiple of {round_to}, would keep "
        f"{'all' if target else 'none'} of them.",
        f"{'; or '.join(ways) or 'choose a ratio nearer to one half'}.".capitalize(),
    )


def _rounded(width: int, ratio: float, round_to: int) -> int:
    return int((1 - ratio) * width / round_to + 0.5) * round_to


@torch.no_grad()
def magnitude(ffn: Ffn) -> NDArray[np.float64]:
    """|gate row| |up row| |down column| of each neuron: (width,)."""
    rows = torch.cat([_norms(ffn.linear(name), 1) for name in ffn.inputs])
    gate, up = rows.chunk(2)
    score: NDArray[np.float64] = (gate * up * _norms(ffn.linear("down_proj"), 0)).cpu().numpy()
    return score


def _norms(linear: nn.Linear, dim: int) -> torch.Tensor:
    norms: torch.Tensor = torch.linalg.vector_norm(linear.weight, dim=dim, dtype=torch.float64)
    return norms


def strongest(score: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Indices of the `count` largest scores, ascending; of equals the first."""
    order = np.argsort(-score, kind="stable")[:count]
    return np.sort(order).astype(np.int64)


@torch.no_grad()
def slice_ffn(ffn: Ffn, kept: NDArray[np.int64]) -> None:
    """Keep these neurons only, in place."""
    index = torch.from_numpy(kept)
    both = torch.cat([index, index + ffn.width]) if ffn.inputs == FUSED else index
    for name in ffn.inputs:
        old = ffn.linear(name)
        bias = None if old.bias is None else old.bias[both.to(old.bias.device)]
        setattr(ffn.module, name, _linear(old.weight[both.to(old.weight.device)], bias))
    old = ffn.linear("down_proj")
    columns = old.weight[:, index.to(old.weight.device)]
    ffn.module.down_proj = _linear(columns, old.bias)
    if hasattr(ffn.module, "intermediate_size"):
        ffn.module.intermediate_size = len(kept)  # type: ignore[assignment]


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight.clone().contiguous(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.clone().contiguous(), requires_grad=False)
    return made.eval()


def run(spec: PruneSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Prune every layer of `checkpoint`.

    Raises:
        UserError: quantized weights, an architecture without gated FFNs, or a ratio that rounds to nothing.
        BugError: the written checkpoint does not reproduce the logits of the pruned network.
    """
    model = full_weights(checkpoint, context)
    ffns = find_ffns(model)
    before = ffns[0].width
    width = target_width(before, spec.ratio, spec.round_to)
    achieved = 1 - width / before
    kept: list[list[int]] = []
    digest = hashlib.sha256()
    progress = Counter(context, "layer")
    progress.expect(len(ffns))
    for ffn in ffns:
        context.check_stop()
        score = magnitude(ffn)
        digest.update(score.astype("<f8").tobytes())
        indices = strongest(score, width)
        slice_ffn(ffn, indices)
        kept.append(indices.tolist())
        progress.advance(1)
    model.config.get_text_config().intermediate_size = width
    if abs(achieved - spec.ratio) > RATIO_STATED_AS:
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="achieved_ratio",
                values={"wanted": spec.ratio, "achieved": achieved, "width": width},
            )
        )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    expected = proof_logits(model)
    model.save_pretrained(context.folder)
    load_tokenizer(checkpoint).save_pretrained(context.folder)
    record = {
        "criterion": spec.criterion,
        "width_before": before,
        "width": width,
        "scores_sha256": digest.hexdigest(),
        "kept": kept,
    }
    (context.folder / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    del model, ffns
    made = unsealed(spec, checkpoint, context, "full")
    facts = {
        "achieved_ratio": achieved,
        "width_before": before,
        "width": width,
        "parameters": parameters,
        "reload_difference": prove(made, expected, context.compute),
    }
    return seal(made, facts, context)
