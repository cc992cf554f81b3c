"""Events reach the store in order and in batches, and a failing store is noticed."""

import threading
import time
from collections.abc import Sequence

import pytest

from core.engine.recorder import BATCH_ROWS, Recorder
from core.events import Event, Heartbeat, Metrics, StageFinished

BEAT = Heartbeat(rss=1)


class Sink:
    """Keeps what is recorded, one list a transaction."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []

    def __call__(self, events: Sequence[Event]) -> None:
        self.batches.append(list(events))

    @property
    def events(self) -> list[Event]:
        return [e for batch in self.batches for e in batch if not isinstance(e, Heartbeat)]


def metrics(step: int) -> Metrics:
    return Metrics(stage="s", step=step, values={"loss": 1.0})


def test_that_events_arrive_in_order_and_none_is_lost_at_the_end() -> None:
    sink = Sink()
    sent = [metrics(step) for step in range(2000)]
    with Recorder(sink, lambda: BEAT) as recorder:
        for event in sent:
            recorder.emit(event)
    assert sink.events == sent
    assert max(len(batch) for batch in sink.batches) <= BATCH_ROWS + 1
    assert len(sink.batches) < 100


def test_that_a_flush_waits_until_all_is_written() -> None:
    sink = Sink()
    with Recorder(sink, lambda: BEAT) as recorder:
        recorder.emit(metrics(1))
        recorder.flush()
        assert sink.events == [metrics(1)]


def test_that_the_end_of_a_stage_takes_all_before_it_to_the_store_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.engine.recorder.BATCH_SECONDS", 600)
    sink, end = Sink(), StageFinished(stage="s", status="done")
    with Recorder(sink, lambda: BEAT, beat_seconds=600) as recorder:
        recorder.emit(metrics(1))
        recorder.emit(end)
        deadline = time.monotonic() + 20
        while end not in sink.events:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert sink.events == [metrics(1), end]


def test_that_a_metric_is_written_soon_without_any_other_event() -> None:
    sink = Sink()
    with Recorder(sink, lambda: BEAT, beat_seconds=600) as recorder:
        recorder.flush()
        recorder.emit(metrics(1))
        deadline = time.monotonic() + 20
        while not sink.events:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_that_the_heart_beats_while_nothing_happens() -> None:
    sink = Sink()
    with Recorder(sink, lambda: BEAT, beat_seconds=0.05):
        time.sleep(0.5)
    beats = sum(event == BEAT for batch in sink.batches for event in batch)
    assert 2 <= beats <= 12


def test_that_events_of_several_threads_are_taken() -> None:
    sink = Sink()
    with Recorder(sink, lambda: BEAT) as recorder:
        threads = [
            threading.Thread(target=lambda: [recorder.emit(metrics(i)) for i in range(100)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sink.events) == 400


def test_that_a_store_that_cannot_write_is_noticed_by_the_next_event() -> None:
    def full(events: Sequence[Event]) -> None:
        raise OSError(28, "No space left on device")

    def record() -> None:
        with Recorder(full, lambda: BEAT) as recorder:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                recorder.emit(metrics(1))
                time.sleep(0.01)
            pytest.fail("the failure was not raised")

    with pytest.raises(OSError, match="No space"):
        record()


def test_that_a_listener_hears_each_event_in_the_emitting_thread() -> None:
    heard: list[tuple[Event, int]] = []
    with Recorder(
        Sink(), lambda: BEAT, on_event=lambda event: heard.append((event, threading.get_ident()))
    ) as recorder:
        recorder.emit(metrics(1))
    assert heard == [(metrics(1), threading.get_ident())]
