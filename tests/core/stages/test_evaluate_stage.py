"""The evaluate stage: events in order, the checkpoint handed back, refusals before weights are loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.data.load import load
from core.errors import StopRequested, UserError
from core.evaluation.exam import Evaluated
from core.evaluation.protocol import fingerprint
from core.events import ItemsEvaluated, Progress, TaskEvaluated
from core.recipe.sources import DatasetSource, Task
from core.recipe.stage_specs import EvaluateSpec, QuantizeSpec
from core.stages import evaluate, quantize
from tests.helpers.contexts import Stand
from tests.helpers.lm_eval_tasks import write_mmlu
from tests.helpers.tiny import mmlu_rows, tiny_base, write_datasets


def _stand(folder: Path) -> Stand:
    files = write_datasets(folder / "data")
    tasks = {
        "mmlu": Task(scorer="multiple_choice_v1", dataset="mmlu", batch_size=5),
        "science": Task(
            scorer="science_exact_v1", dataset="science", limit=3, max_new_tokens=4, batch_size=2
        ),
    }
    datasets = {
        name: load(name, DatasetSource(file=str(path)), folder)
        for name, path in (("mmlu", files.mmlu), ("science", files.science_eval))
    }
    return Stand(folder, datasets=datasets, tasks=tasks)


def test_that_every_task_is_scored_on_the_subject_and_the_checkpoint_handed_back(
    tmp_path: Path,
) -> None:
    stand = _stand(tmp_path)
    base = tiny_base(tmp_path / "checkpoints")
    made = quantize.run(QuantizeSpec(id="nf4"), base, stand.context("nf4"))
    stand.events.clear()
    spec = EvaluateSpec(id="scores", tasks=["mmlu", "science"])
    assert evaluate.run(spec, made, stand.context("scores", subject="nf4")) is made

    scores = stand.of(TaskEvaluated)
    assert [(s.stage, s.subject, s.task, s.n, s.step) for s in scores] == [
        ("scores", "nf4", "mmlu", 12, None),
        ("scores", "nf4", "science", 3, None),
    ]
    assert all(s.checkpoint == made.identity and s.seed == 7 for s in scores)
    assert [s.dataset for s in scores] == [
        stand.datasets[name].fingerprint for name in ("mmlu", "science")
    ]
    assert scores[0].protocol != scores[1].protocol
    for score in scores:
        items = [i for b in stand.of(ItemsEvaluated) if b.task == score.task for i in b.items]
        assert len(items) == score.n
        assert sum(item.correct for item in items) == score.correct
    steps = stand.of(Progress)
    assert [p.done for p in steps] == [0, 5, 10, 12, 14, 15]
    assert {(p.total, p.unit) for p in steps} == {(15, "item")}
    assert steps[0].rate is None
    assert steps[-1].eta == 0


def test_that_an_unknown_task_is_named_with_the_known_ones(tmp_path: Path) -> None:
    spec = EvaluateSpec(id="scores", tasks=["mmlu", "nothing"])
    with pytest.raises(UserError, match="no task nothing; the recipe has: mmlu, science"):
        evaluate.run(spec, tiny_base(tmp_path), _stand(tmp_path).context("scores"))


def test_that_an_unsuitable_dataset_is_refused_before_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = _stand(tmp_path)
    stand.tasks = {"bad": Task(scorer="tooluse_official_v1", dataset="science")}
    monkeypatch.setattr(evaluate, "load_model", None)
    with pytest.raises(UserError, match="no gold tool call"):
        evaluate.run(
            EvaluateSpec(id="scores", tasks=["bad"]), tiny_base(tmp_path), stand.context("scores")
        )
    assert stand.events == []


def test_that_a_stop_passes_through(tmp_path: Path) -> None:
    stand = _stand(tmp_path)
    stand.stop = lambda: True if stand.of(ItemsEvaluated) else None
    with pytest.raises(StopRequested):
        evaluate.run(
            EvaluateSpec(id="scores", tasks=["mmlu"]),
            tiny_base(tmp_path / "checkpoints"),
            stand.context("scores"),
        )
    assert len(stand.of(ItemsEvaluated)) == 1
    assert stand.of(TaskEvaluated) == []


def test_that_parts_of_the_protocol_are_told_and_their_hash_is_the_protocol(tmp_path: Path) -> None:
    stand = _stand(tmp_path)
    base = tiny_base(tmp_path / "checkpoints")
    spec = EvaluateSpec(id="scores", tasks=["mmlu", "science"])
    evaluate.run(spec, base, stand.context("scores"))
    for score in stand.of(TaskEvaluated):
        assert score.protocol == fingerprint(score.protocol_parts)
        assert score.protocol_parts["scorer"] == score.scorer
        assert score.protocol_parts["dataset"] == score.dataset
        assert score.protocol_parts["items"] == str(score.n)
        assert score.protocol_parts["num_fewshot"] == "0"
    told = {it.task: it.protocol for it in stand.of(TaskEvaluated)}
    assert evaluate.protocols(spec, base, stand.context("scores")) == told
    for batch in stand.of(ItemsEvaluated):
        assert (batch.checkpoint, batch.protocol) == (base.identity, told[batch.task])


def test_that_nothing_is_loaded_where_all_was_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = _stand(tmp_path)
    base = tiny_base(tmp_path / "checkpoints")
    spec = EvaluateSpec(id="scores", tasks=["science"])
    evaluate.run(spec, base, stand.context("scores"))
    (score,) = stand.of(TaskEvaluated)
    items = {item.item: item for it in stand.of(ItemsEvaluated) for item in it.items}
    stand.events.clear()
    monkeypatch.setattr(evaluate, "load_model", None)
    known = Evaluated(base.identity, score.protocol, items, told=True)
    context = replace(stand.context("scores"), evaluated={("science", None): known})
    assert evaluate.run(spec, base, context) is base
    (progress,) = stand.events
    assert isinstance(progress, Progress)
    assert (progress.done, progress.total) == (3, 3)


def test_that_a_task_of_lm_eval_is_told_like_all_others(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    write_mmlu(tmp_path, "tiny_mmlu", mmlu_rows(6)[::2], mmlu_rows(9)[6:])
    stand = _stand(tmp_path)
    stand.tasks = {
        "own": Task(scorer="lm_eval", lm_eval_task="tiny_mmlu", include_path=str(tmp_path))
    }
    base = tiny_base(tmp_path / "checkpoints")
    evaluate.run(EvaluateSpec(id="scores", tasks=["own"]), base, stand.context("scores"))
    (score,) = stand.of(TaskEvaluated)
    (batch,) = stand.of(ItemsEvaluated)
    assert (score.n, score.scorer, len(batch.items)) == (3, "lm_eval", 3)
    assert score.correct == sum(item.correct for item in batch.items)
    assert score.dataset == score.protocol_parts["dataset"]
    assert score.protocol_parts["task"] == "tiny_mmlu"
    assert stand.of(Progress)[-1].done == 3
