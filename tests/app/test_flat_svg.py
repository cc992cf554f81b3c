from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPointF, QRect, QSize
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPolygonF, QTransform
from PySide6.QtSvg import QSvgGenerator, QSvgRenderer

from app.widgets.flat_svg import SVG, flattened

pytestmark = pytest.mark.usefixtures("qapp")

WIDTH, HEIGHT = 200, 100


def drawn(points: list[tuple[float, float]], transform: QTransform, *, cosmetic: bool) -> bytes:
    """A curve under a transform, with a word beside it, as Qt writes it."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    made = QSvgGenerator()
    made.setOutputDevice(buffer)
    made.setSize(QSize(WIDTH, HEIGHT))
    made.setViewBox(QRect(0, 0, WIDTH, HEIGHT))
    painter = QPainter(made)
    pen = QPen(QColor("#c9731d"), 2)
    pen.setCosmetic(cosmetic)
    painter.setPen(pen)
    painter.setTransform(transform)
    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in points]))
    painter.resetTransform()
    painter.drawText(20, 20, "step & <loss>")
    painter.end()
    return bytes(buffer.data().data())


def image(content: bytes) -> QImage:
    made = QImage(WIDTH, HEIGHT, QImage.Format.Format_RGB32)
    made.fill(QColor("white"))
    painter = QPainter(made)
    QSvgRenderer(QByteArray(content)).render(painter)
    painter.end()
    return made


def placed(content: bytes) -> list[tuple[float, float]]:
    """Where the points of all paths stand in the picture, by the matrices above them."""
    found = []
    for group in ElementTree.fromstring(content).iter(f"{{{SVG}}}g"):
        numbers = [float(it) for it in re.findall(r"[-\d.e]+", group.get("transform", "")[7:-1])]
        for shape in group:
            where = shape.get("d", "") + shape.get("points", "")
            for x, y in re.findall(r"([-\d.e]+),([-\d.e]+)", where):
                a, b, c, d, e, f = numbers
                found.append((a * float(x) + c * float(y) + e, b * float(x) + d * float(y) + f))
    return found


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(-2, 2)), min_size=2, max_size=9, unique=True),
    st.floats(0.001, 30),
    st.floats(-60, 60).filter(lambda it: abs(it) > 0.01),
)
def test_that_points_stay_where_they_were(
    points: list[tuple[float, float]], across: float, up: float
) -> None:
    before = drawn(points, QTransform(across, 0, 0, up, 12.5, 50), cosmetic=True)
    after = flattened(before)
    assert b"non-scaling-stroke" not in after
    expected = placed(before)
    assert len(expected) >= len(points)
    np.testing.assert_allclose(placed(after), expected, atol=0.001)


def test_that_it_looks_the_same_and_words_stay_words() -> None:
    points = [(0.0, 0.0), (10.0, 1.0), (20.0, -1.0), (30.0, 0.5)]
    before = drawn(points, QTransform(5, 0, 0, -30, 10, 50), cosmetic=True)
    after = flattened(before)
    assert image(after) == image(before)
    assert "step &amp; &lt;loss&gt;" in after.decode()


def test_that_lines_that_grow_with_their_matrix_are_left_alone() -> None:
    before = drawn([(0.0, 0.0), (10.0, 1.0)], QTransform(5, 0, 0, 5, 10, 50), cosmetic=False)
    assert b"matrix(5,0,0,5,10,50)" in before
    assert b"matrix(5,0,0,5,10,50)" in flattened(before)
