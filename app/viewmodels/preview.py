"""The preview of a stage's teacher prompt: its first item is read off the window's thread and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels.first_item import first_item
from app.viewmodels.teacher_prompt import TeacherPrompt, is_taught, teacher_prompt
from core.data.example import Example
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


class PreviewViewModel(QObject):
    """What the teacher of the shown stage reads.

    Args:
        offload: where files are read.
    """

    changed = Signal()

    def __init__(self, offload: Callable[..., None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._offload = offload
        self._stage: Mapping[str, Any] | None = None
        self._dataset = ""
        self._wanted: tuple[str, Path] | None = None  # source as JSON, folder
        self._known: tuple[str, Path] | None = None
        self._found: _Found = READING
        self._prompt = TeacherPrompt(why_not=NO_STAGE)
        self._timer = QTimer(self, singleShot=True, interval=LOOK_AFTER_MS)
        self._timer.timeout.connect(self._look)

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
        self._wanted = None if source is None else (source.model_dump_json(), folder)
        if self._wanted is not None and not self._is_known():
            self._timer.start()
        self._tell()

    def _is_known(self) -> bool:
        """Whether the wanted item has been read; what could not be read is tried again."""
        return self._wanted == self._known and isinstance(self._found, Example)

    def _look(self) -> None:
        wanted = self._wanted
        if wanted is None or self._is_known():
            return
        source, folder = DatasetSource.model_validate_json(wanted[0]), wanted[1]
        self._offload(lambda: _read(source, folder), lambda found: self._take(wanted, found))

    def _take(self, wanted: tuple[str, Path], found: _Found) -> None:
        if wanted == self._wanted:
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
        if isinstance(found, Example):
            return teacher_prompt(self._stage, self._dataset, found)
        return TeacherPrompt(item=self._dataset, why_not=found)


def _source(raw: Any) -> DatasetSource | None:
    try:
        return DatasetSource.model_validate(raw)
    except ValidationError:
        return None


def _read(source: DatasetSource, folder: Path) -> _Found:
    try:
        return first_item(source, folder)
    except UserError as error:
        return error.message, error.hint
