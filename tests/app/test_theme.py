from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtGui import QFont, QFontInfo, QFontMetricsF, QIcon
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.views.header import THEME_ICONS
from app.views.pages import PAGES
from app.widgets import fonts
from app.widgets.icons import IconFont
from app.widgets.stylesheet import stylesheet
from app.widgets.theme import Theme
from app.widgets.tokens import DARK, LIGHT, Tokens, contrast, mix

AA_TEXT = 4.5
AA_GRAPHICS = 3.0
MOST_FONT_BYTES = 2_000_000
DEPTH, MOST_TIMES = 12, 3
BOTH = pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])


def test_that_contrast_agrees_with_the_definition() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1.0


@BOTH
def test_that_every_text_colour_reaches_aa_on_every_ground_it_stands_on(tokens: Tokens) -> None:
    words = ["ink", "second", "third", "accent"]
    words += ["base_text", "degraded_text", "recovered_text", "expert_text", "bad_text"]
    words += ["warning_text"]
    for name in words:
        for ground in ("background", "panel", "hover"):
            ratio = contrast(getattr(tokens, name), getattr(tokens, ground))
            assert ratio >= AA_TEXT, f"{name} on {ground}: {ratio:.2f}"
    assert contrast(tokens.accent, tokens.accent_background) >= AA_TEXT
    assert contrast(tokens.on_accent, tokens.accent) >= AA_TEXT
    assert contrast(tokens.panel, tokens.ink) >= AA_TEXT  # tooltips


@BOTH
def test_that_every_hue_of_lines_and_dots_reaches_three_to_one(tokens: Tokens) -> None:
    hues = [tokens.base, tokens.degraded, tokens.recovered, tokens.expert, tokens.bad]
    for hue in [*hues, tokens.warning, *tokens.extra]:
        for ground in (tokens.panel, tokens.background):
            assert contrast(hue, ground) >= AA_GRAPHICS, hue


@BOTH
def test_that_the_style_sheet_has_no_colour_but_the_tokens(tokens: Tokens) -> None:
    sheet = stylesheet(
        tokens, "/icons", accent_hover="#010203", scroll="#040506", mono=("Mono", "Other Mono")
    )
    assert "$" not in sheet
    own = {value for value in vars(tokens).values() if isinstance(value, str)}
    assert set(re.findall(r"#[0-9a-f]{6}\b", sheet)) <= own | {"#010203", "#040506"}


def test_that_mixing_is_opaque_and_ends_at_both_colours() -> None:
    assert mix("#102030", "#ffffff", 1.0) == "#102030"
    assert mix("#102030", "#ffffff", 0.0) == "#ffffff"
    assert mix("#000000", "#ffffff", 0.5) == "#808080"


def test_that_choosing_dark_repaints_and_choosing_it_again_does_not(
    theme: Theme, qapp: QApplication, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(theme.changed, timeout=1000):
        theme.choose("dark")
    assert theme.tokens is DARK
    assert DARK.panel in qapp.styleSheet()
    with qtbot.assertNotEmitted(theme.changed):
        theme.choose("dark")


def test_that_figures_have_one_width_even_under_the_style_sheet(theme: Theme) -> None:
    shown = QLabel("1")
    shown.setProperty("role", "title")
    shown.ensurePolished()
    metrics = QFontMetricsF(shown.font())
    assert metrics.horizontalAdvance("1111") == metrics.horizontalAdvance("0000")


def test_that_the_monospace_font_is_one(theme: Theme) -> None:
    metrics = QFontMetricsF(QFont(theme.mono()))
    assert metrics.horizontalAdvance("iiii") == metrics.horizontalAdvance("mmmm")


def test_that_every_icon_named_in_the_window_exists(qapp: QApplication) -> None:
    names = IconFont().names()
    assert {place.icon for place in PAGES} <= names
    assert set(THEME_ICONS.values()) <= names


def test_that_an_icon_is_drawn_in_its_colour_and_greyed_when_disabled(theme: Theme) -> None:
    icon = theme.icon("trash", "#ff0000")
    image = icon.pixmap(32, 32).toImage()
    colours = {image.pixelColor(x, y).name() for x in range(32) for y in range(32)}
    assert "#ff0000" in colours
    grey = icon.pixmap(32, 32, QIcon.Mode.Disabled).toImage()
    colours = {grey.pixelColor(x, y).name() for x in range(32) for y in range(32)}
    assert "#ff0000" not in colours
    assert theme.tokens.third in colours
    with pytest.raises(KeyError):
        theme.icon("no such icon")


def test_that_the_bundled_fonts_are_the_ones_in_use(theme: Theme) -> None:
    assert {fonts.INTERFACE, fonts.MONO} <= fonts.load()
    assert QFontInfo(theme.font()).family() == fonts.INTERFACE
    assert QFontInfo(theme.mono()).family() == fonts.MONO
    semibold = QFont(theme.font())
    semibold.setWeight(QFont.Weight.DemiBold)
    wide = QFontMetricsF(semibold).horizontalAdvance("Recovered fraction")
    assert wide > QFontMetricsF(theme.font()).horizontalAdvance("Recovered fraction")


def test_that_a_missing_font_is_a_warning_and_no_crash(
    theme: Theme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "FOLDER", tmp_path)
    assert fonts.load.__wrapped__() == frozenset()
    assert caplog.text.count("could not be read") == len(fonts.FILES)


def test_that_fonts_come_with_their_licences_and_stay_small() -> None:
    files = [path for path in fonts.FOLDER.iterdir() if path.suffix in {".otf", ".ttf"}]
    assert {path.name for path in files} == set(fonts.FILES)
    assert sum(path.stat().st_size for path in files) < MOST_FONT_BYTES
    for name in ("OFL-Inter.txt", "OFL-JetBrainsMono.txt"):
        text = (fonts.FOLDER / name).read_text(encoding="utf-8")
        assert text.startswith("Copyright")
        assert "SIL OPEN FONT LICENSE Version 1.1" in text


class _Dressed(QLabel):
    """Counts how often it is dressed anew."""

    def __init__(self) -> None:
        super().__init__("leaf")
        self.times = 0

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        self.times += event.type() == QEvent.Type.StyleChange


@pytest.mark.qt_log_ignore("propagateSizeHints")
def test_that_a_theme_dresses_a_widget_once_and_not_once_for_each_widget_above_it(
    theme: Theme, qtbot: QtBot
) -> None:
    root, leaf = QWidget(), _Dressed()
    qtbot.addWidget(root)
    inner = root
    for _ in range(DEPTH):
        column = QVBoxLayout(inner)
        inner = QWidget()
        column.addWidget(inner)
    QVBoxLayout(inner).addWidget(leaf)
    root.show()
    qtbot.waitExposed(root)
    leaf.times = 0
    theme.choose("dark")
    assert 1 <= leaf.times <= MOST_TIMES
