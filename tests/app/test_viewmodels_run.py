from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels.run import SLICE_SECONDS, RunViewModel
from core.analysis.recovery import fraction_interval
from core.events import (
    CkaMeasured,
    CompletionSampled,
    EvaluatedItem,
    Event,
    Failure,
    GuardWarning,
    Heartbeat,
    ItemsEvaluated,
    Metrics,
    PlannedStage,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.recipe.plan import plan
from core.recipe.spec import Recipe
from core.store.rows import LoggedEvent, RunRow

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "base": {"name": "smollm2-135m-instruct"},
        "datasets": {"d": {"file": "d.jsonl"}},
        "tasks": {"tooluse": {"scorer": "tooluse_official_v1", "dataset": "d"}},
        "stages": [
            {"id": "nf4", "kind": "quantize"},
            {"id": "back", "kind": "sdft", "dataset": "d", "max_steps": 10},
        ],
        "measure": {"tasks": ["tooluse"], "cka": {"probe": "d"}},
    }
)
STAGES = tuple(step.planned for step in plan(RECIPE))


def row(status: str = "running", **more: object) -> RunRow:
    fields: dict[str, object] = {
        "uid": "u", "name": "r", "status": status, "created": 1.0, "started": 2.0, "ended": None,
        "heartbeat": None, "pid": None, "pid_started": None, "seed": 42, "base": "b",
        "recipe_json": RECIPE.model_dump_json(by_alias=True), "session": 1, "star": 0, "tags": (),
        "notes": "", "failure": "", "failure_message": "", **more,
    }  # fmt: skip
    return RunRow(**fields)  # type: ignore[arg-type]


def started(session: int = 1, stages: tuple[PlannedStage, ...] = STAGES) -> RunStarted:
    return RunStarted(session=session, stages=stages, environment={})


def score(subject: str, correct: int, *, protocol: str = "p", step: int | None = None) -> Event:
    return TaskEvaluated(
        stage=subject, subject=subject, checkpoint=None, task="tooluse", step=step, n=100,
        correct=correct, protocol=protocol, scorer="tooluse_official_v1", dataset="d", seed=1,
    )  # fmt: skip


def cka(subject: str, step: int | None, values: Sequence[float], layout: str = "diagonal") -> Event:
    names = ("embeddings", "block_0", "final_norm")
    return CkaMeasured(
        stage="back", subject=subject, reference="base", probe="d", step=step, mode="per_sample",
        token="last_prompt", preprocessing="center", variant="debiased", layout=layout,  # type: ignore[arg-type]
        rows=names, cols=names, values=tuple(values), null_floor=(0.1, 0.2, 0.3), n=16,
    )  # fmt: skip


def metric(step: int, value: float = 1.0, stage: str = "back") -> Metrics:
    return Metrics(stage=stage, step=step, values={"divergence": value})


def logged(*events: Event) -> list[LoggedEvent]:
    return [LoggedEvent(seq, 1000.0 + seq, event) for seq, event in enumerate(events, 1)]


def whole_run() -> list[LoggedEvent]:
    completion = CompletionSampled(
        stage="back", step=1, item="i", prompt="p", demonstration="d", tokens=("a", "b"),
        divergence=(None, 0.5), kl=0.5, teacher_top1_agreement=0.5, ended=True,
    )  # fmt: skip
    return logged(
        started(),
        StageStarted(stage="base", device="cpu", dtype="float32"),
        StageFinished(stage="base", status="done", seconds=2),
        score("base", 60),
        StageFinished(stage="nf4", status="done", reused=True),
        score("nf4", 40),
        cka("nf4", None, [1.0, 0.9, 0.8]),
        StageStarted(stage="back"),
        *(metric(step, 1 / step) for step in range(1, 11)),
        score("back", 45, step=5),
        cka("back", 0, [1.0, 0.5, 0.5]),
        cka("back", 5, [1.0, 0.7, 0.6]),
        completion,
        GuardWarning(stage="back", code="entropy_collapse", step=7, values={"entropy": 0.1}),
        StageFinished(stage="back", status="done", seconds=30),
        score("back", 55),
        cka("back", None, [1.0, 0.95, 0.9]),
        RunFinished(status="done", seconds=40),
    )


def state(model: RunViewModel) -> list[object]:
    """Everything a view reads, comparable."""
    live = model.cka_live()
    assert live is not None
    return [
        model.stages(), model.stages(implied=True), model.score_table(), model.log(), model.guards(),
        model.marks(), model.completions(), model.available_keys(), live.values.tolist(), live.cols,
        [(s.stage, s.x.tolist(), s.y.tolist()) for s in model.series("divergence")],
        [(b.x.tolist(), b.low.tolist()) for b in model.accuracy()["tooluse"]],
        [(p.subject, p.y.tolist()) for p in model.cka_profile()],
    ]  # fmt: skip


def test_that_an_old_run_and_one_watched_live_look_the_same(qtbot: QtBot) -> None:
    events = whole_run()
    old, live, fed = RunViewModel("u"), RunViewModel("u"), RunViewModel("u")
    for model in (old, live, fed):
        model.describe(row("done"))
    old.apply(events)
    for event in events:
        live.apply([event])
    fed.feed(events)
    with qtbot.waitSignal(fed.loadedChanged, timeout=2000):
        fed.caught_up()
    assert state(old) == state(live) == state(fed)


def test_that_each_changed_signal_comes_once_an_apply(qtbot: QtBot) -> None:
    model = RunViewModel("u")
    counts: dict[str, int] = {}
    for name in ("seriesChanged", "stagesChanged", "scoresChanged", "ckaChanged", "logChanged"):
        getattr(model, name).connect(
            lambda name=name: counts.update({name: counts.get(name, 0) + 1})
        )
    model.apply(whole_run())
    assert counts == dict.fromkeys(counts, 1)
    assert len(counts) == 5


def test_that_a_batch_of_metrics_touches_only_what_shows_metrics(qtbot: QtBot) -> None:
    model = RunViewModel("u")
    model.apply(logged(started()))
    with qtbot.assertNotEmitted(model.ckaChanged), qtbot.assertNotEmitted(model.stagesChanged):
        model.apply(logged(metric(1)))


def test_that_curves_do_not_run_backwards_after_a_resume() -> None:
    model = RunViewModel("u")
    model.apply(logged(started(), *(metric(step, 1.0) for step in range(1, 9))))
    before = model.series("divergence")[0]
    model.apply(logged(started(2), metric(5, 9.0), metric(6, 9.0)))
    (series,) = model.series("divergence")
    assert series.x.tolist() == [1, 2, 3, 4, 5, 6]
    assert series.y.tolist() == [1, 1, 1, 1, 9, 9]
    assert before.y.tolist() == [1.0] * 8  # what a view still holds does not change under it


def test_that_a_hundred_thousand_steps_stay_cheap() -> None:
    model = RunViewModel("u")
    model.apply(logged(started()))
    events = logged(*(metric(step) for step in range(100_000)))

    def cost(part: list[LoggedEvent]) -> float:
        start = time.process_time()
        model.apply(part)
        return time.process_time() - start

    first, _, last = cost(events[:20_000]), cost(events[20_000:80_000]), cost(events[80_000:])
    assert last < 3 * first + 0.1  # amortised: the length so far does not matter
    assert len(model.series("divergence")[0].x) == 100_000


def test_that_fed_events_are_applied_in_slices_between_which_the_window_lives(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RunViewModel("u")
    slices: list[int] = []
    model.consumed.connect(slices.append)
    clock = iter(
        np.arange(0.0, 1000.0, SLICE_SECONDS / 2)
    )  # each look at the clock costs half a slice
    monkeypatch.setattr("app.viewmodels.run.time.perf_counter", lambda: float(next(clock)))
    model.feed(logged(started(), *(metric(step) for step in range(999))))
    with qtbot.waitSignal(model.loadedChanged, timeout=5000):
        model.caught_up()
    assert sum(slices) == 1000
    assert max(slices) <= 64


def test_that_accuracies_come_in_per_cent_with_wilson_intervals() -> None:
    model = RunViewModel("u")
    model.apply(whole_run())
    (band,) = model.accuracy()["tooluse"]
    assert (band.stage, band.x.tolist(), band.y.tolist()) == ("back", [5.0], [45.0])
    assert band.low[0] == pytest.approx(35.6, abs=0.1)
    assert [(it.stage, it.role, it.value) for it in model.reference_levels("tooluse")] == [
        ("base", "base", 60.0),
        ("nf4", "degraded", 40.0),
        ("back", "recovered", 55.0),
    ]


def test_that_the_table_gives_difference_and_recovered_fraction_within_one_protocol() -> None:
    model = RunViewModel("u")
    model.apply(whole_run())
    table = model.score_table()
    assert [column.key for column in table.columns] == ["base", "nf4", "back"]
    (line,) = table.lines
    assert (line.delta, line.recovered, line.refusal) == ("+15.0", "0.75", "")


def test_that_scores_of_different_protocols_are_not_subtracted() -> None:
    model = RunViewModel("u")
    model.apply(
        logged(started(), score("base", 60), score("nf4", 40), score("back", 55, protocol="q"))
    )
    (line,) = model.score_table().lines
    assert (line.delta, line.recovered) == ("", "")
    assert "protocol" in line.refusal
    assert line.protocol == "several protocols"


def test_that_a_refusal_names_what_differs_between_two_protocols() -> None:
    parts = {"scorer": "tooluse_official_v1", "items": "97", "dataset": "d" * 64}
    changed = {**parts, "items": "507", "dataset": "e" * 64, "max_new_tokens": "8"}

    def of(subject: str, protocol: str, by: dict[str, str]) -> Event:
        known = score(subject, 50, protocol=protocol)
        return known.model_copy(update={"protocol_parts": by})

    model = RunViewModel("u")
    model.apply(logged(started(), of("nf4", "p", parts), of("back", "q", changed)))
    assert model.score_table().lines[0].refusal == (
        "different protocols: not comparable (scored items 97 and 507; dataset dddddddd and eeeeeeee; "
        "longest answer \N{EN DASH} and 8)"
    )
    model.apply(
        logged(of("back", "p", parts), of("base", "q", {**parts, "scorer": "tooluse_strict_v1"}))
    )
    (line,) = model.score_table().lines
    assert line.delta
    assert line.refusal == (
        "the base was measured by another protocol (scorer strict v1 and official v1)"
    )


def test_that_other_readings_of_the_same_answers_stand_beside_the_score() -> None:
    values = {"strict_accuracy": 0.402, "lenient_accuracy": 0.5, "mean_completion_tokens": 31.4}
    model = RunViewModel("u")
    model.apply(logged(started(), score("nf4", 40).model_copy(update={"values": values})))
    (line,) = model.score_table().lines
    cell = line.cells[1]
    assert cell is not None
    assert cell.beside == (("strict", "40.2 %"), ("lenient", "50 %"), ("tokens an answer", "31.4"))
    for share, told in ((0.0, ()), (0.02, (("longer than the model reads", "2 %"),))):
        cut = score("nf4", 40).model_copy(update={"values": {"cut_rate": share}})
        model.apply(logged(cut))
        (line,) = model.score_table().lines
        assert line.cells[1] is not None
        assert line.cells[1].beside == told


def test_that_nothing_lost_is_said_instead_of_a_fraction() -> None:
    model = RunViewModel("u")
    model.apply(logged(started(), score("base", 40), score("nf4", 40), score("back", 55)))
    assert model.score_table().lines[0].recovered == "nothing lost"


def test_that_live_cka_is_layers_by_steps_and_survives_a_repeated_step() -> None:
    model = RunViewModel("u")
    model.apply(
        logged(
            started(),
            cka("back", 0, [1.0, 0.5, 0.25]),
            cka("back", 2, [1.0, 0.6, 0.3]),
            cka("back", 4, [1.0, 0.9, 0.9]),
            cka("back", 2, [1, 0, 0, 0, 0.7, 0, 0, 0, 0.4], layout="map"),
        )
    )
    live = model.cka_live()
    assert live is not None
    assert live.cols == ("0", "2")
    assert live.rows == ("embed", "0", "norm")
    assert live.values.tolist() == [[1.0, 1.0], [0.5, 0.7], [0.25, 0.4]]
    assert (live.low, live.high) == (0.25, 1.0)
    assert model.cka_steps("back") == (2,)
    at_two = model.cka_map("back", 2)
    assert at_two is not None
    assert at_two.values[1, 1] == pytest.approx(0.7)
    assert model.cka_map("back", 0) is None


def test_that_profiles_carry_the_null_floor_and_how_they_were_measured() -> None:
    model = RunViewModel("u")
    model.apply(whole_run())
    nf4, back = model.cka_profile()
    assert (nf4.role, back.role) == ("degraded", "recovered")
    assert nf4.floor.tolist() == [0.1, 0.2, 0.3]
    assert "debiased" in nf4.caption
    assert "16 items of d" in nf4.caption


def test_that_a_measurement_shows_on_the_card_of_its_checkpoint() -> None:
    model = RunViewModel("u")
    model.describe(row())
    model.apply(
        logged(
            started(),
            StageFinished(stage="base", status="done"),
            StageStarted(stage="base.evaluate"),
            Progress(stage="base.evaluate", done=12, total=40, unit="item", rate=2.0, eta=14.0),
        )
    )
    base, nf4, _ = model.stages()
    assert (base.status, base.headline, base.fraction) == ("running", "scoring item 12 / 40", 0.3)
    assert "14 s left" in base.detail
    assert nf4.status == "waiting"
    assert model.eta_text == "base.evaluate: item 12 / 40, 14 s left"
    assert [card.id for card in model.stages(implied=True)] == [stage.id for stage in STAGES]


def test_that_the_strip_stands_before_the_worker_has_planned() -> None:
    model = RunViewModel("u")
    model.describe(row("queued"))
    assert [(card.id, card.status) for card in model.stages()] == [
        ("base", "waiting"),
        ("nf4", "waiting"),
        ("back", "waiting"),
    ]
    assert model.facts == ("seed 42", "teacher base", "official v1")
    assert (model.can_stop, model.can_resume) == (False, True)


def test_that_a_resumed_run_keeps_the_cards_of_what_was_finished() -> None:
    model = RunViewModel("u")
    model.describe(row())
    model.apply(
        logged(
            started(),
            StageFinished(stage="base", status="done"),
            StageFinished(stage="nf4", status="done"),
            StageStarted(stage="back"),
            Progress(stage="back", done=4, total=10, unit="step"),
            started(2),
        )
    )
    assert [card.status for card in model.stages()] == ["done", "done", "waiting"]
    assert [card.fraction for card in model.stages()] == [1.0, 1.0, 0.0]


def test_that_a_list_read_before_the_worker_began_does_not_call_its_run_queued() -> None:
    model = RunViewModel("u")
    model.describe(row("queued"))
    model.set_phase("starting")
    model.describe(row("queued"))
    assert model.state == "starting"
    model.set_phase("running")
    model.describe(row("queued", name="renamed"))
    assert (model.state, model.name) == ("running", "renamed")
    model.ended("done")
    model.set_phase("ended")
    model.describe(row("stopped"))
    assert model.state == "stopped"


def test_that_a_run_whose_end_was_told_before_its_last_events_does_not_look_alive(
    qtbot: QtBot,
) -> None:
    model = RunViewModel("u")
    model.describe(row("running"))
    model.caught_up()
    qtbot.waitUntil(lambda: model.loaded)
    model.ended("interrupted")
    with qtbot.waitSignal(model.stagesChanged, timeout=2000):
        model.feed(logged(StageStarted(stage="back"), metric(1)))
    qtbot.waitUntil(lambda: "stopped" in [it.status for it in model._fold.strip._states.values()])


def test_that_an_interrupted_run_does_not_look_alive_after_its_log_was_read(qtbot: QtBot) -> None:
    model = RunViewModel("u")
    model.describe(row("interrupted", failure="lost", failure_message="gone"))
    model.feed(logged(started(), StageStarted(stage="back"), metric(1)))
    with qtbot.waitSignal(model.loadedChanged, timeout=2000):
        model.caught_up()
    assert model.status == "interrupted"
    assert [card.status for card in model.stages()] == ["waiting", "waiting", "stopped"]
    assert (model.can_stop, model.can_resume) == (False, True)
    assert model.failure == ("gone", "Resume goes on from what it saved last.")


def test_that_a_failed_run_names_its_class_and_the_way_out(qtbot: QtBot) -> None:
    model = RunViewModel("u")
    model.describe(row("failed", failure="out_of_memory", failure_message="Too large. Halve it."))
    failure = Failure(failure="out_of_memory", message="Too large.", hint="Halve it.")
    model.apply(
        logged(
            started(),
            StageStarted(stage="back"),
            RunFinished(status="failed", seconds=1, failure=failure),
        )
    )
    assert model.status_text == "failed: out of memory"
    assert model.failure == ("Too large.", "Halve it.")
    assert model.stages()[2].status == "failed"
    assert model.log()[-1].level == "error"


def test_that_guards_show_now_start_and_limit() -> None:
    model = RunViewModel("u")
    steps = [
        Metrics(stage="back", step=step, values={"completion_length": length, "entropy": 0.9})
        for step, length in ((1, 60.0), (2, 10.0))
    ]
    model.apply(logged(started(), *steps))
    length, entropy = model.guards()
    assert (length.now, length.start, length.bad) == ("10", "60", True)
    assert (entropy.now, entropy.bad) == ("0.9", False)


def test_that_values_that_are_no_numbers_stay_gaps_and_do_not_hide_the_last_one() -> None:
    model = RunViewModel("u")
    model.apply(
        logged(
            started(),
            Metrics(stage="back", step=1, values={"entropy": 0.9}),
            Metrics(stage="back", step=2, values={"entropy": math.nan}),
        )
    )
    assert math.isnan(model.series("entropy")[0].y[1])
    assert model.guards()[0].now == "0.9"


def test_that_warnings_stand_on_the_chart_where_they_happened() -> None:
    model = RunViewModel("u")
    model.apply(whole_run())
    (mark,) = model.marks()
    assert (mark.stage, mark.step) == ("back", 7)
    assert "entropy" in mark.text


def test_that_a_repeated_step_takes_the_maps_after_it_away() -> None:
    model = RunViewModel("u")
    whole = [0.1 * at for at in range(9)]
    model.apply(logged(started(), *(cka("back", step, whole, "map") for step in (0, 5, 10, 15))))
    assert model.cka_steps("back") == (0, 5, 10, 15)
    model.apply(logged(cka("back", 5, whole[::-1], "map")))
    assert model.cka_steps("back") == (0, 5)
    again = model.cka_map("back", 5)
    assert again is not None
    assert again.values[0, 0] == pytest.approx(0.8)


def test_that_step_nought_stands_at_no_tokens() -> None:
    model = RunViewModel("u")
    steps = (Metrics(stage="back", step=it, tokens=100 * it, values={"loss": 1.0}) for it in (1, 2))
    model.apply(logged(started(), *steps))
    assert model.along("tokens", "back", np.array([0.0, 0.5, 2.0])).tolist() == [0.0, 50.0, 200.0]


def test_that_the_headline_is_the_recovery_by_sdft_also_where_sft_came_last() -> None:
    arm = {"kind": "sft", "role": "recovered", "source": "nf4"}
    stages = (*STAGES, STAGES[-1].model_copy(update={"id": "plain", **arm}))
    model = RunViewModel("u")
    scores = [score(*it) for it in (("base", 60), ("nf4", 40), ("back", 55), ("plain", 41))]
    model.apply(logged(started(stages=stages), *scores))
    table = model.score_table()
    assert (table.judged, table.delta_title) == ("back", "back \N{MINUS SIGN} nf4")
    assert table.lines[0].delta == "+15.0"
    alone = RunViewModel("v")
    alone.apply(logged(started(), *scores[:3]))
    assert alone.score_table().judged == ""


def test_that_what_comes_with_every_measurement_is_no_mark_and_no_breach() -> None:
    model = RunViewModel("u")
    told = GuardWarning(stage="back", code="sink_tokens_dropped", step=10, values={"dropped": 64})
    model.apply(logged(started(), StageStarted(stage="back"), metric(1), told))
    assert model.marks() == ()
    (row_,) = [it for it in model.guards() if it.signal == "sink tokens dropped"]
    assert (row_.bad, row_.step) == (False, 10)


def test_that_heartbeats_say_what_the_worker_takes() -> None:
    model = RunViewModel("u")
    model.describe(row())
    model.apply(logged(started(), Heartbeat(rss=2**30)))
    assert model.memory_text == "worker 1.0 GiB"


def test_that_a_reset_forgets_everything_but_the_name(qtbot: QtBot) -> None:
    model = RunViewModel("u")
    model.describe(row())
    model.apply(whole_run())
    model.reset()
    assert model.name == "r"
    assert (model.available_keys(), list(model.log()), model.loaded) == ((), [], False)


def _answered(subject: str, right: range, n: int = 100) -> Event:
    items = tuple(
        EvaluatedItem(item=f"i{place}", correct=place in right, score=float(place in right))
        for place in range(n)
    )
    return ItemsEvaluated(stage=subject, subject=subject, task="tooluse", items=items)


def test_that_a_difference_of_known_items_is_told_as_pairs() -> None:
    model = RunViewModel("u")
    batches = [
        _answered("base", range(60)),
        _answered("nf4", range(40)),
        _answered("back", range(55)),
    ]
    model.apply(logged(started(), *batches, score("base", 60), score("nf4", 40), score("back", 55)))
    (line,) = model.score_table().lines
    assert (line.delta, line.recovered, line.certain) == ("+15.0", "0.75", True)
    assert "Paired 95 % interval +9.3 to +23.3" in line.rests_on  # Wilson's of 15 in 100
    assert "0 of 100 items lost, 15 gained, McNemar mid-p < 0.001" in line.rests_on
    assert "differences from" in line.rests_on
    flags = [[place < right for place in range(100)] for right in (60, 40, 55)]
    found = fraction_interval(*flags)
    assert f"interval of the fraction {found.low:.2f} to {found.high:.2f}, item by item" in line.why


def test_that_a_difference_below_what_the_items_show_is_not_certain() -> None:
    model = RunViewModel("u")
    batches = [_answered("nf4", range(50)), _answered("back", range(5, 60))]
    model.apply(logged(started(), *batches, score("nf4", 50), score("back", 55)))
    (line,) = model.score_table().lines
    assert (line.delta, line.certain) == ("+5.0", False)
    assert "5 of 100 items lost, 10 gained" in line.rests_on


def test_that_items_that_do_not_add_up_to_the_score_are_not_used() -> None:
    model = RunViewModel("u")
    batches = [_answered("nf4", range(50)), _answered("back", range(55), n=80)]
    model.apply(logged(started(), *batches, score("nf4", 50), score("back", 55)))
    (line,) = model.score_table().lines
    assert "as if the two had answered different items" in line.rests_on
    assert not line.certain


def test_that_live_items_are_no_finished_checkpoints() -> None:
    model = RunViewModel("u")
    live = _answered("back", range(55)).model_copy(update={"step": 5})
    model.apply(
        logged(started(), _answered("nf4", range(50)), live, score("nf4", 50), score("back", 55))
    )
    assert "as if the two" in model.score_table().lines[0].rests_on
