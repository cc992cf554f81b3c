"""Runs beside each other: scores, overlaid curves, CKA by layer, and what differs in their recipes."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.glossary import explain
from app.viewmodels.provenance import run_part
from app.viewmodels.types import Profile
from app.views.chart_tile import hues
from app.views.page import SPACING, Page
from app.views.run_charts import SMOOTHING, SMOOTHING_TIP
from app.views.score_rows import score_rows
from app.views.splitting import restore, splitter
from app.widgets.actions import PageAction
from app.widgets.charts import LineChart
from app.widgets.controls import Button, Card, Chip, Picker, label
from app.widgets.curves import Line
from app.widgets.explained import explain_heading
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

ACCURACY = "accuracy:"
MOST_OFFERED = 30
TEACHING = (
    "Choose two or more runs in the list (Ctrl+click) and press Compare. A single run works too: its base, "
    "degraded and recovered models stand side by side. Scores are subtracted only within one protocol."
)


class ComparePage(Page):
    """Shows the compare view model."""

    runs_wanted = Signal()
    opened = Signal(str)

    def __init__(self, application: Application, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._application = application
        self._model = application.compare
        self._settings = settings
        self._theme = theme
        self._key = ""
        self._chips: list[Chip] = []
        self.column.addLayout(self._head())
        self.empty = Empty(theme, "git-diff", "Nothing to compare yet", TEACHING)
        self.empty.add_action("Choose runs", "rows", self.runs_wanted.emit)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.column.addWidget(self.stack, 1)
        self._model.changed.connect(lambda: self.later(self._show_all))
        self._model.loadingChanged.connect(lambda: self.later(self._show_loading))
        theme.changed.connect(lambda: self.later(self._show_all))
        self._show_all()

    def page_actions(self) -> tuple[PageAction, ...]:
        """Add runs, look at one of them, begin anew."""
        runs = self._model.runs()
        return (
            PageAction("Add a run to the comparison…", self._add_menu, icon="plus"),
            PageAction("Choose runs in the list", self.runs_wanted.emit, icon="rows"),
            PageAction(
                "Follow the curves again after a zoom",
                self.overlay.reset_view,
                enabled=lambda: bool(runs),
                icon="arrows-out",
            ),
            PageAction(
                "Take all runs out of the comparison",
                lambda: self._model.set_runs([]),
                enabled=lambda: bool(runs),
                icon="x",
            ),
            *(
                PageAction(f"Open {run.label}", partial(self.opened.emit, run.uid), icon="eye")
                for run in runs
            ),
        )

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(label("Compare", "title"))
        self._chip_row = QHBoxLayout()
        self._chip_row.setSpacing(8)
        row.addLayout(self._chip_row)
        self.add = Button(self._theme, "Add…", "", "plus")
        self.add.setToolTip("Add a run to the comparison")
        self.add.clicked.connect(self._add_menu)
        row.addWidget(self.add)
        self._loading = label("", "caption")
        row.addWidget(self._loading)
        row.addStretch(1)
        return row

    def _content(self) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        self.scores = Table(self._theme, "Scores of the compared runs")
        self._scores_card = Card(
            "Accuracy", "per cent · 95 % intervals and protocol in the tooltip"
        )
        explain_heading(self._scores_card, explain("accuracy"))
        self._scores_card.body.addWidget(self.scores)
        column.addWidget(self._scores_card)
        self.overlay = LineChart(
            self._theme, "Curves of the compared runs", empty="These runs have recorded no curves."
        )
        self._overlay_card = Card("Curves")
        self._overlay_card.heading.hide()
        self.smoothing = Picker("Smoothing")
        self.smoothing.set_options(SMOOTHING, "0.6")
        self.smoothing.setToolTip(SMOOTHING_TIP)
        self.smoothing.chosen.connect(lambda weight: self.overlay.set_smoothing(float(weight)))
        self.overlay.set_smoothing(0.6)
        self.which = Picker("Metric")
        self.which.chosen.connect(self._choose)
        self.which.setProperty("heading", True)
        self._overlay_card.add_first(self.which)
        self._overlay_card.add_tool(self.smoothing)
        self._overlay_card.body.addWidget(self.overlay)
        self.profile = LineChart(
            self._theme,
            "CKA by layer",
            x_label="layer",
            empty="No finished checkpoint of these runs was compared layer by layer.",
        )
        self._profile_card = Card("CKA by layer")
        explain_heading(self._profile_card, explain("CKA"))
        self._profile_card.body.addWidget(self.profile)
        across = Qt.Orientation.Horizontal
        self.charts: QSplitter = splitter(self._settings, "compare charts", across)
        self.charts.addWidget(self._overlay_card)
        self.charts.addWidget(self._profile_card)
        restore(self.charts, self._settings, [530, 530])
        self.differences = Table(self._theme, "Differences of the recipes")
        self._differences_card = Card("What differs in the recipes")
        self._same = Empty(
            self._theme,
            "equals",
            "",
            "",
            small=True,
        )
        self._differences = QStackedWidget()
        self._differences.addWidget(self._same)
        self._differences.addWidget(self.differences)
        self._differences_card.body.addWidget(self._differences)
        self.halves: QSplitter = splitter(self._settings, "compare halves", Qt.Orientation.Vertical)
        self.halves.addWidget(self.charts)
        self.halves.addWidget(self._differences_card)
        restore(self.halves, self._settings, [290, 190])
        column.addWidget(self.halves, 1)
        return content

    def _show_all(self) -> None:
        runs = self._model.runs()
        self.stack.setCurrentIndex(1 if runs else 0)
        self._show_chips()
        self._show_loading()
        if not runs:
            return
        hues = [self._hue(place) for place in range(len(runs))]
        self.scores.show_rows(*score_rows(self._model.table(), self._theme, runs, hues))
        self._scores_card.setVisible(self.scores.rowCount() > 0)
        self.scores.setFixedHeight(min(self.scores.content_height(), 220))
        self._show_overlay()
        self._show_profiles()
        self._show_differences()

    def _show_loading(self) -> None:
        self._loading.setText("reading…" if self._model.loading else "")

    def _show_chips(self) -> None:
        for chip in self._chips:
            self._chip_row.removeWidget(chip)
            chip.deleteLater()
        self._chips = []
        for place, run in enumerate(self._model.runs()):
            named = f"{run.letter}  {run.short}" if run.letter else run.label
            chip = Chip(self._theme, named, self._hue(place), removable=True)
            chip.setToolTip(f"{run_part(run.name, run.uid)} · {run.status_text}")
            chip.removed.connect(lambda uid=run.uid: self._model.remove_run(uid))
            self._chip_row.addWidget(chip)
            self._chips.append(chip)

    def _hue(self, place: int) -> str:
        extra = self._theme.tokens.extra
        return extra[place % len(extra)]

    def _look(self) -> dict[str, tuple[str, str]]:
        """By run label: the letter that stands for it in legends, and its colour; letters only among several."""
        return {
            run.label: (run.letter, self._hue(place))
            for place, run in enumerate(self._model.runs())
        }

    def _show_overlay(self) -> None:
        keys = self._model.available_keys()
        options = [
            (f"{ACCURACY}{task}", f"Accuracy: {self._model.task_title(task)}")
            for task in self._model.tasks()
        ]
        options += [(key, self._model.key_title(key)[0]) for key in keys]
        names = [key for key, _ in options]
        if self._key not in names:
            self._key = next((key for key in ("divergence", "loss") if key in names), "")
            self._key = self._key or (names[0] if names else "")
        self.which.set_options(options, self._key)
        self._overlay_card.heading.setVisible(not options)
        self.which.setVisible(bool(options))
        accuracy = self._key.startswith(ACCURACY)
        self.smoothing.setVisible(bool(options) and not accuracy)
        look = self._look()
        if accuracy:
            self._overlay_card.set_caption("per cent · Wilson 95 %")
            bands = self._model.accuracy(self._key.removeprefix(ACCURACY))
            alone = len({band.run for band in bands}) == len(bands)
            own = hues([band.role for band in bands], self._theme)
            self.overlay.set_lines(
                Line(
                    f"{band.run}/{band.stage}",
                    *_named(look[band.run], band.title, stage_hue, alone=alone),
                    band.x,
                    band.y,
                    band.low,
                    band.high,
                    points=True,
                )
                for band, stage_hue in zip(bands, own, strict=True)
            )
            return
        self._overlay_card.set_caption(self._model.key_title(self._key)[1] if self._key else "")
        curves = self._model.overlay(self._key) if self._key else ()
        self.smoothing.setVisible(any(not curve.sparse for curve in curves))
        alone = len({curve.run for curve in curves}) == len(curves)
        own = hues([curve.role for curve in curves], self._theme)
        self.overlay.set_lines(
            Line(
                f"{curve.run}/{curve.stage}",
                *_named(look[curve.run], curve.stage, stage_hue, alone=alone),
                curve.x,
                curve.y,
                points=curve.sparse,
            )
            for curve, stage_hue in zip(curves, own, strict=True)
        )

    def _show_profiles(self) -> None:
        profiles = self._model.profiles()
        look = self._look()
        lines = []
        several = len(look) > 1
        own = hues([profile.role for profile in profiles], self._theme)
        drawn: set[tuple[str, str]] = set()
        for profile, stage_hue in zip(profiles, own, strict=True):
            name, token = _named(look[profile.run], profile.title, stage_hue)
            dashed = several and profile.role == "degraded"
            again = several and (profile.run, profile.role) in drawn  # one hue a run: points tell
            drawn.add((profile.run, profile.role))
            lines.append(_profile_line(profile, name, token, dashed=dashed, points=again))
        self.profile.set_lines(lines)
        captions = {profile.caption for profile in profiles}
        self._profile_card.set_caption(captions.pop() if len(captions) == 1 else "")
        if profiles:
            longest = max(profiles, key=lambda profile: len(profile.layers))
            self.profile.set_names(longest.layers)

    def _show_differences(self) -> None:
        rows = self._model.differences()
        runs = self._model.runs()
        columns = [Column("field", numeric=False)]
        columns += [
            Column(f"{run.letter} {run.short}", stretch=True, tip=run.label) for run in runs
        ]
        self.differences.show_rows(
            columns,
            [
                [Cell(row.path, tip=row.label)]
                + [
                    Cell(value, "third" if note else "", tip=note)
                    for value, note in zip(row.values, row.notes, strict=True)
                ]
                for row in rows
            ],
        )
        self._differences.setCurrentIndex(1 if rows else 0)
        if len(runs) > 1:
            self._same.set("No differences", "The recipes of these runs are equal, field by field.")
        else:
            self._same.set(
                "One run", "Add a second run to see which fields of their recipes differ."
            )
        self._differences_card.set_caption(
            f"{len(rows)} of {self._model.field_count()} fields" if len(runs) > 1 else ""
        )

    def _choose(self, key: str) -> None:
        self._key = key
        self.overlay.reset_view()
        self._show_overlay()

    def _add_menu(self) -> None:
        model = self._application.runs
        compared = set(self._model.uids())
        menu = QMenu(self)
        for row in range(model.rowCount()):
            uid = model.uid_at(row)
            if uid not in compared:
                name = model.name_of(uid)
                action = menu.addAction(name.replace("&", "&&"))
                action.triggered.connect(lambda _=False, uid=uid: self._model.add_run(uid))
            if len(menu.actions()) >= MOST_OFFERED:
                break
        menu.addSeparator()
        menu.addAction("Choose in the list").triggered.connect(lambda: self.runs_wanted.emit())
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.add.mapToGlobal(self.add.rect().bottomLeft()))


def _named(
    look: tuple[str, str], stage: str, stage_hue: str, *, alone: bool = False
) -> tuple[str, str]:
    """Label and colour of a curve: among runs by the run (and its stage, unless alone), else by the stage."""
    letter, hue = look
    if not letter:
        return stage, stage_hue
    return letter if alone else f"{letter} {stage}", hue


def _profile_line(profile: Profile, name: str, token: str, *, dashed: bool, points: bool) -> Line:
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
        points=points,
    )
