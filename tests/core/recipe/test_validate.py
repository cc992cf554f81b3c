"""Problems are told at their field, in sentences."""

from pathlib import Path
from typing import Any

import pytest

from core.recipe.spec import Recipe
from core.recipe.validate import check, check_files, parse


def raw(*stages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": "a recipe",
        "base": {"name": "tiny"},
        "datasets": {"science": {"file": "science.jsonl"}, "tooluse": {"file": "tooluse.jsonl"}},
        "tasks": {"science": {"scorer": "science_exact_v1", "dataset": "science"}},
        "stages": list(stages) or [{"id": "nf4", "kind": "quantize"}],
        **fields,
    }


def sdft(**fields: Any) -> dict[str, Any]:
    return {"id": "back", "kind": "sdft", "dataset": "science", **fields}


NF4 = {"id": "nf4", "kind": "quantize"}
PRUNE = {"id": "cut", "kind": "prune"}
CHOICE = {"scorer": "multiple_choice_v1", "dataset": "science", "num_fewshot": 5}
LM_EVAL_TASK = {"scorer": "lm_eval", "lm_eval_task": "arc_easy"}
LOOK = {"id": "look", "kind": "evaluate", "tasks": ["science"]}


def parsed(data: dict[str, Any]) -> Recipe:
    recipe, problems = parse(data)
    assert recipe is not None, problems
    return recipe


def test_that_a_good_recipe_has_no_problems() -> None:
    cka = {"probe": "tooluse", "reference": "nf4"}
    recipe = parsed(raw(NF4, sdft(teacher="nf4"), LOOK, measure={"tasks": ["science"], "cka": cka}))
    assert check(recipe) == []


@pytest.mark.parametrize(
    ("data", "path", "message", "hint"),
    [
        (raw(sdft(learning_rate=-1)), "stages.0.learning_rate", "above 0; it is -1", "Peak"),
        (raw(sdft(learning_rate="fast")), "stages.0.learning_rate", "number is expected", ""),
        (raw(sdft(max_steps=2.5)), "stages.0.max_steps", "whole number", "it is 2.5"),
        (raw(sdft(lerning_rate=1)), "stages.0.lerning_rate", "no field lerning_rate", "mean learn"),
        (raw(sdft(dataset=7)), "stages.0.dataset", "Text is expected", "it is 7"),
        (raw(sdft(dataset=["science", 7])), "stages.0.dataset", "", ""),
        (raw({"id": "x", "kind": "quantise"}), "stages.0", "no stage kind quantise", "quantize?"),
        (raw({"id": "x", "kind": []}), "stages.0", "no stage kind []", "quantize"),
        (raw({"id": "x"}), "stages.0", "does not say what kind", "quantize, prune"),
        (raw({"kind": "quantize"}), "stages.0.id", "missing", "Name of the stage"),
        (raw({**NF4, "id": "NF 4"}), "stages.0.id", "it is NF 4", "lower-case"),
        (raw({**NF4, "from": "A b"}), "stages.0.from", "cannot be used", "lower-case"),
        (raw({**NF4, "quant_type": "int3"}), "stages.0.quant_type", "not offered", "'nf4'"),
        (raw({**LOOK, "tasks": []}), "stages.0.tasks", "must not be empty", "Tasks to score"),
        (raw(base={}), "base", "exactly one of name, folder, hub, gguf", ""),
        (raw(base="gpt"), "base", "Named fields are expected", "it is gpt"),
        (raw(datasets={"a": {"file": "x", "hub": "y"}}), "datasets.a", "exactly one", ""),
        (raw(datasets={"a": {"file": "x", "limit": 0}}), "datasets.a.limit", "at least 1", "first"),
        (raw(tasks={"t": {"dataset": "science"}}), "tasks.t.scorer", "missing", "judged"),
        (raw(measure={"cka": {"samples": 4}}), "measure.cka.probe", "missing", "fixed inputs"),
        (raw(measure={"every_steps": -1}), "measure.every_steps", "at least 0", "evaluations"),
        (raw(device="tpu"), "device", "no such device; it is tpu", "cuda:N"),
        (raw(schema=2), "schema", "format 2", "newer version"),
        (raw(stages={"nf4": {}}), "stages", "A list is expected", ""),
        (raw(name=""), "name", "must not be empty", ""),
        (raw(name="x" * 121), "name", "more than 120", "Shorten"),
        (raw(colour="blue"), "colour", "no field colour", ""),
    ],
)
def test_that_a_wrong_field_is_named_with_what_would_be_right(
    data: dict[str, Any], path: str, message: str, hint: str
) -> None:
    recipe, problems = parse(data)
    assert recipe is None
    assert path in [problem.path for problem in problems]
    problem = next(it for it in problems if it.path == path)
    assert message in problem.message
    assert hint in str(problem)


def test_that_every_wrong_field_is_told_once() -> None:
    _, problems = parse(raw(sdft(learning_rate=-1, dataset=7), {**NF4, "blocksize": 32}))
    assert [it.path for it in problems] == [
        "stages.0.dataset",
        "stages.0.learning_rate",
        "stages.1.blocksize",
    ]


def test_that_something_else_than_a_mapping_is_no_recipe() -> None:
    for data in (None, "text", [1], 3):
        recipe, problems = parse(data)
        assert recipe is None
        assert problems[0].path == ""
        assert "no recipe" in problems[0].message


@pytest.mark.parametrize(
    ("data", "path", "message", "hint"),
    [
        (raw(NF4, {**sdft(), "id": "nf4"}), "stages.1.id", "taken by stage 1", "another id"),
        (raw({**NF4, "id": "base"}), "stages.0.id", "taken by the base", "another id"),
        (
            raw(sdft(**{"from": "later"}), {**NF4, "id": "later"}),
            "stages.0.from",
            "earlier",
            "base",
        ),
        (raw(NF4, sdft(teacher="expert")), "stages.1.teacher", "called expert", "base, nf4"),
        (raw(sdft(teacher="back")), "stages.0.teacher", "cannot name itself", "base"),
        (raw(LOOK, sdft(**{"from": "look"})), "stages.1.from", "only measures", "base"),
        (raw(sdft(dataset="sience")), "stages.0.dataset", "called sience", "mean science?"),
        (raw(sdft(dataset=["science", "x"])), "stages.0.dataset.1", "called x", "science, tooluse"),
        (raw(sdft(dataset=[])), "stages.0.dataset", "nothing to train on", "at least one"),
        (raw({**LOOK, "tasks": ["mmlu"]}), "stages.0.tasks.0", "called mmlu", "science"),
        (
            raw(tasks={"t": {"scorer": "science_exact_v1", "dataset": "x"}}),
            "tasks.t.dataset",
            "called x",
            "",
        ),
        (
            raw(tasks={"t": {"scorer": "science_exact_v1"}}),
            "tasks.t.dataset",
            "none is named",
            "Name",
        ),
        (
            raw(tasks={"t": {**CHOICE, "fewshot_dataset": "sience"}}),
            "tasks.t.fewshot_dataset",
            "called sience",
            "mean science?",
        ),
        (
            raw(tasks={"t": {**CHOICE, "fewshot_dataset": "science"}}),
            "tasks.t.fewshot_dataset",
            "items that are scored",
            "beyond the task's limit",
        ),
        (
            raw(tasks={"t": {**CHOICE, "num_fewshot": None}}),
            "tasks.t.num_fewshot",
            "of its own",
            "0 shows none",
        ),
        (
            raw(tasks={"t": {"scorer": "lm_eval"}}),
            "tasks.t.lm_eval_task",
            "No task of lm-eval",
            "arc_easy",
        ),
        (
            raw(tasks={"t": {**LM_EVAL_TASK, "dataset": "science"}}),
            "tasks.t.dataset",
            "its own items",
            "another scorer",
        ),
        (
            raw(tasks={"t": {**CHOICE, "lm_eval_task": "arc_easy"}}),
            "tasks.t.lm_eval_task",
            "items of a dataset",
            "set scorer to lm_eval",
        ),
        (raw(measure={"tasks": ["mmlu"]}), "measure.tasks.0", "called mmlu", ""),
        (raw(tasks={}, measure={"tasks": ["a"]}), "measure.tasks.0", "called a", "under tasks"),
        (raw(measure={"cka": {"probe": "x"}}), "measure.cka.probe", "called x", ""),
        (
            raw(NF4, LOOK, measure={"cka": {"probe": "tooluse", "reference": "look"}}),
            "measure.cka.reference",
            "called look",
            "base, nf4",
        ),
        (
            raw({"id": "c", "kind": "cka", "probe": "tooluse", "reference": "later"}),
            "stages.0.reference",
            "called later",
            "",
        ),
        (raw({"id": "c", "kind": "cka", "probe": "x"}), "stages.0.probe", "called x", ""),
        (raw(NF4, PRUNE), "stages.1.from", "cannot be sliced", "Prune first"),
        (raw(NF4, sdft(), PRUNE), "stages.2.from", "packed by nf4", "Prune first"),
        (raw(NF4, {**NF4, "id": "more"}), "stages.1.from", "already", "base"),
        (raw(NF4, sdft(method="full")), "stages.1.method", "cannot be trained", "lora"),
        (
            raw(sdft(max_completion_length=3)),
            "stages.0.max_completion_length",
            "nothing can be learned",
            "more than 3",
        ),
        ({**raw(), "stages": []}, "stages", "nothing to do", "Add a stage"),
    ],
)
def test_that_a_broken_graph_is_told_at_the_field_that_breaks_it(
    data: dict[str, Any], path: str, message: str, hint: str
) -> None:
    problems = check(parsed(data))
    assert [problem.path for problem in problems] == [path]
    assert message in problems[0].message
    assert hint in problems[0].hint


def test_that_a_branch_beside_a_quantized_one_may_still_be_pruned_and_fully_trained() -> None:
    full = sdft(method="full", **{"from": "cut"})
    assert check(parsed(raw(NF4, {**PRUNE, "from": "base"}, full))) == []


def test_that_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "science.jsonl").write_text("{}\n", encoding="utf-8")
    recipe = parsed(raw(base={"folder": "nowhere"}))
    problems = check_files(recipe, tmp_path)
    assert [it.path for it in problems] == ["base.folder", "datasets.tooluse.file"]
    assert "--set datasets.tooluse.file=PATH" in problems[1].hint


CKA = {"id": "geometry", "kind": "cka", "probe": "science"}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (raw(CKA), "stages.0.probe"),
        (raw(NF4, measure={"cka": {"probe": "science"}}), "measure.cka.probe"),
    ],
)
def test_that_a_probe_whose_every_item_a_task_scores_is_refused_before_the_run(
    data: dict[str, Any], path: str
) -> None:
    (problem,) = check(parsed(data))
    assert problem.path == path
    assert "Task science scores every item of science" in problem.message
    assert "disjoint" in problem.hint


def test_that_a_probe_may_share_items_where_a_task_scores_a_part_or_a_person_wants_it() -> None:
    tasks = {"science": {"scorer": "science_exact_v1", "dataset": "science", "limit": 3}}
    assert check(parsed(raw(CKA, tasks=tasks))) == []
    assert check(parsed(raw({**CKA, "disjoint": False}))) == []
    assert check(parsed(raw({**CKA, "probe": "tooluse"}))) == []


def test_that_the_papers_own_reading_of_cka_can_be_asked_for() -> None:
    paper = {**CKA, "variant": "biased", "preprocessing": "paper_5_4", "disjoint": False}
    assert check(parsed(raw({**paper, "samples": 507, "layout": "diagonal"}))) == []


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_that_the_share_of_live_cka_lies_above_zero_and_up_to_one(share: float) -> None:
    _, problems = parse(raw(NF4, measure={"cka": {"probe": "tooluse", "max_share": share}}))
    assert [problem.path for problem in problems] == ["measure.cka.max_share"]


def test_that_a_folder_of_lm_eval_tasks_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "science.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "tooluse.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    tasks = {
        name: {**LM_EVAL_TASK, "include_path": folder}
        for name, folder in (("a", "mine"), ("b", "yours"))
    }
    recipe = parsed(raw(tasks=tasks))
    assert check(recipe) == []
    assert [it.path for it in check_files(recipe, tmp_path)] == ["tasks.b.include_path"]


def test_that_a_pattern_that_is_no_regular_expression_is_a_problem_of_its_field() -> None:
    task = {"scorer": "exact_match_v1", "dataset": "science", "answer_pattern": "(open"}
    recipe, problems = parse(raw(tasks={"t": task}))
    assert recipe is None
    (problem,) = problems
    assert problem.path == "tasks.t.answer_pattern"
    assert "no regular expression" in problem.message
    recipe, problems = parse(raw(tasks={"t": {**task, "answer_pattern": r"is (\w+)"}}))
    assert recipe is not None
    assert check(recipe) == []
