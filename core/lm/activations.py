"""Hidden states of chosen layers, gathered by hooks.

Names: "embeddings" is what enters the first block, "block_i" the raw output of block i, "final_norm" what
enters the head. transformers' `hidden_states[-1]` is the final norm, not the last block, whose own output can
only be seen by a hook; both have their name here. What is kept of an item is selected inside the hook and moved to the CPU as
float32: all hidden states of a batch never exist at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core.errors import UserError
from core.lm.adapter import plain_model
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDINGS = "embeddings"
FINAL_NORM = "final_norm"
Select = Callable[[int, Tensor], Tensor]
"""Given an item's number and its states (T, d) without padding, the part to keep: (k, d) or (d,)."""


def layer_names(model: PreTrainedModel) -> tuple[str, ...]:
    """All layers that can be captured, from input to output."""
    blocks = len(_decoder(model).layers)
    return (EMBEDDINGS, *(f"block_{i}" for i in range(blocks)), FINAL_NORM)


@torch.no_grad()
def capture(
    model: PreTrainedModel,
    batches: Iterable[Sequence[Sequence[int]]],
    layers: Sequence[str],
    select: Select,
    check: Callable[[], None] = lambda: None,
    also: Mapping[str, tuple[str, Select]] | None = None,
) -> dict[str, list[Tensor]]:
    """Run the inputs through the model and keep the selected states of each layer.

    Inputs are padded on the right, so an item's states do not depend on its batch; the head is not
    computed. Training mode is restored and hooks are removed whatever happens.

    Args:
        model: a decoder-only model, with or without adapters.
        batches: batches of token id lists; items are numbered through all batches.
        layers: names as in `layer_names`.
        select: what to keep of each item.
        check: called before every batch; raises to stop.
        also: further parts by a name of their own: (layer, what to keep of each item).

    Returns:
        For each layer and further part the kept float32 CPU tensors, in item order.
    """
    known = layer_names(model)
    parts = {name: (name, select) for name in layers} | dict(also or {})
    unknown = [layer for layer, _ in parts.values() if layer not in known]
    if unknown:
        raise UserError(
            f"The model has no layer named {', '.join(unknown)}.",
            f"Its layers are {known[0]}, {known[1]} … {known[-2]} and {known[-1]}.",
        )
    kept: dict[str, list[Tensor]] = {name: [] for name in parts}
    lengths: list[int] = []  # of the batch in flight; the hooks read them
    first = 0
    decoder = _decoder(model)

    def keep(name: str, chosen: Select, states: Tensor) -> None:
        for row, length in enumerate(lengths):
            part = chosen(first + row, states[row, :length])
            kept[name].append(part.detach().float().cpu().clone())

    handles = [
        _attach(decoder, layer, partial(keep, name, chosen))
        for name, (layer, chosen) in parts.items()
    ]
    try:
        with evaluating(model):
            for batch in batches:
                check()
                lengths[:] = [len(ids) for ids in batch]
                ids, mask = _right_padded(batch, model.device)
                decoder(input_ids=ids, attention_mask=mask, use_cache=False)
                first += len(lengths)
    finally:
        for handle in handles:
            handle.remove()
    return kept


def _attach(decoder: Any, layer: str, keep: Callable[[Tensor], None]) -> Any:
    def on_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(args[0] if args else kwargs["hidden_states"])

    def on_output(_: nn.Module, __: Any, output: Any) -> None:
        keep(output[0] if isinstance(output, tuple) else output)

    if layer == EMBEDDINGS:
        return decoder.layers[0].register_forward_pre_hook(on_input, with_kwargs=True)
    if layer == FINAL_NORM:
        return decoder.norm.register_forward_hook(on_output)
    return decoder.layers[int(layer.removeprefix("block_"))].register_forward_hook(on_output)


def _decoder(model: PreTrainedModel) -> Any:
    decoder = plain_model(model).get_decoder()  # type: ignore[no-untyped-call]
    if not isinstance(getattr(decoder, "layers", None), nn.ModuleList) or not isinstance(
        getattr(decoder, "norm", None), nn.Module
    ):
        raise UserError(
            f"Activations cannot be read from a model of type {model.config.model_type}.",
            "Use a decoder-only model of the Llama or Qwen family.",
        )
    return decoder


def _right_padded(batch: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(len(ids) for ids in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, item in enumerate(batch):
        ids[row, : len(item)] = torch.tensor(item, dtype=torch.long)
        mask[row, : len(item)] = 1
    return ids.to(device), mask.to(device)
