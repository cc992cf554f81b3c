"""The runner: order, reuse, lineage, stopping, resuming, failing; with stages that take no time."""

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.engine.estimate import Item, Phase, StageEstimate
from core.engine.lock import exclusive
from core.engine.resume import rewind
from core.engine.runner import Runner
from core.errors import BugError
from core.events import Event, RunFinished, TaskEvaluated
from core.lm.checkpoint import Checkpoint, folder_of, read_manifest
from core.recipe.spec import Recipe
from core.store.home import Home
from tests.helpers.fake_engine import Fakes, ListLog, a_recipe, saved_step, text_of


@dataclass
class Rig:
    """A home and a run in it; each `run` is a session."""

    home: Home
    log: ListLog = field(default_factory=ListLog)
    fakes: Fakes = field(default_factory=Fakes)
    keep: bool | None = None  # what is asked of the session

    def run(self, recipe: Recipe | None = None) -> RunFinished:
        runner = Runner(
            recipe=recipe or a_recipe(),
            home=self.home,
            uid="u",
            parts=self.fakes.parts,
            log=self.log,
            past=rewind(self.log, self.home.checkpoints, saved_step),
            emit=lambda event: self.log.events.append(event),
            stop=lambda: self.keep,
            save_now=lambda: False,
            root=self.home.path,
        )
        return runner.run()

    def again(self, **asked: Any) -> "Rig":
        """The same home with another run or session."""
        return Rig(self.home, **asked)

    def at(self, stage: str, step: int, do: Callable[[], None]) -> None:
        """Do something before a step of a stage."""
        self.fakes.before = lambda at, number: do() if (at, number) == (stage, step) else None

    def checkpoint(self, stage: str) -> Checkpoint:
        identity = self.log.of("stage_finished", stage)[-1].checkpoint
        found = read_manifest(folder_of(self.home.checkpoints, identity))
        assert found is not None
        return found

    def steps(self, stage: str) -> list[int]:
        return [event.step for event in self.log.of("metrics", stage)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    home = Home(tmp_path / "home")
    home.create()
    gc.freeze()  # the runner collects after each stage: with torch loaded that takes long
    yield Rig(home)
    gc.unfreeze()


def crash() -> None:
    raise ValueError("boom")


def test_that_the_plan_is_executed_in_order_and_every_checkpoint_tells_its_lineage(
    rig: Rig,
) -> None:
    finished = rig.run()
    assert finished.status == "done"
    assert rig.log.started() == [
        "base",
        "base.evaluate",
        "nf4",
        "nf4.evaluate",
        "nf4.cka",
        "back",
        "back.evaluate",
        "back.cka",
    ]
    assert set(rig.log.ended().values()) == {"done"}
    assert text_of(rig.checkpoint("back")) == "base > quantize > sdft 6 by [base]"
    assert rig.checkpoint("back").parent == rig.checkpoint("nf4").identity
    assert rig.checkpoint("nf4").parent == rig.checkpoint("base").identity
    started = rig.log.of("stage_started", "back")[0]
    assert (started.device, started.dtype, started.why) == ("cpu", "float32", "tests")


def test_that_the_recovered_fraction_is_told_at_the_end(rig: Rig) -> None:
    assert rig.run().recovered_fraction == {"back": {"science": pytest.approx((7 - 4) / (8 - 4))}}


def test_that_measurements_end_with_the_checkpoint_they_read(rig: Rig) -> None:
    rig.run()
    measured = rig.log.of("stage_finished", "nf4.cka")[0]
    assert measured.checkpoint == rig.checkpoint("nf4").identity


def test_that_a_branch_and_a_named_teacher_are_followed(rig: Rig) -> None:
    train = {"kind": "sdft", "dataset": "science", "max_steps": 1}
    rig.run(
        a_recipe(
            [
                {"id": "expert", "kind": "sft", "dataset": "science", "max_steps": 1},
                {"id": "nf4", "kind": "quantize", "from": "base"},
                {**train, "id": "one", "from": "nf4", "teacher": "expert"},
                {**train, "id": "two", "from": "nf4"},
            ],
            measure={},
        )
    )
    assert text_of(rig.checkpoint("one")) == "base > quantize > sdft 1 by [base > sft 1]"
    assert text_of(rig.checkpoint("two")) == "base > quantize > sdft 1 by [base]"


def test_that_a_further_model_is_registered_once_and_teaches(rig: Rig) -> None:
    stage = {"id": "taught", "kind": "sdft", "dataset": "science", "from": "base"}
    models = {"big": {"folder": "/somewhere/big"}}
    recipe = a_recipe(stages=[{**stage, "teacher": "big"}], models=models)

    rig.run(recipe)

    assert rig.log.of("stage_finished", "big")[-1].status == "done"
    assert rig.checkpoint("big").kind == "base"
    made = rig.checkpoint("taught")
    assert made.inputs["teachers"] == [rig.checkpoint("big").identity]
    assert made.inputs["teachers"] != [rig.checkpoint("base").identity]


def test_that_a_stage_gets_its_own_seed_else_the_recipes(rig: Rig) -> None:
    train = {"kind": "sft", "dataset": "science", "max_steps": 1}
    stages = [{**train, "id": "a"}, {**train, "id": "b", "seed": 5}]
    rig.run(a_recipe(stages, seed=9, measure={}))
    assert rig.fakes.contexts["a"].seed == 9
    assert rig.fakes.contexts["b"].seed == 5
    assert rig.fakes.contexts["b"].inputs["seed"] == 5


def test_that_the_same_checkpoint_wanted_by_another_run_is_found_not_rebuilt(rig: Rig) -> None:
    rig.run()
    other = rig.again()
    other.run()
    assert other.fakes.ran == [
        "base.evaluate",
        "nf4.evaluate",
        "nf4.cka",
        "back.evaluate",
        "back.cka",
    ]
    ended = other.log.of("stage_finished", "back")[0]
    assert ended.reused
    assert ended.checkpoint == rig.checkpoint("back").identity
    saved = other.log.of("checkpoint_saved", "back")[0]
    assert saved.final
    assert saved.path == rig.checkpoint("back").path.relative_to(rig.home.path).as_posix()
    assert saved.bytes > 0
    assert not rig.log.of("stage_finished", "back")[0].reused


def test_that_other_data_or_another_seed_make_another_checkpoint_but_the_quantized_one_stays(
    rig: Rig,
) -> None:
    rig.run()
    other = rig.again(fakes=Fakes(content="other items"))
    other.run()
    seeded = rig.again()
    seeded.run(a_recipe(seed=1))
    for later in (other, seeded):
        assert "nf4" not in later.fakes.ran
        assert "back" in later.fakes.ran
        assert later.checkpoint("back").identity != rig.checkpoint("back").identity


def test_that_a_stop_that_keeps_leaves_a_state_and_the_next_session_goes_on_from_it(
    rig: Rig,
) -> None:
    rig.at("back", 4, lambda: setattr(rig, "keep", True))
    assert rig.run().status == "stopped"
    assert rig.log.ended()["back"] == "stopped"
    assert rig.steps("back") == [1, 2, 3, 4]
    assert rig.log.of("checkpoint_saved", "back")[-1].step == 4

    later = rig.again(log=rig.log)
    assert later.run().status == "done"
    assert later.fakes.ran == ["back", "back.evaluate", "back.cka"]
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]
    assert text_of(later.checkpoint("back")) == "base > quantize > sdft 6 by [base]"


def test_that_a_stop_that_discards_leaves_nothing_of_the_stage_but_all_of_the_others(
    rig: Rig,
) -> None:
    rig.at("back", 4, lambda: setattr(rig, "keep", False))
    assert rig.run().status == "stopped"
    folders = [path.name for path in rig.home.checkpoints.iterdir() if path.is_dir()]
    assert sorted(folders) == sorted(
        rig.checkpoint(stage).identity[:20] for stage in ("base", "nf4")
    )
    later = rig.again(log=rig.log)
    later.run()
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]


def test_that_metrics_past_the_saved_state_of_a_killed_training_are_forgotten(rig: Rig) -> None:
    rig.at("back", 6, crash)
    with pytest.raises(ValueError, match="boom"):
        rig.run()
    assert rig.log.ended()["back"] == "failed"
    assert rig.steps("back") == [1, 2, 3, 4, 5]
    past = rewind(rig.log, rig.home.checkpoints, saved_step)
    assert rig.steps("back") == [1, 2, 3, 4]
    assert set(past.finished) == {"base", "base.evaluate", "nf4", "nf4.evaluate", "nf4.cka"}
    later = rig.again(log=rig.log)
    assert later.run().recovered_fraction == {"back": {"science": pytest.approx(0.75)}}
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]
    assert later.log.ended()["back"] == "done"


def test_that_a_training_killed_before_its_first_state_starts_over(rig: Rig) -> None:
    rig.at("back", 2, crash)
    with pytest.raises(ValueError, match="boom"):
        rig.run()
    later = rig.again(log=rig.log)
    later.run()
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]


def _stopped_after_the_first_of_two_tasks(rig: Rig) -> Recipe:
    """A run that crashed in nf4.evaluate, before its second task."""
    tasks = {name: {"scorer": "science_exact_v1", "dataset": "science"} for name in ("one", "two")}
    recipe = a_recipe(tasks=tasks, measure={"tasks": ["one", "two"]})
    calls = []

    def second_task(stage: str, step: int) -> None:
        calls.append(stage)
        if calls.count("nf4.evaluate") == 3:  # its beginning, and each of its tasks
            crash()

    rig.fakes.before = second_task
    with pytest.raises(ValueError, match="boom"):
        rig.run(recipe)
    assert [e.task for e in rig.log.of("task_evaluated", "nf4.evaluate")] == ["one"]
    return recipe


def test_that_of_an_interrupted_evaluation_what_was_scored_stands(rig: Rig) -> None:
    recipe = _stopped_after_the_first_of_two_tasks(rig)
    (first,) = rig.log.of("task_evaluated", "nf4.evaluate")
    later = rig.again(log=rig.log)
    later.run(recipe)
    assert later.fakes.ran == ["nf4.evaluate", "back", "back.evaluate"]
    found = later.log.of("task_evaluated", "nf4.evaluate")
    assert [e.task for e in found] == ["one", "two"]
    assert found[0] is first
    standing = later.fakes.contexts["nf4.evaluate"].evaluated["one", None]
    assert (standing.checkpoint, standing.told) == (rig.checkpoint("nf4").identity, True)
    assert later.fakes.contexts["back.evaluate"].evaluated == {}
    assert len(later.log.of("task_evaluated", "base.evaluate")) == 2


def test_that_scores_by_another_protocol_or_of_other_weights_are_forgotten(rig: Rig) -> None:
    recipe = _stopped_after_the_first_of_two_tasks(rig)
    log = list(rig.log.events)
    edited = rig.again(log=rig.log, fakes=Fakes(protocol="p2"))
    edited.run(recipe)
    found = edited.log.of("task_evaluated", "nf4.evaluate")
    assert [(e.task, e.protocol) for e in found] == [("one", "p2"), ("two", "p2")]
    assert len(edited.log.of("stage_started", "nf4.evaluate")) == 1
    assert {e.protocol for e in edited.log.of("task_evaluated", "base.evaluate")} == {"p1"}

    def of_other_weights(event: Event) -> Event:
        if isinstance(event, TaskEvaluated) and event.stage == "nf4.evaluate":
            return event.model_copy(update={"checkpoint": "0" * 64})
        return event

    other = rig.again(log=ListLog([of_other_weights(event) for event in log]))
    other.run(recipe)
    found = other.log.of("task_evaluated", "nf4.evaluate")
    assert [e.checkpoint for e in found] == [rig.checkpoint("nf4").identity] * 2


def test_that_an_interrupted_comparison_is_forgotten_and_done_again(rig: Rig) -> None:
    rig.at("nf4.cka", 0, crash)
    with pytest.raises(ValueError, match="boom"):
        rig.run()
    later = rig.again(log=rig.log)
    later.run()
    assert later.fakes.ran[0] == "nf4.cka"
    assert len(later.log.of("stage_started", "nf4.cka")) == 1


def test_that_a_finished_run_run_again_repeats_nothing(rig: Rig) -> None:
    first = rig.run()
    told = len(rig.log.events)
    later = rig.again(log=rig.log)
    assert later.run().recovered_fraction == first.recovered_fraction
    assert later.fakes.ran == []
    assert len(later.log.events) == told


def test_that_data_that_changed_between_sessions_undoes_what_was_made_of_it(rig: Rig) -> None:
    rig.at("back.cka", 0, crash)
    with pytest.raises(ValueError, match="boom"):
        rig.run()
    before = rig.checkpoint("back").identity
    later = rig.again(log=rig.log, fakes=Fakes(content="other items"))
    later.run()
    assert later.fakes.ran == ["back", "back.evaluate", "back.cka"]
    assert later.checkpoint("back").identity != before
    assert len(later.log.of("task_evaluated", "back.evaluate")) == 1
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]


def test_that_a_checkpoint_deleted_between_sessions_is_made_again(rig: Rig) -> None:
    rig.at("back", 1, crash)
    with pytest.raises(ValueError, match="boom"):
        rig.run()
    nf4 = rig.checkpoint("nf4")
    (nf4.path / "manifest.json").unlink()
    later = rig.again(log=rig.log)
    later.run()
    assert later.fakes.ran[0] == "nf4"
    assert "nf4.evaluate" not in later.fakes.ran  # the same weights: the scores stand
    assert len(later.log.of("stage_finished", "nf4")) == 1


def test_that_leftovers_are_cleared_but_a_training_state_is_kept(rig: Rig) -> None:
    rig.at("back", 4, crash)
    with pytest.raises(ValueError, match="boom"):
        rig.run()
    folder = rig.fakes.contexts["back"].folder
    (folder / "half.safetensors").touch()
    (folder / "sub").mkdir()
    seen: list[set[str]] = []
    later = rig.again(log=rig.log)
    later.at("back", 0, lambda: seen.append({path.name for path in folder.iterdir()}))
    later.run()
    assert seen == [{"state"}]
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]


def test_that_a_training_killed_between_its_manifest_and_its_last_event_keeps_its_curve(
    rig: Rig,
) -> None:
    rig.run()
    log = ListLog(
        [
            e
            for e in rig.log.events
            if not getattr(e, "stage", "").startswith("back.")
            and e not in rig.log.of("stage_finished", "back")
        ]
    )
    later = rig.again(log=log)
    later.run()
    assert later.steps("back") == [1, 2, 3, 4, 5, 6]
    assert later.log.ended()["back"] == "done"
    assert later.fakes.ran == ["back.evaluate", "back.cka"]


def test_that_a_stop_between_stages_is_heeded(rig: Rig) -> None:
    rig.keep = True
    assert rig.run().status == "stopped"
    assert rig.log.events == []


def test_that_a_stage_that_does_not_write_its_checkpoint_is_a_bug(rig: Rig) -> None:
    rig.fakes.rewrite = lambda spec, parent, context: parent  # type: ignore[method-assign]
    with pytest.raises(BugError, match="nf4 did not write"):
        rig.run()
    assert rig.log.ended()["nf4"] == "failed"


def test_that_two_runs_that_want_the_same_checkpoint_at_once_make_it_once(rig: Rig) -> None:
    rig.run(a_recipe(measure={}))
    identity = rig.checkpoint("nf4").identity
    folder = folder_of(rig.home.checkpoints, identity)
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()  # another run is at it
    other = rig.again()
    begun = threading.Event()
    with exclusive(folder.with_suffix(".lock")) as held:
        assert held
        runner = threading.Thread(target=lambda: other.run(a_recipe(measure={})))
        other.fakes.before = lambda stage, step: begun.set()
        runner.start()
        assert not begun.wait(0.2)  # it begins no stage meanwhile
        (folder / "manifest.json").write_bytes(manifest)
    runner.join(30)
    assert other.fakes.ran == []
    assert other.log.of("stage_finished", "nf4")[0].reused


class Meter:
    """Says a peak that grows from stage to stage."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> None:
        self.begun += 1

    def end(self) -> int:
        return 100 * self.begun


def test_that_each_stage_tells_what_was_expected_of_it_and_what_it_took(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = (Phase("load", (Item("student", 70),)), Phase("step", (Item("student", 90),)))

    def foresee(stage: str) -> StageEstimate | None:
        return StageEstimate(stage, "sdft", phases, seconds=2.5) if stage == "back" else None

    meter = Meter()
    parts = replace(rig.fakes.parts, foresee=lambda *_: foresee, meter=lambda compute: meter)
    monkeypatch.setattr(Fakes, "parts", property(lambda self: parts))
    rig.run()
    (started,) = rig.log.of("stage_started", "back")
    assert (started.estimated_memory, started.estimated_seconds) == (90, 2.5)
    (unknown,) = rig.log.of("stage_started", "nf4")
    assert (unknown.estimated_memory, unknown.estimated_seconds) == (None, None)
    assert rig.log.of("stage_finished", "base")[0].peak_memory is None  # no network was there
    assert rig.log.of("stage_finished", "nf4")[0].peak_memory
    assert rig.log.of("stage_finished", "back")[0].peak_memory
    monkeypatch.undo()
    later = rig.again()
    later.run()
    assert later.log.of("stage_started", "back")[0].estimated_memory is None  # found, not made
    assert later.log.of("stage_finished", "back")[0].peak_memory is None
