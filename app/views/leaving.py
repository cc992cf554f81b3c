"""What becomes of work when a window goes: runs as the person says, or has said in the settings; jobs end."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from app.settings import Closing
from app.viewmodels.application import Application


def may_leave(
    window: QWidget,
    application: Application,
    closing: Closing,
    ask: Callable[[QWidget, int], str],
    confirm: Callable[[QWidget, str, str, str], bool],
) -> bool:
    """Whether the window may go; runs that are to stop have been asked to.

    Args:
        window: parent of the question.
        application: knows what runs.
        closing: what the settings say; "ask" asks.
        ask: asks about so many runs; "keep", "stop" or "cancel".
        confirm: asks before work on models is ended.
    """
    loss = application.jobs.loss
    if loss and not confirm(window, "End the work on models?", loss, "Close"):
        return False
    running = [run for run in application.active() if run.status == "running"]
    if not running:
        return True
    answer = ask(window, len(running)) if closing == "ask" else closing
    if answer == "stop":
        for run in running:
            application.stop(run.uid, True)
    return answer != "cancel"
