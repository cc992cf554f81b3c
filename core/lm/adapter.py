"""LoRA adapters: added for training, saved as a delta, stacked over the adapters of earlier stages.

A checkpoint trained with LoRA holds only its own delta. When its parent is such a checkpoint too, the
deltas are stacked, not merged: merging into bfloat16 weights rounds away much of a small update, and the
student would not start from the very function that was measured. Names in the stack: "inherited_0", … for
earlier stages, "default" for the one in training.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, LoraModel, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

TRAINED = "default"  # PEFT saves an adapter of this name in the folder itself, not in a subfolder


def plain_model(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside a PEFT wrapper, or the model itself. Adapters stay in its layers."""
    return cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)


def add_lora(model: PreTrainedModel | PeftModel, r: int, alpha: int, seed: int) -> PeftModel:
    """Freeze the model and add a trainable adapter that changes nothing yet.

    Every linear layer but the head gets one: A random, B zero, no dropout, float32 whatever the model's
    precision. An adapter already there (see `load_adapter`) stays active and frozen.

    Args:
        r: rank.
        alpha: the update is scaled by alpha / r.
        seed: of A; the global random state is left as it was.
    """
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=_linear_names(plain_model(model)),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.default_generator.manual_seed(seed)
        if isinstance(model, PeftModel):
            model.add_adapter(TRAINED, config)
            _activate(model, _names(model))
            return model
        return cast(PeftModel, get_peft_model(model, config, adapter_name=TRAINED))


def load_adapter(model: PreTrainedModel | PeftModel, folder: Path) -> PeftModel:
    """Put a saved adapter over the model, frozen and active together with those already there."""
    with _quiet():
        if not isinstance(model, PeftModel):
            loaded = PeftModel.from_pretrained(model, str(folder), adapter_name="inherited_0")
        else:
            loaded = model
            loaded.load_adapter(str(folder), adapter_name=f"inherited_{len(_names(loaded))}")
    _activate(loaded, _names(loaded))
    return loaded


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the trained adapter (safetensors and its config) into `folder`; inherited ones are not written."""
    model.save_pretrained(str(folder), selected_adapters=[TRAINED], save_embedding_layers=False)


@contextmanager
def as_parent(model: PeftModel) -> Iterator[None]:
    """Inside the block the model computes as before `add_lora`: inherited adapters on, the trained one off.

    For a teacher that is the student's own parent. `PeftModel.disable_adapter` would also switch off the
    inherited ones and give the root model instead.
    """
    active = list(model.active_adapters)
    _activate(model, [name for name in active if name != TRAINED])
    try:
        yield
    finally:
        _activate(model, active)


def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model with all its adapters added into its weights; call it in float32.

    For stages that change the weights themselves: pruning, quantization, full fine-tuning.
    """
    if not isinstance(model, PeftModel):
        return model
    return cast(PreTrainedModel, model.merge_and_unload(adapter_names=_names(model)))


def count_trainable(model: nn.Module) -> int:
    """Number of parameters that receive gradients."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@contextmanager
def _quiet() -> Iterator[None]:
    """PEFT 0.21 reads a name that transformers 5.23 has deprecated; nobody here can act on the warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
        )
        yield


def _names(model: PeftModel) -> list[str]:
    return list(model.peft_config)


def _activate(model: PeftModel, names: list[str]) -> None:
    """Make exactly these adapters compute; of all adapters only the trained one receives gradients."""
    tuner = cast(LoraModel, model.base_model)
    if names:
        tuner.enable_adapter_layers()
        tuner.set_adapter(names)
    else:
        tuner.disable_adapter_layers()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(f".{TRAINED}." in name)


def _linear_names(model: PreTrainedModel) -> list[str]:
    """Last name components of all linear layers but the head: what PEFT matches modules by."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return sorted(
        {
            name.removesuffix(".base_layer").rsplit(".", 1)[-1]
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and module is not head and ".lora_" not in name
        }
    )
