"""The network that a training stage trains: how it is opened, and how its result is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peft import PeftModel
from torch import nn

from core.data.chat import end_of_turn_id
from core.errors import UserError
from core.lm.adapter import add_lora, count_trainable, plain_model, save_adapter
from core.lm.checkpoint import Checkpoint, write_manifest
from core.lm.generate import end_ids
from core.lm.load import load_model, load_tokenizer
from core.recipe.training_specs import TrainSpec
from core.stages.context import StageContext
from core.stages.weights import has_quantized_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Student:
    """A network in training mode without dropout, its tokenizer, and how many of its weights are trained."""

    model: PreTrainedModel  # a PeftModel where an adapter is trained
    tokenizer: PreTrainedTokenizerBase
    trainable: int

    @property
    def eos_ids(self) -> frozenset[int]:
        """All tokens that end an answer."""
        ends = end_ids(plain_model(self.model), self.tokenizer)
        return ends | {end_of_turn_id(self.tokenizer)}

    @property
    def pad_id(self) -> int:
        """A valid token id; what it fills is masked."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def context_length(self) -> int | None:
        """Longest sequence the network was made for; None when its config does not say."""
        config = self.model.config.get_text_config()
        length = getattr(config, "max_position_embeddings", None)
        return int(length) if length else None


def prepare(spec: TrainSpec, checkpoint: Checkpoint, context: StageContext) -> Student:
    """Open the checkpoint for training: with a new adapter, or with all weights trainable.

    Raises:
        UserError: full training of a quantized network was asked for.
    """
    if spec.method == "full" and has_quantized_weights(checkpoint):
        raise UserError(
            f"Stage {context.stage} asks for full training of a quantized network.",
            "Set method to lora: packed weights cannot be trained.",
        )
    model: PreTrainedModel
    if spec.method == "lora":
        loaded = load_model(checkpoint, context.compute)
        model = cast(
            "PreTrainedModel", add_lora(loaded, spec.lora_r, spec.lora_alpha, context.seed)
        )
    else:
        model = load_model(checkpoint, context.compute, merge=True)
        model.requires_grad_(True)
    remove_dropout(model)
    if spec.gradient_checkpointing:
        # Non-reentrant: gradients pass although the embeddings of a LoRA student are frozen.
        plain_model(model).activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    return Student(model, load_tokenizer(checkpoint), count_trainable(model))


def remove_dropout(model: nn.Module) -> None:
    """Set every dropout to zero: the student is scored as the distribution it samples from."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]


def finish(
    spec: TrainSpec,
    checkpoint: Checkpoint,
    context: StageContext,
    student: Student,
    facts: Mapping[str, Any],
) -> Checkpoint:
    """Write the trained weights and, last, the manifest.

    Args:
        spec: settings of the stage.
        checkpoint: the parent.
        context: says where, and under which identity.
        student: the trained network.
        facts: for the manifest.
    """
    if isinstance(student.model, PeftModel):
        save_adapter(student.model, context.folder)
    else:
        student.model.save_pretrained(context.folder)
    student.tokenizer.save_pretrained(context.folder)
    made = Checkpoint(
        identity=context.identity,
        path=context.folder,
        parent=checkpoint.identity,
        parent_path=checkpoint.path,
        kind=spec.kind,
        storage="adapter" if spec.method == "lora" else "full",
        dtype=checkpoint.dtype,
        spec=spec.model_dump(mode="json", by_alias=True),
        inputs=dict(context.inputs),
        facts=dict(facts),
    )
    write_manifest(made)
    return made
