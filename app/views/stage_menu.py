"""Menus of the recipe's cards: what a stage can do, and which kinds of stages can be added behind it."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu, QWidget

from app.viewmodels.new_run import NewRunViewModel


class StageMenus:
    """Makes menus for one recipe."""

    def __init__(self, model: NewRunViewModel, parent: QWidget) -> None:
        self._model = model
        self._parent = parent

    def adding(self, place: int) -> QMenu:
        """Kinds of stages to insert behind the card at a place."""
        after = self._model.cards()[place].id
        menu = QMenu(f"Add after {after}", self._parent)
        menu.addAction(f"Add after {after}").setEnabled(False)
        for kind in self._model.stage_kinds():
            action = menu.addAction(f"{kind.value}: {kind.label}")
            action.triggered.connect(
                lambda _=False, kind=kind.value: self._model.add_stage(kind, after)
            )
        return menu

    def branching(self, place: int) -> QMenu:
        """Kinds of stages that read the checkpoint of the card at a place, beside what follows it."""
        source = self._model.source_of(place)
        menu = QMenu(f"Branch from {source}", self._parent)
        menu.addAction(f"Branch from {source}").setEnabled(False)
        for kind in self._model.stage_kinds():
            action = menu.addAction(f"{kind.value}: {kind.label}")
            action.triggered.connect(
                lambda _=False, kind=kind.value: self._model.branch(kind, source)
            )
        return menu

    def open_card(self, place: int, at: QPoint) -> None:
        """The menu of a card."""
        model, card = self._model, self._model.cards()[place]
        menu = QMenu(self._parent)
        for sub in (self.adding(place), self.branching(place)):
            sub.setParent(menu, sub.windowFlags())
            menu.addMenu(sub)
        if place:
            menu.addSeparator()
            last = len(model.cards()) - 1
            for words, keys, on, act in (
                ("Move earlier", "Alt+Left", place > 1, lambda: model.move_stage(card.id, -1)),
                ("Move later", "Alt+Right", place < last, lambda: model.move_stage(card.id, 1)),
                ("Duplicate", "Ctrl+D", True, lambda: model.duplicate_stage(card.id)),
                ("Remove", "Delete", True, lambda: model.remove_stage(card.id)),
            ):
                action = menu.addAction(f"{words}\t{keys}")
                action.setEnabled(on)
                action.triggered.connect(act)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)
