"""A recipe being edited: stage cards, a form for the selected one, and its YAML, all three always equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from app.viewmodels import fixes, presets, recipe_file, recipe_words, remedies
from app.viewmodels.preview import PreviewViewModel
from app.viewmodels.recipe_checks import RecipeChecks
from app.viewmodels.recipe_editing import RecipeEditing
from app.viewmodels.recipe_edits import MEASURING
from app.viewmodels.recipe_form import card_of
from app.viewmodels.recipe_types import FieldView, ProblemView, Value
from app.viewmodels.types import StageCard
from core.recipe.field import BASE
from core.recipe.files import resolve_paths
from core.recipe.messages import Problem
from core.recipe.spec import Recipe

T = TypeVar("T")
Offload = Callable[[Callable[[], T], Callable[[T], None]], None]
"""Runs its first argument off the window's thread and hands the answer to the second, on it."""

STAGES = "stages"


def at_once(job: Callable[[], T], done: Callable[[T], None]) -> None:
    """The `Offload` that does not."""
    done(job())


class NewRunViewModel(RecipeEditing):
    """The recipe editor.

    Args:
        start: takes a checked recipe and its folder; answers later by `started` or `start_failed`.
        offload: where files are looked at.

    Attributes:
        preview: what the teacher of the selected stage is shown.
    """

    saved = Signal(str)
    # The recipe with its paths resolved, once typing has paused; None: unusable.
    checked = Signal(object)

    def __init__(
        self,
        start: Callable[[Recipe], None],
        offload: Callable[..., None] = at_once,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._start = start
        self._offload = offload
        self._starting = False
        self._checks = RecipeChecks(offload, self)
        self._checks.filesChanged.connect(self._files_known)
        self._checks.checked.connect(self.checked)
        self.preview = PreviewViewModel(offload, self)
        for signal in (self.changed, self.fieldsChanged):
            signal.connect(self._show_preview)
        self._check()

    # cards

    def source_of(self, place: int) -> str:
        """Id of the checkpoint that the card at a place makes or, for a measurement, reads."""
        card = self.cards()[place]
        return (card.source or BASE) if card.kind in MEASURING else card.id

    def cards(self) -> tuple[StageCard, ...]:
        """The base and the stages; the key of card i + 1 is `str(i)`."""
        counts: dict[str, int] = {}
        for problem in self._all_problems():
            card = card_of(problem.path)
            counts[card] = counts.get(card, 0) + 1
        base, stages = self._document.get("base"), self._form.stages()
        return recipe_words.edited_cards(base, stages, counts, self.models())

    # fields

    def fields(self) -> tuple[FieldView, ...]:
        """The form of the selected card, each problem beside its field."""
        return self._form.fields(self._selected, self._all_problems())

    def fields_of(self, card: str) -> tuple[FieldView, ...]:
        """The form of any card."""
        return self._form.fields(card, ())

    def field(self, path: str) -> FieldView | None:
        """One field by its path, with its problem."""
        return self._view(path)

    def named_path(self, path: str) -> str:
        """A field's path with the stage's id instead of its place, as the command line has it."""
        parts = path.split(".")
        stage = self._form.stage(parts[1]) if parts[0] == STAGES and len(parts) > 1 else None
        if stage is not None and stage.get("id"):
            parts[1] = str(stage["id"])
        return ".".join(parts)

    def form_path(self, path: str) -> str:
        """The other way round."""
        parts = path.split(".")
        place = self._edits.index(parts[1]) if parts[0] == STAGES and len(parts) > 1 else None
        if place is not None:
            parts[1] = str(place)
        return ".".join(parts)

    def set(self, path: str, value: Value) -> None:
        """Set a field; None takes it back to its default."""
        if not self.editable:
            return
        before, name = self._form.shape(self._selected), self._document.get(path)
        if self._form.set(path, value):
            if path.startswith(f"{STAGES}.") and path.endswith(".id"):
                self._edits.renamed(str(name), str(value or ""))
            self._changed(fields=before != self._form.shape(self._selected))

    def fix(self, path: str) -> None:
        """Take the way out that a problem offers."""
        view = self._view(path)
        way_out = fixes.fix_of(view) if view is not None else None
        if path == STAGES and not self._form.stages():
            way_out = fixes.ADD_STAGE
        if way_out is None:
            return
        if way_out.act == "dataset":
            self.add_dataset()
            self._use_dataset(path)
        elif way_out.act == "stage":
            self.add_stage("sdft")
        elif way_out.act == "set":
            self.set(path, way_out.value)

    def apply_remedy(self, stage: str, knob: str) -> None:
        """Do what the estimate offers for a stage that needs too much."""
        place = self._edits.index(stage)
        if place is None or not self.editable:
            return
        if knob == remedies.INSERTED:
            source = self.cards()[place + 1].source
            self.add_stage("quantize", source or BASE)
            return
        known = {it.path.rsplit(".", 1)[-1]: it.value for it in self.fields_of(str(place))}
        for name, value in remedies.settings(knob, known.get).items():
            self.set(f"{STAGES}.{place}.{name}", value)

    # problems, start

    def problems(self) -> tuple[ProblemView, ...]:
        """All problems, with the card that holds them."""
        return tuple(
            ProblemView(it.path, it.message, it.hint, card_of(it.path), self._fix_words(it.path))
            for it in self._all_problems()
        )

    @property
    def can_start(self) -> bool:
        """Nothing is wrong, and it is not being started already."""
        return self.recipe is not None and not self._starting and not self._all_problems()

    def start(self) -> None:
        """Queue the recipe as a run. A second click before the answer does nothing."""
        recipe, folder = self.recipe, self._folder
        if self.can_start and recipe is not None:
            self._starting = True
            self.changed.emit()
            self._offload(lambda: resolve_paths(recipe, folder), self._start)

    def start_answered(self) -> None:
        """The run was queued, or could not be: the button is free again."""
        self._starting = False
        self.changed.emit()

    # the file

    @property
    def folder(self) -> Path:
        """To which relative paths belong."""
        return self._folder

    @property
    def raw(self) -> Any:
        """The data as plain dicts and lists."""
        return self._document.raw

    @property
    def recipe(self) -> Recipe | None:
        """The recipe as it stands, its paths as written; None where it is none."""
        return self._checks.recipe

    @property
    def file(self) -> str:
        """The file it began with or was saved in; "" for none."""
        return self._origin[0] if self._origin is not None else ""

    @property
    def saves_to(self) -> str:
        """The file to save in: the one it began with, unless it ships with the application."""
        return "" if presets.is_shipped(self.file) else self.file

    def command(self) -> str:
        """The command line that does the same."""
        return recipe_file.command(self._origin, self._document.raw)

    @property
    def command_is_exact(self) -> bool:
        """Whether the command runs this very recipe; otherwise it has to be saved first."""
        return recipe_file.is_exact(self._origin, self._document.raw)

    def save(self, path: str) -> None:
        """Write the recipe into a file; from then on the command names it. `saved` tells when."""
        file = Path(path).expanduser().absolute()
        if self.editable:
            recipe_file.keep_paths(self._document, self._folder, file.parent)
        text, raw = self._document.text, self._document.raw

        def done(_: None) -> None:
            self._origin, self._folder = (str(file), raw), file.parent
            self._changed(fields=False)
            self.saved.emit(str(file))

        self._offload(lambda: recipe_file.write(file, text), done)

    # inside

    def _view(self, path: str) -> FieldView | None:
        fields = self._form.fields(card_of(path), self._all_problems())
        return next((it for it in fields if it.path == path), None)

    def _fix_words(self, path: str) -> str:
        if path == STAGES and not self._form.stages():
            return fixes.ADD_STAGE.words
        view = self._view(path)
        return view.fix if view is not None else ""

    def _use_dataset(self, path: str) -> None:
        """Choose the only dataset at the field that asked for one."""
        view = self._view(path)
        if view is not None and len(view.choices) == 1:
            name = view.choices[0].value
            self.set(path, (name,) if view.multiple else name)

    def _check(self) -> None:
        self._checks.look(self._document, self._folder)

    def _files_known(self) -> None:
        self.changed.emit()
        self.valuesChanged.emit()
        self.problemsChanged.emit()

    def _show_preview(self) -> None:
        datasets = self._document.get("datasets")
        known = datasets if isinstance(datasets, dict) else {}
        self.preview.show_stage(self._form.stage(self._selected), known, self._folder)

    def _all_problems(self) -> list[Problem]:
        return self._checks.problems
