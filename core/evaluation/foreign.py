"""The scorer for tasks that lm-eval brings along (`lm_eval`): items, prompts and metric are lm-eval's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.evaluation import lm_eval_bridge as bridge
from core.evaluation.exam import Exam
from core.evaluation.scorer import Examinee, OnItems

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class LmEvalScorer:
    """Asks by way of `lm_eval_bridge`."""

    def check(self, exam: Exam) -> None:
        """See `Scorer`; the recipe's own check has seen that a task is named."""
        self.count(exam)

    def count(self, exam: Exam) -> int:
        """See `Scorer`."""
        return bridge.item_count(_name(exam), exam.task.include_path, exam.at_most)

    def parts(self, exam: Exam, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
        """See `Scorer`."""
        found = bridge.protocol_parts(
            _name(exam),
            num_fewshot=exam.task.num_fewshot,
            limit=exam.at_most,
            include_path=exam.task.include_path,
        )
        return {"dataset": found.pop("documents"), "fewshot_from": found.pop("fewshot"), **found}

    def score(self, who: Examinee, exam: Exam, known: Collection[str], on_items: OnItems) -> None:
        """See `Scorer`."""
        for items in bridge.evaluate(
            who.model,
            who.tokenizer,
            _name(exam),
            num_fewshot=exam.task.num_fewshot,
            limit=exam.at_most,
            batch_size=exam.task.batch_size,
            include_path=exam.task.include_path,
            chunk=max(bridge.CHUNK, exam.task.batch_size),
            done=known,
            check=who.check,
        ):
            on_items(items)


def _name(exam: Exam) -> str:
    assert exam.task.lm_eval_task is not None  # `check_task` has looked
    return exam.task.lm_eval_task


LM_EVAL = LmEvalScorer()
