"""One dataset being looked at: its survey, and one item at a time, out of the process that reads."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.viewmodels.data_desk import DataDesk
from app.viewmodels.data_entries import Known, Source
from app.viewmodels.data_survey import SurveyView, survey_view
from core.errors import UserError

CHANGED = "The file has changed on the disk; it is read again."

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ItemView:
    """One item.

    Attributes:
        number: from 0; `of` is how many rows there are.
        where: "train.jsonl, line 17".
        fields: name, kind and value of each column of the row.
        student, teacher: the turns that each reads; empty where there are none.
        rendered: the same as one text with the model's own marks, and its tokens; by "student", "teacher".
        problem, hint: why the row is no item; "" when it is one.
    """

    number: int
    of: int
    where: str = ""
    fields: tuple[tuple[str, str, str], ...] = ()
    student: Turns = ()
    teacher: Turns = ()
    demonstration: str = ""
    gold: str = ""
    group: str = ""
    problem: str = ""
    hint: str = ""


class ItemsViewModel(QObject):
    """Looks at one source.

    Args:
        desk: the process that reads single items.
        surveys: another one, that looks at all rows meanwhile.
        tokens: the process that has tokenizers.
    """

    changed = Signal()
    progress = Signal(str)
    surveyed = Signal(object, object)  # the source, and what is `Known` of it

    def __init__(
        self, desk: DataDesk, surveys: DataDesk, tokens: DataDesk, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._desk = desk
        self._surveys = surveys
        self._reads: list[int] = []  # numbers of questions to the desk about this source
        self._surveying = 0
        self._measured = 0
        self._tokens = tokens
        self._source: Source | None = None
        self._turn = 0  # counts the sources: answers about an older one are dropped
        self._wanted: int | None = None
        self._asked = False
        self._model: Mapping[str, Any] | None = None
        self._state = ""  # of the file, when the item was read
        self.template = ""
        self.item: ItemView | None = None
        self.survey: SurveyView | None = None
        self.error: tuple[str, str] = ("", "")
        self.note = ""
        self.rendered: Mapping[str, tuple[str, int]] = {}
        self.rendering = False
        self.stopped = False
        desk.progress.connect(self._tell_read)
        surveys.progress.connect(self._tell_survey)

    @property
    def source(self) -> Source | None:
        """What is looked at."""
        return self._source

    @property
    def loading(self) -> bool:
        """The survey is still to come."""
        waits = self._source is not None and self.survey is None
        return waits and not self.error[0] and not self.stopped

    def show(self, source: Source | None, *, number: int = 0) -> None:
        """Look at a source, or the same with other columns."""
        self._source, self._turn = source, self._turn + 1
        self.item = self.survey = None
        self.error, self.note = ("", ""), ""
        self.rendered, self.rendering, self.stopped = {}, False, False
        self._wanted, self._asked = number, False
        self._desk.withdraw(*self._reads)
        self._surveys.withdraw(self._surveying)
        self._tokens.withdraw(self._measured)
        self._reads = []
        self.progress.emit("")
        if source is not None:
            self._ask_item()
            self._ask_survey()
        self.changed.emit()

    def stop(self) -> None:
        """Do not look at all rows."""
        if self.loading:
            self.stopped = True
            self._surveys.withdraw(self._surveying)
            self.progress.emit("")
            self.changed.emit()

    def read_all(self) -> None:
        """Look at all rows after all."""
        if self.stopped and self._source is not None:
            self.stopped = False
            self._ask_survey()
            self.changed.emit()

    def go(self, number: int) -> None:
        """Show another item; past the ends it goes round."""
        if self.item is not None and self.item.of:
            self._wanted = number % self.item.of
            self.note = ""
            self._ask_item()

    def step(self, by: int) -> None:
        """The next item, or one before."""
        at = self._wanted if self._wanted is not None else self.item.number if self.item else None
        if at is not None:
            self.go(at + by)

    def shuffle(self) -> None:
        """Any item."""
        if self.item is not None and self.item.of:
            self.go(random.randrange(self.item.of))

    def find(self, text: str, step: int = 1) -> None:
        """Go to the next item (or the one before) whose row holds this text."""
        if self._source is None or self.item is None or not text.strip():
            return
        turn = self._turn
        self.note = "searching…"
        self.changed.emit()
        what = {"source": self._source, "number": self.item.number, "text": text, "step": step}
        self._reads.append(
            self._desk.ask(
                "find",
                what,
                lambda found: self._found(turn, text, found),
                lambda error: self._fail(turn, error),
            )
        )

    def set_template(self, template: str) -> None:
        """Another teacher template ("" for the usual one)."""
        if template != self.template:
            self.template = template
            if self.item is not None:
                self.rendered = {}
                self.go(self.item.number)

    def render(self, model: Mapping[str, Any] | None) -> None:
        """Show items with the chat template of a model from now on; None: as turns."""
        self._model = model
        self.rendered = {}
        if model is not None:
            self._ask_rendered()
        self.changed.emit()

    # inside

    def _ask_item(self) -> None:
        if self._asked or self._wanted is None or self._source is None:
            return  # an answer that comes later asks again for what is wanted then
        self._asked = True
        turn = self._turn
        self._reads.append(
            self._desk.ask(
                "item",
                {"source": self._source, "number": self._wanted, "template": self.template},
                lambda record: self._take_item(turn, record),
                lambda error: self._fail(turn, error),
            )
        )

    def _ask_survey(self) -> None:
        turn = self._turn
        self._surveying = self._surveys.ask(
            "survey",
            {"source": self._source},
            lambda record: self._take_survey(turn, record),
            lambda error: self._fail(turn, error),
        )

    def _tell_read(self, number: int, told: str) -> None:
        if number in self._reads:
            if self.item is None:
                self.progress.emit(told)
            else:
                self.note = f"searching… {told}"
                self.changed.emit()

    def _tell_survey(self, number: int, told: str) -> None:
        if number == self._surveying and self.loading:
            self.progress.emit(told)

    def _take_item(self, turn: int, record: Mapping[str, Any]) -> None:
        if turn != self._turn:
            return
        self._asked = False
        self._state = record.get("state", "")
        self.item = _item(record)
        self.rendered = {}
        if self._wanted == self.item.number:
            self._wanted = None
        if self.survey is not None and self.survey.state != self._state:
            self.show(self._source, number=self.item.number)
            self.note = CHANGED
            return
        self._ask_item()
        if self._model is not None:
            self._ask_rendered()
        self.changed.emit()

    def _take_survey(self, turn: int, record: Mapping[str, Any]) -> None:
        if turn != self._turn:
            return
        self.survey = survey_view(record)
        self.progress.emit("")
        it = self.survey
        self.surveyed.emit(self._source, Known(it.format, it.rows, it.faulty, it.state))
        self.changed.emit()

    def _found(self, turn: int, text: str, number: int | None) -> None:
        if turn != self._turn:
            return
        if number is None:
            self.note = f"No item holds “{text}”."
            self.changed.emit()
            return
        self._wanted = number
        self.note = ""
        self._ask_item()
        self.changed.emit()

    def _ask_rendered(self) -> None:
        if self.item is None or self.item.problem or self._source is None or self.rendering:
            return
        turn, number = self._turn, self.item.number
        self.rendering = True
        what = {
            "source": self._source,
            "number": number,
            "model": self._model,
            "template": self.template,
        }
        self._measured = self._tokens.ask(
            "render",
            what,
            lambda record: self._take_rendered(turn, number, record),
            lambda error: self._not_rendered(turn, error),
        )

    def _take_rendered(self, turn: int, number: int, record: Mapping[str, Any]) -> None:
        if turn != self._turn:
            return
        self.rendering = False
        if self.item is None or self.item.number != number:
            self._ask_rendered()
            return
        self.rendered = {side: (it["text"], it["tokens"]) for side, it in record.items()}
        self.changed.emit()

    def _not_rendered(self, turn: int, error: UserError) -> None:
        if turn == self._turn:
            self.rendering = False
            self.note = str(error)
            self.changed.emit()

    def _fail(self, turn: int, error: UserError) -> None:
        if turn == self._turn:
            self._asked = False
            self.progress.emit("")
            self.error = (error.message, error.hint)
            self.changed.emit()


def _item(record: Mapping[str, Any]) -> ItemView:
    return ItemView(
        number=record["number"],
        of=record["of"],
        where=record.get("where", ""),
        fields=tuple((name, kind, value) for name, kind, value in record.get("fields", ())),
        student=tuple((role, text) for role, text in record.get("student", ())),
        teacher=tuple((role, text) for role, text in record.get("teacher", ())),
        demonstration=record.get("demonstration", ""),
        gold=record.get("gold", ""),
        group=record.get("group", ""),
        problem=record.get("problem", ""),
        hint=record.get("hint", ""),
    )
