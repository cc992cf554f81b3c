"""`compare` and `geometry` on hand-made logs: pairs, refusals, JSON, fits."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest

from app import cli
from core.analysis.paired_proportions import mcnemar, paired_difference
from core.analysis.statistics import holm
from core.events import (
    CkaMeasured,
    EvaluatedItem,
    Event,
    ItemsEvaluated,
    RunStarted,
    TaskEvaluated,
)
from core.store.home import Home
from core.store.store import Store
from tests.app.test_viewmodels_run import RECIPE, STAGES

Flags = Sequence[int]


def measured(
    subject: str, flags: Flags, task: str = "tooluse", *, protocol: str = "p", groups: int = 0,
    keep: bool = True, **parts: str,
) -> list[Event]:  # fmt: skip
    """One finished evaluation: its items in two batches, then its score."""
    items = tuple(
        EvaluatedItem(
            item=f"{task}-{place}",
            correct=bool(flag),
            score=float(flag),
            group=f"tool {place % groups}" if groups else "",
        )
        for place, flag in enumerate(flags)
    )
    stage, half = f"{subject}.evaluate", len(items) // 2
    batches: list[Event] = [
        ItemsEvaluated(stage=stage, subject=subject, task=task, items=part)
        for part in (items[:half], items[half:])
    ]
    score = TaskEvaluated(
        stage=stage, subject=subject, checkpoint=f"{subject:0<64}", task=task, n=len(flags),
        correct=sum(flags), protocol=protocol, scorer="tooluse_official_v1", dataset="dddd", seed=7,
        protocol_parts=parts,
    )  # fmt: skip
    return [*(batches if keep else []), score]


def flags(right: int, n: int, start: int = 0) -> list[int]:
    return [int(start <= place < start + right) for place in range(n)]


BASE, NF4, BACK = flags(80, 100), flags(30, 100), flags(60, 100)


class Line:
    """The command line over runs that hold these events."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def add(self, name: str, *events: Event, base: str = "b") -> str:
        home = Home.default()
        home.create()
        with Store.open(home.database) as store:
            uid = store.queue_run(
                RECIPE.model_dump_json(by_alias=True), name=name, seed=7, base=base
            )
            started = RunStarted(session=1, stages=STAGES, environment={})
            store.record(uid, [started, *events])
        return uid

    def __call__(self, *arguments: str) -> tuple[int, str]:
        def never(*_: object) -> Any:
            raise AssertionError("nothing is executed here")

        self._capsys.readouterr()
        code = cli.main(cli.build(never, never, lambda: False), arguments)
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def json(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        code, out = self(*arguments, "--json")
        return code, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(capsys)


def test_that_one_run_is_compared_with_itself_in_three_pairs(line: Line) -> None:
    uid = line.add("r", *measured("base", BASE), *measured("nf4", NF4), *measured("back", BACK))
    code, found = line.json("compare", uid)
    assert code == 0
    assert [(it["before"]["stage"], it["after"]["stage"]) for it in found] == [
        ("base", "nf4"), ("nf4", "back"), ("base", "back"),
    ]  # fmt: skip
    gained = found[1]
    assert (gained["lost"], gained["gained"], gained["n"]) == (0, 30, 100)
    assert (gained["delta_low"], gained["delta_high"]) == paired_difference(0, 30, 100)
    assert gained["mcnemar_p"] == mcnemar(0, 30).p
    assert gained["holm_p"] == gained["mcnemar_mid_p"] == mcnemar(0, 30).mid_p
    assert gained["recovered_fraction"] == pytest.approx(0.6)
    assert 0 < gained["recovered_low"] < 0.6 < gained["recovered_high"] < 1
    assert gained["certain"] is True
    assert "recovered_fraction" not in found[0]
    side = gained["after"]
    assert (side["run"], side["dataset"], side["protocol"], side["seed"]) == (uid, "dddd", "p", 7)
    assert side["checkpoint"] == f"{'back':0<64}"


def test_that_the_p_values_are_adjusted_for_the_tasks_of_a_pair_and_their_mean_is_told(
    line: Line,
) -> None:
    uid = line.add(
        "r",
        *measured("base", flags(50, 100)), *measured("nf4", flags(50, 100, start=8)),
        *measured("base", flags(50, 100), "science"), *measured("nf4", flags(41, 100), "science"),
        *measured("base", flags(90, 200), "mmlu"), *measured("nf4", flags(70, 200), "mmlu"),
    )  # fmt: skip
    _, found = line.json("compare", f"{uid}:base", f"{uid}:nf4")
    *tasks, mean = found
    assert [it["task"] for it in tasks] == ["tooluse", "science", "mmlu"]
    assert [it["holm_p"] for it in tasks] == holm([it["mcnemar_mid_p"] for it in tasks])
    assert mean["type"] == "mean_comparison"
    assert mean["delta"] == pytest.approx((0 - 0.09 - 0.1) / 3)
    assert mean["delta_low"] < mean["delta"] < mean["delta_high"]


def test_that_groups_of_items_are_drawn_whole(line: Line) -> None:
    uid = line.add(
        "r", *measured("base", BASE, groups=10), *measured("nf4", flags(64, 100), groups=10)
    )
    _, found = line.json("compare", f"{uid}:base", f"{uid}:nf4")
    assert found[0]["clusters"] == 10


def test_that_two_runs_are_compared_at_what_they_are_judged_by(line: Line) -> None:
    one = line.add("one", *measured("base", BASE), *measured("nf4", NF4), *measured("back", BACK))
    two = line.add("two: again", *measured("base", BASE), *measured("nf4", flags(35, 100)))
    _, found = line.json("compare", one, "two: again")
    assert [it["before"]["stage"] for it in found] == ["back"]
    assert (found[0]["after"]["run"], found[0]["after"]["stage"]) == (two, "nf4")
    code, text = line("compare", "one", f"{two}:base")
    assert code == 0
    assert "one (" in text
    assert "two: again (" in text
    assert "80.0" in text


def test_that_different_protocols_are_refused_by_the_part_that_differs(line: Line) -> None:
    uid = line.add(
        "r",
        *measured("base", BASE, protocol="p1", max_new_tokens="48", scorer="s"),
        *measured("nf4", NF4, protocol="p2", max_new_tokens="64", scorer="s"),
    )
    _, found = line.json("compare", f"{uid}:base", f"{uid}:nf4")
    (only,) = found
    assert (only["reason"], only["differing"]) == ("protocol", {"max_new_tokens": ["48", "64"]})
    assert "delta" not in only
    assert "longest answer 48 and 64" in only["refusal"]
    _, text = line("compare", f"{uid}:base", f"{uid}:nf4")
    assert "different protocols: not comparable (longest answer 48 and 64)" in text


def test_that_other_items_and_unrecorded_items_are_refused(line: Line) -> None:
    one = line.add("one", *measured("base", flags(8, 10)), *measured("nf4", flags(7, 9)))
    _, found = line.json("compare", f"{one}:base", f"{one}:nf4")
    assert (found[0]["reason"], found[0]["only_before"], found[0]["only_after"]) == ("items", 1, 0)
    two = line.add("two", *measured("base", BASE), *measured("nf4", NF4, keep=False))
    _, found = line.json("compare", f"{two}:base", f"{two}:nf4")
    assert found[0]["reason"] == "items_unknown"
    _, text = line("compare", f"{two}:base", f"{two}:nf4")
    assert "does not hold all single items" in text


def test_that_a_small_difference_is_neither_marked_nor_called_preserved(line: Line) -> None:
    uid = line.add("r", *measured("base", flags(50, 97)), *measured("nf4", flags(50, 97, start=3)))
    _, text = line("compare", f"{uid}:base", f"{uid}:nf4")
    assert "unclear" in text
    assert "*" not in text.split("In brackets")[0]
    _, found = line.json("compare", f"{uid}:base", f"{uid}:nf4", "--margin", "20")
    assert (found[0]["equivalence"], found[0]["margin"]) == ("preserved", 0.2)


def test_that_a_loss_that_may_be_none_gets_words_and_no_fraction(line: Line) -> None:
    uid = line.add(
        "r",
        *measured("base", flags(52, 97)), *measured("nf4", flags(50, 97, start=6)),
        *measured("back", flags(51, 97, start=3)),
    )  # fmt: skip
    _, text = line("compare", uid)
    assert "loss within" in text
    _, found = line.json("compare", uid)
    assert found[1]["recovered_defined"] is False
    assert found[1]["recovered_low"] is None  # JSON has no infinity


def test_that_a_checkpoint_alone_or_unknown_is_an_input_error(line: Line) -> None:
    uid = line.add("r", *measured("base", BASE))
    for arguments, said in (
        ((f"{uid}:base",), "needs another checkpoint"),
        ((uid,), "no two scored checkpoints"),
        ((uid, f"{uid}:gone"), "no scored checkpoint gone"),
        ((uid, "nobody"), "No run fits"),
    ):
        code, text = line("compare", *arguments)
        assert code == 2
        assert said in text


def cka(subject: str, value: float, variant: str = "debiased") -> CkaMeasured:
    names = ("embeddings", "block_0", "final_norm")
    return CkaMeasured(
        stage=f"{subject}.cka", subject=subject, reference="base", probe="d", mode="per_sample",
        token="last_prompt", preprocessing="center", variant=variant, rows=names, cols=names,  # type: ignore[arg-type]
        values=(math.nan, value, value), n=64,
    )  # fmt: skip


def checkpoints(line: Line, count: int, variant: str = "debiased") -> None:
    """Runs with two checkpoints each whose loss is the distance plus a little."""
    for place in range(count):
        far = 0.04 * (place + 1)
        near = far / 2.3
        line.add(
            f"run {place}",
            *measured("base", flags(800, 1000)),
            *measured("nf4", flags(800 - round(1000 * far) - place % 2, 1000)),
            *measured("back", flags(800 - round(1000 * near), 1000)),
            cka("nf4", 1 - far, variant),
            cka("back", 1 - near, variant),
        )


def unlike(line: Line) -> None:
    """The checkpoints of `checkpoints` have one identity; make each its own."""
    home = Home.default()
    with Store.open(home.database) as store:
        for row in store.runs():
            score = TaskEvaluated(
                stage="nf4.evaluate", subject="nf4", checkpoint=row.uid, task="tooluse", n=1000,
                correct=row.measured["nf4/tooluse"].correct, protocol="p", scorer="s", dataset="dddd",
                seed=7,
            )  # fmt: skip
            back = score.model_copy(
                update={
                    "stage": "back.evaluate", "subject": "back", "checkpoint": f"{row.uid} back",
                    "correct": row.measured["back/tooluse"].correct,
                }
            )  # fmt: skip
            store.record(row.uid, [score, back])


def test_that_the_fit_names_curve_errors_and_correlation(line: Line) -> None:
    checkpoints(line, 6)
    unlike(line)
    code, found = line.json("geometry")
    (fit,) = found
    assert code == 0
    assert (len(fit["points"]), fit["duplicates"], fit["undefined"]) == (12, 0, 0)
    assert fit["curves"]["linear"]["parameters"]["slope"] == pytest.approx(1.0, abs=0.05)
    assert set(fit["curves"]) == {"linear", "saturating", "logistic"}
    assert fit["foretells"]
    assert fit["curves"][fit["chosen"]]["error"] < fit["no_relation_error"]
    assert fit["band"]["clusters"] == 6
    assert fit["spearman"]["rho"] > 0.95
    point = next(it for it in fit["points"] if it["stage"] == "nf4" and it["name"] == "run 0")
    assert point["distance"] == pytest.approx(0.04)
    assert point["drop"] == pytest.approx(0.04)
    code, text = line("geometry", "--task", "tooluse")
    assert code == 0
    assert "Chosen:" in text
    assert "Spearman" in text
    assert "run 3" in text


def test_that_too_few_checkpoints_give_no_curve_and_the_very_same_ones_count_once(
    line: Line,
) -> None:
    checkpoints(line, 3)
    code, found = line.json("geometry")
    assert code == 1
    assert (len(found[0]["points"]), found[0]["duplicates"]) == (2, 4)
    assert "2 usable checkpoints" in found[0]["refusal"]
    unlike(line)
    code, text = line("geometry", "run 0", "run 1")
    assert code == 1
    assert "No curve: 4 usable checkpoints" in text


def test_that_biased_cka_is_left_out_and_said(line: Line) -> None:
    checkpoints(line, 4, variant="biased")
    code, text = line("geometry")
    assert code == 1
    assert "No checkpoint has both" in text
    assert "8 readings of CKA were left out" in text


def test_that_other_models_are_not_put_together(line: Line) -> None:
    events = [*measured("base", BASE), *measured("nf4", NF4), cka("nf4", 0.8)]
    line.add("one", *events, base="small")
    line.add("two", *events, base="large")
    _, found = line.json("geometry")
    assert sorted(it["base"] for it in found) == ["large", "small"]
