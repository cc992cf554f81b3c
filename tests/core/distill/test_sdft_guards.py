"""When a training deserves a look."""

from __future__ import annotations

import json

import pytest

from core.distill.guards import Guards, has_artefact


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Based on the example, I call", True),
        ("I do it AS IN THE EXAMPLE above", True),
        ("Following the example response", True),
        ("An example: based on the weather", False),
        ("", False),
    ],
)
def test_that_phrases_about_the_example_are_found(text: str, found: bool) -> None:
    assert has_artefact(text) is found


def codes(guards: Guards, artefacts: int, truncated: int, entropy: float | None) -> list[str]:
    """One step of four completions."""
    flags = [[place < count for place in range(4)] for count in (artefacts, truncated)]
    return [code for code, _ in guards.observe(flags[0], flags[1], entropy)]


def test_that_a_rate_is_judged_over_several_steps_and_reported_once() -> None:
    guards = Guards()

    assert codes(guards, 1, 4, 2.0) == []  # four completions say too little
    assert codes(guards, 1, 4, 2.0) == ["artefact_phrases", "truncated_completions"]
    assert codes(guards, 1, 4, 2.0) == []


def test_that_good_completions_are_no_reason_to_look() -> None:
    guards = Guards()

    assert [codes(guards, 0, 2, 2.0) for _ in range(20)] == [[]] * 20


def test_that_a_lasting_fall_of_the_entropy_is_a_collapse_and_a_dip_is_not() -> None:
    guards = Guards()
    for _ in range(5):
        assert codes(guards, 0, 0, 2.0) == []

    found = [codes(guards, 0, 0, entropy) for entropy in (0.5, 0.5, 1.9, 0.5, None, 0.5, 0.5, 0.5)]

    assert found == [[], [], [], [], [], [], ["entropy_collapse"], []]


def test_that_a_resumed_training_goes_on_watching() -> None:
    guards = Guards()
    codes(guards, 1, 4, 2.0)
    again = Guards.from_json(json.loads(json.dumps(guards.to_json())))

    assert codes(again, 1, 4, 2.0) == codes(guards, 1, 4, 2.0) != []
    third = Guards.from_json(json.loads(json.dumps(again.to_json())))
    assert codes(third, 1, 4, 2.0) == []
