"""The outputs of chosen blocks of a network, seen while it runs, with their graph.

Unlike `core.lm.activations`, which moves selected states to the host without a graph, a loss can be taken of
what is seen here. A hook keeps a reference and computes nothing: the output is the next block's input and
exists anyway, and under gradient checkpointing (not reentrant) a hook that computed would have to compute the
same again in the backward pass. There the hooks are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from core.lm.activations import layer_names
from core.lm.adapter import plain_model

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    Network = PreTrainedModel | PeftModel

_OTHER_LAYERS = 2
"""Of the names in `core.lm.activations.layer_names`: what enters the first block, and the final norm."""


def block_count(model: Network) -> int:
    """How many blocks the network has.

    Raises:
        UserError: it is no decoder with a list of blocks.
    """
    return len(layer_names(plain_model(model))) - _OTHER_LAYERS


def block(model: Network, number: int) -> nn.Module:
    """One block, counted from 0."""
    found: nn.Module = plain_model(model).get_decoder().layers[number]  # type: ignore[no-untyped-call]
    return found


def evenly(count: int | None, total: int) -> tuple[int, ...]:
    """Numbers of `count` evenly spaced blocks out of `total`, the last among them; None: all."""
    if count is None or count >= total:
        return tuple(range(total))
    return tuple((place + 1) * total // count - 1 for place in range(count))


@contextmanager
def watching(model: Network, blocks: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Inside the block a run of the network leaves each named block's output (B, T, H), by its number."""
    seen: dict[int, Tensor] = {}

    def keeping(number: int) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            seen[number] = output[0] if isinstance(output, tuple) else output

        return keep

    handles = [block(model, it).register_forward_hook(keeping(it)) for it in blocks]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
