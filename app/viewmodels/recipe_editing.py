"""What a person does to a recipe as a whole: begin with one, choose a card, edit its stages and data, undo.

The part of the recipe editor that knows nothing of problems and of starting; `app.viewmodels.new_run` adds them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.viewmodels import presets, words
from app.viewmodels.document import ABSENT, RecipeDocument
from app.viewmodels.history import History, State
from app.viewmodels.naming import another
from app.viewmodels.recipe_edits import RecipeEdits
from app.viewmodels.recipe_form import DATASETS, MEASURE, RecipeForm
from app.viewmodels.recipe_types import Choice, Preset
from core.recipe.field import BASE
from core.recipe.stage_specs import STAGE_SPECS

TELLING = ("sdft", "bootstrap", "sft")
"""Kinds of stages whose settings tell runs apart, the most telling one first."""


class RecipeEditing(QObject):
    """One recipe and the states it has had."""

    changed = Signal()
    fieldsChanged = Signal()
    valuesChanged = Signal()
    problemsChanged = Signal()
    failed = Signal(str, str)  # what happened, and what to do
    reused = Signal()  # the settings of an old run are here to be changed

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = RecipeDocument(presets.EMPTY)
        self._form = RecipeForm(self._document)
        self._edits = RecipeEdits(self._document, self._form)
        self._folder = Path.cwd()
        # The file it began with or was saved in, and its data.
        self._origin: tuple[str, Any] | None = None
        self._selected = BASE
        self._history = History(self._state())

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

    def at(self, path: str) -> Any:
        """The plain value at a dotted path of the recipe ("datasets"), None where there is none."""
        found = self._document.get(path)
        return None if found is ABSENT else found

    def presets(self) -> tuple[Preset, ...]:
        """Recipes that ship with the application."""
        return presets.shipped()

    def load_preset(self, path: str) -> None:
        """Begin with a recipe file."""
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.failed.emit(
                f"{file.name} cannot be read: {error}.", "Choose a YAML file in UTF-8."
            )
            return
        self._begin(text, str(file.parent), path)

    def start_empty(self) -> None:
        """Begin with the smallest recipe."""
        self.load_recipe(presets.EMPTY)

    def load_recipe(self, text: str, folder: str = "") -> None:
        """Begin with the recipe in `text`, whose relative paths belong to `folder`."""
        self._begin(text, folder, "")

    def reuse(self, text: str, taken: Collection[str] = ()) -> None:
        """Begin with the recipe of an old run, under a name of its own, at the stage that recovers.

        Args:
            text: the recipe, its paths absolute.
            taken: names that runs have already.
        """
        self._begin(text, "", "", taken)
        self.reused.emit()

    def _begin(
        self, text: str, folder: str, file: str, taken: Collection[str] | None = None
    ) -> None:
        self._folder = Path(folder) if folder else Path.cwd()
        self._document.set_text(text)
        self._origin = (file, self._document.raw) if file else None
        self._selected = BASE
        if taken is not None and self.editable:
            self._document.set("name", another(self.name, taken))
            self._selected = self._telling()
        self._changed(fields=True)

    def _telling(self) -> str:
        """The card that a changed run is most often about: the first SDFT stage, else one that trains."""
        kinds = [str(stage.get("kind")) for stage in self._form.stages()]
        found = (kinds.index(kind) for kind in TELLING if kind in kinds)
        return next(map(str, found), BASE)

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

    def keys(self) -> tuple[str, ...]:
        """The keys of all cards, as they stand."""
        return (BASE, *map(str, range(len(self._form.stages()))), DATASETS, MEASURE)

    def turn(self, delta: int) -> None:
        """Show the form of a neighbour; past the ends it goes round."""
        keys = self.keys()
        self.select(keys[(keys.index(self._selected) + delta) % len(keys)])

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
        if self.editable:
            self._edited(self._edits.add_stage(kind, after))

    def branch(self, kind: str, source: str) -> None:
        """Add a stage that reads the checkpoint of `source`, beside what follows it already."""
        if self.editable:
            self._edited(self._edits.branch(kind, source))

    def duplicate_stage(self, stage: str) -> None:
        """Put a copy behind a stage, as a branch that reads what it reads."""
        if self.editable:
            self._edited(self._edits.duplicate_stage(stage))

    def remove_stage(self, stage: str) -> None:
        """Take a stage out; what named it says so beside its field."""
        if self.editable:
            self._edited(self._edits.remove_stage(stage))

    def move_stage(self, stage: str, delta: int) -> None:
        """Move a stage towards the start (negative) or the end."""
        if self.editable:
            self._edited(self._edits.move_stage(stage, delta))

    def place_stage(self, stage: str, place: int) -> None:
        """Put a stage at a place among the stages."""
        if self.editable:
            self._edited(self._edits.place_stage(stage, place))

    def entries(self, kind: str) -> tuple[str, ...]:
        """Names of the recipe's datasets, tasks or models."""
        found = self._document.get(kind)
        return tuple(map(str, found)) if isinstance(found, dict) else ()

    def add_dataset(self, name: str = "") -> None:
        """Add a dataset whose file is still to be chosen."""
        self._add("datasets", name or "data", {"file": ""})

    def put_dataset(self, name: str, source: Mapping[str, Any], replace: bool = False) -> str:
        """Add a dataset that is known, or put it in the place of the one of that name; its name there."""
        if not replace:
            return self._add("datasets", name, dict(source))
        if self.editable:
            self._document.set(f"datasets.{name}", dict(source))
            self._changed(fields=True)
        return name

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
        if self.editable:
            self._edits.add_task(name)
            self._changed(fields=True)

    def remove_task(self, name: str) -> None:
        """Take a task out, also from what is measured."""
        if self.editable:
            self._edits.remove_task(name)
            self._changed(fields=True)

    # undo

    @property
    def can_undo(self) -> bool:
        """There is something to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Something was undone."""
        return self._history.can_redo

    def undo(self) -> None:
        """Take the last change back, a removed stage or a loaded preset as well."""
        if self.can_undo:
            self._restore(self._history.undo())

    def redo(self) -> None:
        """Make the change again that was undone last."""
        if self.can_redo:
            self._restore(self._history.redo())

    # inside

    def _check(self) -> None:
        """Look for problems; the editor does."""

    def _changed(self, *, fields: bool) -> None:
        self._history.record(self._state())
        self._check()
        self.changed.emit()
        (self.fieldsChanged if fields else self.valuesChanged).emit()
        self.problemsChanged.emit()

    def _edited(self, key: str | None) -> None:
        if key is not None:
            self._selected = key
            self._changed(fields=True)

    def _state(self) -> State:
        return State(self._document.text, self._selected, str(self._folder), self._origin)

    def _restore(self, state: State) -> None:
        self._document.set_text(state.text)
        self._selected, self._folder, self._origin = (
            state.selected,
            Path(state.folder),
            state.origin,
        )
        self._changed(fields=True)

    def _add(self, where: str, name: str, value: dict[str, Any]) -> str:
        if not self.editable:
            return ""
        added = self._edits.add(where, name, value)
        self._changed(fields=True)
        return added

    def _remove(self, where: str, name: str) -> None:
        if self.editable:
            self._document.remove(f"{where}.{name}")
            self._changed(fields=True)
