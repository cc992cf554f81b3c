"""Sampled completions for reading: the nearest to the teacher, the farthest, by step, or by a word in them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QStackedWidget, QWidget

from app.viewmodels.run import RunViewModel
from app.viewmodels.types import Completion
from app.widgets.completions import CompletionView
from app.widgets.controls import Button, Card, Elided, Segments
from app.widgets.messages import Empty
from app.widgets.theme import Theme
from app.widgets.title_picker import TitlePicker

PICKS = (("newest", "newest"), ("best", "best"), ("worst", "worst"), ("random", "random"))
ALL_STEPS = ""
SEARCH_WIDTH = 200
NOTHING = "No completions yet"
NO_COMPLETIONS = (
    "While it trains, the student answers prompts in its own words. Its answers stand here beside the "
    "demonstration, each token tinted by how far the student is from the teacher."
)


class CompletionsCard(Card):
    """Sampled completions: the newest, the one nearest to the teacher, the farthest, or any."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Completions")
        self._run: RunViewModel | None = None
        self._shown: Completion | None = None
        self._parked = False  # at an older one than the newest, by hand
        self._missed = False  # another one would be shown, were this one not being read
        self.pick = Segments(theme, "Which completion", PICKS)
        self.pick.setToolTip("Best and worst go by the mean divergence from the teacher")
        self.pick.chosen.connect(lambda _: self._pick_again())
        self.back = self._button(theme, "Earlier completion", "caret-left", -1)
        self.forth = self._button(theme, "Later completion", "caret-right", 1)
        for tool in (self.pick, self.back, self.forth):
            self.add_tool(tool)
        self.view = CompletionView(theme)
        self._empty = Empty(theme, "chat-text", NOTHING, NO_COMPLETIONS, small=True)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.view)
        self.narrowing = self._narrowing()
        self.body.addWidget(self.narrowing)
        self.body.addWidget(self._stack, 1)
        shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.search.setFocus)

    def _button(self, theme: Theme, name: str, icon: str, delta: int) -> Button:
        made = Button(theme, "", "quiet", icon)
        made.setAccessibleName(name)
        made.setToolTip(name)
        made.clicked.connect(lambda: self.move_by(delta))
        return made

    def _narrowing(self) -> QWidget:
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.steps = TitlePicker("Step of the completions")
        self.steps.chosen.connect(lambda _: self._pick_again())
        self.search = QLineEdit()
        self.search.setAccessibleName("Search the completions")
        self.search.setPlaceholderText("Search (Ctrl+F)")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(SEARCH_WIDTH)
        self.search.textChanged.connect(lambda _: self._pick_again())
        self.count = Elided("", "hint")
        row.addWidget(self.steps)
        row.addWidget(self.search)
        row.addWidget(self.count, 1)
        return made

    def show_run(self, run: RunViewModel) -> None:
        """Show a run's newest completion."""
        self._run = run
        self._shown = None
        self.search.clear()
        self.steps.set_options([(ALL_STEPS, "all steps")], ALL_STEPS)
        self.pick.choose("newest")
        self.refresh()

    def refresh(self) -> None:
        """Follow the run where the choice is a moving one.

        A random choice and a manual one stay, and so does one that is being read: with the focus or a selection
        in its text, or scrolled.
        """
        every = self._completions()
        self._find_again(every)
        for tool in (self.pick, self.back, self.forth, self.narrowing):
            tool.setVisible(bool(every))
        if not every:
            why = self._run.untrained() if self._run is not None else ""
            self._empty.set(NOTHING, why or NO_COMPLETIONS)
            self._stack.setCurrentWidget(self._empty)
            self.set_caption("")
            return
        numbers = sorted({it.step for it in every}, reverse=True)
        steps = [(ALL_STEPS, "all steps"), *((str(it), f"step {it}") for it in numbers)]
        kept = self.steps.key()
        self.steps.set_options(steps, kept if kept in dict(steps) else ALL_STEPS)
        pick = self.pick.current()
        stays = pick == "random" or (pick == "newest" and self._parked)
        self._missed = False
        if self._shown is None or not (stays or self.view.reading):
            self._choose()
        elif not stays:
            found = self.found()
            self._missed = bool(found) and choose(found, pick) is not self._shown
        self._tell_count()

    def _find_again(self, every: Sequence[Completion]) -> None:
        """A log that was read anew holds equal completions, not the same ones."""
        shown = self._shown
        if shown is not None and not any(it is shown for it in every):
            self._shown = next((it for it in every if it == shown), shown)

    def pick_next(self, pick: str) -> None:
        """Show the newest, best, worst or a random one; random again shows another."""
        if pick == self.pick.current():
            self._pick_again()
        self.pick.choose(pick)

    def move_by(self, delta: int) -> None:
        """Go to an earlier or later one of those that the search leaves."""
        found = self.found()
        if not found or self._shown is None:
            return
        places = [place for place, item in enumerate(found) if item is self._shown]
        if places:
            place = places[0] + delta
        else:  # it is found no longer: from where it would stand
            place = sum(it.step < self._shown.step for it in found) + delta - (delta > 0)
        place = min(max(place, 0), len(found) - 1)
        self.pick.choose("newest")
        self._parked = place < len(found) - 1
        self._show(found[place])

    def found(self) -> Sequence[Completion]:
        """The completions of the chosen step in which the sought words stand, oldest first."""
        step, words = self.steps.key(), self.search.text().casefold()
        return [
            it
            for it in self._completions()
            if (not step or it.step == int(step)) and (not words or words in _text(it))
        ]

    def _completions(self) -> Sequence[Completion]:
        return self._run.completions() if self._run is not None else ()

    def _pick_again(self) -> None:
        self._parked = self._missed = False
        self.view.seek(self.search.text())
        if self._completions():
            self._choose()
        self._tell_count()

    def _choose(self) -> None:
        found = self.found()
        if found:
            self._show(choose(found, self.pick.current()))

    def _tell_count(self) -> None:
        found, every = len(self.found()), len(self._completions())
        count = f"{found} of {every}" if found < every else f"{every} sampled"
        others = {"best": "a better one has come", "worst": "a worse one has come"}
        news = others.get(self.pick.current(), "newer ones have come")
        self.count.set_text(f"{count} · {news}" if self._missed else count)

    def _show(self, completion: Completion) -> None:
        self._shown = completion
        self._stack.setCurrentWidget(self.view)
        self.view.show_completion(completion)
        self.set_caption(f"step {completion.step} · {completion.item}")
        if self._run is not None:
            self.view.setToolTip(self._run.source([completion.stage]))


def choose(completions: Sequence[Completion], pick: str) -> Completion:
    """One of the completions; best and worst go by the mean divergence, those without one come last."""
    measured = [it for it in completions if math.isfinite(it.kl)] or list(completions)
    if pick == "best":
        return min(measured, key=lambda item: item.kl)
    if pick == "worst":
        return max(measured, key=lambda item: item.kl)
    if pick == "random":
        return random.choice(completions)
    return completions[-1]


def _text(it: Completion) -> str:
    return "\n".join((it.item, it.prompt, it.demonstration, "".join(it.tokens))).casefold()
