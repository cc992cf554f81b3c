"""A sweep over fields of the recipe being written: its axes, the runs it comes to, and their start.

Every variant is checked like a recipe of its own, off the window's thread, once typing has paused.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels import sweep_words
from app.viewmodels.estimates import EstimatesViewModel
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.queueing import Queued
from app.viewmodels.recipe_form import MEASURE
from app.viewmodels.recipe_types import FieldView
from app.viewmodels.sweep_times import SweepTimes
from core.errors import UserError
from core.recipe.files import resolve_paths
from core.recipe.spec import Recipe
from core.recipe.sweep import Axis, Combine, Variant, expand, parse_values, size
from core.recipe.validate import check, check_files, parse

PAUSE_MS = 200
MANY = 200
"""More runs than this are started only after a question."""
Shape = Literal["list", "linear", "log"]
SHAPES: tuple[tuple[Shape, str], ...] = (
    ("list", "list"),
    ("linear", "steps"),
    ("log", "ratios"),
)
FIRST_COUNT = "3"
CKA = "CKA"
QUEUED = "Change a value, the sweep's name or the recipe to queue more."
NO_RUNS = "Choose a field to sweep over: “Sweep…” in a field's menu, or the button above."


@dataclass(frozen=True)
class AxisView:
    """One field of the sweep, as it is being typed.

    Attributes:
        path: with the stage's id in it.
        label: of the field, with its stage.
        shape: a list, or a range with even steps or ratios.
        text: the list.
        start, stop, count: of the range.
        problem: what is wrong with it; "" when fine.
    """

    path: str
    label: str
    shape: Shape = "list"
    text: str = ""
    start: str = ""
    stop: str = ""
    count: str = FIRST_COUNT
    problem: str = ""

    @property
    def typed(self) -> str:
        """The values as the command line has them."""
        if self.shape == "list":
            return ",".join(part.strip() for part in self.text.split(","))
        shape = "log" if self.shape == "log" else "linear"
        return f"{self.start}..{self.stop}:{shape}:{self.count}"


@dataclass(frozen=True)
class VariantView:
    """One run of the sweep: its name, its swept values, and its problems in one text."""

    name: str
    values: tuple[str, ...]
    problem: str = ""


_Made = tuple[tuple[VariantView, Recipe | None], ...]


class SweepViewModel(QObject):
    """The sweep over one editor's recipe.

    Args:
        editor: whose recipe is swept.
        queue: queues recipes with tags.
        offload: where variants are made and checked.
        estimates: tells how long a run takes.
    """

    changed = Signal()
    started = Signal(int)

    def __init__(
        self,
        editor: NewRunViewModel,
        queue: Callable[[Sequence[Recipe], Sequence[str], Queued], None],
        offload: Callable[..., None],
        estimates: EstimatesViewModel,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._editor = editor
        self._queue = queue
        self._offload = offload
        self._times = SweepTimes(estimates)
        self._axes: list[AxisView] = []
        self._combine: Combine = "product"
        self._name = ""
        self._made: _Made = ()
        self._problem = ""
        self._number = 0
        self._starting = self._making = False
        self._wanted = False  # a person asked for what was still being made
        self._of = self._seen()
        self._queued_runs = 0  # as it stands, so many are in the queue already
        self._timer = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._timer.timeout.connect(self._make)
        editor.changed.connect(self._recipe_changed)

    # axes

    def axes(self) -> tuple[AxisView, ...]:
        """The swept fields."""
        return tuple(self._axes)

    def choices(self) -> tuple[tuple[str, str], ...]:
        """Fields that can still be swept, with their labels, those of the shown card first."""
        taken = {axis.path for axis in self._axes}
        found = (view for card in self._cards() for view in self._editor.fields_of(card))
        named = ((self._path(it.path), self._label(it)) for it in found if _can_be_swept(it.path))
        return tuple((path, label) for path, label in named if path not in taken)

    def add(self, path: str) -> None:
        """Sweep over a field, given as the form has it or with its stage's id."""
        view = self._editor.field(self._editor.form_path(path))
        named = self._path(path)
        if view is None or any(axis.path == named for axis in self._axes):
            return
        shape, first, last = sweep_words.first_range(view)
        label = self._label(view)
        if shape == "log":
            axis = AxisView(named, label, "log", start=first, stop=last)
        else:
            axis = AxisView(named, label, text=first)
        self._axes.append(axis)
        self._touch()

    def remove(self, path: str) -> None:
        """Do not sweep over this field."""
        self._axes = [axis for axis in self._axes if axis.path != path]
        self._touch()

    def change(self, path: str, **parts: str) -> None:
        """Change shape, text, start, stop or count of an axis."""
        self._axes = [
            replace(axis, **parts) if axis.path == path else axis  # type: ignore[arg-type]
            for axis in self._axes
        ]
        self._touch()

    @property
    def combine(self) -> Combine:
        """Whether every value meets every other ("product") or its partner ("zip")."""
        return self._combine

    def set_combine(self, combine: str) -> None:
        """Combine or pair."""
        self._combine = "zip" if combine == "zip" else "product"
        self._touch()

    @property
    def name(self) -> str:
        """The sweep's name: its runs are tagged with it."""
        return self._name or sweep_words.slug(self._editor.name)

    def set_name(self, name: str) -> None:
        """Name the sweep; "" takes the recipe's name."""
        chosen = sweep_words.slug(name) if name.strip() else ""
        if chosen not in (self._name, self.name):
            self._name = chosen
            self._queued_runs = 0
            self.changed.emit()

    # what it comes to

    @property
    def busy(self) -> bool:
        """Variants are being made and checked."""
        return self._timer.isActive() or self._making

    @property
    def columns(self) -> tuple[str, ...]:
        """The swept fields in a word or two."""
        return tuple(sweep_words.short_labels([axis.path for axis in self._axes]))

    def variants(self) -> tuple[VariantView, ...]:
        """The runs, in the order in which they are queued."""
        return tuple(view for view, _ in self._made)

    @property
    def faulty(self) -> int:
        """How many runs have a problem."""
        return sum(bool(view.problem) for view, _ in self._made)

    @property
    def problem(self) -> str:
        """Why there are no runs; "" where there are."""
        return self._problem

    @property
    def summary(self) -> str:
        """ "4 runs, about 5 m each, about 20 m one after another"; or what is missing."""
        if not self._axes:
            return NO_RUNS
        if self._problem:
            return self._problem
        count = len(self._made)
        if self._queued_runs:
            return f"{_runs(self._queued_runs)} queued. {QUEUED}"
        parts = [_runs(count)]
        if self.faulty:
            parts.append(f"{self.faulty:,} with a problem")
        else:
            parts += self._times.told(self._recipes())
        return ", ".join(parts) + "."

    def _recipes(self) -> list[Recipe]:
        return [recipe for _, recipe in self._made if recipe is not None]

    @property
    def can_start(self) -> bool:
        """There are runs, and none has a problem."""
        waits = self._starting or self.busy or bool(self._queued_runs)
        return bool(self._made) and not self.faulty and not waits

    @property
    def is_large(self) -> bool:
        """So many runs that a person should be asked once more."""
        return len(self._made) > MANY

    def start(self) -> None:
        """Queue all runs, those that are just being made as soon as they are; many of these are not.

        A second click before the answer does nothing.
        """
        self._wanted = self.busy
        if not self.can_start:
            return
        self._starting = True
        self._queue(self._recipes(), (sweep_words.TAG + self.name,), self._queued)
        self.changed.emit()

    def arguments(self) -> list[str]:
        """The arguments that make the command line do the same."""
        found = [part for axis in self._axes for part in ("--sweep", f"{axis.path}={axis.typed}")]
        return [*found, *(["--zip"] if self._combine == "zip" and found else [])]

    def quoted(self) -> list[str]:
        """The same arguments as a shell wants them."""
        return [shlex.quote(part) for part in self.arguments()]

    # inside

    def start_answered(self) -> None:
        """The runs were queued, or could not be: the button is free again."""
        self._starting = False
        self.changed.emit()

    def _queued(self, uids: tuple[str, ...]) -> None:
        self._queued_runs = len(uids) if self._starting else 0  # else it has changed meanwhile
        self.start_answered()
        self.started.emit(len(uids))

    def _recipe_changed(self) -> None:
        before, self._of = self._of, self._seen()
        if not self._axes or self._of == before:
            return  # the editor tells of more than its text
        there = (self._editor.field(self._editor.form_path(it.path)) for it in self._axes)
        self._axes = [it for it, view in zip(self._axes, there, strict=True) if view is not None]
        self._touch()

    def _seen(self) -> tuple[str, str]:
        """The recipe as it is now: its text, and the folder to which its paths belong."""
        return self._editor.text, str(self._editor.folder)

    def _touch(self) -> None:
        self._starting = self._wanted = False
        self._queued_runs = 0
        self._timer.start()
        self.changed.emit()

    def _make(self) -> None:
        self._number += 1
        self._made, self._problem, self._making = (), "", False
        axes: list[Axis] = []
        for place, axis in enumerate(self._axes):
            problem = ""
            try:
                axes.append(Axis(axis.path, parse_values(axis.typed)))
            except UserError as error:
                problem = str(error)
            self._axes[place] = replace(axis, problem=problem)
        if len(axes) < len(self._axes):
            self._problem = "The values of a field cannot be read."
        elif axes:
            try:
                size(axes, self._combine)
            except UserError as error:
                self._problem = str(error)
            else:
                self._expand(axes)
                return
        self._wanted = False
        self.changed.emit()

    def _expand(self, axes: list[Axis]) -> None:
        raw, folder, name = self._editor.raw, self._editor.folder, self._editor.name
        combine, number = self._combine, self._number
        shown_files: dict[str, list[str]] = {}

        def checked(variant: Variant) -> tuple[VariantView, Recipe | None]:
            title = sweep_words.variant_name(name, variant.settings)
            values = tuple(sweep_words.written(value) for _, value in variant.settings)
            recipe, problems = parse({**variant.raw, "name": title})
            said = [str(it) for it in problems]
            if recipe is not None:
                recipe = resolve_paths(recipe, folder)
                sources = "\n".join(it.model_dump_json() for it in recipe.datasets.values())
                key = f"{recipe.base.model_dump_json()}\n{sources}"
                if key not in shown_files:
                    shown_files[key] = [str(it) for it in check_files(recipe, folder)]
                said = [*(str(it) for it in check(recipe)), *shown_files[key]]
            return VariantView(title, values, " ".join(said)), recipe

        def job() -> _Made | str:
            try:
                return tuple(checked(variant) for variant in expand(raw, axes, combine))
            except UserError as error:
                return str(error)

        self._making = True
        self._offload(job, lambda made: self._take(number, made))

    def _take(self, number: int, made: _Made | str) -> None:
        if number != self._number:
            return
        self._made, self._problem, self._making = (), "", False
        if isinstance(made, str):
            self._problem = made
        else:
            self._made = made
        self._times.reckon([] if self.faulty else self._recipes())
        wanted, self._wanted = self._wanted, False
        self.changed.emit()
        if wanted and not self.is_large:  # many are asked about, by another press
            self.start()

    def _cards(self) -> list[str]:
        base, *others = self._editor.keys()
        *stages, datasets, measure = others
        return list(dict.fromkeys([self._editor.selected, *stages, base, datasets, measure]))

    def _path(self, path: str) -> str:
        return self._editor.named_path(path)

    def _label(self, view: FieldView) -> str:
        """The field with whose it is: a stage, a dataset, a task, the measurement or its CKA."""
        *owners, _ = self._path(view.path).split(".")
        if not owners:
            return view.label
        return f"{CKA if owners == [MEASURE, CKA.lower()] else owners[-1]}: {view.label}"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def _can_be_swept(path: str) -> bool:
    """A stage's name and reading place make up the recipe; they are no settings."""
    return path.rsplit(".", 1)[-1] not in ("id", "from", "source", "name", "notes", "on")
