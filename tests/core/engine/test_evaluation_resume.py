"""An evaluation that was stopped or killed goes on with the items that are left, to the same scores."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.engine.liveness import reconcile
from core.engine.resume import rewind
from core.engine.runner import Runner
from core.engine.spawn import start
from core.engine.stages import PARTS
from core.engine.worker import execute
from core.events import (
    EvaluatedItem,
    Event,
    ItemsEvaluated,
    Progress,
    StageFinished,
    TaskEvaluated,
)
from core.recipe.spec import Recipe
from core.stages.training_state import saved_step
from core.store.home import Home
from core.store.store import Store
from tests.helpers.fake_engine import ListLog, recipe_json
from tests.helpers.tiny import TinyData, build_tiny, write_datasets

STAGE = "base.evaluate"


@dataclass
class Bench:
    """A home with the tiny model, and a recipe of three tasks on it."""

    folder: Path
    data: TinyData = field(init=False)

    def __post_init__(self) -> None:
        build_tiny(self.folder / "model")
        self.data = write_datasets(self.folder / "data")

    def recipe(self, **fields: Any) -> Recipe:
        few = {"max_new_tokens": 5}
        tools = {"scorer": "tooluse_official_v1", "dataset": "tools", "batch_size": 4, **few}
        return Recipe.model_validate(
            {
                "name": "evaluations",
                "base": {"folder": str(self.folder / "model")},
                "datasets": {
                    "tools": {"file": str(self.data.tooluse_eval)},
                    "science": {"file": str(self.data.science_eval)},
                    "mmlu": {"file": str(self.data.mmlu)},
                },
                "tasks": {
                    "tooluse": tools,
                    "science": {**tools, "scorer": "science_exact_v1", "dataset": "science"},
                    "mmlu": {
                        "scorer": "multiple_choice_v1",
                        "dataset": "mmlu",
                        "limit": 8,
                        "batch_size": 3,
                    },
                },
                "measure": {"tasks": ["tooluse", "science", "mmlu"]},
                **fields,
            }
        )

    def session(
        self,
        events: Sequence[Event] = (),
        recipe: Recipe | None = None,
        until: Callable[[list[Event]], bool] = lambda new: False,
    ) -> tuple[list[Event], list[Event]]:
        """One session over what the log holds; it stops when `until` says so of its new events.

        Returns:
            the log afterwards, and what this session told.
        """
        home = Home(self.folder / "home")
        home.create()
        log = ListLog(list(events))
        new: list[Event] = []

        def emit(event: Event) -> None:
            log.events.append(event)
            new.append(event)

        Runner(
            recipe=recipe or self.recipe(),
            home=home,
            uid="u",
            parts=replace(PARTS, foresee=lambda *_: lambda stage: None),
            log=log,
            past=rewind(log, home.checkpoints, saved_step),
            emit=emit,
            stop=lambda: True if until(new) else None,
            save_now=lambda: False,
            root=self.folder,
        ).run()
        return log.events, new


def scores(events: Sequence[Event]) -> list[TaskEvaluated]:
    return [it for it in events if isinstance(it, TaskEvaluated)]


def items(events: Sequence[Event]) -> list[tuple[str, EvaluatedItem]]:
    return [(it.task, item) for it in events if isinstance(it, ItemsEvaluated) for item in it.items]


def by_id(events: Sequence[Event]) -> dict[tuple[str, str], EvaluatedItem]:
    """Every item, each of which was told once."""
    found = items(events)
    result = {(task, item.item): item for task, item in found}
    assert len(result) == len(found)
    return result


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("evaluations"))


@pytest.fixture(scope="module")
def whole(bench: Bench) -> list[Event]:
    """The log of a run that nobody stopped: 8 + 8 + 8 items in 2 + 2 + 3 batches."""
    log, _ = bench.session()
    assert sum(isinstance(it, ItemsEvaluated) for it in log) == 7
    assert [it.n for it in scores(log)] == [8, 8, 8]
    return log


@pytest.mark.parametrize("batches", range(1, 8))
def test_that_a_stop_after_any_batch_costs_no_item_and_changes_no_score(
    bench: Bench, whole: list[Event], batches: int
) -> None:
    stopped, first = bench.session(
        until=lambda new: sum(isinstance(it, ItemsEvaluated) for it in new) >= batches
    )
    resumed, second = bench.session(stopped)
    assert scores(resumed) == scores(whole)
    assert by_id(resumed) == by_id(whole)
    assert len(items(first)) + len(items(second)) == len(items(whole))
    assert items(first)
    assert resumed[-1] == StageFinished.model_validate(
        {**resumed[-1].model_dump(), "stage": STAGE, "status": "done"}
    )


def test_that_whatever_a_killed_worker_had_flushed_stands(bench: Bench, whole: list[Event]) -> None:
    places = [
        place
        for place, event in enumerate(whole, start=1)
        if isinstance(event, ItemsEvaluated | TaskEvaluated)
    ]
    for place in places:
        resumed, second = bench.session(whole[:place])
        assert scores(resumed) == scores(whole)
        assert by_id(resumed) == by_id(whole)
        assert len(items(second)) == len(items(whole)) - len(items(whole[:place]))


def test_that_items_of_earlier_sessions_count_as_done_but_not_in_the_rate(
    bench: Bench, whole: list[Event]
) -> None:
    place = next(n for n, it in enumerate(whole, start=1) if isinstance(it, TaskEvaluated))
    _, second = bench.session(whole[:place])
    steps = [it for it in second if isinstance(it, Progress) and it.stage == STAGE]
    assert [it.done for it in steps] == [8, 12, 16, 19, 22, 24]
    assert {it.total for it in steps} == {24}
    assert steps[0].rate is None
    first, last = steps[1], steps[-1]
    assert first.rate is not None
    assert first.eta == pytest.approx(12 / first.rate)
    assert last.eta == 0


def test_that_an_edited_dataset_or_setting_starts_the_evaluation_anew(
    bench: Bench, whole: list[Event]
) -> None:
    place = [n for n, it in enumerate(whole, start=1) if isinstance(it, ItemsEvaluated)][-2]
    raw = bench.recipe().model_dump(by_alias=True)
    raw["tasks"]["science"]["max_new_tokens"] = 4
    shorter = Recipe.model_validate(raw)
    file = bench.data.mmlu
    before = file.read_text(encoding="utf-8")
    for recipe, text in ((shorter, before), (bench.recipe(), before.replace("Paris", "Bern"))):
        file.write_text(text, encoding="utf-8")
        resumed, second = bench.session(whole[:place], recipe)
        file.write_text(before, encoding="utf-8")
        assert len(items(second)) == 24
        assert by_id(resumed) == by_id(second)
        assert [it.n for it in scores(resumed)] == [8, 8, 8]
        assert [it.protocol for it in scores(resumed)] != [it.protocol for it in scores(whole)]


def test_that_a_log_from_before_items_named_their_protocol_is_started_anew(
    bench: Bench, whole: list[Event]
) -> None:
    place = next(n for n, it in enumerate(whole, start=1) if isinstance(it, TaskEvaluated)) + 2
    old = [
        it.model_copy(update={"protocol": "", "checkpoint": None})
        if isinstance(it, ItemsEvaluated)
        else it
        for it in whole[:place]
    ]
    resumed, second = bench.session(old)
    assert by_id(resumed) == by_id(second) == by_id(whole)
    assert scores(resumed) == scores(whole)


def test_that_the_store_gives_back_what_stands(bench: Bench, whole: list[Event]) -> None:
    place = next(n for n, it in enumerate(whole, start=1) if isinstance(it, ItemsEvaluated)) + 2
    home = Home(bench.folder / "home")
    with Store.open(home.database) as store:
        uid = store.queue_run(recipe_json(bench.recipe()), name="n", seed=42, base="tiny")
        store.record(uid, whole[:place])
    told: list[Event] = []
    assert execute(uid, home, on_event=told.append) == "done"
    with Store.open(home.database, read_only=True) as store:
        log = [it.event for it in store.events(uid)]
        for task in ("tooluse", "science", "mmlu"):
            stored = {it.item for it in store.item_results(uid, "base", task)}
            assert stored == {item for name, item in by_id(whole) if name == task}
    assert scores(log) == scores(whole)
    assert by_id(log) == by_id(whole)
    assert len(items(told)) == len(items(whole)) - len(items(whole[:place]))


def _live(bench: Bench) -> Recipe:
    train = {
        "id": "trained",
        "kind": "sft",
        "dataset": "train",
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 64,
        "lora_r": 4,
        "lora_alpha": 8,
    }
    raw = bench.recipe().model_dump(by_alias=True)
    raw["datasets"]["train"] = {"file": str(bench.data.tooluse)}
    raw["stages"] = [train]
    raw["measure"] |= {"every_steps": 1, "live_items": 6}
    return Recipe.model_validate(raw)


def test_that_a_live_measurement_stopped_between_two_batches_tells_nothing_twice(
    bench: Bench,
) -> None:
    recipe = _live(bench)
    undisturbed, _ = bench.session(recipe=recipe)

    def live(events: Sequence[Event]) -> list[Any]:
        kinds = (ItemsEvaluated, TaskEvaluated)
        return [it for it in events if isinstance(it, kinds) and it.step == 1]

    expected = live(undisturbed)
    (bench.folder / "home" / "checkpoints").rename(bench.folder / f"once-{len(expected)}")
    stopped, _ = bench.session(recipe=recipe, until=lambda new: len(live(new)) >= 4)
    assert 0 < len(live(stopped)) < len(expected)
    resumed, _ = bench.session(stopped, recipe)
    assert live(resumed) == expected
    assert scores(resumed) == scores(undisturbed)


@pytest.mark.slow
def test_that_a_worker_killed_in_mid_evaluation_is_taken_up_by_the_next(bench: Bench) -> None:
    raw = bench.recipe().model_dump(by_alias=True)
    for task in ("tooluse", "science"):
        raw["tasks"][task] |= {"batch_size": 1, "max_new_tokens": 300}
    recipe = Recipe.model_validate(raw)
    whole, _ = bench.session(recipe=recipe)
    home = Home(bench.folder / "home")
    with Store.open(home.database) as store:
        uid = store.queue_run(recipe_json(recipe), name="n", seed=42, base="tiny")
        process = start(uid, home)
        while not store.events(uid, kinds=["items_evaluated"]):
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert reconcile(store) == [uid]
        before = [it.event for it in store.events(uid)]
    assert 0 < len(items(before)) < len(items(whole))
    told: list[Event] = []
    assert execute(uid, home, on_event=told.append) == "done"
    with Store.open(home.database, read_only=True) as store:
        log = [it.event for it in store.events(uid)]
    assert by_id(log).keys() == by_id(whole).keys()
    assert [(it.n, it.correct) for it in scores(log)] == [
        (it.n, it.correct) for it in scores(whole)
    ]
    assert len(items(told)) == len(items(whole)) - len(items(before))
