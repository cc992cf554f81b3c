"""Log-likelihoods of continuations, token for token those of lm-eval's HFLM, for less work.

Text is split into tokens as lm-eval splits it. The work is less because the head is computed only where a
token is predicted, one-token continuations of one context share a row, and what many rows begin with
(worked examples, a description) or the options of one question share goes through the network once: see
`sharing` and `passes`.

A prefix needs a cache of plain keys and values in every layer, a pack of rows needs scaled dot-product
attention and rotary positions; a network that has none of these gets every row by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import UserError
from core.evaluation.passes import Layout, abilities, logits_of, prefix_cache, scores_of
from core.evaluation.sharing import Group, Pack, Tokens, batches, plan
from core.lm.adapter import plain_model

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_MAX_LENGTH = 2048
"""Of a model whose config names no length; lm-eval's."""

# What one more pass costs, in tokens. On a CPU it reads all weights once more (SmolLM2-135M: 40 ms, where a token
# of a large batch takes 1.1 ms). On an accelerator a pass over few tokens takes as long as one over a thousand.
_CPU_PASS_TOKENS = 40
_ACCELERATOR_PASS_TOKENS = 1024


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
    shares, packs = abilities(network)
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
        layout = Layout(batch, longest, len(prefix), pad_id)
        scored = scores_of(logits_of(network, layout, cache), layout, following)
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
            cache = prefix_cache(model, group.prefix)
        for batch in batches(group.packs, batch_size, pass_tokens=pass_tokens):
            check()
            yield group.prefix, batch, cache
