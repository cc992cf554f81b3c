"""SVG whose curves stand in pixels of the picture, so that every program draws their lines as thin as they are.

Qt writes a curve in the units of its data under a matrix, and relies on `vector-effect` (SVG Tiny 1.2, section
11.5) for the width of its line; programs that do not know it draw the line as wide as the matrix says.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
KEPT_WIDTH = "non-scaling-stroke"
IDENTITY = "matrix(1,0,0,1,0,0)"
DECIMALS = 3
PLACES = {
    f"{{{SVG}}}path": "d",
    f"{{{SVG}}}polyline": "points",
    f"{{{SVG}}}polygon": "points",
}
"""By tag: the attribute that holds coordinates."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(rf"({_NUMBER}),({_NUMBER})")

Matrix = tuple[float, float, float, float, float, float]


def flattened(content: bytes) -> bytes:
    """The same picture, its lines of constant width mapped by the matrix above them.

    Args:
        content: an SVG as `QSvgGenerator` writes it: paths have absolute coordinates, as pairs "x,y".
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(content)
    for group in root.iter(f"{{{SVG}}}g"):
        shapes = list(group)
        matrix = _matrix(group.get("transform", ""))
        if matrix is None or not shapes or not all(_keeps_width(it) for it in shapes):
            continue
        for shape in shapes:
            where = PLACES[shape.tag]
            shape.set(where, _mapped(shape.get(where, ""), matrix))
            shape.set("vector-effect", "none")
        group.set("transform", IDENTITY)
    made: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return made


def _keeps_width(element: ElementTree.Element) -> bool:
    return element.tag in PLACES and element.get("vector-effect") == KEPT_WIDTH


def _matrix(text: str) -> Matrix | None:
    numbers = [float(it) for it in re.findall(_NUMBER, text)]
    if not text.startswith("matrix(") or len(numbers) != len(IDENTITY.split(",")):
        return None
    a, b, c, d, e, f = numbers
    return a, b, c, d, e, f


def _mapped(path: str, matrix: Matrix) -> str:
    a, b, c, d, e, f = matrix

    def moved(pair: re.Match[str]) -> str:
        x, y = float(pair[1]), float(pair[2])
        return f"{a * x + c * y + e:.{DECIMALS}f},{b * x + d * y + f:.{DECIMALS}f}"

    return _PAIR.sub(moved, path)
