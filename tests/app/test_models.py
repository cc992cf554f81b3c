"""Every item model of the window keeps Qt's rules. A model without an entry here fails the suite."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QAbstractItemModel, Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

import app
from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.data_entries import Entry
from app.viewmodels.data_library import LibraryModel
from app.viewmodels.model_table import CheckpointsModel
from app.viewmodels.model_words import NodeView
from app.viewmodels.palette import PaletteModel
from app.viewmodels.run_cells import COLUMNS
from app.viewmodels.run_lister import RunLister
from app.viewmodels.runs import RunsModel
from app.views.checkpoint_table import _Matching
from core.store.store import Store
from tests.app.conftest import Sample
from tests.app.test_main_window import no_worker
from tests.app.test_palette import entry

Steps = Iterator[QAbstractItemModel]
"""The model as it is made, and again after each change."""
WAIT_MS = 10_000


def _changing_runs(sample: Sample) -> Iterator[RunsModel]:
    lister = RunLister()
    model = RunsModel()
    yield model
    with Store.open(sample.home.database) as store:

        def listed() -> RunsModel:
            for _ in range(len(COLUMNS)):  # a lister may answer in parts
                model.take(lister(store))
            return model

        yield listed()
        store.rename(sample.runs["done"], "renamed")
        store.delete_run(sample.runs["waiting"])
        store.queue_run("{}", name="new", seed=1, base="b")
        yield listed()
        for row in store.runs():
            store.delete_run(row.uid)
        yield listed()


def _runs(sample: Sample, qtbot: QtBot) -> Steps:
    yield from _changing_runs(sample)


def _arranged(sample: Sample, qtbot: QtBot) -> Steps:
    shown: ArrangedRuns | None = None
    for runs in _changing_runs(sample):
        shown = shown or ArrangedRuns(runs, lambda job, done: done(job()))
        for group in ("status", ""):
            shown.set_group(group)
            for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
                shown.sort(COLUMNS.index("name"), order)
                yield shown
        shown.set_status("done")
        yield shown
        shown.set_status("")


def _queue(sample: Sample, qtbot: QtBot) -> Steps:
    application = Application(sample.home, Settings(), spawn=no_worker)
    yield application.queue
    application.begin()
    try:
        qtbot.waitUntil(lambda: application.queue.rowCount() > 0, timeout=WAIT_MS)
        yield application.queue
    finally:
        application.close()


def _node(key: str) -> NodeView:
    texts = dict.fromkeys(NodeView.__dataclass_fields__, "")
    numbers = {"size": 1, "can_be_base": False, "source": ("folder", key)}
    numbers |= {"score": 0.5, "recovered": 0.5}
    return NodeView(**{**texts, **numbers, "key": key, "title": key, "search": key})  # type: ignore[arg-type]


def _checkpoints(sample: Sample, qtbot: QtBot) -> Steps:
    yield from _changing_checkpoints()


def _changing_checkpoints() -> Iterator[CheckpointsModel]:
    model = CheckpointsModel()
    yield model
    for keys in ("abc", "abc", "ca", ""):
        model.take([_node(key) for key in keys])
        yield model


def _matching(sample: Sample, qtbot: QtBot) -> Steps:
    proxy = _Matching()
    for model in _changing_checkpoints():
        if proxy.sourceModel() is None:
            proxy.setSourceModel(model)
        for keys in (None, frozenset("a"), frozenset[str]()):
            proxy.set_keys(keys)
            proxy.sort(0)
            yield proxy


def _library(sample: Sample, qtbot: QtBot) -> Steps:
    model = LibraryModel()
    yield model
    for keys in ("abc", "abc", "ca", ""):
        model.take([Entry(key, key, {"file": key}, ("recipe",)) for key in keys])
        yield model


def _palette(sample: Sample, qtbot: QtBot) -> Steps:
    model = PaletteModel()
    for titles in ("", "abc", "a", ""):
        model.take([entry(title, enabled=title != "b") for title in titles])
        yield model


MODELS: dict[str, Callable[[Sample, QtBot], Steps]] = {
    "app.viewmodels.runs.RunsModel": _runs,
    "app.viewmodels.arranged_runs.ArrangedRuns": _arranged,
    "app.viewmodels.run_queue.RunQueue": _queue,
    "app.viewmodels.model_table.CheckpointsModel": _checkpoints,
    "app.views.checkpoint_table._Matching": _matching,
    "app.viewmodels.data_library.LibraryModel": _library,
    "app.viewmodels.palette.PaletteModel": _palette,
}
"""Where a model is, and how it is made and changed. A new model gets a line here."""


def _defined() -> set[str]:
    """All item models that modules of the window define."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name != "app.__main__":
            importlib.import_module(module.name)
    found: set[str] = set()
    waiting: list[type] = [QAbstractItemModel]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("app."):
            found.add(f"{kind.__module__}.{kind.__qualname__}")
    return found


def test_that_every_item_model_of_the_window_has_an_entry() -> None:
    assert _defined() == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_that_an_item_model_keeps_the_rules(
    name: str, sample: Sample, qtmodeltester: ModelTester, qtbot: QtBot
) -> None:
    for model in MODELS[name](sample, qtbot):
        assert f"{type(model).__module__}.{type(model).__qualname__}" == name
        qtmodeltester.check(model)
