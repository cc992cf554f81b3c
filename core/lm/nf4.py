"""NF4 on disk: packed as bitsandbytes packs it, opened as plain weights.

The packed folder has the layout that transformers writes for a bitsandbytes model, so plain
`AutoModelForCausalLM.from_pretrained` opens it. For computing, `unpack` gives each weight its dequantized
value once: bitsandbytes' `Linear4bit` does the same at every step (engine-room.md, trap 4), so both agree
to rounding. Training the packed form in place is not done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedModel,
)

from core.errors import UserError
from core.lm.assemble import assemble

BLOCKSIZE = 64  # bitsandbytes' default, and the only one its packed files are read back with
QUANT_TYPE = "nf4"
_STATE = f"quant_state.bitsandbytes__{QUANT_TYPE}"
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map", _STATE)


@dataclass(frozen=True)
class Packed:
    """What packing did.

    Attributes:
        layers: names of the packed linear layers.
        weights: number of weights in them.
        bytes_before: their size in the precision they had.
        bytes_after: their size packed, with scales.
        max_error: largest |packed - original| relative to the layer's largest |weight|.
    """

    layers: tuple[str, ...]
    weights: int
    bytes_before: int
    bytes_after: int
    max_error: float

    @property
    def bits_per_weight(self) -> float:
        """About 4.5 with plain scales, 4.13 with double quantization."""
        return 8 * self.bytes_after / self.weights


@torch.no_grad()
def save_packed(model: PreTrainedModel, folder: Path, *, double_quant: bool = True) -> Packed:
    """Quantize every linear layer but the head to NF4 and write the model into `folder`.

    Embeddings, norms, biases and the head keep their precision. Works on whatever device the model is
    on; the model itself is left as it was.

    Args:
        model: full weights, no adapters.
        folder: receives safetensors, config.json and generation_config.json; the tokenizer is not
            written here.
        double_quant: quantize the block scales too, 8 bits in blocks of 256.

    Raises:
        UserError: the model has no linear layer that could be packed.
    """
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    linear = {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear and module is not head
    }
    if not linear:
        raise UserError("The model has no linear layers that could be quantized.")
    skipped = sorted(name for name, module in model.named_modules() if module is head)
    tensors: dict[str, Tensor] = {}
    before = after = 0
    error = 0.0
    for key, tensor in model.state_dict().items():
        layer = linear.get(key.removesuffix(".weight")) if key.endswith(".weight") else None
        if layer is None:
            tensors[key] = tensor.detach().cpu()
            continue
        packed, state = quantize_4bit(
            tensor.contiguous(),
            blocksize=BLOCKSIZE,
            compress_statistics=double_quant,
            quant_type=QUANT_TYPE,
        )
        parts = {key: packed} | {f"{key}.{k}": v for k, v in state.as_dict(packed=True).items()}
        difference = (dequantize_4bit(packed, state).float() - tensor.float()).abs().max()
        error = max(error, float(difference / tensor.float().abs().max().clamp(min=1e-30)))
        before += tensor.numel() * tensor.element_size()
        after += sum(part.numel() * part.element_size() for part in parts.values())
        tensors.update((name, part.cpu()) for name, part in parts.items())
    for tied in getattr(model, "all_tied_weights_keys", {}) or {}:
        tensors.pop(tied, None)
    folder.mkdir(parents=True, exist_ok=True)
    save_torch_state_dict(tensors, folder, metadata={"format": "pt"})
    _write_config(model, folder, skipped, double_quant)
    weights = sum(module.weight.numel() for module in linear.values())
    return Packed(tuple(linear), weights, before, after, error)


def _write_config(
    model: PreTrainedModel, folder: Path, skipped: list[str], double_quant: bool
) -> None:
    config = AutoConfig.for_model(**model.config.to_dict())
    config.architectures = [type(model).__name__]
    config.dtype = model.dtype
    config.quantization_config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=QUANT_TYPE,
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=model.dtype,
        llm_int8_skip_modules=skipped,
    ).to_dict()
    config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)


def load_unpacked(folder: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The packed model as plain `nn.Linear` layers holding the dequantized weights, in eval mode.

    A weight is dequantized in the precision it was quantized from and then cast, as Linear4bit does.

    Raises:
        UserError: tensors are missing from the folder.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    del config.quantization_config
    state = {name: tensor.to(dtype) for name, tensor in unpack(folder, device)}
    model, missing = assemble(config, state, dtype)
    if missing:
        raise UserError(
            f"The quantized model in {folder} lacks {len(missing)} weights, among them {missing[0]}.",
            "Run the quantize stage again.",
        )
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return cast(PreTrainedModel, cast(nn.Module, model).to(device).eval())


def unpack(folder: Path, device: torch.device) -> Iterator[tuple[str, Tensor]]:
    """All weights of a packed folder by name, the packed ones dequantized; one at a time in memory."""
    with ExitStack() as stack:
        where = {}  # a weight and its scales may lie in different shards
        for file in sorted(folder.glob("*.safetensors")):
            shard = stack.enter_context(safe_open(file, framework="pt", device=str(device)))
            where.update(dict.fromkeys(shard.keys(), shard))
        for name, shard in where.items():
            if f"{name}.{_STATE}" in where:
                parts = {
                    part: where[f"{name}.{part}"].get_tensor(f"{name}.{part}")
                    for part in _PARTS
                    if f"{name}.{part}" in where
                }
                yield name, _dequantized(shard.get_tensor(name), parts, device)
            elif not name.endswith(_PARTS):
                yield name, shard.get_tensor(name)


def _dequantized(packed: Tensor, parts: Mapping[str, Tensor], device: torch.device) -> Tensor:
    state = QuantState.from_dict(dict(parts), device=device)
    return dequantize_4bit(packed, state)
