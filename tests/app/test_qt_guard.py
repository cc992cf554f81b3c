from __future__ import annotations

import pytest

from app.qt_guard import CALLS, none_references_lost, refuse_leaking_qt
from core.errors import UserError


def test_that_the_installed_pair_does_not_leak() -> None:
    refuse_leaking_qt()


def test_that_a_pair_that_drops_a_reference_a_call_is_refused_with_a_way_out() -> None:
    with pytest.raises(UserError, match="PySide6") as caught:
        refuse_leaking_qt(lambda: CALLS)
    assert "6.12" in caught.value.hint


def test_that_noise_is_no_leak() -> None:
    refuse_leaking_qt(lambda: 3)
    refuse_leaking_qt(lambda: -40)


def test_that_the_measure_counts_calls() -> None:
    assert abs(none_references_lost(50)) < 50
