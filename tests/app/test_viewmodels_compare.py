from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels.compare import CompareViewModel
from core.events import Event, RunStarted
from core.recipe.plan import plan
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.app.test_viewmodels_run import RECIPE, cka, metric, score, started, whole_run


class World:
    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.home.create()
        self.store = Store.open(self.home.database)
        self.jobs: list[Callable[[], None]] = []
        self.model = CompareViewModel(self._read)

    def _read(self, job: Callable[[Store], Any], done: Callable[[Any], None]) -> None:
        done(job(self.store))

    def run(self, *events: Event, name: str = "r", recipe: Recipe = RECIPE) -> str:
        text = recipe.model_dump_json(by_alias=True)
        uid = self.store.queue_run(text, name=name, seed=1, base="b")
        self.store.claim(uid, os.getpid(), psutil.Process().create_time())
        self.store.record(uid, events)
        return uid

    def finished(self, name: str = "r", recipe: Recipe = RECIPE) -> str:
        return self.run(*(it.event for it in whole_run()), name=name, recipe=recipe)


@pytest.fixture
def world(tmp_path: Path, qtbot: QtBot) -> Iterator[World]:
    world = World(tmp_path / "home")
    yield world
    world.store.close()


def compare(world: World, qtbot: QtBot, *uids: str) -> CompareViewModel:
    world.model.set_runs(uids)
    qtbot.waitUntil(lambda: not world.model.loading, timeout=5000)
    return world.model


def test_that_runs_stand_in_lines_under_base_degraded_recovered(world: World, qtbot: QtBot) -> None:
    model = compare(world, qtbot, world.finished("one"), world.finished("two"))
    table = model.table()
    assert [column.role for column in table.columns] == ["base", "degraded", "recovered"]
    assert [(line.task, line.run, line.run_index) for line in table.lines] == [
        ("tooluse", "one", 0),
        ("tooluse", "two", 1),
    ]
    cells = [cell.value if cell else None for cell in table.lines[0].cells]
    assert cells == [60.0, 40.0, 55.0]
    assert (table.lines[0].delta, table.lines[0].recovered) == ("+15.0", "0.75")
    low, high = table.lines[0].cells[2].low, table.lines[0].cells[2].high  # type: ignore[union-attr]
    assert 45 < low < 55 < high < 65


def test_that_runs_of_different_protocols_are_not_compared_without_a_word(
    world: World, qtbot: QtBot
) -> None:
    other = [score("base", 60, protocol="q" * 64), score("nf4", 40, protocol="q" * 64)]
    second = world.run(started(), *other, score("back", 50, protocol="q" * 64), name="two")
    model = compare(world, qtbot, world.finished("one"), second)
    first, last = model.table().lines
    assert "another protocol" in first.refusal
    assert "qqqqqqqq" in last.protocol
    assert last.delta == "+10.0"  # within the run all is of one protocol


def test_that_what_differs_between_two_runs_protocols_is_named(world: World, qtbot: QtBot) -> None:
    uids = []
    for name, shots in (("one", "0"), ("two", "5")):
        told = [
            score(stage, right, protocol=shots * 64).model_copy(
                update={"protocol_parts": {"scorer": "multiple_choice_v1", "num_fewshot": shots}}
            )
            for stage, right in (("base", 60), ("nf4", 40), ("back", 50))
        ]
        uids.append(world.run(started(), *told, name=name))
    for line in compare(world, qtbot, *uids).table().lines:
        assert "(worked examples 0 and 5)" in line.refusal


def test_that_a_run_without_recovery_still_has_its_line(world: World, qtbot: QtBot) -> None:
    recipe = RECIPE.model_copy(update={"stages": RECIPE.stages[:1]})
    plain = started(stages=tuple(it for it in started().stages if not it.id.startswith("back")))
    uid = world.run(plain, score("base", 60), score("nf4", 40), recipe=recipe)
    (line,) = compare(world, qtbot, uid).table().lines
    assert [cell.value if cell else None for cell in line.cells] == [60.0, 40.0, None]
    assert (line.delta, line.recovered) == ("", "")


def test_that_curves_and_profiles_carry_the_label_of_their_run(world: World, qtbot: QtBot) -> None:
    uids = world.finished("same"), world.finished("same")
    model = compare(world, qtbot, *uids)
    labels = [f"same ({uid[:4]})" for uid in uids]
    assert [series.run for series in model.overlay("divergence")] == labels
    assert [band.run for band in model.accuracy("tooluse")] == labels
    assert {profile.run for profile in model.profiles()} == set(labels)
    assert [run.label for run in model.runs()] == labels
    assert "divergence" in model.available_keys()
    assert model.tasks() == ("tooluse",)


def test_that_only_recipe_fields_that_differ_are_listed(world: World, qtbot: QtBot) -> None:
    raw = RECIPE.model_dump(mode="json", by_alias=True)
    raw["stages"][1]["learning_rate"] = 0.5
    raw["stages"].insert(1, {"id": "extra", "kind": "prune"})
    other = world.finished("two", Recipe.model_validate(raw))
    model = compare(world, qtbot, world.finished("one"), other)
    found = {it.path: it.values for it in model.differences()}
    assert found["stages.back.learning_rate"] == ("0.0001", "0.5")
    assert found["stages.extra.kind"] == ("\u2013", "prune")
    assert found["stages.back.from"] == ("nf4", "extra")  # the default in force, though not set
    assert "null" not in {value for values in found.values() for value in values}
    assert not any(path.startswith("stages.nf4") for path in found)  # moved is not changed
    assert model.field_count() > 40


def test_that_a_field_that_is_not_set_is_a_dash_with_a_word(world: World, qtbot: QtBot) -> None:
    raw = RECIPE.model_dump(mode="json", by_alias=True)
    raw["stages"][1]["max_steps"] = None
    raw["stages"].insert(1, {"id": "extra", "kind": "prune"})
    other = world.finished("two", Recipe.model_validate(raw))
    model = compare(world, qtbot, world.finished("one"), other)
    found = {it.path: (it.values, it.notes) for it in model.differences()}
    assert found["stages.back.max_steps"] == (("10", "\u2013"), ("", "not set"))
    assert found["stages.extra.ratio"] == (("\u2013", "0.1"), ("not in this recipe", ""))


def test_that_each_of_several_runs_has_a_letter_and_a_short_name(
    world: World, qtbot: QtBot
) -> None:
    uids = [world.finished(f"paper · {name} of two") for name in ("nf4", "pruned")]
    model = compare(world, qtbot, *uids)
    assert [(run.letter, run.short) for run in model.runs()] == [
        ("A", "nf4 of two"),
        ("B", "pruned of two"),
    ]
    assert model.table().lines[0].source == f"paper · nf4 of two ({uids[0][:8]})"
    model.remove_run(uids[1])
    assert [(run.letter, run.short) for run in model.runs()] == [("", "paper · nf4 of two")]


def test_that_a_loss_within_noise_has_no_fraction(world: World, qtbot: QtBot) -> None:
    uid = world.run(started(), score("base", 44), score("nf4", 40), score("back", 58))
    (line,) = compare(world, qtbot, uid).table().lines
    assert (line.delta, line.recovered) == ("+18.0", "loss within noise")
    assert "4.50" in line.why
    assert line.judged == "base → nf4 → back"


def test_that_several_recovered_stages_of_a_run_are_named(world: World, qtbot: QtBot) -> None:
    raw = RECIPE.model_dump(mode="json", by_alias=True)
    again = {**raw["stages"][1], "id": "again", "from": "nf4"}
    recipe = Recipe.model_validate({**raw, "stages": [*raw["stages"], again]})
    stages = tuple(step.planned for step in plan(recipe))
    scores = [score(*it) for it in (("base", 60), ("nf4", 40), ("back", 55), ("again", 50))]
    uid = world.run(started(stages=stages), *scores, recipe=recipe)
    lines = compare(world, qtbot, uid).table().lines
    assert [(line.run, line.stage, line.recovered) for line in lines] == [
        ("r", "back", "0.75"),
        ("r", "again", "0.50"),
    ]


def test_that_a_run_that_goes_on_is_followed(world: World, qtbot: QtBot) -> None:
    uid = world.run(started(), metric(1))
    model = compare(world, qtbot, uid)
    world.store.record(uid, [metric(2), cka("back", 2, [1.0, 0.9, 0.9])])
    model.refresh()
    qtbot.waitUntil(lambda: len(model.overlay("divergence")[0].x) == 2, timeout=5000)


def test_that_a_resumed_run_is_read_anew(world: World, qtbot: QtBot) -> None:
    uid = world.run(started(), metric(1), metric(2), score("nf4", 1))
    model = compare(world, qtbot, uid)
    world.store.purge_after(uid, "back", 1)
    world.store.claim(uid, os.getpid(), psutil.Process().create_time())
    again = RunStarted(session=2, stages=started().stages, environment={})
    world.store.record(uid, [again, metric(2, 7.0)])
    model.refresh()
    qtbot.waitUntil(
        lambda: [it.y.tolist() for it in model.overlay("divergence")] == [[1.0, 7.0]], timeout=5000
    )


def test_that_a_run_left_out_takes_its_data_along(world: World, qtbot: QtBot) -> None:
    first, second = world.finished("one"), world.finished("two")
    model = compare(world, qtbot, first, second, first)
    assert model.uids() == (first, second)
    model.remove_run(first)
    assert [series.run for series in model.overlay("divergence")] == ["two"]
    model.set_runs([])
    assert model.table().lines == ()
    assert not model.loading
