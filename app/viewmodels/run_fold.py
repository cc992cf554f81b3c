"""The fold of a run's events: what is known after each one, without Qt and without words for states.

`RunViewModel` feeds it and tells the views; the command line could as well.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import assert_never

from app.viewmodels.answers import Answers
from app.viewmodels.axes import Axes
from app.viewmodels.curves import Curves
from app.viewmodels.demonstration import Checks
from app.viewmodels.journal import Journal
from app.viewmodels.scores import Scores
from app.viewmodels.similarity import Similarity
from app.viewmodels.stage_strip import StageStrip
from app.viewmodels.types import Completion
from core.events import (
    CheckpointSaved,
    CkaMeasured,
    CompletionSampled,
    Failure,
    GuardWarning,
    Heartbeat,
    ItemsEvaluated,
    Metrics,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.store.rows import LoggedEvent

COMPLETIONS_KEPT = 500

HEADER = "headerChanged"
STAGES = "stagesChanged"
SERIES = "seriesChanged"
SCORES = "scoresChanged"
CKA = "ckaChanged"
COMPLETIONS = "completionsChanged"
GUARDS = "guardsChanged"
LOG = "logChanged"


class RunFold:
    """What a run's log says so far.

    Attributes:
        strip: the stages' states.
        curves: scalar series.
        axes: where their steps stand in tokens and in time.
        environment: versions and machine of the newest session.
        checks: whether demonstrations help.
        scores: accuracies.
        similarity: CKA.
        journal: lines of the log, and warnings.
        completions: the newest ones, oldest first.
        training: the stage whose metrics came last.
        heartbeat: the newest one.
        failure: why the last session failed, None if it did not.
        status: how the last session ended or "running"; "" before one began.
    """

    def __init__(self, answers: Answers | None = None) -> None:
        self.strip = StageStrip()
        self.curves = Curves()
        self.axes = Axes()
        self.environment: dict[str, str] = {}
        self.checks = Checks()
        self.scores = Scores(answers)
        self.similarity = Similarity()
        self.journal = Journal()
        self.completions: deque[Completion] = deque(maxlen=COMPLETIONS_KEPT)
        self.training = ""
        self.heartbeat: Heartbeat | None = None
        self.failure: Failure | None = None
        self.status = ""

    def take(self, logged: LoggedEvent) -> tuple[str, ...]:
        """Fold one event; the answer names what changed."""
        changed = self._take(logged)
        return (*changed, LOG) if self.journal.add(logged) else changed

    def _take(self, logged: LoggedEvent) -> tuple[str, ...]:
        event = logged.event
        match event:
            case RunStarted():
                self.strip.begin(event)
                self.axes.begin(logged.t)
                self.environment = event.environment
                self.status, self.failure = "running", None
                return HEADER, STAGES
            case RunFinished():
                self.strip.end(event.status)
                self.status, self.failure = event.status, event.failure
                return HEADER, STAGES, SCORES
            case StageStarted():
                self.strip.start(event)
                return HEADER, STAGES
            case StageFinished():
                self.strip.finish(event)
                # One that was found again brings no curves: what waits for them has to say so.
                return (HEADER, STAGES, *((SERIES, COMPLETIONS, CKA) if event.reused else ()))
            case Progress():
                self.strip.progress(event)
                return HEADER, STAGES
            case Metrics():
                self.curves.add(event.stage, event.step, self.checks.take(event))
                self.axes.add(event.stage, event.step, event.tokens, logged.t)
                self.training = event.stage
                return SERIES, GUARDS
            case CompletionSampled():
                self.completions.append(_completion(event))
                return (COMPLETIONS,)
            case TaskEvaluated():
                self.scores.add(event)
                return SCORES, STAGES
            case CheckpointSaved():
                self.strip.saved(event)
                return (STAGES,)
            case CkaMeasured():
                self.similarity.add(event)
                return (CKA,)
            case GuardWarning():
                self.checks.warn(event)
                return GUARDS, SERIES
            case Heartbeat():
                self.heartbeat = event
                return (HEADER,)
            case ItemsEvaluated():
                self.scores.add_items(event)
                return ()  # the score that follows them tells
            case _:
                assert_never(event)


def _completion(event: CompletionSampled) -> Completion:
    return Completion(
        event.stage,
        event.step,
        event.item,
        event.prompt,
        event.demonstration,
        tuple(map(sys.intern, event.tokens)),  # a vocabulary repeats itself: held once
        event.divergence,
        event.kl,
        100 * event.teacher_top1_agreement,
        event.ended,
    )
