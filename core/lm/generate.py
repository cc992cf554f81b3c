"""Batched decoding: greedy, or sampled exactly and cheaply.

One function serves rollouts and evaluation. The batch is left-padded, keys and values are cached, the
head is computed for the last position only, and decoding ends when every row has ended. A model's
`generation_config` is not consulted: no repetition penalty, no top-k, nothing that a recipe does not say.

Sampling is by inverse CDF: one uniform number a token instead of a random number for every entry of the
vocabulary, in float64 so that rare tokens keep their share (`torch.multinomial` and Gumbel noise over
150,000 entries dominate a decoding step on a CPU, see engine-room.md). Every row has a random stream of
its own, so what a prompt is answered does not depend on the prompts beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from core.errors import Diverged
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLING_BLOCK = 512  # entries summed together before the search; near the square root of 150,000
LIKELY = 1024  # the nucleus is looked for among so many first: sorting 150,000 entries costs 10 times more


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: temperature, then top_k, top_p and min_p, in the order of transformers.

    Tokens as probable as the last one that is kept are kept too.

    Attributes:
        temperature: logits are divided by it; > 0.
        top_k: keep so many of the most probable tokens; 0 keeps all.
        top_p: keep the most probable tokens whose mass reaches this; 1 keeps all.
        min_p: keep tokens at least this many times as probable as the most probable one; 0 keeps all.
        seed: of the rows' streams where `seeds` is None; the stream of a row then depends on its place.
        seeds: one for each row; not negative. A stream does not depend on `max_new_tokens`.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    seeds: Sequence[int] | None = None

    @property
    def truncates(self) -> bool:
        """Whether some tokens are never drawn."""
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0


@dataclass(frozen=True)
class Generated:
    """One completion.

    Attributes:
        ids: its tokens, the end token included when it ended by itself.
        ended: whether it did.
        log_probs: of each token, under softmax(logits / temperature) over all entries that take part;
            None when they were not asked for.
    """

    ids: list[int]
    ended: bool
    log_probs: list[float] | None = None

    @property
    def text_ids(self) -> list[int]:
        """The ids without the end token."""
        return self.ids[:-1] if self.ended else self.ids


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All tokens that end an answer: the tokenizer's, and those of the model's generation config."""
    found: set[int] = set()
    config = getattr(model, "generation_config", None)
    for source in (tokenizer.eos_token_id, getattr(config, "eos_token_id", None)):
        if isinstance(source, int):
            found.add(source)
        elif source is not None:
            found.update(int(token) for token in source)
    return frozenset(found)


@torch.no_grad()
def generate(
    model: PreTrainedModel | PeftModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_ids: frozenset[int],
    pad_id: int,
    sampling: Sampling | None = None,
    with_log_probs: bool = False,
    vocabulary: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Generated]:
    """Continue each prompt; greedily when `sampling` is None.

    A row's result does not depend on the other prompts of the batch, up to float rounding; sampled, it
    depends on the row's own seed. The model's training mode is restored.

    Args:
        model: a causal language model, with or without adapters.
        prompts: token ids of each prompt, none empty.
        max_new_tokens: longest completion.
        eos_ids: tokens that end a completion, see `end_ids`.
        pad_id: any valid token id; padding is masked.
        sampling: how to draw, or None.
        with_log_probs: collect the log-probability of every sampled token.
        vocabulary: only the first so many entries take part: another network reads no more; None: all.
        check: called before every token; raises to stop.

    Raises:
        Diverged: the model's logits are not numbers.
        ValueError: a prompt is empty, seeds and prompts differ in number, or log-probabilities of greedy
            decoding were asked for.
    """
    if with_log_probs and sampling is None:
        raise ValueError("log-probabilities are those of sampled tokens")
    if not prompts or max_new_tokens < 1:
        return [Generated([], False, [] if with_log_probs else None) for _ in prompts]
    if not all(prompts):
        raise ValueError("a prompt has no tokens")
    device = model.device
    ids, mask = _left_padded(prompts, max_new_tokens, pad_id, device)  # (B, T), (B, T + new)
    width = ids.shape[1]
    positions = (mask[:, :width].cumsum(-1) - 1).clamp_(min=0)
    ends = torch.tensor(sorted(eos_ids), dtype=torch.long, device=device)
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    uniforms = _uniforms(sampling, len(prompts), max_new_tokens).to(device)
    tokens: list[Tensor] = []
    log_probs: list[Tensor] = []
    cache = None
    with evaluating(model):
        for step in range(max_new_tokens):
            check()
            output = model(
                input_ids=ids,
                attention_mask=mask[:, : width + step],
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            logits = output.logits[:, -1, :vocabulary].float()  # (B, V)
            if sampling is None:
                chosen = logits.argmax(-1)
            else:
                chosen, log_prob = _draw(logits, sampling, uniforms[:, step], with_log_probs)
                log_probs += [] if log_prob is None else [log_prob]
            chosen = torch.where(ended, pad_id, chosen)
            tokens.append(chosen)
            ended = ended | torch.isin(chosen, ends)
            if bool(ended.all()):
                break
            ids = chosen[:, None]
            positions = positions[:, -1:] + 1
    rows = torch.stack(tokens, dim=1).tolist()
    return _cut(rows, torch.stack(log_probs, 1).tolist() if log_probs else None, eos_ids)


def _left_padded(
    prompts: Sequence[Sequence[int]], new: int, pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask = torch.ones((len(prompts), width + new), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        mask[row, : width - len(prompt)] = 0
    return ids.to(device), mask.to(device)


def _uniforms(sampling: Sampling | None, rows: int, steps: int) -> Tensor:
    if sampling is None:
        return torch.empty(0)
    seeds: Sequence[int | list[int]]
    if sampling.seeds is None:
        seeds = [[sampling.seed, row] for row in range(rows)]
    else:
        seeds = sampling.seeds
    if len(seeds) != rows:
        raise ValueError(f"{len(seeds)} seeds for {rows} prompts")
    return torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds]))


def _draw(
    logits: Tensor, sampling: Sampling, uniform: Tensor, with_log_probs: bool
) -> tuple[Tensor, Tensor | None]:
    """Token ids (B,), each drawn by its own uniform number in [0, 1), and their log-probabilities.

    `logits` (B, V) are overwritten: a copy of them costs as much as an exponential.
    """
    mass = logits.sub_(logits.amax(-1, keepdim=True))
    if sampling.temperature != 1:
        mass.div_(sampling.temperature)
    mass.exp_()  # unnormalised; the most probable token has 1
    if not sampling.truncates:
        sums = _block_sums(mass)
        chosen = _search(mass, sums, uniform)
        total = sums.sum(-1)
    else:
        whole = mass.clone() if with_log_probs else mass
        total = _block_sums(mass).sum(-1) if with_log_probs else torch.empty(0)
        chosen = inverse_cdf(truncate(mass, sampling), uniform)
        mass = whole
    if not with_log_probs:
        return chosen, None
    return chosen, mass.gather(1, chosen[:, None])[:, 0].double().log() - total.log()


def truncate(mass: Tensor, sampling: Sampling) -> Tensor:
    """Take the mass (B, V) of tokens that `sampling` never draws away, in place.

    Args:
        mass: exp(logits / temperature), scaled so that the largest entry of each row is 1.
        sampling: its top_k, top_p and min_p.
    """
    if 0 < sampling.top_k < mass.shape[-1]:
        edge = mass.topk(sampling.top_k, dim=-1).values[:, -1:]
        mass.masked_fill_(mass < edge, 0.0)
    if sampling.top_p < 1:
        mass.masked_fill_(mass < _nucleus_edge(mass, sampling.top_p), 0.0)
    if sampling.min_p > 0:
        mass.masked_fill_(mass < sampling.min_p, 0.0)
    return mass


def _nucleus_edge(mass: Tensor, top_p: float) -> Tensor:
    """The mass (B, 1) of the last token of each row's nucleus."""
    wanted = top_p * _block_sums(mass).sum(-1, keepdim=True)
    for size in (min(LIKELY, mass.shape[-1]), mass.shape[-1]):
        likely = mass.topk(size, dim=-1).values if size < mass.shape[-1] else mass.sort(-1, True)[0]
        up_to = likely.double().cumsum(-1)
        if bool((up_to[:, -1:] >= wanted).all()):
            break
    before = up_to - likely
    last = (before < wanted).sum(-1, keepdim=True).sub_(1).clamp_(min=0)
    return likely.gather(1, last)


def inverse_cdf(mass: Tensor, uniform: Tensor) -> Tensor:
    """Draw an index of each row in proportion to its mass.

    The vocabulary is summed in blocks, a block is found, then an entry in it: one pass over the row
    and a search over two short lists, all sums in float64.

    Args:
        mass: (B, V), not negative, of any positive total.
        uniform: (B,), float64 in [0, 1).

    Returns:
        (B,) indices; an entry without mass is never drawn.

    Raises:
        Diverged: a row's total is zero or not a number.
    """
    return _search(mass, _block_sums(mass), uniform)


def _block_sums(mass: Tensor) -> Tensor:
    """Sums (B, blocks) of the entries of each block, in float64; the last block may be shorter."""
    whole = mass.shape[-1] // SAMPLING_BLOCK * SAMPLING_BLOCK
    blocks = mass[:, :whole].view(len(mass), -1, SAMPLING_BLOCK).sum(-1, dtype=torch.float64)
    if whole == mass.shape[-1]:
        return blocks
    return torch.cat([blocks, mass[:, whole:].sum(-1, keepdim=True, dtype=torch.float64)], dim=1)


def _search(mass: Tensor, sums: Tensor, uniform: Tensor) -> Tensor:
    totals = sums.cumsum(-1)  # (B, blocks)
    total = totals[:, -1]
    if not bool((torch.isfinite(total) & (total > 0)).all()):
        raise Diverged(
            "The model's output is not a number, so no token can be drawn.",
            "Lower the learning rate, or compute in float32 or bfloat16 instead of float16.",
        )
    target = _below(uniform.to(torch.float64) * total, total)
    block = torch.searchsorted(totals, target[:, None], right=True)  # (B, 1)
    start = torch.where(block > 0, totals.gather(1, (block - 1).clamp(min=0)), 0.0)
    places = block * SAMPLING_BLOCK + torch.arange(SAMPLING_BLOCK, device=mass.device)
    beyond = places >= mass.shape[-1]
    entries = mass.gather(1, places.clamp(max=mass.shape[-1] - 1)).masked_fill(beyond, 0.0)
    inside = entries.double().cumsum(-1)  # (B, SAMPLING_BLOCK)
    rest = _below(target - start[:, 0], inside[:, -1])
    return places[:, 0] + torch.searchsorted(inside, rest[:, None], right=True)[:, 0]


def _below(value: Tensor, limit: Tensor) -> Tensor:
    """`value`, or the largest number under `limit`: the block's own sum may round below the target."""
    return torch.minimum(value, torch.nextafter(limit, torch.zeros_like(limit)))


def _cut(
    rows: list[list[int]], log_probs: list[list[float]] | None, eos_ids: frozenset[int]
) -> list[Generated]:
    result = []
    for index, row in enumerate(rows):
        end = next((i for i, token in enumerate(row) if token in eos_ids), None)
        size = len(row) if end is None else end + 1
        known = None if log_probs is None else log_probs[index][:size]
        result.append(Generated(row[:size], end is not None, known))
    return result
