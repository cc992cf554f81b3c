"""A run from its claim to its last event, in this process, with stages that take no time."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
import torch

from core.engine.control import request_save, request_stop
from core.engine.failures import classify
from core.engine.liveness import me
from core.engine.spawn import LOG
from core.engine.worker import EXIT_REFUSED, execute, main
from core.errors import Diverged, OutOfMemory, UserError
from core.events import (
    CheckpointSaved,
    Event,
    Heartbeat,
    RunFinished,
    RunStarted,
    StageFinished,
)
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.helpers.fake_engine import Fakes, a_recipe, recipe_json


class Desk:
    """A home with one queued run."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.home.create()
        self.fakes = Fakes()
        self.uid = self.queue(a_recipe())

    def queue(self, recipe: Recipe) -> str:
        with Store.open(self.home.database) as store:
            return store.queue_run(recipe_json(recipe), name="n", seed=1, base="tiny")

    def execute(self, on_event: Callable[[Event], None] | None = None) -> str:
        return execute(self.uid, self.home, on_event=on_event, parts=self.fakes.parts)

    def events(self) -> list[Event]:
        with Store.open(self.home.database, read_only=True) as store:
            return [logged.event for logged in store.events(self.uid)]

    def at(self, stage: str, step: int, do: Callable[[], None]) -> None:
        self.fakes.before = lambda at, number: do() if (at, number) == (stage, step) else None

    @property
    def finished(self) -> RunFinished:
        return [event for event in self.events() if isinstance(event, RunFinished)][-1]

    @property
    def log(self) -> str:
        return (self.home.run(self.uid) / LOG).read_text(encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    gc.freeze()  # the runner collects after each stage: with torch loaded that takes long
    yield Desk(tmp_path / "home")
    gc.unfreeze()


def raising(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def test_that_a_run_is_claimed_executed_and_told_in_the_store(desk: Desk) -> None:
    told: list[Event] = []
    assert desk.execute(told.append) == "done"
    events = desk.events()
    started = next(event for event in events if isinstance(event, RunStarted))
    assert started.session == 1
    assert [stage.id for stage in started.stages][:3] == ["base", "base.evaluate", "nf4"]
    assert started.stages[1].implied
    assert started.environment["torch"] == metadata.version("torch")
    assert "engine" in started.environment
    assert any(isinstance(event, Heartbeat) and event.rss > 0 for event in events)
    assert isinstance(told[0], RunStarted)
    assert told[-1] == desk.finished
    with Store.open(desk.home.database, read_only=True) as store:
        row = store.run(desk.uid)
        assert (row.status, row.pid) == ("done", os.getpid())
        assert row.recovered_fraction == {"back": {"science": pytest.approx(0.75)}}
        assert row.scores["base/science"] == pytest.approx(0.8)
        assert [it.kind for it in store.checkpoints(desk.uid) if it.final] == [
            "base",
            "quantize",
            "sdft",
        ]
        for checkpoint in store.checkpoints(desk.uid):
            assert (desk.home.path / checkpoint.path / "manifest.json").is_file()


def test_that_an_unknown_a_finished_and_a_live_run_are_refused(desk: Desk) -> None:
    with pytest.raises(UserError):
        execute("nothing", desk.home, parts=desk.fakes.parts)
    desk.at("back", 2, lambda: refused.append(refusal()))
    refused: list[str] = []

    def refusal() -> str:
        with pytest.raises(UserError) as caught:
            execute(desk.uid, desk.home, parts=Fakes().parts)
        return str(caught.value)

    assert desk.execute() == "done"
    assert refused == [
        f"The run {desk.uid} is being executed by process {os.getpid()}. Open it to watch it."
    ]
    with pytest.raises(UserError, match="finished"):
        desk.execute()


def test_that_a_run_whose_owner_died_is_taken_over_in_a_new_session(desk: Desk) -> None:
    pid, started = me()
    with Store.open(desk.home.database) as store:
        store.claim(desk.uid, pid, started - 1000)  # the id lives on in another process
    assert desk.execute() == "done"
    assert [e.session for e in desk.events() if isinstance(e, RunStarted)] == [2]


def test_that_the_process_says_why_it_cannot_start(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nothing", "--home", str(desk.home.path)]) == EXIT_REFUSED
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UserError("No such file.", "Look again."), "data", "Look again."),
        (Diverged("The loss is nan.", "Lower it."), "diverged", "Lower it."),
        (OutOfMemory("No room.", "Use less."), "out_of_memory", "Use less."),
        (torch.OutOfMemoryError("CUDA out of memory."), "out_of_memory", "batch_size"),
        (MemoryError(), "out_of_memory", "gradient_checkpointing"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "out_of_memory",
            "resume",
        ),
        (OSError(28, "No space left on device"), "data", "Free some space"),
        (ValueError("boom"), "bug", LOG),
        (RuntimeError("mat1 and mat2"), "bug", "defect"),
    ],
)
def test_that_a_failure_says_its_class_and_what_to_do(
    desk: Desk, error: Exception, kind: str, words: str
) -> None:
    failure = classify(error, f"runs/u/{LOG}")
    assert failure.failure == kind
    assert words in failure.hint
    assert failure.message


def test_that_a_failed_run_keeps_its_finished_stages_and_its_traceback(desk: Desk) -> None:
    desk.at("back", 3, raising(ValueError("boom")))
    assert desk.execute() == "failed"
    assert desk.finished.failure is not None
    assert desk.finished.failure.failure == "bug"
    assert "ValueError: boom" in desk.log
    assert "Traceback" in desk.log
    ended = {e.stage: e.status for e in desk.events() if isinstance(e, StageFinished)}
    assert ended["nf4"] == "done"
    assert ended["back"] == "failed"
    with Store.open(desk.home.database, read_only=True) as store:
        row = store.run(desk.uid)
        assert (row.status, row.failure) == ("failed", "bug")
    desk.fakes = Fakes()
    assert desk.execute() == "done"
    assert desk.fakes.ran == ["back", "back.evaluate", "back.cka"]


def test_that_missing_files_end_the_run_before_any_stage(desk: Desk) -> None:
    files = {"science": {"file": "nowhere.jsonl"}, "probe": {"file": "."}}
    desk.uid = desk.queue(a_recipe(datasets=files))
    assert desk.execute() == "failed"
    assert desk.finished.failure is not None
    assert desk.finished.failure.failure == "data"
    assert desk.finished.failure.message.startswith("datasets.science.file: ")
    assert desk.fakes.ran == []


@pytest.mark.parametrize(("keep", "left"), [(True, [1, 2, 3]), (False, [])])
def test_that_a_stop_file_stops_and_the_next_session_goes_on(
    desk: Desk, keep: bool, left: list[int]
) -> None:
    desk.fakes.step_seconds = 0.15  # the worker looks for the file ten times a second
    desk.at("back", 3, lambda: request_stop(desk.home, desk.uid, keep))
    assert desk.execute() == "stopped"
    with Store.open(desk.home.database, read_only=True) as store:
        assert store.run(desk.uid).status == "stopped"
        saved = [it for it in store.checkpoints(desk.uid) if not it.final]
    assert bool(saved)
    desk.fakes = Fakes()
    began: list[int] = []
    desk.fakes.before = lambda stage, step: began.append(step) if stage == "back" else None
    assert desk.execute() == "done"
    assert began == [0, *(step for step in range(1, 7) if step not in left)]
    with Store.open(desk.home.database, read_only=True) as store:
        assert store.points(desk.uid, "back", "loss").steps.tolist() == [1, 2, 3, 4, 5, 6]


def test_that_a_request_to_save_is_heeded_once(desk: Desk) -> None:
    desk.uid = desk.queue(
        a_recipe(
            [
                {
                    "id": "back",
                    "kind": "sft",
                    "dataset": "science",
                    "max_steps": 5,
                    "save_steps": 100,
                }
            ]
        )
    )
    desk.at("back", 2, lambda: request_save(desk.home, desk.uid))
    assert desk.execute() == "done"
    saved = [e.step for e in desk.events() if isinstance(e, CheckpointSaved) and not e.final]
    assert saved == [2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_a_first_signal_stops_and_saves_and_handlers_are_put_back(
    desk: Desk, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    desk.at("back", 3, lambda: os.kill(os.getpid(), number))
    assert desk.execute() == "stopped"
    assert signal.getsignal(number) == before
    saved = [e.step for e in desk.events() if isinstance(e, CheckpointSaved) and not e.final]
    assert saved == [2, 3]


def test_that_a_run_executes_outside_the_main_thread(desk: Desk) -> None:
    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.append(desk.execute()))
    thread.start()
    thread.join(60)
    assert ended == ["done"]


def test_that_readers_find_nothing_that_no_longer_counts_after_run_started(desk: Desk) -> None:
    desk.at("back", 6, raising(ValueError("boom")))
    desk.execute()
    desk.fakes = Fakes()
    steps_at_start: list[list[int]] = []

    def look(event: Event) -> None:
        if isinstance(event, RunStarted):
            with Store.open(desk.home.database, read_only=True) as store:
                steps_at_start.append(store.points(desk.uid, "back", "loss").steps.tolist())

    desk.execute(look)
    assert steps_at_start == [[1, 2, 3, 4]]
