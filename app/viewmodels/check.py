"""Does a demonstration help this model? Asked before the run, by a short run of its own.

The run is queued like any other and can be watched, stopped and read again; here it is only followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal, SignalInstance

from app.viewmodels import demonstration
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.queueing import Queued
from app.viewmodels.run import RunViewModel
from core.errors import UserError
from core.recipe.checking import checked_stage, demonstration_recipe
from core.recipe.files import resolve_paths
from core.recipe.spec import Recipe

TAG = "check"
ABOUT = (
    "SDFT rests on a teacher that answers better once it is shown a demonstration. The check answers the stage's "
    "held-out items without and with the demonstration, by student and teacher, in a short run of its own."
)
NOTHING_MEASURED = (
    "The check measured nothing: fewer than eight items could be held out. At most a tenth of the dataset "
    "is; train on at least 80 items."
)
ENDED = ("done", "failed", "stopped", "interrupted")


class CheckViewModel(QObject):
    """The check of the recipe being written.

    Args:
        editor: whose recipe is checked.
        queue: queues recipes with tags.
        open_run: the view model of a run.
        stop: asks a run to stop: id, and whether to keep what it has.
    """

    changed = Signal()

    def __init__(
        self,
        editor: NewRunViewModel,
        queue: Callable[[Sequence[Recipe], Sequence[str], Queued], None],
        open_run: Callable[[str], RunViewModel],
        stop: Callable[[str, bool], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._editor = editor
        self._queue = queue
        self._open_run = open_run
        self._stop = stop
        self._run: RunViewModel | None = None
        self._uid = ""
        self._asking = False
        self._of = ""  # the stage's settings that were checked
        self._problem = ""
        editor.changed.connect(self.changed)

    # what a person does

    @property
    def can_start(self) -> bool:
        """The recipe can be used, has a stage to check, and no check is going on."""
        recipe = self._editor.recipe
        return self._editor.can_start and recipe is not None and not self.busy and self._can(recipe)

    def start(self) -> None:
        """Queue the check of the selected SDFT stage, or of the first."""
        recipe = self._editor.recipe
        if recipe is None or not self.can_start:
            return
        wanted = self._wanted()
        short = resolve_paths(demonstration_recipe(recipe, wanted), self._editor.folder)
        self._forget()
        self._of = _fingerprint(recipe, wanted)
        self._asking = True
        self._queue([short], (TAG,), self._queued)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop the check; what it made is discarded."""
        if self._uid and self.busy:
            self._stop(self._uid, False)

    def start_answered(self) -> None:
        """The check was queued, or could not be."""
        self._asking = False
        self.changed.emit()

    # what it comes to

    @property
    def uid(self) -> str:
        """The check's run; "" before one."""
        return self._uid

    @property
    def busy(self) -> bool:
        """A check waits or is going on."""
        return self._asking or (self._run is not None and self._run.status not in ENDED)

    @property
    def progress(self) -> float | None:
        """Finished share 0-1, None while unknown."""
        return self._run.progress if self._run is not None and self.busy else None

    @property
    def result(self) -> demonstration.Check | None:
        """The verdict with its numbers; None before there is one."""
        found = self._run.demonstrations() if self._run is not None else ()
        return found[0] if found else None

    @property
    def is_stale(self) -> bool:
        """The recipe has changed since in what was checked."""
        recipe = self._editor.recipe
        if self.result is None or recipe is None or not self._can(recipe):
            return False
        return _fingerprint(recipe, self.result.stage) != self._of

    @property
    def text(self) -> str:
        """How far it is, or what became of it."""
        if self._asking:
            return "Queueing the check…"
        if self._run is None:
            return self._why_not() or ABOUT
        if self.busy:
            waiting = "The check waits for its device." if self._run.status == "queued" else ""
            return waiting or self._run.eta_text or "Starting…"
        if self.result is not None:
            return ""
        message, hint = self._run.failure
        if message:
            return f"{message} {hint}".strip()
        return NOTHING_MEASURED if self._run.status == "done" else "The check was stopped."

    # inside

    def _why_not(self) -> str:
        recipe = self._editor.recipe
        if recipe is None or not self._editor.can_start:
            return "The recipe has problems; once they are mended it can be checked."
        try:
            checked_stage(recipe, self._wanted())
        except UserError as error:
            return str(error)
        return ""

    def _can(self, recipe: Recipe) -> bool:
        return any(spec.kind == "sdft" for spec in recipe.stages)

    def _wanted(self) -> str:
        selected = self._editor.selected
        return self._editor.cards()[int(selected) + 1].id if selected.isdecimal() else ""

    def _queued(self, uids: tuple[str, ...]) -> None:
        if uids:
            self._uid = uids[0]
            self._run = self._open_run(self._uid)
            for signal in self._signals(self._run):
                signal.connect(self.changed)
        self.start_answered()

    def _forget(self) -> None:
        if self._run is not None:
            for signal in self._signals(self._run):
                signal.disconnect(self.changed)
        self._run, self._uid = None, ""

    @staticmethod
    def _signals(run: RunViewModel) -> tuple[SignalInstance, ...]:
        return (run.headerChanged, run.stagesChanged, run.seriesChanged, run.guardsChanged)


def _fingerprint(recipe: Recipe, wanted: str) -> str:
    """What the check depends on."""
    return demonstration_recipe(recipe, wanted).model_copy(update={"name": ""}).model_dump_json()
