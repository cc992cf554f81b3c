"""The lineage as something a picture can be taken of: what the view shows, its roles, its sources."""

from __future__ import annotations

from PySide6.QtWidgets import QGraphicsView

from app.widgets.controls import colour_of
from app.widgets.lineage import LineageGraph
from app.widgets.theme import Theme

ROLES = ("base", "degraded", "recovered", "expert")


class LineagePicture:
    """See `app.widgets.pictures.Pictured`."""

    def __init__(self, theme: Theme, graph: LineageGraph) -> None:
        self._theme = theme
        self._graph = graph

    @property
    def plot(self) -> QGraphicsView:
        """The graph as it is shown."""
        return self._graph

    @property
    def source(self) -> str:
        """Where the numbers of the nodes in view come from."""
        measured = (node for node in self._graph.in_view() if node.numbers)
        return "\n".join(f"{it.title}: {' · '.join(it.tip.splitlines())}" for it in measured)

    def unit_text(self) -> str:
        """None: every number carries its own."""
        return ""

    def axis_text(self) -> str:
        """None: a forest has no axis."""
        return ""

    def legend_entries(self) -> list[tuple[str, str]]:
        """The roles of the nodes in view, in their colours."""
        hues = dict.fromkeys(node.hue for node in self._graph.in_view())
        return [(hue, colour_of(self._theme, hue)) for hue in hues if hue in ROLES]
