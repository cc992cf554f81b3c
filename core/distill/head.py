"""The output head of a causal language model, applied to a few tokens at a time.

A loss over the vocabulary needs logits of (tokens, vocabulary); for a batch that is gigabytes. Here they
exist for one chunk of tokens only: the loss of the chunk and its gradient with respect to the hidden
states (and the head's weights, when these are trained) are computed in one pass, while the chunk's logits
are there, and nothing is computed a second time in backward.

Models are supported whose logits are `softcap(scale * (W h + b))`: a plain linear head, one with a factor
(Cohere, Granite, Falcon-H1) or with a soft cap (Gemma). `check_head` compares with the model's own logits
and refuses every other kind, so a new architecture is never trained on wrong logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from core.errors import UserError
from core.lm.adapter import plain_model
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

Score = Callable[[slice, Tensor], tuple[Tensor, Tensor]]
"""(rows, logits (n, V)) -> (loss of each row (n,), its gradient with respect to the logits (n, V)).

The logits may be overwritten."""

# Relative to the largest logit: head and model differ by the order of additions only. In half
# precision the model rounds its logits (2^-8 for bfloat16), where ours stay as the product gives them.
_FLOAT32_TOLERANCE = 1e-4
_HALF_TOLERANCE = 3e-2
_CHECKED_TOKENS = 8

# On a CPU. 32 MiB of float32: the largest piece that glibc's allocator hands out again without asking the
# system for fresh pages. The product with the head takes as long a token with more rows than these.
_CPU_CHUNK = 2**23
_CPU_CHUNK_TOKENS = 64
# A block's rows stay in a CPU's cache from one pass over them to the next. On an accelerator a block bounds
# the scratch memory, and larger ones start fewer kernels.
_CPU_BLOCK = 2**19
_ACCELERATOR_BLOCK = 2**24


@dataclass(frozen=True)
class Head:
    """Weights (V, H), bias (V,) or None, and what is done to the product."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    @property
    def vocabulary(self) -> int:
        """Number of rows, padding of the vocabulary included."""
        return int(self.weight.shape[0])

    def logits(
        self, hidden: Tensor, vocabulary: int | None = None, out: Tensor | None = None
    ) -> Tensor:
        """Logits (n, V) in float32 (float64 for float64 weights) of hidden states (n, H).

        Args:
            hidden: last hidden states, after the final norm.
            vocabulary: keep only the first so many entries.
            out: (n, V) to be overwritten and returned; without gradients only.
        """
        if out is not None:
            return self._logits_into(hidden, out)
        kept = self.vocabulary if vocabulary is None else vocabulary
        bias = None if self.bias is None else self.bias[:kept]
        raw = functional.linear(hidden.to(self.weight.dtype), self.weight[:kept], bias)
        logits = raw.to(wide(raw.dtype))
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits

    def _logits_into(self, hidden: Tensor, out: Tensor) -> Tensor:
        kept = self.weight[: out.shape[-1]]
        if kept.dtype == out.dtype:
            torch.mm(hidden.to(kept.dtype), kept.T, out=out)
            if self.bias is not None:
                out.add_(self.bias[: out.shape[-1]])
        else:
            bias = None if self.bias is None else self.bias[: out.shape[-1]]
            out.copy_(functional.linear(hidden.to(kept.dtype), kept, bias))
        if self.scale != 1.0:
            out.mul_(self.scale)
        if self.softcap is not None:
            out.div_(self.softcap).tanh_().mul_(self.softcap)
        return out


def chunk_rows(chunk_tokens: int, vocabulary: int, device: torch.device) -> int:
    """How many tokens' logits exist at once: `chunk_tokens`, on a CPU fewer where that is faster."""
    if device.type != "cpu":
        return chunk_tokens
    return max(1, min(chunk_tokens, _CPU_CHUNK_TOKENS, _CPU_CHUNK // max(1, vocabulary)))


def block_rows(logits: Tensor) -> int:
    """How many rows of logits (n, V) are passed over together."""
    block = _CPU_BLOCK if logits.device.type == "cpu" else _ACCELERATOR_BLOCK
    return max(1, block // max(1, logits.shape[-1]))


def log_softmax_(logits: Tensor, temperature: float) -> Tensor:
    """Log-probabilities of logits / temperature (n, V), in their memory, a few rows at a time."""
    for part in torch.split(logits, block_rows(logits)):
        if temperature != 1.0:
            part.div_(temperature)
        part.copy_(part.log_softmax(-1))
    return logits


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype sums are kept in: float64 stays, everything else becomes float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def hidden_states(
    model: PreTrainedModel | PeftModel, input_ids: Tensor, attention_mask: Tensor
) -> Tensor:
    """Last hidden states (B, T, H), after the final norm; the head is not computed."""
    backbone = plain_model(model).base_model
    output = backbone(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
    return cast("Tensor", output.last_hidden_state)


def head_of(model: PreTrainedModel | PeftModel) -> Head:
    """The head of a model, with the factor and cap that its config declares.

    Raises:
        UserError: the model has no output head of linear form.
    """
    causal = plain_model(model)
    layer = causal.get_output_embeddings()  # type: ignore[no-untyped-call]
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or not weight.is_floating_point():
        raise UserError(
            f"{type(causal).__name__} has no linear output head over its vocabulary.",
            "Choose a causal language model of the Qwen2, Llama, Mistral, Gemma, Phi or a like family.",
        )
    config = causal.config.get_text_config()
    factor = (
        getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1
    )
    divisor = getattr(config, "logits_scaling", None) or 1
    bias = getattr(layer, "bias", None)
    return Head(
        weight=weight,
        bias=bias if isinstance(bias, Tensor) else None,
        scale=float(factor) / float(divisor),
        softcap=getattr(config, "final_logit_softcapping", None),
    )


@torch.no_grad()
def check_head(model: PreTrainedModel | PeftModel, head: Head) -> None:
    """Compare the head's logits with the model's own on a few tokens.

    Raises:
        UserError: they differ: the model does something else with its logits.
    """
    count = min(_CHECKED_TOKENS, head.vocabulary)
    ids = torch.arange(count, device=head.weight.device)[None]
    mask = torch.ones_like(ids)
    causal = plain_model(model)
    with evaluating(causal):
        expected = causal(input_ids=ids, attention_mask=mask, use_cache=False).logits[0]
        found = head.logits(hidden_states(model, ids, mask)[0])
    half = head.weight.dtype in (torch.bfloat16, torch.float16)
    tolerance = _HALF_TOLERANCE if half else _FLOAT32_TOLERANCE
    difference = (found - expected.to(found.dtype)).abs().max()
    if not bool(difference <= tolerance * expected.abs().max().to(found.dtype)):
        raise UserError(
            f"{type(causal).__name__} computes its logits in a way that this version does not know.",
            "Choose a model whose logits are a linear head, optionally scaled or soft-capped.",
        )


def chunked_loss(
    hidden: Tensor, head: Head, weights: Tensor, score: Score, *, vocabulary: int, chunk_tokens: int
) -> Tensor:
    """Weighted sum over tokens of a loss on their logits, which exist for one chunk at a time.

    Args:
        hidden: last hidden states of the tokens (N, H).
        head: turns them into logits.
        weights: factor of each token's loss (N,); zero is not special here.
        score: loss and gradient of a chunk.
        vocabulary: entries of the vocabulary that take part.
        chunk_tokens: rows of one chunk, at most; see `chunk_rows`.

    Returns:
        A scalar in `wide(hidden.dtype)`, differentiable in `hidden` and in the head's weight and bias.
    """
    result = _ChunkedLoss.apply(
        hidden, head.weight, head.bias, weights.detach(), head, vocabulary, chunk_tokens, score
    )
    return cast("Tensor", result)


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        weights: Tensor,
        head: Head,
        vocabulary: int,
        chunk_tokens: int,
        score: Score,
    ) -> Tensor:
        dtype = wide(torch.promote_types(hidden.dtype, weight.dtype))
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        total = torch.zeros((), dtype=dtype, device=hidden.device)
        by_hidden = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        by_weight = (
            torch.zeros(weight.shape, dtype=dtype, device=hidden.device) if needs_weight else None
        )
        by_bias = (
            torch.zeros(head.vocabulary, dtype=dtype, device=hidden.device) if needs_bias else None
        )
        kept = weight[:vocabulary]
        at_once = chunk_rows(chunk_tokens, vocabulary, hidden.device)
        # One for all chunks: freed and asked for again, it would be cut up by smaller pieces in between.
        space = torch.empty(
            (min(at_once, hidden.shape[0]), vocabulary),
            dtype=wide(weight.dtype),
            device=hidden.device,
        )
        for start in range(0, hidden.shape[0], at_once):
            rows = slice(start, min(start + at_once, hidden.shape[0]))
            factor = weights[rows].to(dtype)
            logits = head.logits(hidden[rows], out=space[: rows.stop - start])  # (n, V)
            slope = None if head.softcap is None else 1 - (logits / head.softcap) ** 2
            losses, gradient = score(rows, logits)
            total += (losses * factor).sum()
            if slope is not None:
                gradient = gradient * slope
            if head.scale != 1.0:
                gradient = gradient * head.scale
            if needs_hidden:
                # The factor comes after the product: in float16 it would push entries below the smallest number.
                product = gradient.to(kept.dtype) @ kept
                by_hidden[rows] = product.to(dtype) * factor[:, None]
            if by_weight is not None:
                by_weight[:vocabulary].addmm_(gradient.T, hidden[rows].to(dtype) * factor[:, None])
            if by_bias is not None:
                by_bias[:vocabulary] += factor @ gradient
            del gradient, slope  # before the next chunk's exist
        ctx.save_for_backward(by_hidden, by_weight, by_bias)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = [
            None if saved is None else (saved * upstream).to(dtype)
            for saved, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        needs = ctx.needs_input_grad[:3]
        kept = [gradient if need else None for gradient, need in zip(gradients, needs, strict=True)]
        return (*kept, None, None, None, None, None)
