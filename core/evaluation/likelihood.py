"""Log-likelihoods of continuations, token for token those of lm-eval's HFLM, for less work.

Text is split into tokens as lm-eval splits it. The work is less because the head is computed only where a
token is predicted, one-token continuations of one context share a row, and what many rows begin with
(worked examples, a description) or the options of one question share goes through the network once: see
`sharing`. Rows are padded on the right, where nothing attends to the padding.

A prefix needs a cache of plain keys and values in every layer, a pack of rows needs scaled dot-product
attention and rotary positions; a network that has none of these gets every row by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from core.errors import UserError
from core.evaluation.sharing import Group, Pack, Tokens, batches, plan
from core.lm.adapter import plain_model
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_MAX_LENGTH = 2048
"""Of a model whose config names no length; lm-eval's."""

# What one more pass costs, in tokens. On a CPU it reads all weights once more (SmolLM2-135M: 40 ms, where a token
# of a large batch takes 1.1 ms). On an accelerator a pass over few tokens takes as long as one over a thousand.
_CPU_PASS_TOKENS = 40
_ACCELERATOR_PASS_TOKENS = 1024
_BLOCK = 2**22  # logits that are turned into log-probabilities together: 16 MiB of float32
_PAD_BRANCH = -1
_SHARED_BRANCH = 0


@dataclass(frozen=True)
class Continuation:
    """Token ids of a context and of what follows it."""

    context: Tokens
    following: Tokens


@dataclass(frozen=True)
class Likelihood:
    """What the network makes of one continuation.

    Attributes:
        log_likelihood: sum over its tokens, nats.
        greedy: whether each of its tokens is the network's first choice.
        cut: tokens of the context that were left out because all together are longer than the network
            can read; lm-eval leaves out the same.
    """

    log_likelihood: float
    greedy: bool
    cut: int = 0


def continuation(tokenizer: PreTrainedTokenizerBase, context: str, text: str) -> Continuation:
    """Tokens of `context`, and those of context + text beyond as many, as lm-eval splits them.

    White space at the end of the context goes to the text. The tokenizer adds what it adds by itself (the
    start token of Llama, say), unless the text begins with that token. Without a context, the start token
    (else the end token) stands for it.

    Raises:
        UserError: nothing is left to score.
    """
    return continuations(tokenizer, [(context, text)])[0]


def continuations(
    tokenizer: PreTrainedTokenizerBase, requests: Sequence[tuple[str, str]]
) -> list[Continuation]:
    """`continuation` of each (context, text); a context that comes again is encoded once."""
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    start_id = next((token for token in starts if token is not None), 0)
    start_text = str(tokenizer.decode(start_id))
    known: dict[str, Tokens] = {}

    def encode(text: str) -> Tokens:
        if text.startswith(start_text):
            return tuple(tokenizer.encode(text, add_special_tokens=False))
        return tuple(tokenizer.encode(text))

    result = []
    for given, text in requests:
        context = given.rstrip()
        if not context:
            following = tuple(tokenizer.encode(given + text, add_special_tokens=False))
            before: Tokens = (start_id,)
            if following[:1] == before:
                following = following[1:]
        else:
            before = known.get(context, ())
            if not before:
                before = known.setdefault(context, encode(context))
            following = encode(given + text)[len(before) :]
        if not following:
            raise UserError(
                f"The text {text!r} adds no token to its context, so it has no likelihood.",
                "See that no option of the dataset is empty.",
            )
        result.append(Continuation(before, following))
    return result


def log_likelihoods(
    model: PreTrainedModel,
    continuations: Sequence[Continuation],
    *,
    pad_id: int,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> list[Likelihood]:
    """The log-likelihood of each continuation given its context, in their order.

    Args:
        model: a causal network, with or without adapters; its training mode is restored.
        continuations: what to score.
        pad_id: fills rows up; any token.
        batch_size: sequences that go through the network together.
        check: called before every pass; raises to stop.

    Raises:
        UserError: a continuation is longer than the network can read.
    """
    found = dict(stream(model, continuations, pad_id=pad_id, batch_size=batch_size, check=check))
    return [found[index] for index in range(len(continuations))]


def item_likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Sequence[tuple[str, str]]],
    *,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, list[Likelihood]]]:
    """The likelihoods of each item's (context, text) requests, with the item's place, as soon as all are known.

    Given all items of a task at once, what they share is computed once for all of them; items come in the
    order that suits this.
    """
    places = [
        (item, number) for item, requests in enumerate(items) for number in range(len(requests))
    ]
    asked = continuations(tokenizer, [request for requests in items for request in requests])
    waiting = [dict[int, Likelihood]() for _ in items]
    pad_id = tokenizer.pad_token_id or 0
    for index, found in stream(model, asked, pad_id=pad_id, batch_size=batch_size, check=check):
        item, number = places[index]
        waiting[item][number] = found
        if len(waiting[item]) == len(items[item]):
            yield item, [waiting[item][number] for number in range(len(items[item]))]


def stream(
    model: PreTrainedModel,
    continuations: Sequence[Continuation],
    *,
    pad_id: int,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Likelihood]]:
    """`log_likelihoods` as they become known: (place among the continuations, likelihood)."""
    network = plain_model(model)
    limit = max_length(network)
    wanted: dict[Tokens, list[int]] = {}  # row -> continuations it answers
    cuts = []
    for index, each in enumerate(continuations):
        if len(each.following) > limit:
            raise UserError(
                f"An option has {len(each.following)} tokens, and the model reads at most {limit}.",
                "Leave this item out, or use a model that reads more.",
            )
        tokens = each.context + each.following
        cuts.append(max(0, len(tokens) - 1 - limit))
        wanted.setdefault(tokens[cuts[-1] : -1], []).append(index)
    rows = list(wanted)
    longest = [max(len(continuations[index].following) for index in wanted[row]) for row in rows]
    shares, packs = _abilities(network)
    pass_tokens = _CPU_PASS_TOKENS if network.device.type == "cpu" else _ACCELERATOR_PASS_TOKENS
    groups = plan(
        rows,
        [len(row) - size if shares else 0 for row, size in zip(rows, longest, strict=True)],
        pass_tokens=pass_tokens,
        packing=packs,
    )
    for prefix, batch, cache in _passes(network, groups, batch_size, pass_tokens, check):
        asked = [(row, index) for pack in batch for row in pack.rows for index in wanted[rows[row]]]
        following = [(row, continuations[index].following) for row, index in asked]
        ids = _Laid(batch, longest, len(prefix), pad_id)
        logits = _logits(network, ids, cache)
        scored = _scores(logits, ids, following)
        for (_, index), (value, greedy) in zip(asked, scored, strict=True):
            yield index, Likelihood(value, greedy, cuts[index])


def max_length(model: PreTrainedModel) -> int:
    """How many tokens the network reads at most, by its config; looked up as lm-eval does."""
    config = model.config.get_text_config()
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        value = getattr(config, name, None)
        if value is not None:
            return int(value)
    return DEFAULT_MAX_LENGTH


def _abilities(model: PreTrainedModel) -> tuple[bool, bool]:
    """Whether rows can share a cached prefix, and whether they can lie in one sequence."""
    config = model.config.get_text_config(decoder=True)
    layers = DynamicCache(config=config).layers
    plain = bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
    rotary = getattr(config, "rope_parameters", None) is not None
    return plain, plain and rotary and model.config._attn_implementation == "sdpa"


def _passes(
    model: PreTrainedModel,
    groups: Sequence[Group],
    batch_size: int,
    pass_tokens: int,
    check: Callable[[], None],
) -> Iterator[tuple[Tokens, Sequence[Pack], Cache | None]]:
    """Prefix, packs and the prefix's cache of each batch; one prefix is kept at a time."""
    for group in groups:
        cache = None
        if group.prefix:
            check()
            cache = _prefix_cache(model, group.prefix)
        for batch in batches(group.packs, batch_size, pass_tokens=pass_tokens):
            check()
            yield group.prefix, batch, cache


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


def _prefix_cache(model: PreTrainedModel, prefix: Tokens) -> Cache:
    filled = DynamicCache(config=model.config)
    ids = torch.tensor([prefix], device=model.device)
    nowhere = torch.empty(0, dtype=torch.long, device=model.device)
    with torch.no_grad(), evaluating(model), _head_at(model, nowhere, nowhere):
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


class _Laid:
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


def _logits(model: PreTrainedModel, laid: _Laid, cache: Cache | None) -> Tensor:
    """Logits (n, V) at the wanted places."""
    device = model.device
    where: dict[str, Tensor] = {}
    if laid.packed:
        where = {
            "attention_mask": laid.mask().to(device),
            "position_ids": laid.positions.to(device),
        }
    places = (laid.sequences.to(device), laid.places.to(device))
    with torch.no_grad(), evaluating(model), _head_at(model, *places):
        output = model(
            input_ids=laid.ids.to(device),
            past_key_values=cache,
            use_cache=cache is not None,
            **where,
        )
    logits: Tensor = output.logits[0]
    return logits


def _scores(
    logits: Tensor, laid: _Laid, asked: Sequence[tuple[int, Tokens]]
) -> list[tuple[float, bool]]:
    """Log-likelihood and greediness of each (row, tokens at the row's end)."""
    at: list[int] = []
    tokens: list[int] = []
    for row, following in asked:
        end = laid.first[row] + laid.longest[row]
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
