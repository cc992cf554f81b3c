"""Adding a model: a folder, a GGUF file or a hub id, looked at before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from app.viewmodels import inspection_words
from app.viewmodels.jobs import DONE, FAILED, JobsViewModel
from app.views.dialogs import Dialogs
from app.widgets.controls import Button, Card, Segments, label
from app.widgets.theme import Theme

ORIGINS = (("folder", "Folder"), ("gguf", "GGUF file"), ("hub", "Hugging Face hub"))
PLACEHOLDERS = {
    "folder": "the folder of a model",
    "gguf": "a file that ends in .gguf",
    "hub": "owner/name",
}
LABEL_WIDTH = 112


class AddModel(Card):
    """`based` tells (kind, value) of a model to use as base, as a recipe writes it."""

    based = Signal(str, str)
    closed = Signal()

    def __init__(self, jobs: JobsViewModel, theme: Theme, dialogs: Dialogs) -> None:
        super().__init__("Add a model")
        self._jobs = jobs
        self._dialogs = dialogs
        self._job = 0
        self._found: Mapping[str, Any] = {}
        close = Button(theme, "", "quiet", "x")
        close.setAccessibleName("Close: Add a model")
        close.clicked.connect(self.closed)
        self.add_tool(close)
        self.origin = Segments(theme, "Where the model is", ORIGINS)
        self.origin.chosen.connect(self._origin_chosen)
        self.body.addWidget(self.origin, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.source = QLineEdit()
        self.source.setAccessibleName("Model to add")
        self.source.returnPressed.connect(self.look)
        self.source.textChanged.connect(lambda _: self._forget())
        self.browse = Button(theme, "Browse…", "", "folder-open")
        self.browse.clicked.connect(self._browse)
        row.addWidget(self.source, 1)
        row.addWidget(self.browse)
        self.body.addLayout(row)
        self.revision = QLineEdit("main")
        self.revision.setAccessibleName("Revision")
        self.revision.setToolTip("Branch, tag or commit of the hub repository")
        self.revision.textChanged.connect(lambda _: self._forget())
        self.body.addWidget(self.revision)
        self.look_button = Button(theme, "Look at it", "primary", "magnifying-glass")
        self.look_button.clicked.connect(self.look)
        self.body.addWidget(self.look_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.state = label("", "hint", wrap=True)
        self.problem = label("", "problem", wrap=True)
        for words in (self.state, self.problem):
            words.hide()
            self.body.addWidget(words)
        self._facts = QWidget()
        self._column = QVBoxLayout(self._facts)
        self._column.setContentsMargins(0, 4, 0, 4)
        self.body.addWidget(self._facts)
        acts = QHBoxLayout()
        acts.setSpacing(8)
        self.use = Button(theme, "Use as base", "primary", "plus-circle")
        self.use.clicked.connect(self._use)
        self.download = Button(theme, "Download", "", "download-simple")
        self.download.setToolTip(
            "Fetch it into the hub's cache; an earlier attempt is gone on with"
        )
        self.download.clicked.connect(self._download)
        self.convert = Button(theme, "Convert into…", "", "arrows-left-right")
        self.convert.setToolTip("Write it as safetensors into a new folder")
        self.convert.clicked.connect(self._convert)
        for button in (self.use, self.download, self.convert):
            acts.addWidget(button)
        acts.addStretch(1)
        self.body.addLayout(acts)
        self.body.addStretch(1)
        jobs.ended.connect(self._ended)
        self._origin_chosen("folder")

    def look(self) -> None:
        """Ask what is there; the answer comes when its process has read it."""
        text = self.source.text().strip()
        if not text or self._job:
            return
        self._forget()
        self._job = self._jobs.look_at(text, self.origin.current(), self._revision())
        _say(self.state, "Looking at it…")
        self.look_button.setEnabled(False)

    def _ended(self, key: int, state: str) -> None:
        if key != self._job:
            return
        self.look_button.setEnabled(True)
        _say(self.state, "")
        view = self._jobs.job(key)
        if state == DONE:
            self._show(self._jobs.result(key))
        elif view is not None:
            _say(self.problem, f"{view.note} {view.hint}".strip() if state == FAILED else "")
        self._job = 0
        self._jobs.forget(key)

    def _show(self, found: Mapping[str, Any]) -> None:
        self._found = found
        grid_holder = QWidget()
        grid = QGridLayout(grid_holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for place, fact in enumerate(inspection_words.facts(found)):
            name = label(fact.label, "hint")
            name.setFixedWidth(LABEL_WIDTH)
            value = label(fact.value, "caption", wrap=True)
            value.setToolTip(fact.tip)
            grid.addWidget(name, place, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, place, 1)
        self._column.addWidget(grid_holder)
        _say(self.problem, inspection_words.refusal(found))
        self._show_acts()

    def _forget(self) -> None:
        """What was found, or is being looked for, belongs to another text."""
        self._found = {}
        key, self._job = self._job, 0
        if key:
            self._jobs.drop(key)
            self.look_button.setEnabled(True)
            _say(self.state, "")
        while (item := self._column.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        _say(self.problem, "")
        self._show_acts()

    def _show_acts(self) -> None:
        origin = self.origin.current()
        usable = bool(self._found) and not self._found.get("refusal")
        self.use.setVisible(usable)
        self.download.setVisible(usable and origin == "hub")
        self.convert.setVisible(usable and origin == "gguf")

    def _origin_chosen(self, origin: str) -> None:
        self.source.setPlaceholderText(PLACEHOLDERS[origin])
        self.browse.setVisible(origin != "hub")
        self.revision.setVisible(origin == "hub")
        self._forget()

    def _browse(self) -> None:
        if self.origin.current() == "folder":
            chosen = self._dialogs.ask_folder(self, "The model's folder", self.source.text())
        else:
            kinds = "GGUF files (*.gguf)"
            chosen = self._dialogs.choose_file(self, "The GGUF file", self.source.text(), kinds)
        if chosen:
            self.source.setText(chosen)
            self.look()

    def _use(self) -> None:
        self.based.emit(self.origin.current(), self.source.text().strip())

    def _download(self) -> None:
        self._jobs.download(self.source.text().strip(), self._revision())

    def _convert(self) -> None:
        target = self._dialogs.new_folder(self, "Convert into a new folder", "")
        if target:
            self._jobs.convert(self.source.text().strip(), target)

    def _revision(self) -> str:
        return self.revision.text().strip() or "main"


def _say(where: QLabel, text: str) -> None:
    """Show a text; a label without one takes no room."""
    where.setText(text)
    where.setVisible(bool(text))
