"""The forms in which a checkpoint can be exported, as a menu; then its folder is asked for."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QMenu, QWidget

from app.settings import Settings
from app.viewmodels.jobs import JobsViewModel
from app.viewmodels.model_words import NodeView
from app.views.dialogs import Dialogs

PLACE_KEY = "models.export"
MERGED = "merged"
FORMS = {
    "full": ((MERGED, "Safetensors"),),
    "nf4": (
        (MERGED, "Safetensors, unpacked"),
        ("packed", "NF4, packed as bitsandbytes packs it"),
    ),
    "adapter": ((MERGED, "Safetensors, merged into its base"), ("adapter", "LoRA adapter alone")),
}
PRECISIONS = ("float32", "bfloat16", "float16")
OTHER_PRECISION = "Safetensors, in another precision"
STACKED = "not possible, it lies over the adapter "


class ExportMenu:
    """Asks how and where a checkpoint is exported, and starts the job."""

    def __init__(
        self, parent: QWidget, settings: Settings, jobs: JobsViewModel, dialogs: Dialogs
    ) -> None:
        self._parent = parent
        self._settings = settings
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
        self._add_precisions(menu, node)
        menu.popup(QCursor.pos())
        return menu

    def _add_precisions(self, menu: QMenu, node: NodeView) -> None:
        """Merged weights may be written in another precision than they are stored in."""
        inner = menu.addMenu(OTHER_PRECISION)
        for dtype in PRECISIONS:
            action = inner.addAction(f"{dtype}…")
            action.triggered.connect(lambda _=False, dtype=dtype: self.start(node, MERGED, dtype))

    def start(self, node: NodeView, form: str, dtype: str = "auto") -> None:
        """Ask for the folder, beside the last one, and begin."""
        what = form if dtype == "auto" else f"{form}, {dtype}"
        start = str(Path(self._settings.views.get(PLACE_KEY, "")) / node.title)
        target = self._dialogs.new_folder(self._parent, f"Export {node.title}, {what}", start)
        if target:
            self._settings.views[PLACE_KEY] = str(Path(target).parent)
            self._jobs.export(node.key, target, form, node.title, dtype)
