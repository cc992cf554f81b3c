"""Tasks end to end on a tiny model: batches, scores, protocols, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from transformers import PreTrainedModel

from core.data.chat import prompt_ids
from core.data.example import Dataset, Example
from core.data.load import load
from core.errors import StopRequested, UserError
from core.evaluation import answers as module
from core.evaluation import tooluse
from core.evaluation.answers import AnswerScorer
from core.evaluation.evaluate import SCORERS, TaskScore, check, evaluate, protocol_of
from core.evaluation.exam import Exam
from core.evaluation.protocol import fingerprint
from core.evaluation.scorer import Examinee
from core.evaluation.shots import worked_examples
from core.events import EvaluatedItem
from core.lm.generate import Generated
from core.recipe.sources import GENERATING, WITH_SHOTS, DatasetSource, Task
from tests.helpers.tiny import TinyData, tiny_model, tiny_tokenizer, write_datasets, write_jsonl


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return write_datasets(tmp_path_factory.mktemp("data"))


def _load(path: Path) -> Dataset:
    return load(path.stem, DatasetSource(file=str(path)), path.parent)


def _score(
    task: Task,
    dataset: Dataset,
    *,
    limit: int | None = None,
    fewshot: Dataset | None = None,
    known: dict[str, EvaluatedItem] | None = None,
    on_items: Callable[[tuple[EvaluatedItem, ...]], object] = lambda items: None,
    check: Callable[[], None] = lambda: None,
) -> TaskScore:
    """Score on the tiny model."""
    who = Examinee(tiny_model(), tiny_tokenizer(), check)
    return evaluate(
        who,
        Exam("t", task, dataset, fewshot, limit),
        known=known,
        on_items=lambda it: on_items(it) and None,
    )


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
    score = _score(task, dataset, on_items=batches.append)
    assert (score.n, score.correct, score.parts["scorer"]) == (8, 8, "tooluse_official_v1")
    assert sizes == [3, 3, 2] == [len(batch) for batch in batches]
    seen = [item for batch in batches for item in batch]
    assert {item.item for item in seen} == {one.id for one in dataset.examples}
    assert all(item.correct and item.score == 1.0 and item.completion == item.gold for item in seen)
    assert score.values["ended_rate"] == 1.0
    assert score.values["mean_completion_tokens"] > 5

    _answers(monkeypatch, dataset, lambda one: "Action: getWeather\nAction Input: {}")
    assert _score(task, dataset).correct == 0


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
    score = _score(task, dataset)
    assert (score.n, score.correct) == (8, 2)
    assert score.values["format_rate"] == pytest.approx(0.5)
    assert score.values["lenient_accuracy"] == pytest.approx(0.5)


def test_that_a_real_greedy_generation_is_scored_alike_in_any_batch(data: TinyData) -> None:
    dataset = _load(data.science_eval)
    texts = []
    for batch_size in (1, 5):
        items: dict[str, str] = {}
        task = Task(scorer="science_exact_v1", dataset="x", batch_size=batch_size, max_new_tokens=6)
        score = _score(
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
    score = _score(
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
        _score(task, dataset)
    assert "limit" in error.value.hint
    limited = task.model_copy(update={"limit": 8})
    assert _score(limited, dataset).n == 8


def test_that_a_short_look_shows_the_same_worked_examples_as_the_whole_task(
    data: TinyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _load(data.mmlu)
    task = Task(scorer="multiple_choice_v1", dataset="x", num_fewshot=1, limit=6)
    items: dict[int | None, dict[str, float]] = {}
    for limit in (None, 3):
        items[limit] = {}
        _score(
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

    def of(task: Task, limit: int, data: Dataset = dataset, by: Any = tokenizer) -> str:
        return fingerprint(protocol_of(Exam("t", task, data, limit=limit), by))

    prints = [
        of(choice, 6),
        of(choice, 5),
        of(choice, 6, other),
        of(change(choice, num_fewshot=1), 6),
        of(change(choice, num_fewshot=1, limit=7), 6),
        of(science, 6),
        of(science, 6, by=retold),
        of(change(science, max_new_tokens=9), 6),
        of(change(science, scorer="tooluse_official_v1"), 6),
        of(change(choice, scorer="option_likelihood_v1"), 6),
    ]
    assert len(set(prints)) == len(prints)
    assert all(len(one) == 64 for one in prints)

    assert of(change(choice, batch_size=3, limit=None), 6) == prints[0]
    assert of(choice, 6, by=retold) == prints[0]


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
        _score(task, _load(getattr(data, file)))


def test_that_an_empty_dataset_is_refused(data: TinyData) -> None:
    empty = replace(_load(data.mmlu), examples=())
    task = Task(scorer="multiple_choice_v1", dataset="mine")
    with pytest.raises(UserError, match="dataset mine is empty"):
        _score(task, empty)


def test_that_a_stop_ends_it_after_the_batches_already_reported(data: TinyData) -> None:
    dataset = _load(data.science_eval)
    task = Task(scorer="science_exact_v1", dataset="x", batch_size=2, max_new_tokens=2)
    seen: list[EvaluatedItem] = []

    def check() -> None:
        if len(seen) == 4:
            raise StopRequested

    with pytest.raises(StopRequested):
        _score(
            task,
            dataset,
            on_items=lambda batch: seen.extend(batch),
            check=check,
        )
    assert len(seen) == 4


def test_that_one_generation_is_judged_by_both_tooluse_rules(
    data: TinyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _load(data.tooluse_eval)

    def backwards(one: Example) -> str:
        return tooluse.as_text(one.calls[::-1])

    several = sum(len(one.calls) > 1 for one in dataset.examples)
    assert several
    values = {}
    for scorer in ("tooluse_official_v1", "tooluse_strict_v1"):
        task = Task.model_validate({"scorer": scorer, "dataset": "x", "batch_size": 8})
        _answers(monkeypatch, dataset, lambda one: tooluse.as_text(one.calls))
        whole = _score(task, dataset)
        assert whole.correct == whole.n
        sizes = _answers(monkeypatch, dataset, backwards)
        values[scorer] = _score(task, dataset)
        assert sizes == [8]
    official, strict = values["tooluse_official_v1"], values["tooluse_strict_v1"]
    assert strict.n - strict.correct == several
    assert official.values["strict_accuracy"] == strict.correct / strict.n
    assert strict.values["official_accuracy"] == official.correct / official.n
    assert official.protocol != strict.protocol


def test_that_scoring_the_rest_of_the_items_gives_the_score_of_the_whole(data: TinyData) -> None:
    science = Task(scorer="science_exact_v1", dataset="x", batch_size=3, max_new_tokens=5)
    choice = Task(scorer="multiple_choice_v1", dataset="x", batch_size=5, limit=9, num_fewshot=1)
    for task, path in ((science, data.science_eval), (choice, data.mmlu)):
        dataset = _load(path)
        batches: list[tuple[EvaluatedItem, ...]] = []
        whole = _score(task, dataset, on_items=batches.append)
        every = [item for batch in batches for item in batch]
        for cut in range(len(batches) + 1):
            known = {item.item: item for batch in reversed(batches[:cut]) for item in batch}
            rest: list[EvaluatedItem] = []
            assert _score(task, dataset, known=known, on_items=rest.extend) == whole
            assert rest == every[len(known) :]


def test_that_worked_examples_come_from_another_dataset_where_one_is_named(data: TinyData) -> None:
    dataset = _load(data.mmlu)
    pool = replace(dataset, fingerprint="1" * 64, examples=dataset.examples[:6])
    task = Task(scorer="multiple_choice_v1", dataset="x", num_fewshot=2, fewshot_dataset="dev")
    score = _score(task, dataset, fewshot=pool)
    assert score.n == 12
    assert (score.parts["num_fewshot"], score.parts["fewshot_from"]) == ("2", "1" * 64)
    shown = worked_examples(Exam("t", task, dataset, pool))
    for one in dataset.examples:
        shots = shown[one.id]
        assert len(shots) == 2
        assert one not in shots
        assert {shot.group for shot in shots} == {one.group}
    few = replace(pool, examples=dataset.examples[:4])
    with pytest.raises(UserError, match=r"Task t: 2 worked examples on .* dataset dev has 1"):
        _score(task, dataset, fewshot=few)


def test_that_worked_examples_that_cannot_be_shown_are_refused(data: TinyData) -> None:
    dataset = _load(data.mmlu)
    task = Task(scorer="multiple_choice_v1", dataset="x", num_fewshot=1, fewshot_dataset="dev")
    bad = tuple(replace(one, gold_choice=None) for one in dataset.examples)
    with pytest.raises(UserError, match=r"worked examples out of dataset dev: item .* no gold"):
        check(Exam("t", task, dataset, replace(dataset, examples=bad)))


@pytest.mark.parametrize("shots", [0, 5])
def test_that_winogrande_is_scored_from_a_file_with_shots_from_another(
    tmp_path: Path, shots: int
) -> None:
    def written(name: str, start: int, count: int) -> Dataset:
        rows = [
            {
                "sentence": f"Oslo is colder than Rome, so _ has ice rink {i}.",
                "option1": "Oslo" if i % 2 else "Rome",
                "option2": "Rome" if i % 2 else "Oslo",
                "answer": "1" if i % 2 else "2",
            }
            for i in range(start, start + count)
        ]
        return _load(write_jsonl(tmp_path / name, rows))

    dataset, train = written("validation.jsonl", 0, 20), written("train.jsonl", 50, 6)
    task = Task(
        scorer="winogrande_v1",
        dataset="x",
        batch_size=2,
        num_fewshot=shots,
        fewshot_dataset="train",
    )
    batches: list[tuple[EvaluatedItem, ...]] = []
    score = _score(task, dataset, fewshot=train, on_items=batches.append)
    assert score.n == 20
    assert [len(batch) for batch in batches] == ([16, 4] if shots else [2] * 10)
    assert {item.gold for batch in batches for item in batch} == {"Oslo"}
    assert score.parts["num_fewshot"] == str(shots)
    assert score.parts.get("fewshot_from") == (train.fingerprint if shots else None)
    assert score.values["cut_rate"] == 0.0
    known = {item.item: item for item in batches[0]}
    assert _score(task, dataset, fewshot=train, known=known) == score


def test_that_worked_examples_change_what_is_asked(data: TinyData) -> None:
    dataset = _load(data.mmlu)
    for scorer in WITH_SHOTS[::2]:
        margins = []
        for shots in (0, 1):
            task = Task.model_validate({"scorer": scorer, "dataset": "x", "num_fewshot": shots})
            score = _score(task, dataset, fewshot=dataset)
            margins.append(score.values["mean_margin"])
        assert margins[0] != pytest.approx(margins[1], abs=1e-3)


def test_that_every_scorer_a_recipe_may_name_is_there() -> None:
    assert set(SCORERS) == set(get_args(Task.model_fields["scorer"].annotation))
    assert {name for name, it in SCORERS.items() if isinstance(it, AnswerScorer)} == set(GENERATING)


def test_that_people_can_score_their_own_questions_from_a_csv_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("ask,key\nCapital of Norway?,Oslo\nCapital of Italy?,Rome\n", encoding="utf-8")
    source = DatasetSource(file=str(path), columns={"prompt": "ask", "answer": "key"})
    dataset = load("mine", source, tmp_path)
    task = Task(
        scorer="exact_match_v1",
        dataset="mine",
        ignore_case=True,
        answer_pattern=r"It is (\w+)",
    )
    said = {"Oslo": "Bergen? No. It is OSLO.", "Rome": "Rome"}
    _answers(monkeypatch, dataset, lambda one: said[one.gold])
    score = _score(task, dataset)
    assert (score.n, score.correct, score.values["format_rate"]) == (2, 1, 0.5)
    path.write_text("ask,key\nCapital of Norway?,Oslo\nCapital of Italy?,\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"item 1-\w+ has no gold answer"):
        check(Exam("t", task, load("mine", source, tmp_path)))


def test_that_people_can_score_their_own_choices_from_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        'ask,options,key,topic\n"Capital of Norway?","[""Oslo"", ""Rome""]",A,north\n'
        '"Capital of Italy?","[""Oslo"", ""Rome"", ""Bonn""]",Rome,south\n',
        encoding="utf-8",
    )
    columns = {"prompt": "ask", "choices": "options", "answer": "key", "subject": "topic"}
    dataset = load("mine", DatasetSource(file=str(path), columns=columns), tmp_path)
    seen: list[EvaluatedItem] = []
    task = Task(scorer="multiple_choice_v1", dataset="mine")
    score = _score(task, dataset, on_items=seen.extend)
    assert score.n == 2
    assert sorted(item.gold for item in seen) == ["A", "B"]
    assert score.correct == sum(item.completion == item.gold for item in seen)
