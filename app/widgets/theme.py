"""The theme object: applies tokens, fonts and style sheet to the application, and follows the system.

One instance is made by the composition root and handed to every page. Widgets that paint themselves read
`theme.tokens` and repaint on `changed`.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTemporaryDir, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPalette
from PySide6.QtWidgets import QApplication

from app.widgets import fonts
from app.widgets.icons import IconFont
from app.widgets.scale import BODY_PX, MONO_PX
from app.widgets.stylesheet import stylesheet
from app.widgets.tokens import DARK, LIGHT, Tokens, mix

_ICONS = {
    "down": '<path d="M2 4.2 6 8.2 10 4.2" fill="none" stroke="{ink}" stroke-width="1.4" stroke-linecap="round"/>',
    "up": '<path d="M2 7.8 6 3.8 10 7.8" fill="none" stroke="{ink}" stroke-width="1.4" stroke-linecap="round"/>',
    "right": '<path d="M4.2 2 8.2 6 4.2 10" fill="none" stroke="{ink}" stroke-width="1.4" stroke-linecap="round"/>',
    "dot": '<circle cx="6" cy="6" r="2.4" fill="{on}"/>',
    "tick": '<path d="M2.5 6.2 5 8.7 9.6 3.6" fill="none" stroke="{ink}" stroke-width="1.7" stroke-linecap="round"/>',
    "dash": '<path d="M2.8 6 9.2 6" fill="none" stroke="{on}" stroke-width="1.7" stroke-linecap="round"/>',
    "check": '<path d="M2.5 6.2 5 8.7 9.6 3.6" fill="none" stroke="{on}" stroke-width="1.7" stroke-linecap="round"/>',
}


class Theme(QObject):
    """Colours, type and icons of the window; `choose` takes system, light or dark."""

    changed = Signal()

    def __init__(self, application: QApplication, choice: str = "system") -> None:
        super().__init__(application)
        self._application = application
        self._choice = choice
        self._folder = QTemporaryDir()
        self._icons = IconFont()
        self._families = set(QFontDatabase.families()) | fonts.load()
        self._tokens = self._wanted()
        application.setStyle("Fusion")
        application.setFont(self.font())
        self._apply()
        application.styleHints().colorSchemeChanged.connect(self.follow)

    @property
    def tokens(self) -> Tokens:
        """The colours now in force."""
        return self._tokens

    @property
    def choice(self) -> str:
        """What the person chose: system, light or dark."""
        return self._choice

    def choose(self, choice: str) -> None:
        """Switch to `system`, `light` or `dark` at once."""
        self._choice = choice
        self.follow()

    def font(self) -> QFont:
        """The interface font, 13 px, with figures of equal width."""
        font = QFont(self._application.font())
        if fonts.INTERFACE in self._families:
            font.setFamilies([fonts.INTERFACE])
        font.setPixelSize(BODY_PX)
        font.setFeature(QFont.Tag("tnum"), 1)
        return font

    def mono(self) -> QFont:
        """The font for text of models, logs and YAML."""
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        known = [it for it in (fonts.MONO, *fonts.OTHER_MONO) if it in self._families]
        if known:
            font.setFamilies(known)
        font.setStyleHint(QFont.StyleHint.Monospace)
        font.setPixelSize(MONO_PX)
        # Two characters stay two: a ligature would show "--" as one dash and "!=" as another sign.
        font.setFeature(QFont.Tag("calt"), 0)
        font.setFeature(QFont.Tag("liga"), 0)
        return font

    def icon(self, name: str, colour: str | None = None, active: str | None = None) -> QIcon:
        """A Phosphor icon by name; `active` is its colour when checked or selected."""
        plain = colour or self._tokens.second
        return self._icons.icon(name, plain=plain, lit=active or plain, disabled=self._tokens.third)

    def _wanted(self) -> Tokens:
        if self._choice == "system":
            scheme = self._application.styleHints().colorScheme()
            return DARK if scheme == Qt.ColorScheme.Dark else LIGHT
        return DARK if self._choice == "dark" else LIGHT

    def follow(self) -> None:
        """Take the colours that the choice and the system ask for."""
        wanted = self._wanted()
        if wanted is not self._tokens:
            self._tokens = wanted
            self._apply()
            self.changed.emit()

    def _apply(self) -> None:
        tokens = self._tokens
        self._application.setPalette(palette(tokens))
        # A new folder for each theme: Qt caches a style sheet's images by their path.
        folder = Path(self._folder.path()) / ("dark" if tokens.dark else "light")
        folder.mkdir(exist_ok=True)
        for name, shape in _ICONS.items():
            drawing = shape.format(ink=tokens.second, on=tokens.on_accent)
            text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 12 12">{drawing}</svg>'
            (folder / f"{name}.svg").write_text(text, encoding="utf-8")
        # Replacing a sheet by another, Qt dresses each widget anew once for every widget above it: a second for
        # all pages. Taking the old one off first, it goes through them once: a quarter of that.
        self._application.setStyleSheet("")
        self._application.setStyleSheet(
            stylesheet(
                tokens,
                folder.as_posix(),
                accent_hover=mix(tokens.ink, tokens.accent, 0.12),
                scroll=mix(tokens.third, tokens.panel, 0.4),
                mono=self.mono().families(),
            )
        )


def palette(tokens: Tokens) -> QPalette:
    """The Qt palette of a theme, for what no style sheet reaches."""
    result = QPalette()
    roles = QPalette.ColorRole
    for role, colour in {
        roles.Window: tokens.background,
        roles.WindowText: tokens.ink,
        roles.Base: tokens.panel,
        roles.AlternateBase: tokens.background,
        roles.Text: tokens.ink,
        roles.PlaceholderText: tokens.third,
        roles.Button: tokens.panel,
        roles.ButtonText: tokens.ink,
        roles.BrightText: tokens.bad,
        roles.Highlight: tokens.accent,
        roles.HighlightedText: tokens.on_accent,
        roles.Link: tokens.accent,
        roles.LinkVisited: tokens.accent,
        roles.ToolTipBase: tokens.ink,
        roles.ToolTipText: tokens.panel,
        roles.Mid: tokens.line,
        roles.Midlight: tokens.line,
        roles.Light: tokens.panel,
        roles.Dark: tokens.edge,
        roles.Shadow: tokens.edge,
        roles.Accent: tokens.accent,
    }.items():
        result.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.third))
    return result
