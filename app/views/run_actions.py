"""What can be done on the run page, as data: for the palette, the shortcuts drawer, and the page's own keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.viewmodels.run import RunViewModel
from app.views.keeping import SAVE_KEYS as PICTURE_KEYS
from app.widgets.actions import PageAction
from app.widgets.chart_hands import ZOOM_STEP

if TYPE_CHECKING:
    from app.views.run_page import RunPage

STOP_KEYS, SAVE_KEYS, RESUME_KEYS = "Ctrl+Shift+S", "Ctrl+S", "Ctrl+Shift+R"
REUSE_KEYS, DIAGNOSTICS_KEYS, CHARTS_KEYS = "Ctrl+D", "Ctrl+Shift+D", "Ctrl+Shift+M"
ZOOM_IN_KEYS, ZOOM_OUT_KEYS, WHOLE_KEYS = "Ctrl++", "Ctrl+-", "Ctrl+0"
EARLIER_KEYS, LATER_KEYS = "Alt+Left", "Alt+Right"


def run_actions(page: RunPage) -> tuple[PageAction, ...]:
    """The actions of a run page; each asks when it is listed whether it is possible."""

    def when(possible: Callable[[RunViewModel], bool]) -> Callable[[], bool]:
        return lambda: page.run is not None and possible(page.run)

    stoppable = when(lambda run: run.can_stop and not run.is_stopping)
    at_work = when(lambda run: run.can_stop and not run.is_stopping and not run.is_starting)
    shown = when(lambda run: True)
    curves = when(lambda run: bool(run.available_keys()))
    read = when(lambda run: bool(run.completions()))
    area, completions, side = page.area, page.completions, page.details.side
    return (
        PageAction("Checkpoint now", page.act_save_now, SAVE_KEYS, at_work, "floppy-disk"),
        PageAction("Stop and save", page.act_stop, STOP_KEYS, stoppable, "stop-circle"),
        PageAction("Stop and discard…", page.act_discard, "", stoppable, "trash"),
        PageAction(
            "End by force…",
            page.act_force,
            "",
            when(lambda run: run.is_stopping),
            "warning-octagon",
        ),
        PageAction(
            "Leave the queue", page.act_stop, "", when(lambda run: run.is_waiting), "stop-circle"
        ),
        PageAction(
            "Resume", page.act_resume, RESUME_KEYS, when(lambda run: run.can_resume), "play"
        ),
        PageAction("Use these settings", page.act_reuse, REUSE_KEYS, shown, "copy"),
        PageAction("Add to Compare", page.act_compare, "", shown, "scales"),
        PageAction(
            "Copy diagnostics", page.copy_diagnostics, DIAGNOSTICS_KEYS, shown, "clipboard-text"
        ),
        PageAction(
            "Choose charts",
            lambda: _done(area.choose_charts()),
            CHARTS_KEYS,
            curves,
            "chart-line-up",
        ),
        PageAction(
            "Save a chart as a picture…", page.act_save_picture, PICTURE_KEYS, curves, "image"
        ),
        PageAction("Zoom in to fewer steps", lambda: area.zoom(ZOOM_STEP), ZOOM_IN_KEYS, curves),
        PageAction(
            "Zoom out to more steps", lambda: area.zoom(1 / ZOOM_STEP), ZOOM_OUT_KEYS, curves
        ),
        PageAction("Show all steps", area.linked.follow, WHOLE_KEYS, curves),
        PageAction("Earlier completion", lambda: completions.move_by(-1), EARLIER_KEYS, read),
        PageAction("Later completion", lambda: completions.move_by(1), LATER_KEYS, read),
        *(
            PageAction(f"Show the {pick} completion", _bind(completions.pick_next, pick), "", read)
            for pick in ("newest", "best", "worst", "random")
        ),
        *(
            PageAction(f"Show the {key}", _bind(side.choose, key), "", shown)
            for key in ("scores", "guards", "log")
        ),
    )


def _bind(act: Callable[[str], None], value: str) -> Callable[[], None]:
    return lambda: act(value)


def _done(_: object) -> None:
    """What an action gives back is nobody's concern."""
