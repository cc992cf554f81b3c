"""Pictures of every page, light and dark, from a store of hand-made runs. Not a test.

python tests/app/screenshots.py FOLDER [only-part-of-a-name]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtWidgets import QApplication, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.main_window import MainWindow
from app.widgets.theme import Theme
from core.recipe.files import dump
from core.store.home import Home
from core.store.store import Store
from tests.app.sample_runs import add, checked, fill, two_stage

SIZES = ((1280, 800), (1920, 1080))
SETTLE_SECONDS = 1.2
SMALL = Path(__file__).parents[2] / "resources" / "recipes" / "smollm2_nf4.yaml"


def settle(seconds: float = SETTLE_SECONDS) -> None:
    """Let timers and threads do their work."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


class KeepTraining(Dialogs):
    """Answers the question at closing."""

    def leave(self, parent: QWidget, running: int) -> str:
        """Close, and leave the worker."""
        return "keep"


def refuse(*_: object) -> None:
    """No worker is started for a picture."""
    raise OSError("pictures start no worker")


def main(folder: Path, only: str = "") -> None:
    """Write the pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    qt = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as place:
        home = Home(Path(place))
        home.create()
        with Store.open(home.database) as store:
            uids = fill(store)
            taught = two_stage()
            uids["helps"] = add(store, taught, checked(taught), age=7200)
            uids["no help"] = add(store, taught, checked(taught, taught=0.48), age=9000)
        settings = Settings(smoothing=0.6)
        theme = Theme(qt, "light")
        application = Application(home, settings, spawn=refuse)
        window = MainWindow(application, settings, theme, KeepTraining())
        window.show()
        settle(2.5)

        def shoot(name: str) -> None:
            for wide, high in SIZES:
                window.resize(wide, high)
                settle(0.7)
                for choice in ("light", "dark"):
                    theme.choose(choice)
                    settle(0.5)
                    if only in name:
                        window.grab().save(str(folder / f"{name}-{choice}-{wide}.png"))

        window.show_page("runs")
        shoot("runs")
        window.show_page("new")
        if SMALL.exists():
            application.new_run.load_preset(str(SMALL))
        settle()
        application.new_run.select("1")
        settle(0.4)
        shoot("new")
        application.new_run.load_recipe(dump(taught))
        application.new_run.set("datasets.tooluse.source", "demo")
        application.new_run.select("2")
        window.new_page.sides.choose("teacher")
        settle()
        shoot("new-teacher")
        application.new_run.select("datasets")
        window.new_page.sides.choose("problems")
        settle(0.4)
        shoot("new-data")
        window.new_page.sides.choose("yaml")
        window.open_run(uids["running"])
        settle()
        shoot("run")
        window.run_page.details.side.choose("log")
        window.run_page.cka.layout_choice.choose("layers")
        window.open_run(uids["done"])
        settle()
        shoot("run-done")
        window.open_run(uids["failed"])
        window.run_page.details.side.choose("guards")
        settle()
        shoot("run-failed")
        for name in ("helps", "no help"):
            window.open_run(uids[name])
            window.run_page.area.tiles[0].chosen.emit("held_out_loss")
            settle()
            shoot(f"run-{name.replace(' ', '-')}")
        window.compare([uids["done"], uids["pruned"]])
        settle()
        shoot("compare")
        window.compare([uids["done"]])
        settle()
        shoot("compare-one")
        window.close()
        settle(0.3)
    with tempfile.TemporaryDirectory() as place:
        empty = Application(Home(Path(place)), Settings(), spawn=refuse)
        window = MainWindow(empty, Settings(), theme)
        window.show()
        settle()
        shoot_pages = ("runs", "run", "compare")
        for key in shoot_pages:
            window.show_page(key)
            settle(0.6)
            if only in f"empty-{key}":
                theme.choose("light")
                settle(0.2)
                window.grab().save(str(folder / f"empty-{key}-light-1280.png"))
        window.close()
        settle(0.3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
