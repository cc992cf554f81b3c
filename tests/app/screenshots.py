"""Pictures of every page in every state, and what the looks checks find there. Not a test: a command.

python tests/app/screenshots.py FOLDER            pictures in full, to look at
python tests/app/screenshots.py --write           the reference pictures and those of the README, anew

Options: --states full,running  --only PART-OF-A-NAME  --sizes 1280x800,1920x1080  --no-looks  --no-extras  --walk
The scale is that of QT_SCALE_FACTOR. The tests run this file in a process of its own and read its report.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from tests.app import looks
from tests.app.scenes import STATES, Stage, held_still, scenes, settled, show, stage_of
from tests.app.walking import STATE, walk

SIZES = ("1280x800", "1920x1080")
THEMES = ("light", "dark")
REPORT = "report.json"
SHOWN_IN_README = ("runs-full", "new-full", "run-full", "compare-full")
HARMLESS = ("propagateSizeHints", "raise()", "grabbing the keyboard")
"""What the offscreen platform says of itself."""


def main(arguments: Sequence[str]) -> None:
    """Take pictures, or write the references."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--states", default=",".join(STATES))
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--only", default="")
    parser.add_argument("--no-looks", action="store_true")
    parser.add_argument("--no-extras", action="store_true")
    parser.add_argument("--walk", action="store_true", help="look behind the pages; no pictures")
    given = parser.parse_args(arguments)
    if given.write:
        write()
    elif given.folder is None:
        parser.error("name a folder, or say --write")
    elif given.walk:
        walk_through(given.folder)
    else:
        take(
            given.folder,
            tuple(given.states.split(",")),
            tuple(given.sizes.split(",")),
            only=given.only,
            checked=not given.no_looks,
            extras=not given.no_extras,
        )


def take(
    folder: Path,
    states: tuple[str, ...],
    sizes: tuple[str, ...],
    *,
    only: str = "",
    checked: bool = True,
    extras: bool = True,
) -> None:
    """Write pictures named SCENE-THEME-SIZE.png into `folder`, and a report of the findings beside them."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    warnings: list[str] = []

    def note(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if kind != QtMsgType.QtDebugMsg and not any(word in text for word in HARMLESS):
            warnings.append(text)

    def confess(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        warnings.append("".join(traceback.format_exception(kind, error, trace)))
        sys.stderr.write(warnings[-1])

    qInstallMessageHandler(note)
    sys.excepthook = confess
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    found: dict[str, list[str]] = {}
    wanted = [
        scene for scene in scenes(states) if only in scene.name and (extras or not scene.extra)
    ]
    with held_still():
        for state in states:
            mine = [scene for scene in wanted if scene.state == state]
            with (
                tempfile.TemporaryDirectory() as place,
                contextlib.chdir(place),  # the settings page shows the path
                stage_of(state, Path("rekindle"), application) as stage,
            ):
                for scene in mine:
                    show(stage, scene)
                    for size in sizes[:1] if scene.extra else sizes:
                        found.update(_shoot(stage, scene.name, size, folder, checked))
                    if checked:
                        found[f"{scene.name}-tab"] = [str(it) for it in looks.tab(stage.window)]
    report = {"findings": found, "warnings": warnings}
    (folder / REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
    qInstallMessageHandler(None)
    sys.excepthook = sys.__excepthook__


def walk_through(folder: Path) -> None:
    """Look at what opens from the full pages, light and dark, and write the report."""
    folder.mkdir(parents=True, exist_ok=True)
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    found: dict[str, list[str]] = {}
    report = folder.resolve() / REPORT
    with (
        held_still(),
        tempfile.TemporaryDirectory() as place,
        contextlib.chdir(place),
        stage_of(STATE, Path("rekindle"), application) as stage,
    ):
        stage.window.resize(*map(int, SIZES[0].split("x")))
        for choice in THEMES:
            stage.theme.choose(choice)
            found |= {f"{choice} {name}": them for name, them in walk(stage).items()}
    report.write_text(json.dumps({"findings": found, "warnings": []}, indent=1), encoding="utf-8")


def _shoot(stage: Stage, name: str, size: str, folder: Path, checked: bool) -> dict[str, list[str]]:
    wide, high = size.split("x")
    stage.window.resize(int(wide), int(high))
    found = {}
    for choice in THEMES:
        stage.theme.choose(choice)
        settled(stage).save(str(folder / f"{name}-{choice}-{size}.png"))
        if checked:
            found[f"{name}-{choice}-{size}"] = [str(it) for it in looks.look(stage.window)]
    return found


def child(folder: Path, *options: str, scale: str = "1") -> dict[str, dict[str, list[str]]]:
    """Run this file in a process of its own, at a scale of the screen; its report."""
    environment = {**os.environ, "QT_SCALE_FACTOR": scale, "QT_QPA_PLATFORM": "offscreen"}
    environment.pop("REKINDLE_HOME", None)  # Settings says whether it is set
    command = [sys.executable, __file__, str(folder), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, dict[str, list[str]]] = json.loads(
        (folder / REPORT).read_text(encoding="utf-8")
    )
    return report


def write() -> None:
    """The references of the tests at 100 % and 150 %, and the README's pictures."""
    from tests.app import reference  # only here: it takes a second to load

    with tempfile.TemporaryDirectory() as place:
        child(Path(place, "100"), "--no-looks")
        child(Path(place, "150"), "--no-looks", "--sizes", SIZES[0], scale="1.5")
        reference.write(Path(place, "100"), Path(place, "150"))
        reference.write_readme(
            [
                Path(place, "100", f"{name}-{choice}-{SIZES[0]}.png")
                for name in SHOWN_IN_README
                for choice in THEMES
            ]
        )


if __name__ == "__main__":
    main(sys.argv[1:])
