"""What a CKA measurement shows: band, caption, and its line in the log."""

from __future__ import annotations

import math
from typing import Any

import pytest

from app.viewmodels.guard_words import guard, guard_now
from app.viewmodels.run import RunViewModel
from app.viewmodels.similarity import Similarity, told
from app.viewmodels.types import Profile
from core.events import CkaMeasured
from core.store.rows import LoggedEvent

NAMES = ("embeddings", "block_0", "final_norm")


def compared(**fields: Any) -> CkaMeasured:
    """A measurement as an earlier version reported it, and whatever else is given."""
    plain: dict[str, Any] = {
        "stage": "nf4.cka", "subject": "nf4", "reference": "base", "probe": "d", "mode": "per_sample",
        "token": "last_prompt", "preprocessing": "center", "variant": "debiased", "rows": NAMES,
        "cols": NAMES, "values": (1.0, 0.9, 0.8), "null_floor": (0.1, 0.2, 0.3), "n": 16,
    }  # fmt: skip
    return CkaMeasured(**{**plain, **fields})


def profile_of(event: CkaMeasured) -> Profile:
    fold = Similarity()
    fold.add(event)
    (profile,) = fold.profiles({})
    return profile


def test_that_a_profile_has_its_interval_as_the_band_and_says_so() -> None:
    profile = profile_of(
        compared(low=(1.0, 0.85, math.nan), high=(1.0, 0.93, math.nan), spread=(0.5, 0.5, 0.5))
    )
    assert profile.low.tolist() == [1.0, 0.85, 0.8]
    assert profile.high.tolist() == [1.0, 0.93, 0.8]
    assert profile.caption.endswith(" · 95 % interval")


def test_that_a_profile_without_an_interval_has_the_spread_over_sequences_or_nothing() -> None:
    spread = profile_of(compared(spread=(0.0, 0.1, 0.2)))
    assert spread.low.tolist() == pytest.approx([1.0, 0.85, 0.7])
    assert spread.caption.endswith("middle half of the sequences")
    plain = profile_of(compared())
    assert plain.low.tolist() == plain.high.tolist() == plain.y.tolist()
    assert "interval" not in plain.caption


def test_that_the_log_tells_the_last_layer_with_its_interval_and_what_other_measures_say() -> None:
    event = compared(
        low=(1.0, 0.85, 0.75),
        high=(1.0, 0.93, 0.84),
        null_floor=(0.1, 0.2, 0.5),
        opinions={"procrustes": (1.0, 0.9, 0.97), "mutual_knn": (1.0, 0.9, math.nan)},
        probe_kl=0.125,
    )
    model = RunViewModel("u")
    model.apply([LoggedEvent(1, 1000.0, event)])
    line = model.log()[-1].text
    assert line == (
        "nf4: CKA against base measured on 16 items: final norm 0.8000 (95 % interval 0.7500 to 0.8400, "
        "0.6000 above chance); Procrustes 0.9700, mutual nearest neighbours \N{EN DASH}; next-token KL 0.125 nats."
    )


def test_that_the_log_tells_no_more_than_an_older_measurement_has() -> None:
    assert told(compared(null_floor=())) == "final norm 0.8000"
    assert told(compared(values=(1.0, 0.9, math.nan))) == ""


def test_that_a_map_tells_the_functional_measure_beside_it() -> None:
    fold = Similarity()
    fold.add(compared(layout="map", values=tuple(1 - i / 20 for i in range(9)), probe_kl=0.125))
    fold.add(compared(subject="back", step=3, probe_kl=0.25))
    (entry,) = fold.maps({})
    assert entry.heatmap.caption.endswith("next-token KL 0.125 nats")
    live = fold.live("back")
    assert live is not None
    assert live.caption.endswith("next-token KL 0.25 nats")
    assert all("KL" not in how for _, how in fold.captions())


def test_that_the_budget_and_the_overlap_of_the_probe_are_told_in_sentences() -> None:
    values = {
        "every_steps": 10, "interval": 40, "next_step": 80, "measurement_seconds": 2.0,
        "step_seconds": 0.5, "reference_seconds": 3.0,
    }  # fmt: skip
    text = guard("probe_budget", values)
    assert "raise max_share for more" in text
    assert "every 10 steps asked, about every 40 taken, next at step 80" in text
    assert "takes 2 s, a step 0.5 s, and reading the reference took 3 s" in text
    assert guard_now("probe_budget", values) == "every 40 steps"
    assert "that a task scores were left out" in guard("probe_overlap", {"dropped": 4, "kept": 5})
