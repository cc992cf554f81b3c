"""Does a demonstration help? The check's button, its progress, and its verdict with the numbers behind it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app.viewmodels import demonstration
from app.viewmodels.check import ABOUT, CheckViewModel
from app.widgets.controls import Button, Dot, label
from app.widgets.theme import Theme

STALE = "The recipe has changed since in what was checked."
WHOLE = 1000
BAR_HEIGHT = 6


class CheckPanel(QWidget):
    """Shows one check, and starts or cancels it. `opened` asks for its run."""

    opened = Signal(str)
    starting = Signal()  # what is being typed elsewhere should count

    def __init__(self, model: CheckViewModel, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self.about = label(ABOUT, "caption", wrap=True)
        self.start = Button(theme, "Check demonstrations", "primary", "flask")
        self.start.clicked.connect(self._start)
        self.cancel = Button(theme, "Cancel", "", "x")
        self.cancel.clicked.connect(model.cancel)
        self.open = Button(theme, "Show its run", "quiet", "arrow-square-out")
        self.open.clicked.connect(lambda: self.opened.emit(self._model.uid))
        buttons = QHBoxLayout()
        for button in (self.start, self.cancel, self.open):
            buttons.addWidget(button)
        buttons.addStretch(1)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the check")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(BAR_HEIGHT)
        self.said = label("", "caption", wrap=True)
        self._dot = Dot(theme, "third")
        self.verdict = label("", "heading", wrap=True)
        head = QHBoxLayout()
        head.addWidget(self._dot)
        head.addWidget(self.verdict, 1)
        self._found = QWidget()
        self.facts = label("", wrap=True)
        self.advice = label("", "warning", wrap=True)
        self.stale = label(STALE, "warning", wrap=True)
        self.source = label("", "hint", wrap=True)
        found = QVBoxLayout(self._found)
        found.setContentsMargins(0, 8, 0, 0)
        found.addLayout(head)
        for widget in (self.facts, self.advice, self.stale, self.source):
            found.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.about)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.said)
        column.addWidget(self._found)
        column.addStretch(1)
        self.setTabOrder(self.start, self.cancel)
        self.verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.refresh()

    def refresh(self) -> None:
        """Show how the check stands."""
        model = self._model
        self.start.setVisible(not model.busy)
        self.start.setEnabled(model.can_start)
        self.cancel.setVisible(model.busy)
        self.open.setVisible(bool(model.uid))
        self.bar.setVisible(model.busy)
        share = model.progress
        self.bar.setRange(0, 0 if share is None else WHOLE)
        self.bar.setValue(round(WHOLE * (share or 0.0)))
        self.said.setText("" if model.text == ABOUT else model.text)
        self.said.setVisible(bool(self.said.text()))
        self._show_result()

    def _start(self) -> None:
        self.starting.emit()
        self._model.start()

    def _show_result(self) -> None:
        found = self._model.result
        self._found.setVisible(found is not None)
        if found is None:
            return
        helps = found.answer == "yes"
        self._dot.set_token("recovered" if helps else "warning" if found.advice else "third")
        self.verdict.setText(
            f"{demonstration.QUESTION} {found.answer[:1].upper()}{found.answer[1:]}."
        )
        self.facts.setText("\n".join(found.facts))
        self.advice.setText(found.advice)
        self.advice.setVisible(bool(found.advice))
        self.stale.setVisible(self._model.is_stale)
        self.source.setText(f"{found.stage} · {found.source}" if found.source else found.stage)
