"""Tasks of lm-eval chunk by chunk, against one whole run of lm_eval.simple_evaluate."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import StopRequested, UserError
from core.evaluation import lm_eval_bridge as bridge
from core.events import EvaluatedItem
from core.lm.adapter import add_lora
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
    found = run(folder, SEVERAL, limit=2)
    assert [it.item for it in found] == [f"{CHOICE}/0", f"{CHOICE}/1", f"{TEXT}/0", f"{TEXT}/1"]
    apart = [*run(folder, CHOICE, limit=2), *run(folder, TEXT, limit=2)]
    assert [it.score for it in found] == [it.score for it in apart]
    assert run(folder, SEVERAL, limit=2, done={f"{CHOICE}/0", f"{TEXT}/0"}) == found[1::2]
    assert bridge.item_count(SEVERAL, str(folder)) == 2 * ITEMS
    assert bridge.item_count(CHOICE, str(folder), limit=3) == 3


def test_that_a_stop_between_chunks_keeps_what_was_handed_over(folder: Path) -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise StopRequested

    kept: list[EvaluatedItem] = []
    chunks = bridge.evaluate(
        tiny_model(), tiny_tokenizer(), CHOICE, include_path=str(folder), chunk=2, check=check
    )
    with pytest.raises(StopRequested):
        kept.extend(item for chunk in chunks for item in chunk)
    assert [it.item for it in kept] == ["0", "1", "2", "3"]
    rest = run(folder, CHOICE, done={it.item for it in kept})
    assert [*kept, *rest] == run(folder, CHOICE)


def states() -> list[Any]:
    """Everything global that lm-eval touches."""
    numpy_state = np.random.get_state()
    return [
        random.getstate(),
        (numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]),
        torch.get_rng_state().tolist(),
        dict(os.environ),
        logging.getLogger("lm_eval").level,
        logging.getLogger().level,
    ]


def test_that_a_network_in_training_and_the_random_states_are_left_alone(folder: Path) -> None:
    model = add_lora(tiny_model(), r=4, alpha=8, seed=0).train()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    model.base_model.model.model.layers[0].eval()
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    modes = [module.training for module in model.modules()]
    values = {name: (id(it), it.detach().clone()) for name, it in model.named_parameters()}
    before = states()
    scores: dict[str, list[float]] = {CHOICE: [], TEXT: []}
    for name, found in scores.items():
        for chunk in bridge.evaluate(model, tokenizer, name, include_path=str(folder), chunk=4):
            assert states() == before
            found += [it.score for it in chunk]
    assert states() == before
    assert [module.training for module in model.modules()] == modes
    assert tokenizer.pad_token is None
    for name, it in model.named_parameters():
        assert id(it) == values[name][0]
        assert torch.equal(it, values[name][1])
    assert scores[CHOICE] != [it.score for it in run(folder, CHOICE)]


def test_that_the_protocol_names_what_decides_a_score(folder: Path) -> None:
    def parts(name: str = CHOICE, **options: Any) -> dict[str, str]:
        return bridge.protocol_parts(name, include_path=str(folder), **options)

    assert parts() == parts()
    assert parts()["metric"] == "acc"
    assert parts()["version"] == "3"
    assert (parts()["num_fewshot"], parts()["fewshot"]) == ("0", "none")
    assert (parts(TEXT)["metric"], parts(TEXT)["filter"]) == ("exact_match", "first-letter")
    assert parts(SEVERAL)["metric"] == "acc, exact_match"

    def changed(**options: Any) -> set[str]:
        return {key for key, value in parts(**options).items() if value != parts()[key]}

    assert changed(num_fewshot=2) == {"num_fewshot", "fewshot"}
    assert changed(limit=3) == {"documents"}
    run(folder, CHOICE, num_fewshot=1, limit=2)
    assert changed() == set()


def test_that_what_cannot_be_scored_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"cannot make the requests of task tiny_text"):
        run(folder, TEXT, num_fewshot=1000)
    rows = [{"text": "Paris is a city."}]
    write_task(
        tmp_path,
        "tiny_rolling",
        {"test": rows},
        output_type="loglikelihood_rolling",
        test_split="test",
        doc_to_text="",
        doc_to_target="{{text}}",
        metric_list=[{"metric": "word_perplexity"}],
    )
    with pytest.raises(UserError, match="no metric of which more is better"):
        bridge.item_count("tiny_rolling", str(tmp_path))
    (tmp_path / "tiny_rolling_test.jsonl").unlink()
    write_task(
        tmp_path,
        "tiny_unsafe",
        {"test": rows},
        output_type="generate_until",
        unsafe_code=True,
        test_split="test",
        doc_to_text="{{text}}",
        doc_to_target="{{text}}",
    )
    bridge._manager.cache_clear()
    with pytest.raises(UserError, match="runs code that the model writes"):
        bridge.item_count("tiny_unsafe", str(tmp_path))
    monkeypatch.setattr(bridge, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"lm-eval is not installed.*uv pip install"):
        bridge.item_count("anything")


@pytest.mark.slow
def test_that_an_unknown_task_is_answered_by_similar_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no task winogrand\..*winogrande"):
        bridge.item_count("winogrand", str(tmp_path))
