"""The words around a number: its origin, its fraction, the letter of its run."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.viewmodels.labels import letter, shortened
from app.viewmodels.provenance import dataset_part, protocol_part, provenance, run_part
from app.viewmodels.recovered import judge


@dataclass(frozen=True)
class Score:
    correct: int
    n: int = 100


def test_that_the_origin_has_one_line_a_part_and_none_for_what_is_not_known() -> None:
    full = provenance(run="r", seed=0, checkpoint="nf4", dataset="d", protocol="p")
    assert full == "run r\ncheckpoint nf4\ndataset d\nprotocol p\nseed 0"
    assert provenance(run="", seed=None, checkpoint="nf4", dataset="", protocol="") == (
        "checkpoint nf4"
    )


def test_that_the_parts_are_short() -> None:
    assert run_part("r", "0123456789abcdef") == "r (01234567)"
    assert dataset_part("held", 14042) == "held · n 14,042"
    assert dataset_part("", 97) == "n 97"
    assert protocol_part("tooluse_official_v1", "f" * 64) == "official v1 · ffffffff"
    assert protocol_part("own", "") == "own"


@pytest.mark.parametrize(
    ("value", "base", "degraded", "text"),
    [
        (0.75, Score(60), Score(40), "0.75"),
        (-0.25, Score(60), Score(40), "\N{MINUS SIGN}0.25"),
        (4.6, Score(29, 97), Score(24, 97), "loss within noise"),
        (1.5, Score(5), Score(1), "loss within noise"),  # 4 points of 100 items
        (1.5, Score(500, 10_000), Score(100, 10_000), "1.50"),  # the same 4 points of 10,000
        (None, Score(40), Score(40), "nothing lost"),
        (0.5, None, Score(40), "0.50"),
    ],
)
def test_that_a_fraction_is_a_number_only_of_a_loss_beyond_noise(
    value: float | None, base: Score | None, degraded: Score, text: str
) -> None:
    found = judge(value, base, degraded)
    assert found.text == text
    assert found.sound == text[-1].isdigit()
    if text == "loss within noise":
        assert f"{value:.2f}" in found.note


def test_that_letters_go_on_after_the_alphabet() -> None:
    assert [letter(place) for place in (0, 25, 26, 53)] == ["A", "Z", "A2", "B3"]


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["fixture · NF4, then SDFT", "fixture · pruned 10 %"], ("NF4, then SDFT", "pruned 10 %")),
        (["nf4 to back, seed 1", "nf4 to back, seed 2"], ("seed 1", "seed 2")),
        (["qwen-nf4-lr1e-4-s-1", "qwen-nf4-lr1e-5-s-1"], ("lr1e-4-s-1", "lr1e-5-s-1")),
        (["qwen_nf4_seed_1", "qwen_nf4_seed_2"], ("seed_1", "seed_2")),
        (
            ["pruned by 45 %, recovered", "pruned by 45 %, recovered (2)"],
            ("45 %, recovered", "45 %, recovered (2)"),
        ),
        (["one", "two"], ("one", "two")),
        (["same", "same"], ("same", "same")),
        (["alone · with a long name"], ("alone · with a long name",)),
        ([], ()),
    ],
)
def test_that_the_words_all_names_begin_with_are_left_out(
    names: list[str], short: tuple[str, ...]
) -> None:
    assert shortened(names) == short
