"""Tasks end to end on a tiny model: batches, scores, protocols, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from core.data.chat import prompt_ids
from core.data.example import Dataset, Example
from core.data.load import load
from core.errors import StopRequested, UserError
from core.evaluation import evaluate as module
from core.evaluation import tooluse
from core.evaluation.evaluate import evaluate_task, protocol_fingerprint
from core.events import EvaluatedItem
from core.lm.generate import Generated
from core.recipe.sources import DatasetSource, Task
from tests.helpers.tiny import TinyData, tiny_model, tiny_tokenizer, write_datasets


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return write_datasets(tmp_path_factory.mktemp("data"))


def _load(path: Path) -> Dataset:
    return load(path.stem, DatasetSource(file=str(path)), path.parent)


Write = Callable[[Example], str]


def _answers(monkeypatch: pytest.MonkeyPatch, dataset: Dataset, write: Write) -> list[int]:
    """Replace generation by given texts; returns the list that receives the size of each batch."""
    tokenizer = tiny_tokenizer()
    by_prompt = {tuple(prompt_ids(tokenizer, one.messages)): one for one in dataset.examples}
    sizes: list[int] = []

    def fake(
        model: PreTrainedModel, prompts: Sequence[Sequence[int]], **_: object
    ) -> list[Generated]:
        sizes.append(len(prompts))
        texts = [write(by_prompt[tuple(prompt)]) for prompt in prompts]
        end = tokenizer.eos_token_id
        return [
            Generated([*tokenizer(t, add_special_tokens=False).input_ids, end], True) for t in texts
        ]

    monkeypatch.setattr(module, "generate", fake)
    return sizes


def test_that_gold_tool_calls_score_all_and_others_none(
    data: TinyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _load(data.tooluse_eval)
    task = Task(scorer="tooluse_official_v1", dataset="x", batch_size=3)
    batches: list[tuple[EvaluatedItem, ...]] = []
    sizes = _answers(monkeypatch, dataset, lambda one: tooluse.as_text(one.calls))
    score = evaluate_task(
        tiny_model(), tiny_tokenizer(), "t", task, dataset, on_items=batches.append
    )
    assert (score.n, score.correct, score.scorer) == (8, 8, "tooluse_official_v1")
    assert sizes == [3, 3, 2] == [len(batch) for batch in batches]
    seen = [item for batch in batches for item in batch]
    assert {item.item for item in seen} == {one.id for one in dataset.examples}
    assert all(item.correct and item.score == 1.0 and item.completion == item.gold for item in seen)
    assert score.values["ended_rate"] == 1.0
    assert score.values["mean_completion_tokens"] > 5

    _answers(monkeypatch, dataset, lambda one: "Action: getWeather\nAction Input: {}")
    assert evaluate_task(tiny_model(), tiny_tokenizer(), "t", task, dataset).correct == 0


def test_that_science_reports_format_and_lenient_accuracy_beside_the_score(
    data: TinyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _load(data.science_eval)
    task = Task(scorer="science_exact_v1", dataset="x", batch_size=4)

    def write(one: Example) -> str:
        position = dataset.examples.index(one)
        wrong = "A" if one.gold != "A" else "B"
        forms = (
            f"<answer>{one.gold}</answer>",
            f"The answer is {one.gold}.",
            f"<answer>{wrong}</answer>",
            "?",
        )
        return forms[position % 4]

    _answers(monkeypatch, dataset, write)
    score = evaluate_task(tiny_model(), tiny_tokenizer(), "s", task, dataset)
    assert (score.n, score.correct) == (8, 2)
    assert score.values["format_rate"] == pytest.approx(0.5)
    assert score.values["lenient_accuracy"] == pytest.approx(0.5)


def test_that_a_real_greedy_generation_is_scored_alike_in_any_batch(data: TinyData) -> None:
    dataset = _load(data.science_eval)
    model, tokenizer = tiny_model(), tiny_tokenizer()
    texts = []
    for batch_size in (1, 5):
        items: dict[str, str] = {}
        task = Task(scorer="science_exact_v1", dataset="x", batch_size=batch_size, max_new_tokens=6)
        score = evaluate_task(
            model,
            tokenizer,
            "s",
            task,
            dataset,
            on_items=lambda batch, items=items: items.update({i.item: i.completion for i in batch}),
        )
        texts.append(items)
        assert score.values["mean_completion_tokens"] <= 6
    assert texts[0] == texts[1]
    assert any(texts[0].values())


def test_that_multiple_choice_shows_letters_and_margins(data: TinyData) -> None:
    dataset = _load(data.mmlu)
    task = Task(scorer="multiple_choice_v1", dataset="x", batch_size=5)
    seen: list[EvaluatedItem] = []
    score = evaluate_task(
        tiny_model(),
        tiny_tokenizer(),
        "m",
        task,
        dataset,
        on_items=lambda batch: seen.extend(batch),
    )
    assert score.n == len(seen) == 12
    assert score.correct == sum(item.completion == item.gold for item in seen)
    for item in seen:
        assert (item.score > 0) == item.correct
    by_id = {one.id: one for one in dataset.examples}
    assert all(item.gold == "ABCD"[by_id[item.item].gold_choice or 0] for item in seen)
    assert score.values["mean_margin"] == pytest.approx(sum(i.score for i in seen) / 12)


def test_that_worked_examples_never_come_from_the_scored_items(data: TinyData) -> None:
    dataset = _load(data.mmlu)
    task = Task(scorer="multiple_choice_v1", dataset="x", num_fewshot=2)
    with pytest.raises(UserError, match=r"2 worked examples .* 0 beyond") as error:
        evaluate_task(tiny_model(), tiny_tokenizer(), "m", task, dataset)
    assert "limit" in error.value.hint
    limited = task.model_copy(update={"limit": 8})
    assert evaluate_task(tiny_model(), tiny_tokenizer(), "m", limited, dataset).n == 8


def test_that_a_short_look_shows_the_same_worked_examples_as_the_whole_task(
    data: TinyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _load(data.mmlu)
    task = Task(scorer="multiple_choice_v1", dataset="x", num_fewshot=1, limit=6)
    items: dict[int | None, dict[str, float]] = {}
    for limit in (None, 3):
        items[limit] = {}
        evaluate_task(
            tiny_model(),
            tiny_tokenizer(),
            "m",
            task,
            dataset,
            limit=limit,
            on_items=lambda batch, to=items[limit]: to.update({i.item: i.score for i in batch}),
        )
    assert len(items[3]) == 3
    assert items[3] == pytest.approx({key: items[None][key] for key in items[3]}, abs=1e-4)


def test_that_the_protocol_changes_with_everything_that_decides_a_score(data: TinyData) -> None:
    dataset, tokenizer = _load(data.mmlu), tiny_tokenizer()
    other = replace(dataset, fingerprint="0" * 64)
    retold = tiny_tokenizer()
    retold.chat_template = str(retold.chat_template) + " "
    choice = Task(scorer="multiple_choice_v1", dataset="x", limit=6)
    science = Task(scorer="science_exact_v1", dataset="x", limit=6)

    def change(task: Task, **values: object) -> Task:
        return task.model_copy(update=values)

    prints = [
        protocol_fingerprint(tokenizer, choice, dataset, 6),
        protocol_fingerprint(tokenizer, choice, dataset, 5),
        protocol_fingerprint(tokenizer, choice, other, 6),
        protocol_fingerprint(tokenizer, change(choice, num_fewshot=1), dataset, 6),
        protocol_fingerprint(tokenizer, change(choice, num_fewshot=1, limit=7), dataset, 6),
        protocol_fingerprint(tokenizer, science, dataset, 6),
        protocol_fingerprint(retold, science, dataset, 6),
        protocol_fingerprint(tokenizer, change(science, max_new_tokens=9), dataset, 6),
        protocol_fingerprint(tokenizer, change(science, scorer="tooluse_official_v1"), dataset, 6),
    ]
    assert len(set(prints)) == len(prints)
    assert all(len(one) == 64 for one in prints)

    same = protocol_fingerprint(tokenizer, change(choice, batch_size=3, limit=None), dataset, 6)
    assert same == prints[0]
    assert protocol_fingerprint(retold, choice, dataset, 6) == prints[0]


@pytest.mark.parametrize(
    ("scorer", "file", "words"),
    [
        ("tooluse_official_v1", "science_eval", "has no gold tool call"),
        ("science_exact_v1", "tooluse_eval", "has no gold letter"),
        ("multiple_choice_v1", "tooluse_eval", "has no question"),
    ],
)
def test_that_a_dataset_that_does_not_suit_is_refused(
    data: TinyData, scorer: str, file: str, words: str
) -> None:
    task = Task.model_validate({"scorer": scorer, "dataset": "mine"})
    with pytest.raises(UserError, match=f"Task t cannot score dataset mine with {scorer}.*{words}"):
        evaluate_task(tiny_model(), tiny_tokenizer(), "t", task, _load(getattr(data, file)))


def test_that_an_empty_dataset_is_refused(data: TinyData) -> None:
    empty = replace(_load(data.mmlu), examples=())
    task = Task(scorer="multiple_choice_v1", dataset="mine")
    with pytest.raises(UserError, match="dataset mine is empty"):
        evaluate_task(tiny_model(), tiny_tokenizer(), "t", task, empty)


def test_that_a_stop_ends_it_after_the_batches_already_reported(data: TinyData) -> None:
    dataset = _load(data.science_eval)
    task = Task(scorer="science_exact_v1", dataset="x", batch_size=2, max_new_tokens=2)
    seen: list[EvaluatedItem] = []

    def check() -> None:
        if len(seen) == 4:
            raise StopRequested

    with pytest.raises(StopRequested):
        evaluate_task(
            tiny_model(),
            tiny_tokenizer(),
            "s",
            task,
            dataset,
            on_items=lambda batch: seen.extend(batch),
            check=check,
        )
    assert len(seen) == 4
