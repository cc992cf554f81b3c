"""What the window says of changes to runs, with the button that takes them back."""

from __future__ import annotations

from app.viewmodels.application import Application
from app.widgets.messages import Notice


def connect(notice: Notice, application: Application) -> None:
    """Let a notice tell what was changed and undone, and that runs wait from the last time."""
    edits, queue = application.edits, application.queue
    waits: list[
        str
    ] = []  # what was said of runs that wait; not true any more once the queue goes on

    def changed(words: str) -> None:
        notice.tell("info", words)
        notice.offer("Undo", edits.undo)

    def go_on() -> None:
        notice.hide()
        queue.pause(False)

    def found(count: int) -> None:
        what = "One run waits" if count == 1 else f"{count} runs wait"
        notice.tell("info", f"{what} from the last time; the queue is paused.")
        notice.offer("Continue the queue", go_on)
        waits.append(notice.accessibleName())

    def queue_changed() -> None:
        if waits and not queue.paused:
            if notice.accessibleName() == waits[-1]:
                notice.hide()
            waits.clear()

    edits.done.connect(changed)
    edits.undone.connect(lambda words: notice.tell("info", f"Taken back: {words}"))
    queue.found.connect(found)
    queue.changed.connect(queue_changed)
