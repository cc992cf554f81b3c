"""The row above the lineage: graph or table, zoom, search, trash, adding a model."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from app.widgets.controls import Button, Segments, label
from app.widgets.lineage import STEP, LineageGraph
from app.widgets.theme import Theme

GRAPH, TABLE = "graph", "table"
SEARCH_WIDTH = 220


class ModelsTools(QWidget):
    """Controls only; the page connects them."""

    def __init__(self, theme: Theme, graph: LineageGraph) -> None:
        super().__init__()
        self._graph = graph
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.view = Segments(theme, "View", ((GRAPH, "Graph"), (TABLE, "Table")))
        row.addWidget(self.view)
        self.zoom = QWidget()
        inner = QHBoxLayout(self.zoom)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(2)
        for icon, name, act in (
            ("minus", "Zoom out (Ctrl+-)", lambda: graph.zoom(1 / STEP)),
            ("plus", "Zoom in (Ctrl++)", lambda: graph.zoom(STEP)),
            ("corners-out", "Fit the graph (Ctrl+0)", graph.fit),
        ):
            button = Button(theme, "", "quiet", icon)
            button.setAccessibleName(name.partition(" (")[0])
            button.setToolTip(name)
            button.clicked.connect(act)
            inner.addWidget(button)
        self._percent = label("", "hint")
        inner.addWidget(self._percent)
        row.addWidget(self.zoom)
        row.addStretch(1)
        self.found = label("", "hint")
        row.addWidget(self.found)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search stage, run, kind, state")
        self.search.setAccessibleName("Search checkpoints")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(SEARCH_WIDTH)
        row.addWidget(self.search)
        self.trash = Button(theme, "Empty trash", "", "trash")
        row.addWidget(self.trash)
        self.add = Button(theme, "Add a model", "primary", "plus")
        self.add.setToolTip("A folder, a GGUF file or a hub id (Ctrl+I)")
        row.addWidget(self.add)
        graph.scaled.connect(self._show_zoom)

    def _show_zoom(self) -> None:
        self._percent.setText(f"{self._graph.percent} %")
