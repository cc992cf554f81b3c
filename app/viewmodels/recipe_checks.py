"""What is wrong with the recipe being written: at once what its text says, and after a pause what the disk says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels.document import RecipeDocument
from core.recipe.files import resolve_paths
from core.recipe.messages import Problem
from core.recipe.spec import Recipe
from core.recipe.validate import check, check_files, parse

FILES_AFTER_MS = 250
"""The disk is looked at once typing has paused."""


class RecipeChecks(QObject):
    """Checks one document, again and again.

    Args:
        offload: where files are looked at.
    """

    filesChanged = Signal()  # other problems of files than before
    checked = Signal(object)  # the recipe with its paths resolved, after a pause; None: unusable

    def __init__(self, offload: Callable[..., None], parent: QObject) -> None:
        super().__init__(parent)
        self._offload = offload
        self._folder = Path()
        self._recipe: Recipe | None = None
        self._problems: list[Problem] = []
        self._file_problems: list[Problem] = []
        self._number = 0  # of the newest look at the disk
        self._timer = QTimer(self, singleShot=True, interval=FILES_AFTER_MS)
        self._timer.timeout.connect(self._look_at_files)

    @property
    def recipe(self) -> Recipe | None:
        """The recipe as it stands, its paths as written; None where it is none."""
        return self._recipe

    @property
    def problems(self) -> list[Problem]:
        """All that is known to be wrong."""
        return [*self._problems, *self._file_problems]

    def look(self, document: RecipeDocument, folder: Path) -> None:
        """Check a document whose relative paths belong to `folder`."""
        self._folder = folder
        self._recipe, self._problems, self._file_problems = None, list(document.problems), []
        self._number += 1
        if not self._problems:
            self._recipe, self._problems = parse(document.raw)
        if self._recipe is not None:
            self._problems = check(self._recipe)
            self._timer.start()
        if self._recipe is None or self._problems:
            self.checked.emit(None)

    def _look_at_files(self) -> None:
        if self._recipe is None:
            return
        recipe, folder, number = self._recipe, self._folder, self._number

        def look() -> tuple[Recipe, list[Problem]]:
            resolved = resolve_paths(recipe, folder)
            return resolved, check_files(resolved, folder)

        self._offload(look, lambda found: self._take(number, *found))

    def _take(self, number: int, resolved: Recipe, found: list[Problem]) -> None:
        if number != self._number:
            return
        if not self._problems:
            self.checked.emit(resolved)  # data that are missing make the estimate coarser, no more
        if found != self._file_problems:
            self._file_problems = found
            self.filesChanged.emit()
