"""The two kinds of error: one that its reader can mend, and one that is ours.

A `UserError` comes from what a person gave us (a file, a recipe, a machine); it says what happened and
what to do. Everything else is a defect and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """Something in the user's input or machine stops the work.

    Args:
        message: what happened, one sentence, no blame.
        hint: what to do about it, one sentence.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class OutOfMemory(UserError):
    """Host or device memory ran out; the hint names the fields that lower the demand."""


class Diverged(UserError):
    """Training produced a loss that is not a number; the step and its inputs are kept."""


class BugError(Exception):
    """An invariant of ours does not hold."""


class StopRequested(Exception):
    """Raised inside a stage when a person asked the run to stop.

    Args:
        keep: True for "Stop and save", False for "Discard".
    """

    def __init__(self, keep: bool = True) -> None:
        super().__init__("stop requested")
        self.keep = keep
