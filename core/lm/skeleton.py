"""A network known by its config alone: built on the meta device, its weights neither read nor allocated.

Sizes come from the parameters of that network, not from formulas, so they hold for every architecture
that transformers knows. A config is only looked for on this machine: nothing is downloaded or converted.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from core.errors import UserError
from core.lm.gguf import RECORD, read_record
from core.lm.named import find
from core.recipe.sources import ModelSource

DOUBLE_QUANT_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Bits of a weight in NF4: 4, a scale of 8 bits for 64 weights, and a scale of 32 bits for 256 scales."""
PLAIN_QUANT_BITS = 4 + 32 / 64
"""The same with scales of 32 bits for 64 weights."""


_UNUSABLE = (ValueError, TypeError, AttributeError, KeyError, ImportError, RuntimeError)
"""What building a network from the config of another kind of model ends with: no causal language model,
no attention heads, a library that is not installed, an operation without a meta kernel."""


@dataclass(frozen=True)
class Network:
    """The sizes of a causal language model.

    Attributes:
        config: from which it can be built again.
        parameters: number of weights, tied ones once.
        linear: (inputs, outputs) of every linear layer but the head: what is quantized and gets adapters.
        largest: weights of the largest tensor.
        layers: number of decoder layers.
        hidden: width of the residual stream.
        ffn: width of the FFN.
        queries: width of all query heads together.
        keys: width of all key heads together; the values' is the same.
        vocabulary: rows of the head.
        context: longest sequence it was made for, None when the config does not say.
    """

    config: PretrainedConfig
    parameters: int
    linear: tuple[tuple[int, int], ...]
    largest: int
    layers: int
    hidden: int
    ffn: int
    queries: int
    keys: int
    vocabulary: int
    context: int | None

    @property
    def linear_weights(self) -> int:
        """Weights of the linear layers, biases and head left out."""
        return sum(inputs * outputs for inputs, outputs in self.linear)

    def lora(self, rank: int) -> int:
        """Weights of an adapter of this rank on every linear layer but the head."""
        return sum(rank * (inputs + outputs) for inputs, outputs in self.linear)

    def packed_bytes(self, *, double_quant: bool, dtype_bytes: int) -> int:
        """Size as NF4: linear layers in 4 bits with their scales, the rest in the compute precision."""
        bits = DOUBLE_QUANT_BITS if double_quant else PLAIN_QUANT_BITS
        kept = (self.parameters - self.linear_weights) * dtype_bytes
        return int(self.linear_weights * bits / 8) + kept

    def pruned(self, ffn: int) -> Network:
        """The same network with another width of its FFNs."""
        config = copy.deepcopy(self.config)
        config.get_text_config().intermediate_size = ffn
        return measured(config)


def local_folder(source: ModelSource, cache: Path | None = None) -> Path | None:
    """The folder with the model's config and tokenizer where it is on this machine as a folder, else None.

    Args:
        source: of the model.
        cache: folder of converted models; a GGUF file is found there by its name.
    """
    if source.folder:
        folder = Path(source.folder).expanduser()
        return folder if (folder / "config.json").is_file() else None
    if source.hub:
        cached = try_to_load_from_cache(source.hub, "config.json", revision=source.revision)
        return Path(cached).parent if isinstance(cached, str) else None
    file = find(source.name) if source.name else Path(source.gguf or "").expanduser()
    if file.is_dir():
        return file
    return next(
        (
            record.parent
            for record in sorted(cache.glob(f"*/{RECORD}") if cache is not None else ())
            if read_record(record.parent).get("source") == file.name
        ),
        None,
    )


def local_network(source: ModelSource, cache: Path | None = None) -> Network:
    """The network of a model source, from what is on this machine; `cache` as for `local_folder`.

    Raises:
        UserError: its config is not here, or is of no causal language model that transformers knows.
    """
    folder = local_folder(source, cache)
    if folder is not None:
        return measured(_config(folder))
    if source.gguf or source.name:
        file = find(source.name) if source.name else Path(source.gguf or "").expanduser()
        return measured(_config(file.parent, gguf_file=file.name))
    raise UserError(
        f"The size of {source.label} is not known: its config is not on this machine yet.",
        "It is downloaded when the run starts.",
    )


def of_folder(folder: Path) -> Network:
    """The network whose config lies in `folder`.

    Raises:
        UserError: it cannot be read.
    """
    return measured(_config(folder))


def _config(folder: Path, **options: str) -> PretrainedConfig:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"The config in {folder} cannot be read: {error}", "Check the path of the model."
        ) from error
    return cast(PretrainedConfig, config)


def measured(config: PretrainedConfig) -> Network:
    """The sizes of the network of this config, which is built without memory for its weights.

    Raises:
        UserError: it is the config of no causal language model.
    """
    plain = copy.deepcopy(config)
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    try:
        return _measured(plain)
    except _UNUSABLE as error:
        raise UserError(
            f"{type(config).__name__} is of no causal language model whose size can be told ({error}).",
            "Choose a model of the Qwen2, Llama, Mistral, Gemma, Phi or a like family.",
        ) from error


def _measured(plain: PretrainedConfig) -> Network:
    model = skeleton(plain)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    sizes = [parameter.numel() for parameter in cast(nn.Module, model).parameters()]
    linear = tuple(
        (module.in_features, module.out_features)
        for module in cast(nn.Module, model).modules()
        if isinstance(module, nn.Linear) and module is not head
    )
    text: Any = plain.get_text_config()
    heads = int(text.num_attention_heads)
    width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    longest = getattr(text, "max_position_embeddings", None)
    return Network(
        config=plain,
        parameters=sum(sizes),
        linear=linear,
        largest=max(sizes),
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        ffn=int(getattr(text, "intermediate_size", None) or 4 * text.hidden_size),
        queries=heads * width,
        keys=int(getattr(text, "num_key_value_heads", None) or heads) * width,
        vocabulary=int(text.vocab_size),
        context=int(longest) if longest else None,
    )


def skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """The causal language model of this config on the meta device."""
    with torch.device("meta"):
        return cast(PreTrainedModel, cast(Any, AutoModelForCausalLM).from_config(config))
