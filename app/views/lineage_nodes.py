"""A checkpoint as a node of the lineage graph."""

from __future__ import annotations

from app.viewmodels import words
from app.viewmodels.model_words import NodeView
from app.widgets.forest import GraphNode


def graph_node(node: NodeView) -> GraphNode:
    """What is drawn of it: title, kind and size, scores, recovered fraction."""
    size = words.size(node.size) if node.size else ""
    kind = node.kind if node.kind not in ("", node.title) else ""
    return GraphNode(
        key=node.key,
        parent=node.parent,
        title=node.title,
        note=" · ".join(part for part in (kind, size, node.runs) if part),
        numbers=node.scores,
        share=f"recovered {node.fraction}" if node.fraction else "",
        hue=node.role or "third",
        badge=node.state_text,
        faded=node.gone or node.state == "trash",
        tip=node.tip,
    )
