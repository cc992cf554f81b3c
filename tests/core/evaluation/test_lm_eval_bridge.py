"""Tasks of lm-eval chunk by chunk, against one whole run of lm_eval.simple_evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.evaluation import lm_eval_bridge as bridge
from core.events import EvaluatedItem
from tests.helpers.lm_eval_tasks import write_task
from tests.helpers.tiny import CITIES, tiny_model, tiny_tokenizer

CHOICE, TEXT, SEVERAL = "tiny_choice", "tiny_text", "tiny_several"
ITEMS = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task of options, a task of answers with random worked examples, and both as a group."""
    made = tmp_path_factory.mktemp("tasks")
    rows = [
        {
            "question": f"Which city is number {i}?",
            "options": CITIES[i % 4 : i % 4 + 3],
            "gold": i % 3,
        }
        for i in range(30)
    ]
    write_task(
        made,
        CHOICE,
        {"test": rows[:ITEMS], "dev": rows[ITEMS:]},
        output_type="multiple_choice",
        test_split="test",
        fewshot_split="dev",
        doc_to_text="{{question}}",
        doc_to_choice="{{options}}",
        doc_to_target="gold",
        metric_list=[
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in ("acc_norm", "acc")
        ],
        metadata={"version": 3},
    )
    write_task(
        made,
        TEXT,
        {"test": rows[:ITEMS], "dev": rows[ITEMS:]},
        output_type="generate_until",
        test_split="test",
        fewshot_split="dev",
        doc_to_text="{{question}}",
        doc_to_target="{{options[gold]}}",
        generation_kwargs={"until": ["\n"], "max_gen_toks": 5, "do_sample": False},
        filter_list=[
            {
                "name": "first-letter",
                "filter": [
                    {"function": "regex", "regex_pattern": "(.)"},
                    {"function": "take_first"},
                ],
            },
            {"name": "all", "filter": [{"function": "take_first"}]},
        ],
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )
    (made / "group.yaml").write_text(f"group: {SEVERAL}\ntask: [{CHOICE}, {TEXT}]\n")
    return made


def run(folder: Path, name: str, model: Any = None, **options: Any) -> list[EvaluatedItem]:
    chunks = bridge.evaluate(
        model or tiny_model(), tiny_tokenizer(), name, include_path=str(folder), **options
    )
    return [item for chunk in chunks for item in chunk]


def whole(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    """One run of lm-eval itself."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    return simple_evaluate(
        model=HFLM(pretrained=tiny_model(), tokenizer=tiny_tokenizer(), batch_size=4),
        tasks=[name],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        **options,
    )


@pytest.mark.parametrize("name", [CHOICE, TEXT])
@pytest.mark.parametrize("shots", [0, 2])
def test_that_chunks_give_what_one_run_of_lm_eval_gives(
    folder: Path, name: str, shots: int
) -> None:
    expected = whole(folder, name, num_fewshot=shots)
    metric, used = ("acc", "none") if name == CHOICE else ("exact_match", "first-letter")
    samples = [it for it in expected["samples"][name] if it["filter"] == used]
    found = run(folder, name, num_fewshot=shots, chunk=3, batch_size=4)
    assert [it.item for it in found] == [str(it["doc_id"]) for it in samples]
    assert [it.score for it in found] == [it[metric] for it in samples]
    if name == TEXT:
        assert [it.completion for it in found] == [it["filtered_resps"][0] for it in samples]
        assert len({it.completion for it in found}) > 1
        assert [it.gold for it in found] == [it["target"] for it in samples]
    else:
        for item, sample in zip(found, samples, strict=True):
            likelihoods = [likelihood for likelihood, _ in sample["filtered_resps"]]
            options = sample["doc"]["options"]
            assert item.completion == options[likelihoods.index(max(likelihoods))]
            assert item.gold == options[sample["target"]]
    mean = sum(it.score for it in found) / len(found)
    assert mean == pytest.approx(expected["results"][name][f"{metric},{used}"])
    assert [it.correct for it in found] == [it.score >= 0.5 for it in found]


def test_that_random_worked_examples_depend_on_no_chunk(folder: Path) -> None:
    everything = run(folder, TEXT, num_fewshot=2, chunk=100)
    assert run(folder, TEXT, num_fewshot=2, chunk=1) == everything
    left = run(folder, TEXT, num_fewshot=2, chunk=2, done={"0", "1", "4"})
    assert left == [it for it in everything if it.item not in ("0", "1", "4")]
    assert run(folder, TEXT, num_fewshot=2, limit=3) == everything[:3]


def test_that_a_group_is_all_its_tasks(folder: Path) -> None:
    manager = bridge._manager(str(folder), False)
    assert SEVERAL in manager.all_groups
    found = [*run(folder, CHOICE, limit=2), *run(folder, TEXT, limit=2)]
    tasks = [load for name in (CHOICE, TEXT) for load in bridge._load(name, str(folder))]
    assert [task.name for task in tasks] == [CHOICE, TEXT]
    assert len(found) == 4
