"""On-policy sampling: the student answers its own prompts, without the demonstration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.distill.batch import by_length
from core.lm.generate import Generated, Sampling, generate

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GROWTH = 4
"""Prompts sampled together, per prompt of a micro-batch: no activations are kept for a backward pass."""


@dataclass(frozen=True)
class Rollout:
    """How completions are sampled.

    Attributes:
        temperature: logits are divided by it.
        max_new_tokens: longest completion.
        batch_size: completions sampled together.
        eos_ids: tokens that end a completion.
        pad_id: any valid token id.
        seed: of the stage.
        top_k: keep so many of the most probable tokens; 0 keeps all.
        top_p: keep the most probable tokens whose mass reaches this; 1 keeps all.
        min_p: keep tokens at least this many times as probable as the most probable one; 0 keeps all.
        num_generations: completions of each prompt.
        vocabulary: entries that student and teacher both have: a padded entry that only one of them has
            could not be read by the other. None: all that the network has.
    """

    temperature: float
    max_new_tokens: int
    batch_size: int
    eos_ids: frozenset[int]
    pad_id: int
    seed: int
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    num_generations: int = 1
    vocabulary: int | None = None

    def sample(
        self,
        model: PreTrainedModel | PeftModel,
        prompts: Sequence[Sequence[int]],
        step: int,
        check: Callable[[], None],
        *,
        positions: Sequence[int] | None = None,
        with_log_probs: bool = False,
    ) -> list[Generated]:
        """`num_generations` completions of each prompt, prompt by prompt in their order.

        Prompts of like length are sampled together. A completion's randomness depends on the seed, the
        step, the prompt's position in the step and the number of the completion only, so a resumed
        training, and one spread over several processes, samples what it would have sampled.

        Args:
            model: the student, or a teacher.
            prompts: token ids of each prompt.
            step: optimizer step.
            check: called before every token; raises to stop.
            positions: of these prompts among all prompts of the step; by default 0, 1, ...
            with_log_probs: collect the log-probability of every token, see `Generated`.
        """
        at = range(len(prompts)) if positions is None else positions
        wanted = [
            (place, number)
            for place in range(len(prompts))
            for number in range(self.num_generations)
        ]
        answers: dict[int, Generated] = {}
        for group in by_length([len(prompts[place]) for place, _ in wanted], self.batch_size):
            chosen = [wanted[index] for index in group]
            found = generate(
                model,
                [prompts[place] for place, _ in chosen],
                max_new_tokens=self.max_new_tokens,
                eos_ids=self.eos_ids,
                pad_id=self.pad_id,
                sampling=Sampling(
                    temperature=self.temperature,
                    top_k=self.top_k,
                    top_p=self.top_p,
                    min_p=self.min_p,
                    seeds=[self._seed(step, at[place], number) for place, number in chosen],
                ),
                with_log_probs=with_log_probs,
                vocabulary=self.vocabulary,
                check=check,
            )
            answers.update(zip(group, found, strict=True))
        return [answers[index] for index in range(len(wanted))]

    def _seed(self, step: int, position: int, number: int) -> int:
        sequence = np.random.SeedSequence([self.seed, step, position, number])
        return int(sequence.generate_state(1, np.uint64)[0])


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
