"""The teacher: a frozen network that scores the student's tokens after its own prompt.

The trap (methods.md A3): with a quantized student, switching the adapter off gives the *degraded*
network, never the base. One network therefore plays both parts only when the teacher is exactly the
checkpoint on which the student's adapter was put; anything else is opened on its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from torch import Tensor

from core.distill.batch import Batch, predicting
from core.distill.head import Head, check_head, head_of, hidden_states
from core.lm.adapter import as_parent
from core.lm.checkpoint import Checkpoint
from core.lm.device import Compute
from core.lm.load import load_model
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Teacher:
    """Scores, and learns nothing.

    Attributes:
        head: turns its states into logits.
        shared: whether it is the student's network with the adapter switched off.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, *, shared: bool) -> None:
        self._model = model
        self.shared = shared
        self.head: Head = head_of(model)
        with self._alone():
            check_head(model, self.head)

    def states(self, batch: Batch) -> Tensor:
        """The states (B, C, H) from which it predicts the completions; in eval mode, without gradient."""
        with self._alone(), torch.inference_mode():
            states = hidden_states(self._model, batch.input_ids, batch.attention_mask)
            return predicting(states, batch)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The network in eval mode and, where shared, without the student's adapter."""
        with ExitStack() as stack:
            stack.enter_context(evaluating(self._model))
            if self.shared and isinstance(self._model, PeftModel):
                stack.enter_context(as_parent(self._model))
            yield


def open_teacher(
    teacher: Checkpoint,
    parent: Checkpoint,
    student: PreTrainedModel | PeftModel,
    compute: Compute,
) -> Teacher:
    """The teacher's network: the student's own without its adapter where that is the same, else its own.

    Args:
        teacher: the checkpoint that scores.
        parent: the checkpoint from which the student was opened.
        student: its network; a LoRA student leaves the parent's weights as they were.
        compute: device and precision of a network of its own.
    """
    if can_share(teacher, parent, student):
        return Teacher(student, shared=True)
    model = load_model(teacher, compute)
    model.requires_grad_(False)
    return Teacher(model, shared=False)


def can_share(
    teacher: Checkpoint, parent: Checkpoint, student: PreTrainedModel | PeftModel
) -> bool:
    """Whether the student's network with its own adapter switched off is the teacher."""
    return isinstance(student, PeftModel) and teacher.identity == parent.identity
