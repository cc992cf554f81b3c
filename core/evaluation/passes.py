"""A batch of packs in one pass through a network: layout, mask, prefix, and log-likelihoods at the end.

Sequences are padded on the right, where nothing attends to the padding, so packs of one row need no mask.
The head sees only the states at which a token is predicted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from core.evaluation.sharing import Pack, Tokens
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BLOCK = 2**22  # logits that are turned into log-probabilities together: 16 MiB of float32
_PAD_BRANCH = -1
_SHARED_BRANCH = 0


def abilities(model: PreTrainedModel) -> tuple[bool, bool]:
    """Whether rows can share a cached prefix, and whether they can lie in one sequence."""
    config = model.config.get_text_config(decoder=True)
    layers = DynamicCache(config=config).layers
    plain = bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
    rotary = getattr(config, "rope_parameters", None) is not None
    return plain, plain and rotary and model.config._attn_implementation == "sdpa"


class _ReadOnlyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one prefix, put before those of any number of rows and never changed."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self.keys = self._keys = keys  # (1, heads, prefix, width)
        self.values = self._values = values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The prefix's keys and values followed by the given ones (B, heads, T, width)."""
        rows = key_states.shape[0]
        keys = torch.cat([self._keys.expand(rows, -1, -1, -1), key_states], dim=-2)
        values = torch.cat([self._values.expand(rows, -1, -1, -1), value_states], dim=-2)
        return keys, values


def prefix_cache(model: PreTrainedModel, prefix: Tokens) -> Cache:
    """The prefix's keys and values in every layer; no pass that reads them changes them."""
    filled = DynamicCache(config=model.config)
    ids = torch.tensor([prefix], device=model.device)
    start = torch.zeros(1, dtype=torch.long, device=model.device)
    with torch.no_grad(), evaluating(model), _head_at(model, start, start):
        model(input_ids=ids, past_key_values=filled, use_cache=True)
    return Cache(layers=[_ReadOnlyLayer(keys, values) for keys, values, _ in filled])


@contextmanager
def _head_at(model: PreTrainedModel, sequences: Tensor, places: Tensor) -> Iterator[None]:
    """Inside the block the head sees only the states at (sequences[i], places[i]): logits are (1, n, V).

    The network itself scales and caps its logits, so they are its own whatever its family.
    """
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]

    def select(module: Any, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (states[0][sequences, places][None], *states[1:])

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


class Layout:
    """A batch of packs laid out in tensors.

    Attributes:
        ids: (B, T) token ids, filled up on the right.
        branch: (B, T) number of the branch that a token is in: 0 the shared part, -1 the filling.
        positions: (B, T) place of each token in its own row, the prefix counted.
        prefix: tokens before them.
        sequences, places: (n,) where logits are wanted.
        first: of each row, which of the n come first; its positions follow each other.
        longest: of every row of the plan, at how many positions logits are wanted.
        packed: whether any sequence holds several rows.
    """

    def __init__(
        self, packs: Sequence[Pack], longest: Sequence[int], prefix: int, pad_id: int
    ) -> None:
        shape = (len(packs), max(map(len, packs)))
        self.ids = torch.full(shape, pad_id)
        self.branch = torch.full(shape, _PAD_BRANCH)
        self.positions = torch.full(shape, prefix)
        self.prefix = prefix
        self.longest = longest
        self.first: dict[int, int] = {}
        self.packed = any(len(pack.rows) > 1 for pack in packs)
        sequences: list[int] = []
        places: list[int] = []
        for sequence, pack in enumerate(packs):
            end = self._write(sequence, 0, pack.shared, _SHARED_BRANCH, prefix)
            for number, (row, branch) in enumerate(zip(pack.rows, pack.branches, strict=True), 1):
                end = self._write(sequence, end, branch, number, prefix + len(pack.shared))
                self.first[row] = len(places)
                places += range(end - longest[row], end)
                sequences += [sequence] * longest[row]
        self.sequences = torch.tensor(sequences)
        self.places = torch.tensor(places)

    def _write(self, sequence: int, start: int, tokens: Tokens, branch: int, position: int) -> int:
        end = start + len(tokens)
        self.ids[sequence, start:end] = torch.tensor(tokens, dtype=torch.long)
        self.branch[sequence, start:end] = branch
        self.positions[sequence, start:end] = torch.arange(position, position + len(tokens))
        return end

    def mask(self) -> Tensor:
        """(B, 1, T, prefix + T), true where a token may look: back, at its own branch and at what is shared."""
        back = torch.ones(self.ids.shape[1], self.ids.shape[1], dtype=torch.bool).tril()
        seen = self.branch[:, None, :]
        inside = back & ((seen == self.branch[:, :, None]) | (seen == _SHARED_BRANCH))
        before = torch.ones(*inside.shape[:2], self.prefix, dtype=torch.bool)
        return torch.cat([before, inside], dim=-1)[:, None]


def logits_of(model: PreTrainedModel, layout: Layout, cache: Cache | None) -> Tensor:
    """Logits (n, V) at the wanted places."""
    device = model.device
    where: dict[str, Tensor] = {}
    if layout.packed:
        where = {
            "attention_mask": layout.mask().to(device),
            "position_ids": layout.positions.to(device),
        }
    places = (layout.sequences.to(device), layout.places.to(device))
    with torch.no_grad(), evaluating(model), _head_at(model, *places):
        output = model(
            input_ids=layout.ids.to(device),
            past_key_values=cache,
            use_cache=cache is not None,
            **where,
        )
    logits: Tensor = output.logits[0]
    return logits


def scores_of(
    logits: Tensor, layout: Layout, asked: Sequence[tuple[int, Tokens]]
) -> list[tuple[float, bool]]:
    """Log-likelihood and greediness of each (row, tokens at the row's end)."""
    at: list[int] = []
    tokens: list[int] = []
    for row, following in asked:
        end = layout.first[row] + layout.longest[row]
        at += range(end - len(following), end)
        tokens += following
    where = torch.tensor(at, device=logits.device)
    wanted = torch.tensor(tokens, device=logits.device)
    picked = torch.empty(len(at), dtype=torch.float64, device=logits.device)
    greedy = torch.empty(len(at), dtype=torch.bool, device=logits.device)
    block = max(1, _BLOCK // logits.shape[-1])
    for start in range(0, len(logits), block):
        # In float32 as lm-eval: the rounding of this very sum is most of what would differ.
        log_p = logits[start : start + block].float().log_softmax(-1)
        here = (where >= start) & (where < start + block)
        rows = where[here] - start
        picked[here] = log_p[rows, wanted[here]].double()
        greedy[here] = log_p.argmax(-1)[rows] == wanted[here]
    sizes = [len(following) for _, following in asked]
    return [
        (float(values.sum()), bool(firsts.all()))
        for values, firsts in zip(
            torch.split(picked.cpu(), sizes), torch.split(greedy.cpu(), sizes), strict=True
        )
    ]
