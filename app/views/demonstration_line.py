"""Does the demonstration help? One line of facts under the stages, with the way out where it does not."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from app.viewmodels import presets
from app.viewmodels.demonstration import QUESTION
from app.viewmodels.run import RunViewModel
from app.widgets.controls import GAP, Button, Picker, label, restyle
from app.widgets.theme import Theme


class DemonstrationLine(QFrame):
    """Hidden until a stage has been checked; `preset_wanted` tells the path of the recipe that helps."""

    preset_wanted = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._run: RunViewModel | None = None
        self._stage = ""
        self._preset = ""
        self.setProperty("surface", "card")
        self.setAccessibleName(QUESTION)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 6)
        row.setSpacing(GAP)
        self.question = label(QUESTION, "heading")
        self.stage = Picker("Checked stage")
        self.stage.chosen.connect(self._choose)
        self.facts = label("", "caption", wrap=True)
        self.advice = label("", "warning", wrap=True)
        for text in (self.facts, self.advice):
            text.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse
                | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
        self.facts.setAccessibleName(QUESTION)
        self.advice.setAccessibleName("What to do")
        self.remedy = Button(theme, "Start from Two stages", "", "plus-circle")
        self.remedy.setToolTip("Open New run with the preset that bootstraps the model first")
        self.remedy.clicked.connect(lambda: self.preset_wanted.emit(self._preset))
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(self.facts)
        texts.addWidget(self.advice)
        row.addWidget(self.question)
        row.addWidget(self.stage)
        row.addLayout(texts, 1)
        row.addWidget(self.remedy)
        self.hide()

    def show_run(self, run: RunViewModel) -> None:
        """Show a run's newest check."""
        self._run = run
        self._stage = ""
        self.refresh()

    def refresh(self) -> None:
        """Take the checks."""
        checks = self._run.demonstrations() if self._run is not None else ()
        self.setVisible(bool(checks))
        if not checks:
            return
        check = next((it for it in checks if it.stage == self._stage), checks[-1])
        self.stage.set_options([(it.stage, it.stage) for it in checks], check.stage)
        self.stage.setVisible(len(checks) > 1)
        answer = f"{check.answer[:1].upper()}{check.answer[1:]}"
        self.facts.setText(f"{answer} · {check.text}")
        self.setToolTip(check.source)
        self.facts.setAccessibleDescription(check.source)
        self.advice.setText(check.advice)
        self.advice.setVisible(bool(check.advice))
        self._preset = presets.named(check.remedy) if check.remedy else ""
        self.remedy.setVisible(bool(self._preset))
        restyle(self, "surface", "notice" if check.advice else "card")
        restyle(self, "level", "warning" if check.advice else "")

    def _choose(self, stage: str) -> None:
        self._stage = stage
        self.refresh()
