"""A recipe being edited: stage cards, a form for the selected one, and its YAML, all three always equal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels import presets, recipe_words, words
from app.viewmodels.document import ABSENT, RecipeDocument
from app.viewmodels.preview import PreviewViewModel
from app.viewmodels.recipe_form import RecipeForm, card_of
from app.viewmodels.types import Choice, FieldView, Preset, ProblemView, StageCard, Value
from core.recipe.field import BASE
from core.recipe.files import resolve_paths
from core.recipe.messages import Problem
from core.recipe.spec import Recipe
from core.recipe.stage_specs import STAGE_SPECS
from core.recipe.validate import check, check_files, parse

T = TypeVar("T")
Offload = Callable[[Callable[[], T], Callable[[T], None]], None]
"""Runs its first argument off the window's thread and hands the answer to the second, on it."""

FILES_AFTER_MS = 250
"""The disk is looked at once typing has paused."""
_IDS = {
    "quantize": "quantized",
    "prune": "pruned",
    "sft": "tuned",
    "bootstrap": "bootstrapped",
    "sdft": "recovered",
    "evaluate": "scores",
    "cka": "similarity",
}


def at_once(job: Callable[[], T], done: Callable[[T], None]) -> None:
    """The `Offload` that does not."""
    done(job())


class NewRunViewModel(QObject):
    """The recipe editor.

    Args:
        start: takes a checked recipe and its folder; answers later by `started` or `start_failed`.
        offload: where files are looked at.

    Attributes:
        preview: what the teacher of the selected stage is shown.
    """

    changed = Signal()
    fieldsChanged = Signal()
    valuesChanged = Signal()
    problemsChanged = Signal()
    checked = Signal(
        object
    )  # the recipe with its paths resolved, once typing has paused; None: unusable

    def __init__(
        self,
        start: Callable[[Recipe], None],
        offload: Callable[..., None] = at_once,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._start = start
        self._offload = offload
        self._document = RecipeDocument(presets.EMPTY)
        self._form = RecipeForm(self._document)
        self._folder = Path.cwd()
        self._origin: tuple[str, Any] | None = (
            None  # file and its data, while it is the starting point
        )
        self._selected = BASE
        self._recipe: Recipe | None = None
        self._problems: list[Problem] = []
        self._file_problems: list[Problem] = []
        self._starting = False
        self._check = 0  # number of the newest look at the disk
        self._timer = QTimer(self, singleShot=True, interval=FILES_AFTER_MS)
        self._timer.timeout.connect(self._look_at_files)
        self.preview = PreviewViewModel(offload, self)
        for signal in (self.changed, self.fieldsChanged):
            signal.connect(self._show_preview)
        self._validate()

    # the recipe as a whole

    @property
    def text(self) -> str:
        """The YAML."""
        return self._document.text

    @property
    def name(self) -> str:
        """What the experiment is called."""
        found = self._document.get("name")
        return "" if found is ABSENT or found is None else str(found)

    @property
    def editable(self) -> bool:
        """False while the text is no YAML: the form then shows the last good state and takes nothing."""
        return self._document.editable

    @property
    def folder(self) -> Path:
        """To which relative paths of the recipe belong."""
        return self._folder

    def raw(self, path: str) -> Any:
        """The plain value at a dotted path of the recipe ("datasets"), None where there is none."""
        found = self._document.get(path)
        return None if found is ABSENT else found

    def presets(self) -> tuple[Preset, ...]:
        """Recipes that ship with the application."""
        return presets.shipped()

    def load_preset(self, path: str) -> None:
        """Begin with a recipe file."""
        file = Path(path)
        self.load_recipe(file.read_text(encoding="utf-8"), str(file.parent))
        self._origin = (path, self._document.raw)

    def load_recipe(self, text: str, folder: str = "") -> None:
        """Begin with the recipe in `text`, whose relative paths belong to `folder`."""
        self._origin = None
        self._folder = Path(folder) if folder else Path.cwd()
        self._document.set_text(text)
        self._selected = BASE
        self._changed(fields=True)

    def set_text(self, text: str) -> None:
        """Take edited YAML."""
        if text == self._document.text:
            return
        before = self._form.shape(self._selected)
        self._document.set_text(text)
        if self._selected.isdecimal() and int(self._selected) >= len(self._form.stages()):
            self._selected = BASE
        self._changed(fields=before != self._form.shape(self._selected))

    # cards

    @property
    def selected(self) -> str:
        """Key of the card whose form is shown: "base", "datasets", "measure", or a stage's index."""
        return self._selected

    def select(self, key: str | int) -> None:
        """Show the form of another card."""
        if str(key) != self._selected:
            self._selected = str(key)
            self.fieldsChanged.emit()

    def cards(self) -> tuple[StageCard, ...]:
        """The base and the stages; the key of card i + 1 is `str(i)`."""
        counts: dict[str, int] = {}
        for problem in self._all_problems():
            card = card_of(problem.path)
            counts[card] = counts.get(card, 0) + 1
        base, stages = self._document.get("base"), self._form.stages()
        return recipe_words.edited_cards(base, stages, counts, self.models())

    def problem_count(self, key: str) -> int:
        """How many problems the fields of a card have ("datasets", "measure" included)."""
        return sum(card_of(problem.path) == key for problem in self._all_problems())

    def about(self) -> str:
        """One sentence on the selected card."""
        stage = self._form.stage(self._selected)
        key = str(stage.get("kind", "")) if stage is not None else self._selected
        return words.KIND_ABOUT.get(key, "")

    def stage_kinds(self) -> tuple[Choice, ...]:
        """Kinds of stages that can be added, with what they do."""
        return tuple(Choice(kind, words.KIND_ABOUT[kind]) for kind in STAGE_SPECS)

    def add_stage(self, kind: str, after: str = "") -> None:
        """Insert a stage behind another one ("base" for the first place), at the end by default."""
        if not self.editable:
            return
        ids = [str(stage.get("id")) for stage in self._form.stages()]
        place = 0 if after == BASE else ids.index(after) + 1 if after in ids else len(ids)
        stage = {"id": _free(_IDS[kind], [*ids, BASE]), "kind": kind}
        stage |= self._form.required(kind)
        self._document.insert("stages", place, stage)
        self._selected = str(place)
        self._changed(fields=True)

    def remove_stage(self, stage: str) -> None:
        """Take a stage out; what named it says so beside its field."""
        index = self._index(stage)
        if index is not None and self.editable:
            self._document.remove(f"stages.{index}")
            self._selected = str(index - 1) if index else BASE
            self._changed(fields=True)

    def move_stage(self, stage: str, delta: int) -> None:
        """Move a stage towards the start (negative) or the end."""
        index = self._index(stage)
        if index is None or not self.editable:
            return
        to = min(max(index + delta, 0), len(self._form.stages()) - 1)
        if to != index:
            self._document.move("stages", index, to)
            self._selected = str(to)
            self._changed(fields=True)

    def add_dataset(self, name: str = "") -> None:
        """Add a dataset whose file is still to be chosen."""
        self._add("datasets", name or "data", {"file": ""})

    def put_dataset(self, name: str, source: Mapping[str, Any], replace: bool = False) -> str:
        """Add a dataset that is known, or put it in the place of the one of that name; its name there."""
        if replace and self.editable:
            self._document.set(f"datasets.{name}", dict(source))
            self._changed(fields=True)
            return name
        return self._add("datasets", name, dict(source))

    def remove_dataset(self, name: str) -> None:
        """Take a dataset out."""
        self._remove("datasets", name)

    def models(self) -> dict[str, str]:
        """The further models and what they are, by name."""
        return self._form.models()

    def add_model(self, name: str = "") -> None:
        """Add a further model, for example a larger teacher; which one is still to be chosen."""
        self._add("models", name or "large", {"hub": ""})

    def remove_model(self, name: str) -> None:
        """Take a further model out; a stage that names it says so beside its field."""
        self._remove("models", name)

    def add_task(self, name: str = "") -> None:
        """Add an evaluation task; it is scored on every checkpoint."""
        datasets = self._form.names().datasets
        scorer = next((it for it in words.SCORER if name and it.startswith(name)), "")
        task = {"scorer": scorer or next(iter(words.SCORER)), "dataset": "".join(datasets[:1])}
        added = self._add("tasks", name or "task", task)
        if added:
            measured = self._document.get("measure.tasks")
            self._document.set(
                "measure.tasks", [*(measured if isinstance(measured, list) else []), added]
            )
            self._changed(fields=True)

    def remove_task(self, name: str) -> None:
        """Take a task out, also from what is measured."""
        measured = self._document.get("measure.tasks")
        if isinstance(measured, list) and name in measured and self.editable:
            self._document.set("measure.tasks", [task for task in measured if task != name])
        self._remove("tasks", name)

    # fields

    def fields(self) -> tuple[FieldView, ...]:
        """The form of the selected card, each problem beside its field."""
        return self._form.fields(self._selected, self._all_problems())

    def set(self, path: str, value: Value) -> None:
        """Set a field; None takes it back to its default."""
        if not self.editable:
            return
        before = self._form.shape(self._selected)
        if self._form.set(path, value):
            self._changed(fields=before != self._form.shape(self._selected))

    # problems, start

    def problems(self) -> tuple[ProblemView, ...]:
        """All problems, with the card that holds them."""
        return tuple(
            ProblemView(it.path, it.message, it.hint, card_of(it.path))
            for it in self._all_problems()
        )

    @property
    def can_start(self) -> bool:
        """Nothing is wrong, and it is not being started already."""
        return self._recipe is not None and not self._starting and not self._all_problems()

    def start(self) -> None:
        """Queue the recipe as a run. A second click before the answer does nothing."""
        if self.can_start and self._recipe is not None:
            self._starting = True
            self.changed.emit()
            recipe, folder = self._recipe, self._folder
            self._offload(lambda: resolve_paths(recipe, folder), self._start)

    def start_answered(self) -> None:
        """The run was queued, or could not be: the button is free again."""
        self._starting = False
        self.changed.emit()

    def command(self) -> str:
        """The command line that does the same."""
        if self._origin is not None:
            path, raw = self._origin
            changes = presets.overrides(raw, self._document.raw)
            if changes is not None:
                settings = [part for change in changes for part in ("--set", change)]
                return shlex.join(["python", "-m", "app", "run", path, *settings])
        return "python -m app run recipe.yaml"

    # inside

    def _changed(self, *, fields: bool) -> None:
        self._validate()
        self.changed.emit()
        (self.fieldsChanged if fields else self.valuesChanged).emit()
        self.problemsChanged.emit()

    def _validate(self) -> None:
        self._recipe, self._problems, self._file_problems = None, list(self._document.problems), []
        self._check += 1
        if not self._problems:
            self._recipe, self._problems = parse(self._document.raw)
        if self._recipe is not None:
            self._problems = check(self._recipe)
            self._timer.start()
        if self._recipe is None or self._problems:
            self.checked.emit(None)

    def _look_at_files(self) -> None:
        if self._recipe is None:
            return
        recipe, folder, number = self._recipe, self._folder, self._check

        def look() -> tuple[Recipe, list[Problem]]:
            resolved = resolve_paths(recipe, folder)
            return resolved, check_files(resolved, folder)

        self._offload(look, lambda found: self._take_files(number, *found))

    def _take_files(self, number: int, resolved: Recipe, found: list[Problem]) -> None:
        if number != self._check:
            return
        if not self._problems:
            self.checked.emit(resolved)  # data that are missing make the estimate coarser, no more
        if found != self._file_problems:
            self._file_problems = found
            self.changed.emit()
            self.valuesChanged.emit()
            self.problemsChanged.emit()

    def _show_preview(self) -> None:
        datasets = self._document.get("datasets")
        known = datasets if isinstance(datasets, dict) else {}
        self.preview.show_stage(self._form.stage(self._selected), known, self._folder)

    def _all_problems(self) -> list[Problem]:
        return [*self._problems, *self._file_problems]

    def _index(self, stage: str) -> int | None:
        ids = [str(it.get("id")) for it in self._form.stages()]
        return ids.index(stage) if stage in ids else None

    def _add(self, where: str, name: str, value: dict[str, Any]) -> str:
        if not self.editable:
            return ""
        known = self._document.get(where)
        free = _free(name, list(known) if isinstance(known, dict) else [])
        self._document.set(f"{where}.{free}", value)
        self._changed(fields=True)
        return free

    def _remove(self, where: str, name: str) -> None:
        if self.editable:
            self._document.remove(f"{where}.{name}")
            self._changed(fields=True)


def _free(name: str, taken: list[str]) -> str:
    """`name`, or `name_2`, `name_3`, … where it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
