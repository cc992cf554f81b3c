"""What the controls of a form have in common, and what they read of a field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

COMMIT_MS = 300
Value = str | int | float | bool | tuple[str, ...] | None


class ChoiceLike(Protocol):
    """One value of a choice with its words."""

    @property
    def value(self) -> str: ...
    @property
    def label(self) -> str: ...


class FieldLike(Protocol):
    """What a form reads of a field; the view models' field has this shape."""

    @property
    def path(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> Value: ...
    @property
    def default(self) -> Value: ...
    @property
    def is_default(self) -> bool: ...
    @property
    def optional(self) -> bool: ...
    @property
    def multiple(self) -> bool: ...
    @property
    def choices(self) -> Sequence[ChoiceLike]: ...
    @property
    def unit(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def paper(self) -> str: ...
    @property
    def advanced(self) -> bool: ...
    @property
    def section(self) -> str: ...
    @property
    def idle(self) -> str: ...
    @property
    def facts(self) -> str: ...
    @property
    def fix(self) -> str: ...
    @property
    def problem(self) -> str: ...
    @property
    def problem_hint(self) -> str: ...


class Editor(QWidget):
    """The base of the controls."""

    committed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "none")
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.setSpacing(6)

    def show_field(self, field: FieldLike) -> None:
        """Show a field's value; never overwrite what is being typed."""
        raise NotImplementedError

    def finish_typing(self) -> None:
        """Take what was typed at once; controls that are chosen from have nothing to finish."""

    def set_wrong(self, wrong: bool) -> None:
        """Mark or unmark the control as holding a problem."""
        raise NotImplementedError

    def control(self) -> QWidget:
        """The widget that takes the focus."""
        raise NotImplementedError
