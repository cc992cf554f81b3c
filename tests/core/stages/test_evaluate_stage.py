"""The evaluate stage: events in order, the checkpoint handed back, refusals before weights are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.load import load
from core.errors import StopRequested, UserError
from core.events import ItemsEvaluated, Progress, TaskEvaluated
from core.recipe.sources import DatasetSource, Task
from core.recipe.stage_specs import EvaluateSpec, QuantizeSpec
from core.stages import evaluate, quantize
from tests.helpers.contexts import Stand
from tests.helpers.tiny import tiny_base, write_datasets


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
