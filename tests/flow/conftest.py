"""The flows are guarded against leaks as the window's tests are."""

from __future__ import annotations

from tests.helpers.leaks import nothing_leaks

__all__ = ["nothing_leaks"]
