"""Batched decoding: greedy, or sampled exactly and cheaply.

One function serves rollouts and evaluation. The batch is left-padded, keys and values are cached, the
head is computed for the last position only, and decoding ends when every row has ended. A model's
`generation_config` is not consulted: no repetition penalty, no top-k, nothing that a recipe does not say.

Sampling is by inverse CDF: one uniform number a token instead of a random number for every entry of the
vocabulary, in float64 so that rare tokens keep their share (`torch.multinomial` and Gumbel noise over
150,000 entries dominate a decoding step on a CPU, see engine-room.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.errors import Diverged
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLING_BLOCK = 512  # entries summed together before the search; near the square root of 150,000


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: logits are divided by it; > 0.
        top_p: keep the most probable tokens whose mass reaches this; 1 keeps all.
        seed: of a fresh random stream, used when `generator` is None.
        generator: a CPU generator to draw from. A call takes rows x max_new_tokens uniforms at once,
            however early its rows end, so that what follows does not depend on lengths.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    generator: torch.Generator | None = None


@dataclass(frozen=True)
class Generated:
    """One completion: its token ids, the end token included when it `ended` by itself."""

    ids: list[int]
    ended: bool

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
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_ids: frozenset[int],
    pad_id: int,
    sampling: Sampling | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Generated]:
    """Continue each prompt; greedily when `sampling` is None.

    A row's result does not depend on the other prompts of the batch, up to float rounding; sampled, it
    depends on the row's place in the batch and the seed. The model's training mode is restored.

    Args:
        model: a causal language model, with or without adapters.
        prompts: token ids of each prompt, none empty.
        max_new_tokens: longest completion.
        eos_ids: tokens that end a completion, see `end_ids`.
        pad_id: any valid token id; padding is masked.
        sampling: how to draw, or None.
        check: called before every token; raises to stop.

    Raises:
        Diverged: the model's logits are not numbers.
    """
    if not prompts or max_new_tokens < 1:
        return [Generated([], False) for _ in prompts]
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
            logits = output.logits[:, -1].float()  # (B, V)
            if sampling is None:
                chosen = logits.argmax(-1)
            else:
                chosen = _draw(logits, sampling, uniforms[:, step])
            chosen = torch.where(ended, pad_id, chosen)
            tokens.append(chosen)
            ended = ended | torch.isin(chosen, ends)
            if bool(ended.all()):
                break
            ids = chosen[:, None]
            positions = positions[:, -1:] + 1
    return _cut(torch.stack(tokens, dim=1).tolist(), eos_ids)


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
    generator = sampling.generator
    if generator is None:
        generator = torch.Generator().manual_seed(sampling.seed)
    return torch.rand(rows, steps, dtype=torch.float64, generator=generator)


def _draw(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """Token ids (B,) drawn from softmax(logits / temperature), each by its own uniform number in [0, 1)."""
    scaled = logits / sampling.temperature
    mass = torch.exp(scaled - scaled.amax(-1, keepdim=True))  # (B, V), unnormalised
    if sampling.top_p < 1:
        mass = _nucleus(mass, sampling.top_p)
    return inverse_cdf(mass, uniform)


def _nucleus(mass: Tensor, top_p: float) -> Tensor:
    ordered, order = mass.sort(dim=-1, descending=True)
    before = ordered.double().cumsum(-1) - ordered
    kept = torch.where(before < top_p * ordered.double().sum(-1, keepdim=True), ordered, 0.0)
    return torch.zeros_like(mass).scatter_(-1, order, kept)


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
    rows, size = mass.shape
    pad = -size % SAMPLING_BLOCK
    blocks = torch.nn.functional.pad(mass, (0, pad)).view(rows, -1, SAMPLING_BLOCK)
    totals = blocks.sum(-1, dtype=torch.float64).cumsum(-1)  # (B, blocks)
    total = totals[:, -1]
    if not bool((torch.isfinite(total) & (total > 0)).all()):
        raise Diverged(
            "The model's output is not a number, so no token can be drawn.",
            "Lower the learning rate, or compute in float32 or bfloat16 instead of float16.",
        )
    target = _below(uniform.to(torch.float64) * total, total)
    block = torch.searchsorted(totals, target[:, None], right=True)  # (B, 1)
    start = torch.where(block > 0, totals.gather(1, (block - 1).clamp(min=0)), 0.0)
    inside = blocks[torch.arange(rows, device=mass.device), block[:, 0]].double().cumsum(-1)
    rest = _below(target - start[:, 0], inside[:, -1])
    return (
        block[:, 0] * SAMPLING_BLOCK + torch.searchsorted(inside, rest[:, None], right=True)[:, 0]
    )


def _below(value: Tensor, limit: Tensor) -> Tensor:
    """`value`, or the largest number under `limit`: the block's own sum may round below the target."""
    return torch.minimum(value, torch.nextafter(limit, torch.zeros_like(limit)))


def _cut(rows: list[list[int]], eos_ids: frozenset[int]) -> list[Generated]:
    result = []
    for row in rows:
        end = next((i for i, token in enumerate(row) if token in eos_ids), None)
        result.append(Generated(row, False) if end is None else Generated(row[: end + 1], True))
    return result
