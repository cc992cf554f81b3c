"""The time of a stage: its floating-point operations, and how fast this device is.

Rough by nature: a device reaches its rate only in large products, so three short probes bound it: a matrix
product, a copy of memory, and one decoder layer on next to nothing, which is what calling a layer costs.
Work is counted as 2 operations for each weight and token of a forward pass, twice that for backward with
gradients of all weights (Kaplan et al. 2020, section 2.1), once when the weights are frozen (LoRA), plus
attention.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2Model

from core.lm.device import Compute

if TYPE_CHECKING:
    from core.lm.skeleton import Network

PROBE_SECONDS = 0.15
"""Of each probe."""
PRODUCT_SIDE = {"cpu": 512, "cuda": 4096}
COPIED_BYTES = {"cpu": 64 * 2**20, "cuda": 512 * 2**20}
PROBE_LAYERS = 4
EFFICIENCY = 0.4
"""Share of the rate of one large product that a network's layers reach; 0.46 for a large training run on
accelerators (Chowdhery et al. 2022, appendix B). On one CPU core 0.35 to 0.8 were measured for models of 1
and 10 million weights: the low side is taken."""
LORA_CALLS = 2.5
"""Cost of calling a layer with adapters, as a multiple of one without: each linear layer becomes three
products, two casts and an addition."""
BACKWARD_CALLS = 2.0
"""The same of a backward pass over a forward pass."""
DRAW_PASSES = 8
"""Times that a row of the vocabulary is read or written to draw a token from it."""


@dataclass(frozen=True)
class Pace:
    """What the probes measured: operations a second, bytes a second, seconds a call of a layer."""

    flops: float
    bandwidth: float
    call_seconds: float


@torch.no_grad()
def calibrate(compute: Compute) -> Pace:
    """Measure this device in well under a second. Other work on it makes it look slower, as it is."""
    device, dtype = compute.device, compute.dtype
    side = PRODUCT_SIDE.get(device.type, PRODUCT_SIDE["cpu"])
    factor = torch.full((side, side), 0.01, dtype=dtype, device=device)
    product = _seconds(lambda: factor @ factor, device)
    source = torch.ones(
        COPIED_BYTES.get(device.type, COPIED_BYTES["cpu"]), dtype=torch.uint8, device=device
    )
    target = torch.empty_like(source)
    copy = _seconds(lambda: target.copy_(source), device)
    return Pace(2 * side**3 / product, 2 * source.numel() / copy, _call_seconds(compute))


def _call_seconds(compute: Compute) -> float:
    config = Qwen2Config(
        vocab_size=16,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=PROBE_LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    with torch.random.fork_rng(devices=[]):
        model = cast(nn.Module, Qwen2Model(config)).to(compute.device, compute.dtype).eval()
    ids = torch.zeros((1, 1), dtype=torch.long, device=compute.device)
    return _seconds(lambda: model(input_ids=ids, use_cache=True), compute.device) / PROBE_LAYERS


def _seconds(work: Callable[[], Tensor | object], device: torch.device) -> float:
    """Of one call, the mean of as many as fit into the time of a probe: what else runs here counts."""
    work()  # kernels are chosen and memory is allocated by the first call
    _wait(device)
    began, calls = time.perf_counter(), 0
    while True:
        work()
        _wait(device)
        calls += 1
        passed = time.perf_counter() - began
        if passed >= PROBE_SECONDS:
            return passed / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Work:
    """An amount of work.

    Attributes:
        flops: floating-point operations.
        moved: bytes that have to pass through memory, where these bound the time.
        calls: of decoder layers, in units of a forward pass without adapters.
    """

    flops: float = 0.0
    moved: float = 0.0
    calls: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.moved + other.moved, self.calls + other.calls)

    def __mul__(self, times: float) -> Work:
        return Work(self.flops * times, self.moved * times, self.calls * times)

    def seconds(self, pace: Pace) -> float:
        """On a device of this pace: computing or moving, whichever takes longer, and the calls."""
        return (
            max(self.flops / (EFFICIENCY * pace.flops), self.moved / pace.bandwidth)
            + self.calls * pace.call_seconds
        )


def forward(
    network: Network, batch: float, length: float, *, counted: float = 0, lora: bool = False
) -> Work:
    """One forward pass over `batch` sequences of `length` tokens, with logits for `counted` tokens."""
    tokens = batch * length
    products = 2 * tokens * network.linear_weights
    attention = 2 * tokens * length * network.queries * network.layers  # causal: half of 4 T q
    head = 2 * counted * network.vocabulary * network.hidden
    calls = network.layers * (LORA_CALLS if lora else 1)
    return Work(products + attention + head, 0.0, calls)


def backward(
    network: Network, batch: float, length: float, *, counted: float, full: bool, again: bool
) -> Work:
    """The backward pass of `forward`; `again`: activations are recomputed.

    The gradient of the head is computed with the loss, its weights' too when it is trained.
    """
    once = forward(network, batch, length, counted=counted)
    work = once * (2 if full else 1)
    if again:
        work += forward(network, batch, length)
    return Work(
        work.flops, 0.0, once.calls * (BACKWARD_CALLS + again) * (1 if full else LORA_CALLS)
    )


def decoding(
    network: Network,
    sequences: float,
    prompt: float,
    new: float,
    *,
    weights: int,
    dtype_bytes: int,
    lora: bool = False,
) -> Work:
    """Sample `new` tokens for a batch: the prompt at once, then a token at a time.

    For each token all weights are read once, and the keys and values so far.
    """
    cache = 2 * network.layers * network.keys * sequences * (prompt + new / 2) * dtype_bytes
    drawn = DRAW_PASSES * 4 * sequences * network.vocabulary
    step = forward(network, sequences, 1, counted=sequences, lora=lora)
    steps = Work(step.flops, weights + cache + drawn, step.calls) * new
    return forward(network, sequences, prompt, lora=lora) + steps


def adam(trainable: int) -> Work:
    """One step of AdamW: weights, gradients and two moments are read and written in float32."""
    return Work(12 * trainable, 8 * 4 * trainable, 0.0)
