"""Every item model of the window keeps Qt's rules. A model without an entry here fails the suite."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QAbstractItemModel
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

import app
from app.viewmodels.runs import COLUMNS, RunLister, RunsModel
from app.views.run_table import RunFilter
from core.store.store import Store
from tests.app.conftest import Sample

Steps = Iterator[QAbstractItemModel]
"""The model as it is made, and again after each change."""


def _runs(sample: Sample) -> Steps:
    lister = RunLister()
    with Store.open(sample.home.database) as store:
        model = RunsModel(lambda job: job(store))
        yield model
        model.take(lister(store))
        yield model
        store.rename(sample.runs["done"], "renamed")
        store.delete_run(sample.runs["waiting"])
        store.queue_run("{}", name="new", seed=1, base="b")
        model.take(lister(store))
        yield model
        for row in store.runs():
            store.delete_run(row.uid)
        model.take(lister(store))
        yield model


def _filter(sample: Sample) -> Steps:
    proxy = RunFilter()
    for model in _runs(sample):
        if proxy.sourceModel() is None:
            proxy.setSourceModel(model)
        for words, status in (
            ("", ""),
            ("fixture", ""),
            ("pruned", "done"),
            ("nothing at all", ""),
        ):
            proxy.set_words(words)
            proxy.set_status(status)
            proxy.sort(COLUMNS.index("name"))
            yield proxy


MODELS: dict[str, Callable[[Sample], Steps]] = {
    "app.viewmodels.runs.RunsModel": _runs,
    "app.views.run_table.RunFilter": _filter,
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
    for model in MODELS[name](sample):
        assert f"{type(model).__module__}.{type(model).__qualname__}" == name
        qtmodeltester.check(model)
