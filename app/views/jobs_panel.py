"""The jobs on models: progress, cancel, what went wrong and what to do."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from app.viewmodels.jobs import CANCELLED, DONE, FAILED, RUNNING, WAITING, JobsViewModel, JobView
from app.widgets.controls import Button, Card, Chip, Elided, label
from app.widgets.theme import Theme

WHOLE = 1000
BAR_WIDTH = 160
TITLE_WIDTH = 260
LINE_HEIGHT = 30
MOST_HIGH = 150


class _Line(QWidget):
    """One job; it is filled anew as the job goes on, never made anew."""

    def __init__(self, theme: Theme, model: JobsViewModel, key: int) -> None:
        super().__init__()
        self._model = model
        self.key = key
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 8, 2)
        column.setSpacing(2)
        row = QHBoxLayout()
        row.setSpacing(10)
        self.title = Elided("", "caption")
        self.title.setFixedWidth(TITLE_WIDTH)
        self.chip = Chip(theme, "")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(BAR_WIDTH)
        self.note = Elided("", "hint")
        self.cancel = Button(theme, "Cancel", "", "x")
        self.cancel.clicked.connect(lambda: model.cancel(self.key))
        self.again = Button(theme, "Again", "", "arrow-clockwise")
        self.again.clicked.connect(lambda: model.again(self.key))
        self.dismiss = Button(theme, "", "quiet", "x")
        self.dismiss.clicked.connect(lambda: model.forget(self.key))
        for widget in (self.title, self.chip, self.bar):
            row.addWidget(widget)
        row.addWidget(self.note, 1)
        for button in (self.cancel, self.again, self.dismiss):
            row.addWidget(button)
        column.addLayout(row)
        self.hint = label("", "hint", wrap=True)
        column.addWidget(self.hint)

    def show_job(self, job: JobView) -> None:
        """Show how the job is."""
        self.title.set_text(job.title)
        self.chip.set_status(job.state, job.status_text)
        working = job.state in (RUNNING, WAITING)
        self.bar.setVisible(working)
        self.bar.setAccessibleName(f"Progress of {job.title}")
        if job.progress is None:
            self.bar.setRange(0, 0 if job.state == RUNNING else WHOLE)
        else:
            self.bar.setRange(0, WHOLE)
            self.bar.setValue(round(job.progress * WHOLE))
        share = f"{job.progress:.0%} · " if working and job.progress is not None else ""
        self.note.set_text(share + job.note)
        self.hint.setText(job.hint)
        self.hint.setVisible(bool(job.hint))
        self.cancel.setVisible(working)
        self.cancel.setEnabled(not job.leaving)
        self.again.setVisible(job.state in (FAILED, CANCELLED))
        self.dismiss.setVisible(not working)
        for button, what in (
            (self.cancel, "Cancel"),
            (self.again, "Again"),
            (self.dismiss, "Dismiss"),
        ):
            button.setAccessibleName(f"{what}: {job.title}")


class JobsPanel(Card):
    """All jobs of the window; hidden while there are none."""

    def __init__(self, model: JobsViewModel, theme: Theme) -> None:
        super().__init__("Jobs")
        self._model = model
        self._theme = theme
        self.lines: dict[int, _Line] = {}
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(content)
        self._scroll.setAccessibleName("Jobs")
        self.body.addWidget(self._scroll)
        model.changed.connect(self.show_jobs)
        self.show_jobs()

    def show_jobs(self) -> None:
        """Show the jobs as they are now."""
        shown = {
            job.key: job
            for job in self._model.jobs()
            if not (job.quiet and (job.state == DONE or job.leaving))
        }
        for key in [key for key in self.lines if key not in shown]:
            line = self.lines.pop(key)
            self._column.removeWidget(line)
            line.hide()
            line.deleteLater()
        for key, job in shown.items():
            if key not in self.lines:
                self.lines[key] = _Line(self._theme, self._model, key)
                self._column.insertWidget(self._column.count() - 1, self.lines[key])
            self.lines[key].show_job(job)
        self.setVisible(bool(shown))
        high = sum(line.sizeHint().height() for line in self.lines.values())
        self._scroll.setFixedHeight(min(max(high, LINE_HEIGHT), MOST_HIGH))
        working = sum(job.state in (RUNNING, WAITING) for job in shown.values())
        self.set_caption(f"{working} at work" if working else "none at work")
