"""The teacher: a network that scores the student's tokens after its own prompt, and learns nothing.

The trap (methods.md A3): with a quantized student, switching the adapter off gives the *degraded*
network, never the base. One network therefore plays both parts only when the teacher is exactly the
checkpoint on which the student's adapter was put, or when it follows the student: `live` is the student
itself, `ema` its running average. Anything else is opened on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from peft import PeftModel
from torch import Tensor

from core.distill.batch import Batch, predicting
from core.distill.head import Head, check_head, head_of, hidden_states
from core.distill.shadow import Shadow
from core.distill.taught import TaughtStates
from core.lm.adapter import as_parent
from core.lm.blocks import block_count, watching
from core.lm.checkpoint import Checkpoint
from core.lm.device import Compute
from core.lm.load import load_model
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Network = Literal["own", "parent", "live", "ema"]
"""Whose network a teacher is: its own, or the student's with the adapter off, as it is, or averaged."""


class Teacher:
    """Scores, and learns nothing.

    Attributes:
        network: whose network it is.
        shadow: the running average, of the network `ema` only.
    """

    def __init__(
        self, model: PreTrainedModel | PeftModel, network: Network, shadow: Shadow | None = None
    ) -> None:
        self._model = model
        self.network = network
        self.shadow = shadow
        self._head: Head = head_of(model)
        with self.at_work():
            check_head(model, self._head)

    @property
    def head(self) -> Head:
        """What turns its states into logits."""
        if self.shadow is None:
            return self._head
        return replace(self._head, weight=self.shadow.of(self._head.weight))

    @property
    def vocabulary(self) -> int:
        """Entries it knows, padding included."""
        return self._head.vocabulary

    def taught(self, batch: Batch) -> TaughtStates:
        """What it says at the B * C tokens of the completions; in eval mode, without gradient."""
        with self.at_work() as model, torch.inference_mode():
            states = predicting(hidden_states(model, batch.input_ids, batch.attention_mask), batch)
        return TaughtStates(states.flatten(0, 1), self.head)

    @property
    def blocks(self) -> int:
        """How many blocks its network has."""
        return block_count(self._model)

    def block_states(self, batch: Batch, blocks: Sequence[int]) -> list[Tensor]:
        """Of each named block the outputs (B, C, H) that precede the completion's tokens; as `taught` computes."""
        with self.at_work() as model, torch.no_grad(), watching(model, blocks) as seen:
            hidden_states(model, batch.input_ids, batch.attention_mask)
        return [predicting(seen[it], batch) for it in blocks]

    @contextmanager
    def at_work(self) -> Iterator[PreTrainedModel | PeftModel]:
        """The network in eval mode and, where it is the student's, with the weights that teach."""
        with ExitStack() as stack:
            stack.enter_context(evaluating(self._model))
            if self.network == "parent" and isinstance(self._model, PeftModel):
                stack.enter_context(as_parent(self._model))
            if self.shadow is not None:
                stack.enter_context(self.shadow.applied())
            yield self._model


def open_teacher(
    teacher: Checkpoint,
    parent: Checkpoint,
    student: PreTrainedModel | PeftModel,
    compute: Compute,
) -> Teacher:
    """A checkpoint as teacher: the student's network without its adapter where that is the same, else its own.

    Args:
        teacher: the checkpoint that scores.
        parent: the checkpoint from which the student was opened.
        student: its network; a LoRA student leaves the parent's weights as they were.
        compute: device and precision of a network of its own.
    """
    if can_share(teacher, parent, student):
        return Teacher(student, "parent")
    model = load_model(teacher, compute)
    model.requires_grad_(False)
    return Teacher(model, "own")


def can_share(
    teacher: Checkpoint, parent: Checkpoint, student: PreTrainedModel | PeftModel
) -> bool:
    """Whether the student's network with its own adapter switched off is the teacher."""
    return isinstance(student, PeftModel) and teacher.identity == parent.identity
