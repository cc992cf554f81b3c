"""The memory of a stage from the sizes of its networks: arithmetic only, no torch and no files.

Each function says what our code holds, in bytes. Activations follow Korthikanti et al., "Reducing
Activation Recomputation in Large Transformer Models" (2022, section 4.1), adapted to what is trained
here: RMSNorm, a gated FFN (SwiGLU), no dropout, attention that keeps no T x T matrix (SDPA), and PEFT's
LoRA, which keeps the input of every adapted layer in float32. Mixtures of experts and linear attention
are not covered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.engine.estimate import Item, ItemName, Phase, PhaseName

if TYPE_CHECKING:
    from core.lm.skeleton import Network

FLOAT32 = 4
DTYPE_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}

ADAM_MOMENTS = 2 * FLOAT32
SDFT_CHUNK = (5, 6)
"""Tensors (chunk, V) in float32 that exist together in `forward_kl`: two log-probabilities, two
probabilities and a scratch; from the second chunk on the last gradient, too."""
SFT_CHUNK = (2, 3)
"""The same of `cross_entropy`: log-probabilities and probabilities."""
DRAW_TENSORS = 5
"""Tensors (B, V) in float32 while a token is drawn: logits, scaled, mass, its padded copy, the last ones."""


@dataclass(frozen=True)
class Held:
    """A network as it is opened for computing.

    Attributes:
        network: its sizes.
        nf4: whether it lies packed on disk. In memory it does not: `core.lm.nf4` dequantizes every
            weight once, so an NF4 network takes what one in the compute precision takes.
        adapters: weights of the adapters of earlier stages, stacked over it in float32.
    """

    network: Network
    nf4: bool = False
    adapters: int = 0

    def weights(self, dtype_bytes: int) -> int:
        """Bytes of the opened network."""
        return self.network.parameters * dtype_bytes + self.adapters * FLOAT32

    def while_loading(self, dtype_bytes: int, *, merge: bool = False) -> int:
        """Bytes beyond `weights` while it is opened.

        A packed network is dequantized into a state dict, then assembled: it exists twice. Adapters are
        merged in float32, then cast.
        """
        if merge and self.adapters:
            return self.network.parameters * (FLOAT32 - dtype_bytes) + self.adapters * FLOAT32
        return self.network.parameters * dtype_bytes if self.nf4 else 0


@dataclass(frozen=True)
class Trained:
    """How a network is trained.

    Attributes:
        full: all weights, or a LoRA adapter.
        trainable: weights that get gradients.
        rank: of the adapter; 0 without one.
        checkpointing: whether activations are recomputed.
    """

    full: bool
    trainable: int
    rank: int
    checkpointing: bool


def activations(network: Network, how: Trained, tokens: int, length: int, dtype_bytes: int) -> int:
    """Bytes that a forward pass keeps for backward.

    Args:
        network: of the student.
        how: it is trained.
        tokens: of the micro-batch, padding included (B * T).
        length: of a sequence (T).
        dtype_bytes: of the compute precision.
    """
    layer = layer_activations(network, how, dtype_bytes, length)
    norm = network.hidden * (FLOAT32 + (dtype_bytes if how.full else 0))  # the last one
    if how.checkpointing:
        boundary = network.hidden * dtype_bytes
        return tokens * (network.layers * boundary + layer + norm)
    return tokens * (network.layers * layer + norm)


def layer_activations(network: Network, how: Trained, dtype_bytes: int, length: int) -> int:
    """Bytes for each token that one decoder layer keeps for backward.

    With h the hidden width, f the FFN's, q all query heads', b the bytes of a number:

    * two norms: their input in float32 (2 * 4 h); for training their weights, the normalised states too
      (2 b h; in half precision these are copies of their own, in float32 as well);
    * attention: q, k, v and the output, k and v repeated to the width of q where padding is masked (4 b q),
      and the mask that SDPA makes numbers of (b T);
    * the FFN: gate, its activation, up (3 b f), and their product where the layer after it is trained (b f);
    * inputs of linear layers: in float32 and for full training one tensor serves all layers that read it
      (2 b h: attention and FFN; the others are counted above). A LoRA adapter reads its own float32 copy
      where the network is in half precision, one for each layer: 4 * the sum of all inputs;
    * the adapters' inner states: 4 r for each layer.
    """
    h, f, q, b = network.hidden, network.ffn, network.queries, dtype_bytes
    kept = 2 * FLOAT32 * h + 4 * b * q + b * length + 3 * b * f
    layers = len(network.linear) / network.layers
    if how.full:
        return kept + 2 * b * h + 2 * b * h + b * f
    kept += int(FLOAT32 * how.rank * layers)
    if b == FLOAT32:
        return kept + 2 * b * h + b * f
    return kept + FLOAT32 * sum(inputs for inputs, _ in network.linear) // network.layers


def working_space(network: Network, tokens: int, length: int, batch: int, dtype_bytes: int) -> int:
    """Bytes of one layer in passing: a few tensors of the FFN, or keys and values repeated for all heads."""
    ffn = 3 * tokens * network.ffn
    attention = tokens * (3 * network.queries + 2 * network.hidden) + 2 * batch * length * (
        network.queries if network.queries != network.keys else 0
    )
    return max(ffn, attention) * dtype_bytes + tokens * network.hidden * (FLOAT32 + dtype_bytes)


def backward_space(network: Network, tokens: int, how: Trained, dtype_bytes: int) -> int:
    """Bytes of gradients with respect to activations that exist together: three of the FFN, two states."""
    width = dtype_bytes if how.full else FLOAT32
    return tokens * (3 * network.ffn + 2 * network.hidden) * width


def kv_cache(network: Network, sequences: int, length: int, dtype_bytes: int) -> int:
    """Bytes of the keys and values of a batch that was decoded to its end."""
    return 2 * network.layers * network.keys * sequences * length * dtype_bytes


def drawing(network: Network, sequences: int) -> int:
    """Bytes over the vocabulary while the next token of each sequence is drawn."""
    return DRAW_TENSORS * FLOAT32 * sequences * network.vocabulary


def chunk_logits(network: Network, counted: int, chunk: int, tensors: tuple[int, int]) -> int:
    """Bytes over the vocabulary while the loss of one chunk of tokens is computed."""
    first, later = tensors
    rows = min(counted, chunk)
    return rows * network.vocabulary * FLOAT32 * (later if counted > chunk else first)


def head_gradient(network: Network, how: Trained, dtype_bytes: int) -> int:
    """Bytes for the gradient of a trained head, kept in float32 from the loss to its backward."""
    if not how.full:
        return 0
    size = network.vocabulary * network.hidden
    return size * (2 * FLOAT32 + (dtype_bytes if dtype_bytes != FLOAT32 else 0))


def step_space(network: Network, how: Trained, *, cuda: bool) -> int:
    """Bytes of AdamW's own temporaries: on CUDA for all tensors at once, elsewhere for the largest."""
    largest = min(network.largest, how.trainable)
    return FLOAT32 * (how.trainable if cuda else 2 * largest)


def phase(name: PhaseName, items: Iterable[tuple[ItemName, int]]) -> Phase:
    """The items that take something."""
    return Phase(name, tuple(Item(item, int(size)) for item, size in items if size > 0))
