"""The header: whose project this is, the field that opens the palette, what is at work, and the theme."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QWidget

from app.settings import Settings
from app.settings import Theme as ThemeChoice
from app.views.palette import HINT
from app.widgets.controls import Button, Chip, label
from app.widgets.theme import Theme

HEIGHT = 40
FIELD_WIDTH, FIELD_HEIGHT = 420, 26
PALETTE_KEYS = "Ctrl+K"
THEMES: tuple[ThemeChoice, ...] = ("system", "light", "dark")
THEME_ICONS = {"system": "circle-half", "light": "sun", "dark": "moon"}


class SearchField(Button):
    """Looks like a field and is a button: pressing it, or typing the keys it shows, opens the palette."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, HINT, "search", "magnifying-glass")
        self.setFixedHeight(FIELD_HEIGHT)
        self.setMinimumWidth(FIELD_WIDTH // 2)
        self.setMaximumWidth(FIELD_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(f"{HINT} ({PALETTE_KEYS})")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 5, 0)
        cap = label(PALETTE_KEYS.replace("+", " "), "key")
        cap.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        row.addWidget(cap, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class Header(QFrame):
    """Left the project, in the middle the search, right the machine."""

    palette_wanted = Signal()
    shortcuts_wanted = Signal()
    project_wanted = Signal()
    theme_chosen = Signal(str)

    def __init__(self, theme: Theme, settings: Settings) -> None:
        super().__init__()
        self._theme = theme
        self._settings = settings
        self._busy = False
        self.setProperty("surface", "bar")
        self.setFixedHeight(HEIGHT)
        self.setAccessibleName("Header")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 10, 0)
        row.setSpacing(8)
        left, right = QHBoxLayout(), QHBoxLayout()
        left.setSpacing(12)
        right.setSpacing(8)
        left.addWidget(label("Rekindle", "brand"))
        self.project = Button(theme, "…", "chip")
        self.project.clicked.connect(self.project_wanted)
        left.addWidget(self.project)
        left.addStretch(1)
        self.search = SearchField(theme)
        self.search.clicked.connect(self.palette_wanted)
        self.activity = Chip(theme, "")
        self.device = Chip(theme, "")
        right.addStretch(1)
        right.addWidget(self.activity)
        right.addWidget(self.device)
        self.shortcuts = Button(theme, "", "quiet", "keyboard")
        self.shortcuts.setAccessibleName("Keyboard shortcuts")
        self.shortcuts.setToolTip("Keyboard shortcuts (?)")
        self.shortcuts.clicked.connect(self.shortcuts_wanted)
        self.theme_button = Button(theme, "", "quiet", THEME_ICONS[theme.choice])
        self.theme_button.clicked.connect(self.next_theme)
        right.addWidget(self.shortcuts)
        right.addWidget(self.theme_button)
        row.addWidget(_half(left), 1)
        row.addWidget(self.search, 2)
        row.addWidget(_half(right), 1)
        self._name_theme()

    def set_project(self, name: str, tip: str) -> None:
        """Which project is open."""
        self.project.setText(f"{name} ▾")
        self.project.setAccessibleName(f"Project: {name}")
        self.project.setToolTip(tip)

    def show_activity(self, running: int, waiting: int) -> None:
        """How many runs run and wait."""
        self._busy = bool(running)
        texts = [f"{running} running"] if running else ["idle"]
        texts += [f"{waiting} waiting"] if waiting else []
        self.activity.set(" · ".join(texts), "accent" if running else "third")

    def is_busy(self) -> bool:
        """Whether a run runs."""
        return self._busy

    def next_theme(self) -> None:
        """Go on to the next of the three."""
        self.choose_theme(THEMES[(THEMES.index(self._chosen()) + 1) % len(THEMES)])

    def choose_theme(self, choice: ThemeChoice) -> None:
        """Take a theme, and remember it."""
        self._theme.choose(choice)
        self._settings.theme = choice
        self.theme_button.set_icon(THEME_ICONS[choice])
        self._name_theme()
        self.theme_chosen.emit(choice)

    def _chosen(self) -> ThemeChoice:
        return next(choice for choice in THEMES if choice == self._theme.choice)

    def _name_theme(self) -> None:
        words = f"Theme: {self._theme.choice}"
        self.theme_button.setAccessibleName(words)
        self.theme_button.setToolTip(f"{words}. Press for the next one.")


def _half(row: QHBoxLayout) -> QWidget:
    made = QWidget()
    made.setProperty("surface", "none")
    row.setContentsMargins(0, 0, 0, 0)
    made.setLayout(row)
    return made
