"""What the recipe being written will need, reckoned by a child process while typing has paused.

The process is started when the first estimate is wanted and somebody looks, answers one recipe after
another, and is ended when nobody has asked for a while. Only the newest recipe is asked about: an answer
to an older one is dropped. Nothing here waits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels import estimate_words, remedies
from app.viewmodels.line_process import LineProcess
from app.viewmodels.recipe_types import NeedLine
from core.engine import estimate_process
from core.engine.estimate import Estimate
from core.errors import UserError
from core.recipe.spec import Recipe
from core.store.home import Home

PAUSE_MS = 600
"""After the last change, before a recipe is asked about."""
IDLE_MS = 60_000
"""After the last answer, before the process (0.9 GB of libraries) is ended; starting it takes seconds."""
ESTIMATING = "estimating memory and time…"
TIMELESS = frozenset(
    {
        "name",
        "notes",
        "seed",
        "learning_rate",
        "weight_decay",
        "warmup_ratio",
        "max_grad_norm",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "distillation_alpha",
        "distillation_clip",
        "cka_weight",
        "lora_alpha",
    }
)
"""Settings on which the forecast of a run's time does not depend."""


def timing_key(recipe: Recipe) -> str:
    """Equal for recipes that take equally long as far as can be foreseen."""
    raw = recipe.model_dump(mode="json", by_alias=True)
    stages = [{k: v for k, v in it.items() if k not in TIMELESS} for it in raw.pop("stages")]
    return json.dumps([{k: v for k, v in raw.items() if k not in TIMELESS}, stages])


class EstimatesViewModel(QObject):
    """The estimate of one recipe at a time.

    Args:
        home: where converted models lie.
    """

    changed = Signal()

    def __init__(self, home: Home, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process = LineProcess(estimate_process.command(home), self)
        self._process.said.connect(self._take)
        self._process.ended.connect(self._ended)
        self._wanted: Recipe | None = None
        self._asked: Recipe | None = None  # no answer has come yet
        self._known: Recipe | None = None  # what the estimate is of
        self._others: list[Recipe] = []  # asked about once the recipe itself is known
        self._times: dict[str, float | None] = {}
        self._watched = False
        self._estimate: Estimate | None = None
        self._error = ""
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._ask)
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self.cancel)

    # what goes in

    def want(self, recipe: Recipe | None) -> None:
        """Take the recipe as it is now; None: it cannot be used, so nothing can be said."""
        if recipe == self._wanted:
            return
        self._wanted, self._error = recipe, ""
        if recipe is None:
            self._estimate = self._known = None
        self._pause.start()
        self.changed.emit()

    def reckon(self, recipes: Sequence[Recipe]) -> None:
        """Find out how long these take, too; `time_of` tells. What was asked for before is forgotten."""
        wanted = {timing_key(it): it for it in recipes}
        self._times = {key: it for key, it in self._times.items() if key in wanted}
        self._others = [it for key, it in wanted.items() if key not in self._times]
        if self._estimate is not None and self._known is not None:
            self._time(self._known, self._estimate.seconds)
        if not self._pause.isActive():
            self._ask()

    @property
    def is_reckoning(self) -> bool:
        """Whether times that were asked for are still to come."""
        return self._watched and (self.busy or self._asked is not None or bool(self._others))

    def is_reckoned(self, recipe: Recipe) -> bool:
        """Whether it was found out how long a recipe takes, or that it cannot be."""
        return timing_key(recipe) in self._times

    def time_of(self, recipe: Recipe) -> float | None:
        """How long a recipe takes, in seconds; None while that is not known."""
        return self._times.get(timing_key(recipe))

    def watch(self, on: bool) -> None:
        """Whether somebody looks: nothing is reckoned before."""
        self._watched = on
        if on:
            self._pause.start()

    def cancel(self) -> None:
        """End the process, whatever it does; it is started again when it is needed."""
        self._asked = None
        self._process.stop()

    def close(self) -> None:
        """The window closes: end the process and wait until it is gone."""
        self._watched = False
        self._pause.stop()
        self._asked = None
        self._process.close()

    # what comes out

    @property
    def busy(self) -> bool:
        """The newest recipe has no answer yet."""
        if self._wanted in (None, self._known) or not self._watched or self._error:
            return False
        return self._asked is not None or self._pause.isActive()

    @property
    def headline(self) -> str:
        """The training stages' estimates in one line; "" while nothing is known."""
        if self._error:
            return self._error
        if self._estimate is None:
            return ESTIMATING if self.busy else ""
        shown = [it for it in self._estimate.stages if it.kind in estimate_words.TRAINING]
        chosen = shown or [it for it in self._estimate.stages if not it.implied]
        return " · ".join(estimate_words.brief(it) for it in chosen)

    @property
    def verdict(self) -> str:
        """The worst of the stages: "too_large", "tight", "fits", or "" where nothing can be said."""
        found = {line.verdict for line in self.lines()}
        return next((it for it in ("too_large", "tight", "fits") if it in found), "")

    @property
    def warning(self) -> str:
        """What will not fit or is tight, and what to do; the worst stage speaks. "" when all fits."""
        lines = [line for line in self.lines() if line.verdict == self.verdict]
        return next((line.remedy for line in lines if line.remedy), "")

    @property
    def machine(self) -> str:
        """What the device has, and the rates behind the times; "" while nothing is known."""
        return estimate_words.machine(self._estimate.machine) if self._estimate is not None else ""

    @property
    def seconds(self) -> float | None:
        """How long the whole run takes; None while nothing is known."""
        return self._estimate.seconds if self._estimate is not None else None

    @property
    def total(self) -> str:
        """ "The whole run: 1.2 GiB at most, about 4 m"; "" while nothing is known."""
        if self._estimate is None or self._estimate.memory is None:
            return ""
        return estimate_words.whole(self._estimate)

    def ways(self) -> tuple[tuple[str, str, str], ...]:
        """What a click can do about stages that do not fit or are tight: stage, knob, words."""
        found = self._estimate
        if found is None:
            return ()
        return tuple(
            (stage.stage, knob, remedies.WORDS[knob])
            for stage in found.stages
            if not stage.implied and estimate_words.remedy(found, stage)
            for knob in stage.knobs[: estimate_words.KNOBS_SHOWN]
            if knob in remedies.WORDS and knob != remedies.OF_TASKS
        )

    def lines(self) -> tuple[NeedLine, ...]:
        """What each stage needs, in the order of the recipe; implied measurements are left out."""
        if self._estimate is None:
            return ()
        return tuple(
            NeedLine(
                stage.stage,
                estimate_words.title(stage),
                estimate_words.verdict(self._estimate, stage),
                tuple(estimate_words.rows(stage)),
                estimate_words.note(stage),
                estimate_words.remedy(self._estimate, stage),
            )
            for stage in self._estimate.stages
            if not stage.implied
        )

    # inside

    def _ask(self) -> None:
        if not self._watched or self._asked is not None:
            return  # an answer that comes later asks again when the recipe has changed meanwhile
        settled = self._wanted in (None, self._known) or bool(self._error)
        asked = (self._others.pop(0) if self._others else None) if settled else self._wanted
        if asked is not None:
            self._idle.stop()
            self._asked = asked
            self._process.ask(estimate_process.question(asked))
            self.changed.emit()

    def _take(self, line: str) -> None:
        asked, self._asked = self._asked, None
        self._idle.start()
        if asked is None:
            return
        try:
            found = estimate_process.read(line)
        except UserError as error:
            self._time(asked, None)
            if asked == self._wanted:
                self._fail(str(error))
        else:
            self._time(asked, found.seconds)
            if asked == self._wanted:
                self._estimate, self._error, self._known = found, "", asked
        self._ask()
        self.changed.emit()

    def _time(self, recipe: Recipe, seconds: float | None) -> None:
        """Keep how long a recipe takes, for all that take as long."""
        key = timing_key(recipe)
        self._times[key] = seconds
        self._others = [it for it in self._others if timing_key(it) != key]

    def _ended(self) -> None:
        """The process ended by itself: with an answer owed, that is a failure."""
        owed = self._asked is not None
        self._asked, self._others = None, []
        if owed:
            self._fail(f"{estimate_process.FAILED}: its process ended.")
            self.changed.emit()

    def _fail(self, error: str) -> None:
        self._estimate, self._known, self._error = None, None, error
