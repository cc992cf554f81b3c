"""Tasks of lm-eval as tasks of a recipe, and our own scorers against them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from core.analysis.protocols import differing
from core.data.example import Dataset
from core.data.load import load
from core.evaluation.evaluate import TaskScore, check, evaluate, protocol_of
from core.evaluation.exam import Exam
from core.evaluation.scorer import Examinee
from core.events import EvaluatedItem
from core.recipe.sources import DatasetSource, Task
from tests.helpers.lm_eval_tasks import write_mmlu, write_winogrande
from tests.helpers.tiny import CITIES, mmlu_rows, tiny_model, tiny_tokenizer, write_jsonl

pytest.importorskip("lm_eval")
ITEMS, SHOTS = 40, 5


def _mmlu() -> list[dict[str, Any]]:
    return [{**row, "subject": "geography"} for row in mmlu_rows(ITEMS + SHOTS + 1)]


def _winogrande() -> list[dict[str, Any]]:
    draw = random.Random(0)
    rows = []
    for i in range(ITEMS + SHOTS + 1):
        one, other = draw.sample(CITIES, 2)
        answer = str(draw.randint(1, 2))
        sentence = f"{one} is larger than {other}, so _ is the {draw.choice(CITIES)} of list {i}."
        rows.append({"sentence": sentence, "option1": one, "option2": other, "answer": answer})
    return rows


def _score(
    exam: Exam, known: dict[str, EvaluatedItem] | None = None
) -> tuple[TaskScore, list[Any]]:
    batches: list[tuple[EvaluatedItem, ...]] = []
    who = Examinee(tiny_model(), tiny_tokenizer())
    score = evaluate(who, exam, known=known, on_items=batches.append)
    return score, batches


def _file(folder: Path, name: str, rows: list[dict[str, Any]]) -> Dataset:
    path = write_jsonl(folder / f"{name}.jsonl", rows)
    return load(name, DatasetSource(file=str(path)), folder)


@pytest.mark.parametrize("shots", [0, SHOTS])
@pytest.mark.parametrize("name", ["mmlu", "winogrande"])
def test_that_our_own_scorers_judge_each_item_as_lm_eval_does(
    tmp_path: Path, name: str, shots: int
) -> None:
    rows = _mmlu() if name == "mmlu" else _winogrande()
    write = write_mmlu if name == "mmlu" else write_winogrande
    write(tmp_path, f"tiny_{name}", rows[:ITEMS], rows[ITEMS:])
    theirs = Task(
        scorer="lm_eval",
        lm_eval_task=f"tiny_{name}",
        include_path=str(tmp_path),
        num_fewshot=shots,
    )
    ours = Task.model_validate(
        {
            "scorer": "multiple_choice_v1" if name == "mmlu" else "winogrande_v1",
            "dataset": "test",
            "fewshot_dataset": "dev",
            "num_fewshot": shots,
            "fewshot_sampler": "first_n" if name == "mmlu" else "random",
            "batch_size": 4,
        }
    )
    test, dev = _file(tmp_path, "test", rows[:ITEMS]), _file(tmp_path, "dev", rows[ITEMS:])
    expected, foreign = _score(Exam("theirs", theirs))
    found, own = _score(Exam("ours", ours, test, dev))
    assert (found.n, found.correct) == (expected.n, expected.correct) == (ITEMS, found.correct)
    assert 0 < found.correct < ITEMS
    by_place = {int(item.item): item.correct for batch in foreign for item in batch}
    place = {example.id: at for at, example in enumerate(test.examples)}
    assert {place[item.item]: item.correct for batch in own for item in batch} == by_place
    assert found.parts["num_fewshot"] == expected.parts["num_fewshot"] == str(shots)


def test_that_a_task_of_lm_eval_comes_in_chunks_and_goes_on_where_it_was(tmp_path: Path) -> None:
    write_mmlu(tmp_path, "tiny_mmlu", _mmlu()[:ITEMS], _mmlu()[ITEMS:])
    task = Task(
        scorer="lm_eval",
        lm_eval_task="tiny_mmlu",
        include_path=str(tmp_path),
        num_fewshot=1,
        batch_size=4,
    )
    exam = Exam("t", task)
    whole, batches = _score(exam)
    assert check(exam) == whole.n == ITEMS
    assert len(batches) == 2
    known = {item.item: item for item in batches[0]}
    again, rest = _score(exam, known)
    assert again == whole
    assert rest == batches[1:]
    assert check(Exam("t", task, limit=3)) == 3


def test_that_settings_of_a_task_of_lm_eval_make_its_protocol(tmp_path: Path) -> None:
    write_mmlu(tmp_path, "tiny_mmlu", _mmlu()[:ITEMS], _mmlu()[ITEMS:])
    task = Task(scorer="lm_eval", lm_eval_task="tiny_mmlu", include_path=str(tmp_path))

    def parts(limit: int | None = None, **changed: object) -> dict[str, str]:
        other = task.model_copy(update=changed)
        return protocol_of(Exam("t", other, limit=limit), tiny_tokenizer())

    def changing(limit: int | None = None, **changed: object) -> set[str]:
        return set(differing(parts(), parts(limit, **changed)))

    assert changing(batch_size=2) == set()
    assert changing(limit=3) == {"items", "dataset"}
    assert changing(num_fewshot=2) == {"num_fewshot", "fewshot_from"}
