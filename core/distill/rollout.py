"""On-policy sampling: the student answers its own prompts, without the demonstration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.distill.batch import by_length
from core.lm.generate import Generated, Sampling, generate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GROWTH = 4
"""Prompts sampled together, per prompt of a micro-batch: no activations are kept for a backward pass."""


@dataclass(frozen=True)
class Rollout:
    """How completions are sampled."""

    temperature: float
    max_new_tokens: int
    batch_size: int
    eos_ids: frozenset[int]
    pad_id: int
    seed: int

    def sample(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        step: int,
        check: Callable[[], None],
    ) -> list[Generated]:
        """One completion for each prompt, in their order.

        Prompts of like length are sampled together. Randomness depends on seed and step only, so a
        resumed training samples what it would have sampled.
        """
        answers: dict[int, Generated] = {}
        groups = by_length([len(prompt) for prompt in prompts], self.batch_size)
        for number, group in enumerate(groups):
            seed = np.random.SeedSequence([self.seed, step, number]).generate_state(1)[0]
            found = generate(
                model,
                [prompts[index] for index in group],
                max_new_tokens=self.max_new_tokens,
                eos_ids=self.eos_ids,
                pad_id=self.pad_id,
                sampling=Sampling(temperature=self.temperature, seed=int(seed)),
                check=check,
            )
            answers.update(zip(group, found, strict=True))
        return [answers[index] for index in range(len(prompts))]


def pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str]:
    """The text of each token; a character spread over several tokens is shown at its last one."""
    texts: list[str] = []
    pending: list[int] = []
    for token in ids:
        pending.append(token)
        text = str(tokenizer.decode(pending))
        # U+FFFD stands for an unfinished character, which has at most four bytes.
        if "\ufffd" in text and len(pending) < 4:
            texts.append("")
            continue
        texts.append(text)
        pending = []
    if pending and texts:
        texts[-1] = str(tokenizer.decode(pending))
    return texts
