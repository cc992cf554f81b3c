"""Settings: preferences of the window, and what there is to know of the place and the machine.

Nothing here changes a result: seeds, limits and precision are in the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.storage import Storage, moving
from app.views.density import TITLES
from app.views.dialogs import Dialogs
from app.views.page import SPACING, Page, page_title
from app.widgets.actions import PageAction
from app.widgets.controls import Button, Card, Elided, Picker, Segments, label
from app.widgets.theme import Theme

THEMES = (("system", "System"), ("light", "Light"), ("dark", "Dark"))
CLOSING = (
    ("ask", "ask what to do"),
    ("keep", "go on without the window"),
    ("stop", "are stopped and saved"),
)
SMOOTHING = (("0", "raw"), ("0.6", "EMA .6"), ("0.9", "EMA .9"), ("0.97", "EMA .97"))
LABEL_WIDTH = 150
LINE_GAP = 6
RESET_TEXT = (
    "Theme, density, defaults, columns, splitters and how every page was left take their first values. "
    "Runs, recipes and checkpoints are not touched."
)


class SettingsPage(Page):
    """Cards of preferences; every change holds at once and is saved at once."""

    theme_chosen = Signal(str)
    density_chosen = Signal(str)
    tour_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._application = application
        self._settings = settings
        self._theme = theme
        self._dialogs = dialogs
        self._place = str(application.home.path)
        self.column.addWidget(page_title("Settings"))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        inside = QWidget()
        across = QHBoxLayout(inside)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(SPACING)
        for cards in (
            (self._appearance(), self._defaults(), self._advanced()),
            (self._storage(), self._devices()),
        ):
            column = QVBoxLayout()
            column.setSpacing(SPACING)
            for card in cards:
                column.addWidget(card)
            column.addStretch(1)
            across.addLayout(column, 1)
        area.setWidget(inside)
        self.column.addWidget(area, 1)
        self._area = area
        self._first = {
            "theme": self.theme_choice,
            "density": self.density,
            "storage": self.open_folder,
            "devices": self.devices,
            "smoothing": self.smoothing,
            "closing": self.closing,
            "notifications": self.notifications,
            "developer": self.developer,
            "reset": self.reset,
        }
        theme.changed.connect(self.follow_theme)
        application.machine.sampled.connect(lambda: self.later(self._show_devices))
        self._show()

    def page_actions(self) -> tuple[PageAction, ...]:
        """Open the folder, measure again, reset."""
        return (
            PageAction("Open the home folder", self._open_folder, icon="folder-open"),
            PageAction("Measure the home folder again", self._measure, icon="arrows-clockwise"),
            PageAction("Show the first steps", self.tour_wanted.emit, icon="flag"),
            PageAction("Reset the preferences…", self._reset, icon="arrow-counter-clockwise"),
        )

    def show_setting(self, key: str) -> None:
        """Bring a setting into view and give it the focus."""
        widget = self._first[key]
        self._area.ensureWidgetVisible(widget)
        target = widget if widget.focusPolicy() else _first_inside(widget)
        # The page is shown in this turn of the loop; a hidden widget would not take the focus.
        QTimer.singleShot(0, target, partial(target.setFocus))

    def showEvent(self, event: QShowEvent) -> None:
        """Sizes are measured when somebody looks."""
        super().showEvent(event)
        self._measure()

    def _appearance(self) -> Card:
        card = Card("Appearance")
        self.theme_choice = Segments(self._theme, "Theme", THEMES)
        self.theme_choice.chosen.connect(self._choose_theme)
        self.density = Segments(self._theme, "Density", tuple(TITLES.items()))
        self.density.chosen.connect(self._choose_density)
        card.body.addLayout(_line("Theme", self.theme_choice))
        card.body.addLayout(_line("Rows of tables", self.density))
        return card

    def _defaults(self) -> Card:
        card = Card("Defaults", "preferences only; science is in the recipe")
        self.smoothing = _picker("Smoothing of curves", SMOOTHING)
        self.smoothing.chosen.connect(self._choose_smoothing)
        self.closing = _picker("When the window closes, runs", CLOSING)
        self.closing.chosen.connect(self._choose_closing)
        self.notifications = QCheckBox("Tell me by a desktop message when a run has ended")
        self.notifications.setAccessibleName("Desktop message when a run has ended")
        self.notifications.toggled.connect(self._choose_notifications)
        card.body.addLayout(_line("Smoothing of curves", self.smoothing))
        card.body.addLayout(_line("At closing, runs", self.closing))
        card.body.addWidget(self.notifications)
        return card

    def _advanced(self) -> Card:
        card = Card("Advanced")
        self.developer = QCheckBox("Offer pages for developers (component gallery)")
        self.developer.setAccessibleName("Pages for developers")
        self.developer.toggled.connect(self._choose_developer)
        self.tour = Button(self._theme, "Show the first steps", "", "flag")
        self.tour.clicked.connect(self.tour_wanted)
        self.reset = Button(self._theme, "Reset the preferences…", "", "arrow-counter-clockwise")
        self.reset.clicked.connect(self._reset)
        card.body.addWidget(self.developer)
        row = QHBoxLayout()
        row.addWidget(self.tour)
        row.addWidget(self.reset)
        row.addStretch(1)
        card.body.addLayout(row)
        return card

    def _storage(self) -> Card:
        card = Card("Storage")
        self.place = Elided(self._place, "caption")
        self.open_folder = Button(self._theme, "Open", "", "folder-open")
        self.open_folder.setAccessibleName("Open the home folder")
        self.open_folder.clicked.connect(self._open_folder)
        self.copy_place = Button(self._theme, "", "", "copy")
        self.copy_place.setAccessibleName("Copy the path of the home folder")
        self.copy_place.setToolTip("Copy the path")
        self.copy_place.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._place))
        row = QHBoxLayout()
        row.addWidget(self.place, 1)
        row.addWidget(self.copy_place)
        row.addWidget(self.open_folder)
        card.body.addLayout(row)
        self._sizes = QVBoxLayout()
        self._sizes.setSpacing(LINE_GAP)
        self.sizes: dict[str, Elided] = {}
        card.body.addLayout(self._sizes)
        card.body.addWidget(label(moving(self._application.home), "hint", wrap=True))
        return card

    def _devices(self) -> Card:
        card = Card("Devices", "as measured now")
        self.devices = label("", "", wrap=True)
        self.devices.setAccessibleName("Devices found")
        card.body.addWidget(self.devices)
        hint = "On the command line “python -m app doctor” tries what training needs, part by part."
        card.body.addWidget(label(hint, "hint", wrap=True))
        return card

    def _show(self) -> None:
        """Take every control from the settings."""
        settings = self._settings
        self.theme_choice.choose(self._theme.choice)
        self.density.choose(settings.density)
        nearest = min(SMOOTHING, key=lambda it: abs(float(it[0]) - settings.smoothing))
        self.smoothing.set_options(SMOOTHING, nearest[0])
        self.closing.set_options(CLOSING, settings.closing)
        self.notifications.setChecked(settings.notifications)
        self.developer.setChecked(settings.developer)
        self._show_devices()

    def follow_theme(self) -> None:
        """Show the theme that was chosen elsewhere."""
        self.theme_choice.choose(self._theme.choice)

    def _show_devices(self) -> None:
        text = "\n".join(self._application.machine.lines())
        if text != self.devices.text():
            self.devices.setText(text)

    def _measure(self) -> None:
        self._application.measure_storage(self._show_sizes)

    def _show_sizes(self, storage: Storage) -> None:
        for name, size in storage.lines():
            if name not in self.sizes:
                self.sizes[name] = Elided("")
                self._sizes.addLayout(_line(name, self.sizes[name]))
            self.sizes[name].set_text(size)
            self.sizes[name].setAccessibleName(f"{name}: {size}")

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._place))

    def _choose_theme(self, choice: str) -> None:
        if choice != self._theme.choice:
            self.theme_chosen.emit(choice)
            self._settings.save()

    def _choose_density(self, choice: str) -> None:
        if choice != self._settings.density:
            self._settings.density = next(it for it in TITLES if it == choice)
            self.density_chosen.emit(choice)
            self._settings.save()

    def _choose_smoothing(self, weight: str) -> None:
        self._settings.smoothing = float(weight)
        self._settings.save()

    def _choose_closing(self, choice: str) -> None:
        match choice:
            case "ask" | "keep" | "stop":
                self._settings.closing = choice
        self._settings.save()

    def _choose_notifications(self, on: bool) -> None:
        self._settings.notifications = on
        self._settings.save()

    def _choose_developer(self, on: bool) -> None:
        self._settings.developer = on
        self._settings.save()

    def _reset(self) -> None:
        if not self._dialogs.confirm(self, "Reset the preferences?", RESET_TEXT, "Reset"):
            return
        self._settings.reset()
        self._settings.page = "settings"
        self._settings.save()
        self.theme_chosen.emit(self._settings.theme)
        self.density_chosen.emit(self._settings.density)
        self._show()


def _line(name: str, control: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(12)
    words = label(name, "caption")
    words.setFixedWidth(LABEL_WIDTH)
    words.setBuddy(control)
    row.addWidget(words)
    row.addWidget(control)
    row.addStretch(1)
    return row


def _picker(name: str, options: Sequence[tuple[str, str]]) -> Picker:
    made = Picker(name)
    made.setProperty("flat", False)
    made.set_options(options, options[0][0])
    return made


def _first_inside(widget: QWidget) -> QWidget:
    """The checked button of a row of segments, or the widget itself."""
    checked = [it for it in widget.findChildren(Button) if it.isChecked()]
    return checked[0] if checked else widget
