"""The charts of a comparison: curves of one metric or task over each other, and CKA by layer."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.compare import CompareViewModel
from app.viewmodels.glossary import explain
from app.viewmodels.types import Profile
from app.views.chart_tile import WILSON, hues, smoothing_words
from app.views.compare_looks import Looks
from app.views.keeping import COPY_KEYS, Keeper
from app.views.run_charts import SMOOTHING, SMOOTHING_TIP
from app.views.splitting import restore, splitter
from app.widgets.charts import LineChart
from app.widgets.controls import Card, Picker
from app.widgets.curves import Line
from app.widgets.explained import explain_heading
from app.widgets.theme import Theme

ACCURACY = "accuracy:"
FIRST_KEYS = ("divergence", "loss")
FIRST_SMOOTHING = "0.6"
METRIC_VIEW, SMOOTHING_VIEW = "compare.metric", "compare.smoothing"
NO_TITLE = "Curves of the compared runs"
PROFILE_TITLE = "CKA by layer"
NO_CURVES = "These runs have recorded no curves."
NO_PROFILE = "No finished checkpoint of these runs was compared layer by layer."


class CompareCharts(QWidget):
    """Shows curves and profiles of the compared runs, side by side."""

    def __init__(
        self, model: CompareViewModel, settings: Settings, theme: Theme, keeper: Keeper
    ) -> None:
        super().__init__()
        self._model = model
        self._theme = theme
        self._keeper = keeper
        self._settings = settings
        self._wish = settings.views.get(METRIC_VIEW, "")
        self._key = ""
        self._make_overlay()
        self._make_profile()
        across = Qt.Orientation.Horizontal
        self.halves: QSplitter = splitter(settings, "compare charts", across)
        self.halves.addWidget(self._overlay_card)
        self.halves.addWidget(self._profile_card)
        restore(self.halves, settings, [530, 530])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.halves)
        for chart in (self.overlay, self.profile):
            self._keep(chart)

    def refresh(self) -> None:
        """Show what the runs have now."""
        self._show_overlay()
        self._show_profiles()

    def save_picture(self) -> None:
        """Save the chart that has the focus; the curves where neither has it."""
        here = self.focusWidget()
        self._save(self.profile if self.profile.isAncestorOf(here) else self.overlay)

    def _make_overlay(self) -> None:
        self.overlay = LineChart(self._theme, NO_TITLE, empty=NO_CURVES)
        self._overlay_card = Card("Curves")
        self._overlay_card.heading.hide()
        self.smoothing = Picker("Smoothing")
        kept = self._settings.views.get(SMOOTHING_VIEW, "")
        weight = kept if kept in dict(SMOOTHING) else FIRST_SMOOTHING
        self.smoothing.set_options(SMOOTHING, weight)
        self.smoothing.setToolTip(SMOOTHING_TIP)
        self.smoothing.chosen.connect(self._smooth)
        self._weight = float(weight)
        self.overlay.set_smoothing(self._weight)
        self.which = Picker("Metric")
        self.which.chosen.connect(self._choose)
        self.which.setProperty("heading", True)
        self._overlay_card.add_first(self.which)
        self._overlay_card.add_tool(self.smoothing)
        self._overlay_card.body.addWidget(self.overlay)

    def _make_profile(self) -> None:
        self.profile = LineChart(self._theme, PROFILE_TITLE, x_label="layer", empty=NO_PROFILE)
        self._profile_card = Card(PROFILE_TITLE)
        explain_heading(self._profile_card, explain("CKA"))
        self._profile_card.body.addWidget(self.profile)

    def _keep(self, chart: LineChart) -> None:
        chart.menu_wanted.connect(
            lambda at: self._keeper.menu(
                chart, chart.title, self._caption(chart), at, (("Show all", "0", chart.reset_view),)
            )
        )
        copy = QShortcut(QKeySequence(COPY_KEYS), chart)
        copy.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        copy.activated.connect(lambda: self._keeper.copy(chart, chart.title, self._caption(chart)))

    def _save(self, chart: LineChart) -> None:
        self._keeper.save(chart, chart.title, self._caption(chart))

    def _caption(self, chart: LineChart) -> str:
        """How the curves came about, for a picture."""
        smoothed = chart is self.overlay and self.smoothing.isVisible()
        return smoothing_words(self._weight) if smoothed else ""

    def _show_overlay(self) -> None:
        options = [
            (f"{ACCURACY}{task}", f"Accuracy: {self._model.task_title(task)}")
            for task in self._model.tasks()
        ]
        options += [(key, self._model.key_title(key)[0]) for key in self._model.available_keys()]
        names = [key for key, _ in options]
        wanted = (self._wish, *FIRST_KEYS, *names[:1])
        self._key = next((key for key in wanted if key in names), "")
        self.which.set_options(options, self._key)
        self.which.setVisible(bool(options))
        self._overlay_card.heading.setVisible(not options)
        self.overlay.set_title(dict(options).get(self._key, NO_TITLE))
        if self._key.startswith(ACCURACY):
            self._show_accuracy(self._key.removeprefix(ACCURACY))
        else:
            self._show_metric(self._key)

    def _show_accuracy(self, task: str) -> None:
        self.smoothing.hide()
        self._overlay_card.set_caption(WILSON)
        bands = self._model.accuracy(task)
        looks = Looks(self._theme, self._model.runs())
        alone = len({band.run for band in bands}) == len(bands)
        own = hues([band.role for band in bands], self._theme)
        self.overlay.set_source(self._model.task_source(task))
        self.overlay.set_lines(
            Line(
                f"{band.run}/{band.stage}",
                *looks.next(band.run, band.title, stage_hue, alone=alone),
                band.x,
                band.y,
                band.low,
                band.high,
                points=True,
            )
            for band, stage_hue in zip(bands, own, strict=True)
        )

    def _show_metric(self, key: str) -> None:
        self._overlay_card.set_caption(self._model.key_title(key)[1] if key else "")
        curves = self._model.overlay(key) if key else ()
        self.smoothing.setVisible(any(not curve.sparse for curve in curves))
        looks = Looks(self._theme, self._model.runs())
        alone = len({curve.run for curve in curves}) == len(curves)
        own = hues([curve.role for curve in curves], self._theme)
        self.overlay.set_source(self._model.metric_source(key))
        self.overlay.set_lines(
            Line(
                f"{curve.run}/{curve.stage}",
                *looks.next(curve.run, curve.stage, stage_hue, alone=alone),
                curve.x,
                curve.y,
                points=curve.sparse,
            )
            for curve, stage_hue in zip(curves, own, strict=True)
        )

    def _show_profiles(self) -> None:
        profiles, runs = self._model.profiles(), self._model.runs()
        looks = Looks(self._theme, runs)
        lines = []
        own = hues([profile.role for profile in profiles], self._theme)
        for profile, stage_hue in zip(profiles, own, strict=True):
            dashed = len(runs) > 1 and profile.role == "degraded"
            named = looks.next(profile.run, profile.title, stage_hue, shaded=not dashed)
            lines.append(_profile_line(profile, *named, dashed=dashed))
        self.profile.set_lines(lines)
        self.profile.set_source(self._model.profile_source())
        captions = {profile.caption for profile in profiles}
        self._profile_card.set_caption(captions.pop() if len(captions) == 1 else "")
        if profiles:
            longest = max(profiles, key=lambda profile: len(profile.layers))
            self.profile.set_names(longest.layers)

    def _choose(self, key: str) -> None:
        self._wish = key
        self._settings.views[METRIC_VIEW] = key
        self.overlay.reset_view()
        self._show_overlay()

    def _smooth(self, weight: str) -> None:
        self._settings.views[SMOOTHING_VIEW] = weight
        self._weight = float(weight)
        self.overlay.set_smoothing(self._weight)


def _profile_line(profile: Profile, name: str, token: str, *, dashed: bool) -> Line:
    x = np.arange(len(profile.layers), dtype=np.float64)
    spread = bool((profile.high > profile.low).any())
    return Line(
        f"{profile.run}/{profile.subject}",
        name,
        token,
        x,
        profile.y,
        profile.low if spread else None,
        profile.high if spread else None,
        dashed=dashed,
    )
