"""The preview of a stage's teacher prompt: its first item is read off the window's thread and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels.first_item import Elsewhere, NoSuchItem, first_item
from app.viewmodels.teacher_prompt import TeacherPrompt, is_taught, teacher_prompt
from core.data.example import Example, Message
from core.errors import UserError
from core.recipe.sources import DatasetSource

LOOK_AFTER_MS = 250
"""The disk is looked at once typing has paused."""
NO_STAGE = (
    "No teacher here",
    "Choose a stage that learns from a teacher: sdft, bootstrap, or sft with a teacher. What its teacher is "
    "shown for the first item stands here, as the template has it.",
)
NO_DATASET = ("No dataset yet", "Choose a dataset of the recipe for this stage.")
READING = ("Reading the first item…", "")

_Found = Example | tuple[str, str]
"""An example, or why there is none and what to do."""
Ask = Callable[[str, Mapping[str, Any], Callable[[Any], None], Callable[[UserError], None]], object]
"""Puts a question to the process that reads data (`app.viewmodels.data_desk`)."""


class PreviewViewModel(QObject):
    """What the teacher of the shown stage reads.

    Args:
        offload: where files are read.
    """

    changed = Signal()

    def __init__(self, offload: Callable[..., None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._offload = offload
        self._ask: Ask | None = None
        self._stage: Mapping[str, Any] | None = None
        self._dataset = ""
        self._wanted: tuple[str, Path, int] | None = None  # source as JSON, folder, item
        self._known: tuple[str, Path, int] | None = None
        self._number = 0
        self._ends = False  # the shown item is the last one
        self._found: _Found = READING
        self._prompt = TeacherPrompt(why_not=NO_STAGE)
        self._timer = QTimer(self, singleShot=True, interval=LOOK_AFTER_MS)
        self._timer.timeout.connect(self._look)

    def read_with(self, ask: Ask) -> None:
        """What cannot be read here is asked of the process that reads data."""
        self._ask = ask

    @property
    def prompt(self) -> TeacherPrompt:
        """The turns, or why there are none."""
        return self._prompt

    def show_stage(
        self, stage: Mapping[str, Any] | None, datasets: Mapping[str, Any], folder: Path
    ) -> None:
        """Show a stage as it is being edited.

        Args:
            stage: its raw settings, None for a card that is no stage.
            datasets: raw sources by name.
            folder: to which their relative paths belong.
        """
        self._stage = stage if stage is not None and is_taught(stage) else None
        named = self._stage.get("dataset") if self._stage is not None else None
        self._dataset = str(named[0] if isinstance(named, list) and named else named or "")
        source = _source(datasets.get(self._dataset))
        wanted = None if source is None else (source.model_dump_json(), folder)
        if wanted is None or self._wanted is None or wanted != self._wanted[:2]:
            self._number, self._ends = 0, False
        self._wanted = None if wanted is None else (*wanted, self._number)
        if self._wanted is not None and not self._is_known():
            self._timer.start()
        self._tell()

    @property
    def stage(self) -> Mapping[str, Any]:
        """The settings of the shown stage; empty where none has a teacher."""
        return self._stage or {}

    @property
    def number(self) -> int:
        """How many items come before the shown one."""
        return self._number

    @property
    def can_go_on(self) -> bool:
        """There may be an item behind the shown one."""
        return bool(self._prompt.turns) and not self._ends

    def turn(self, delta: int) -> None:
        """Show an earlier or later item; past the end nothing changes."""
        number = max(self._number + delta, 0)
        if self._wanted is None or number == self._number or (delta > 0 and self._ends):
            return
        source, folder, _ = self._wanted
        self._number, self._ends = number, False
        self._wanted = (source, folder, number)
        self._look()
        self.changed.emit()

    def _is_known(self) -> bool:
        """Whether the wanted item has been read; what could not be read is tried again."""
        return self._wanted == self._known and isinstance(self._found, Example)

    def _look(self) -> None:
        wanted = self._wanted
        if wanted is None or self._is_known():
            return
        source, folder, number = DatasetSource.model_validate_json(wanted[0]), *wanted[1:]
        self._offload(
            lambda: _read(source, folder, number), lambda found: self._take(wanted, found)
        )

    def _take(self, wanted: tuple[str, Path, int], found: _Found | Elsewhere | None) -> None:
        if wanted != self._wanted:
            return
        if isinstance(found, Elsewhere):
            if self._ask is not None:
                source, folder, number = json.loads(wanted[0]), str(wanted[1]), wanted[2]
                self._ask(
                    "example",
                    {"source": source, "folder": folder, "number": number},
                    lambda record: self._take(wanted, _example(record)),
                    lambda error: self._take(wanted, (error.message, error.hint)),
                )
                return
            found = (found.message, found.hint)
        if found is None:  # the dataset ends before it
            self._number, self._ends = wanted[2] - 1, True
            self._wanted = (*wanted[:2], self._number)
            self._look()
            self._tell()
            self.changed.emit()
        else:
            self._known, self._found = wanted, found
            self._tell()

    def _tell(self) -> None:
        before, self._prompt = self._prompt, self._current()
        if self._prompt != before:
            self.changed.emit()

    def _current(self) -> TeacherPrompt:
        if self._stage is None:
            return TeacherPrompt(why_not=NO_STAGE)
        if self._wanted is None:
            return TeacherPrompt(why_not=NO_DATASET)
        found = self._found if self._wanted == self._known else READING
        if found is READING and self._prompt.turns and self._prompt.item.startswith(self._dataset):
            return self._prompt  # the item before stays until the next one is read
        if isinstance(found, Example):
            return teacher_prompt(self._stage, self._dataset, found, self._number)
        return TeacherPrompt(item=self._dataset, why_not=found)


def _source(raw: Any) -> DatasetSource | None:
    try:
        return DatasetSource.model_validate(raw)
    except ValidationError:
        return None


def _example(record: Mapping[str, Any] | None) -> Example | None:
    """An example as the process tells it."""
    if record is None:
        return None
    messages = tuple(Message(role, content) for role, content in record["messages"])
    return Example(record["id"], messages, record["demonstration"])


def _read(source: DatasetSource, folder: Path, number: int) -> _Found | Elsewhere | None:
    try:
        return first_item(source, folder, number)
    except NoSuchItem:
        return None
    except Elsewhere as error:
        return error
    except UserError as error:
        return error.message, error.hint
