"""The forms in which a checkpoint can be exported, as a menu; then its folder is asked for."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QMenu, QWidget

from app.viewmodels.jobs import JobsViewModel
from app.viewmodels.model_words import NodeView
from app.views.dialogs import Dialogs

FORMS = {
    "full": (("merged", "Safetensors"),),
    "nf4": (
        ("merged", "Safetensors, unpacked"),
        ("packed", "NF4, packed as bitsandbytes packs it"),
    ),
    "adapter": (("merged", "Safetensors, merged into its base"), ("adapter", "LoRA adapter alone")),
}
STACKED = "not possible, it lies over the adapter "


class ExportMenu:
    """Asks how and where a checkpoint is exported, and starts the job."""

    def __init__(self, parent: QWidget, jobs: JobsViewModel, dialogs: Dialogs) -> None:
        self._parent = parent
        self._jobs = jobs
        self._dialogs = dialogs

    def ask(self, node: NodeView) -> QMenu:
        """Open the menu of the forms that fit."""
        menu = QMenu(self._parent)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for form, text in FORMS.get(node.storage, ()):
            stacked = form == "adapter" and bool(node.over)
            action = menu.addAction(f"{text}: {STACKED}{node.over}" if stacked else f"{text}…")
            action.setEnabled(not stacked)
            action.triggered.connect(lambda _=False, form=form: self.start(node, form))
        menu.popup(QCursor.pos())
        return menu

    def start(self, node: NodeView, form: str) -> None:
        """Ask for the folder and begin."""
        target = self._dialogs.new_folder(self._parent, f"Export {node.title}, {form}", node.title)
        if target:
            self._jobs.export(node.key, target, form, node.title)
