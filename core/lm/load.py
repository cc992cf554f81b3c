"""Opening a checkpoint: weights, adapters over their parents, tokenizers.

Weights come from safetensors only, and code that comes with a model is never run. Tensors that are
missing are an error here; transformers would fill them with random numbers and a warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from core.errors import BugError, UserError
from core.lm.adapter import load_adapter, merged
from core.lm.checkpoint import Checkpoint, read_manifest
from core.lm.device import Compute
from core.lm.nf4 import load_unpacked

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def weights_folder(checkpoint: Checkpoint) -> Path:
    """Where the checkpoint's files lie: a base is registered beside its weights, all others hold theirs."""
    return Path(str(checkpoint.facts.get("weights", checkpoint.path)))


def load_model(
    checkpoint: Checkpoint, compute: Compute, *, packed: bool = False, merge: bool = False
) -> PreTrainedModel:
    """The network of a checkpoint on its device, in eval mode.

    Args:
        checkpoint: any finished checkpoint; an adapter is put over its parent, and not merged.
        compute: device and precision.
        packed: keep NF4 weights packed (bitsandbytes' Linear4bit: less memory, slower); the default
            dequantizes them once into plain layers, which compute the same numbers to rounding (in eval
            mode on a CPU with AVX512-BF16, to bfloat16 rounding: bitsandbytes computes so there).
        merge: add all adapters into the weights, in float32, then cast: for stages that change the
            weights themselves.

    Raises:
        UserError: files are missing or damaged.
    """
    if merge and checkpoint.storage == "adapter":
        exact = Compute(compute.device, torch.float32, "adapters are merged in float32")
        model = cast(nn.Module, merged(load_model(checkpoint, exact)))
        return cast(PreTrainedModel, model.to(compute.dtype).eval())
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if checkpoint.storage == "adapter":
        parent = load_model(_parent(checkpoint), compute, packed=packed)
        return cast(PreTrainedModel, load_adapter(parent, checkpoint.path).eval())
    folder = weights_folder(checkpoint)
    if not (folder / "config.json").is_file():
        raise UserError(
            f"The weights of this checkpoint are no longer in {folder}.",
            "Put the folder back, or start a new run from where the model is now.",
        )
    if checkpoint.storage == "nf4" and not packed:
        return load_unpacked(folder, compute.device, compute.dtype)
    return _load_full(folder, compute)


def _load_full(folder: Path, compute: Compute) -> PreTrainedModel:
    try:
        model, info = cast(Any, AutoModelForCausalLM).from_pretrained(
            folder,
            dtype=compute.dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            device_map={"": compute.device},
        )
    except SafetensorError as error:
        raise UserError(
            f"A weight file in {folder} is damaged ({error}).", "Copy or download the model again."
        ) from error
    except OSError as error:
        raise UserError(
            f"The model in {folder} cannot be opened: {error}", "Copy or download the model again."
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise UserError(
            f"The model in {folder} lacks {len(missing)} weights, among them {missing[0]}.",
            "A shard is missing or belongs to another model; copy or download the model again.",
        )
    return cast(PreTrainedModel, model.eval())


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, or the nearest ancestor's, with a padding token set."""
    holder = checkpoint
    while not any((weights_folder(holder) / name).is_file() for name in TOKENIZER_FILES):
        if holder.parent_path is None:
            raise UserError(
                f"There is no tokenizer in {weights_folder(holder)}.",
                "Copy tokenizer.json and tokenizer_config.json of the model into that folder.",
            )
        holder = _parent(holder)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        weights_folder(holder), local_files_only=True
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def _parent(checkpoint: Checkpoint) -> Checkpoint:
    if checkpoint.parent_path is None:
        raise BugError(f"checkpoint {checkpoint.identity[:20]} names no parent folder")
    parent = read_manifest(checkpoint.parent_path)
    if parent is None:
        raise UserError(
            f"The checkpoint in {checkpoint.path} builds on {checkpoint.parent_path}, which is gone.",
            "Run the earlier stages again.",
        )
    return parent
