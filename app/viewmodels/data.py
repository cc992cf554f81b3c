"""Datasets in the window: the library, the one that is looked at, its columns, and the way into New run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.settings import Settings
from app.viewmodels.data_desk import DataDesk
from app.viewmodels.data_entries import (
    DEMO,
    IMPORTED,
    RECIPE,
    Entry,
    Known,
    Source,
    cleaned,
    key_of,
    place_in,
    recipe_name,
)
from app.viewmodels.data_items import ItemsViewModel
from app.viewmodels.data_leaks import LeaksViewModel
from app.viewmodels.data_lengths import LengthsViewModel, Limit, limits_of
from app.viewmodels.data_library import DataLibrary, Submit
from app.viewmodels.data_mapping import OWN, RoleView, guessed, mapped, roles, with_format
from app.viewmodels.data_teaching import named, template_for
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.recipe_words import short_model
from core.errors import UserError
from core.store.home import Home

READABLE = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".arrow")
BUNDLED = "rekindle-1m"
CHARACTERS, BASE_MODEL, BUNDLED_MODEL = "characters", "base", "bundled"
SMALL = 4 * 2**20
"""Files up to this size in bytes are looked at without being asked, so that the list can tell their items."""
SOON_MS = 500
"""The library is gathered at most so often while runs make progress or a recipe is typed."""
AROUND_MS = 100
"""What nobody has chosen is looked at after so long a rest, so that what is chosen then comes first."""
REMAP_MS = 300
"""The data are looked at once choosing columns has paused."""


class DataViewModel(QObject):
    """Everything that the page of datasets does.

    Args:
        home: where everything lies.
        settings: remembers imports.
        submit: runs a job on the store, off the window's thread.
        new_run: the recipe being edited.
    """

    changed = Signal()
    message = Signal(str, str, str)  # level, text, hint
    used = Signal(str)  # the name that the recipe calls it

    def __init__(
        self,
        home: Home,
        settings: Settings,
        submit: Submit,
        new_run: NewRunViewModel,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._new_run = new_run
        self._reading = DataDesk("reading", home, self)
        self._surveying = DataDesk("reading", home, self)
        self._comparing = DataDesk("reading", home, self)
        self._tokens = DataDesk("tokens", home, self)
        self.library = DataLibrary(
            submit, lambda: (self._datasets(), new_run.folder), settings, self
        )
        self.items = ItemsViewModel(self._reading, self._surveying, self._tokens, self)
        new_run.preview.read_with(self._reading.ask)
        self.lengths = LengthsViewModel(self._tokens, self)
        self.leaks = LeaksViewModel(self._comparing, self)
        self._key = ""
        self._draft: dict[str, Any] = {}
        self._fields: tuple[tuple[str, str, int, str], ...] = ()
        self._watched = False
        self._awaited = ""  # key of a dataset that the library is about to have
        self._failed: set[tuple[str, str]] = set()  # keys and states of what could not be surveyed
        self._drafts: dict[str, dict[str, Any]] = {}  # columns chosen and not used yet, by key
        self._around = 0  # number of the question about one that nobody has chosen
        self._idle = QTimer(self, singleShot=True, interval=AROUND_MS)
        self._idle.timeout.connect(self._look_around)
        self._surveying.busyChanged.connect(self._idle.start)
        self._remap = QTimer(self, singleShot=True, interval=REMAP_MS)
        self._remap.timeout.connect(self._look)
        self._soon = QTimer(self, singleShot=True, interval=SOON_MS)
        self._soon.timeout.connect(self.library.refresh)
        self.items.surveyed.connect(self._known)
        self.items.changed.connect(self._learn)
        self.items.changed.connect(self._guess)
        self.items.changed.connect(self.changed)
        self.library.changed.connect(self._listed)
        new_run.changed.connect(self._edited)

    def watch(self, on: bool) -> None:
        """Whether somebody looks: nothing is read before."""
        self._watched = on
        if on:
            self.library.refresh()

    def refresh(self) -> None:
        """Runs or the recipe changed."""
        if self._watched and not self._soon.isActive():
            self._soon.start()

    def _edited(self) -> None:
        self.refresh()
        self.items.set_template(self.teaching()[0])

    def close(self) -> None:
        """The window closes: the processes end."""
        self._remap.stop()
        self._soon.stop()
        self._idle.stop()
        for desk in (self._reading, self._surveying, self._comparing, self._tokens):
            desk.close()

    # which one

    @property
    def key(self) -> str:
        """Of the dataset that is looked at, "" for none."""
        return self._key

    @property
    def entry(self) -> Entry | None:
        """The dataset that is looked at."""
        return self.library.entry(self._key) if self._key else None

    @property
    def source(self) -> Source:
        """It with the columns as they are chosen now."""
        return self._draft

    @property
    def is_changed(self) -> bool:
        """Other columns were chosen than it is known with."""
        return bool(self._key) and key_of(self._draft) != self._key

    def select(self, key: str) -> None:
        """Look at another dataset."""
        entry = self.library.entry(key)
        if key == self._key or entry is None:
            return
        if self.is_changed:
            self._drafts[self._key] = self._draft
        self._key, self._draft = key, self._drafts.pop(key, dict(entry.source))
        self._remap.stop()
        if entry.changed:
            self.library.accept(key)
            self.message.emit(
                "warning",
                f"{entry.name} has changed since it was imported; it is read as it is now.",
                "Runs that used it before have read other rows. Their scores are not compared with new ones.",
            )
        self._look()

    def import_file(self, path: str) -> None:
        """Add a file or folder to the library and look at it; it stays where it is."""
        file = Path(path)
        if not file.is_dir() and file.suffix.lower() not in READABLE:
            kinds = ", ".join(READABLE)
            self.message.emit(
                "error", f"{file.name} is of no kind that can be read.", f"Known are {kinds}."
            )
            return
        source: Source = cleaned({"file": os.path.abspath(file)}, Path.cwd())
        before = [it for it in self.library.imported() if place_in(it) == source]
        if before:
            self.message.emit("info", f"{file.name} is imported already; its columns are kept.", "")
        self._awaited = key_of(before[0] if before else source)
        self.library.remember(before[0] if before else source)

    def forget(self) -> None:
        """Take the import that is looked at off the list."""
        key, self._key, self._draft = self._key, "", {}
        self.items.show(None)
        self.lengths.reset()
        self.library.forget(key)

    # columns

    @property
    def format(self) -> str:
        """The format that was chosen; "auto" when none was."""
        columns = bool(self._draft.get("columns"))
        return str(self._draft.get("format") or (OWN if columns else "auto"))

    def roles(self) -> tuple[RoleView, ...]:
        """The form of the columns; empty before a row was looked at."""
        survey = self.items.survey
        rows = survey.readable if survey is not None else 1
        return roles(self._draft, self._fields, rows) if self._fields else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rows have, as far as they were looked at."""
        return tuple(name for name, *_ in self._fields)

    def set_format(self, format: str) -> None:
        """Read the rows as another format."""
        self._change(with_format(self._draft, format, guessed(self.columns)))

    def set_column(self, role: str, column: str) -> None:
        """Another column for a role, "" for none."""
        self._change(mapped(self._draft, role, column))

    def teaching(self) -> tuple[str, str]:
        """The teacher's template of the recipe's first stage that trains on it, and the stage; "" for the usual."""
        names = {
            name
            for name, raw in self._datasets().items()
            if isinstance(raw, Mapping)
            and place_in(cleaned(raw, self._new_run.folder)) == place_in(self._draft)
        }
        return template_for(self._new_run.at("stages"), names)

    # lengths

    def models(self) -> tuple[tuple[str, str], ...]:
        """Whose tokens can be counted: key and words."""
        base = self._base()
        own = [(BASE_MODEL, f"tokens of {short_model(_label(base))}")] if base else []
        bundled = [(BUNDLED_MODEL, f"tokens of {BUNDLED}")] if _label(base) != BUNDLED else []
        return (*own, *bundled, (CHARACTERS, "characters"))

    def model(self, key: str) -> Mapping[str, Any] | None:
        """The source of one of `models`."""
        if key == BASE_MODEL:
            return self._base() or None
        return {"name": BUNDLED} if key == BUNDLED_MODEL else None

    def measure(self, model: str) -> None:
        """Measure the lengths of the dataset that is looked at."""
        if self._key:
            label = dict(self.models()).get(model, model)
            self.lengths.measure(
                self._draft, self.model(model), label, self.teaching()[0], self.limits()
            )

    def limits(self) -> tuple[Limit, ...]:
        """The limits that the recipe's stages have."""
        entry = self.entry
        return limits_of(self._new_run.at("stages"), entry.name if entry is not None else "")

    # leaks

    def recipe_pairs(self) -> tuple[tuple[Entry, Entry], ...]:
        """Every dataset that the recipe trains on with every one that it evaluates on, itself included."""
        by_name = {
            name: Entry(key_of(source), name, source, (RECIPE,))
            for name, raw in self._datasets().items()
            if isinstance(raw, Mapping) and (source := cleaned(raw, self._new_run.folder))
        }
        trained, evaluated = named(self._new_run.at("stages")), named(self._new_run.at("tasks"))
        return tuple(
            (by_name[one], by_name[other])
            for one in trained
            for other in evaluated
            if one in by_name and other in by_name
        )

    # the way into New run

    def use(self) -> str:
        """Put the dataset with its columns into the recipe being edited; returns its name there, "" if refused."""
        entry = self.entry
        if entry is None:
            return ""
        if not self._new_run.editable:
            self.message.emit(
                "error", "The recipe in New run is no YAML at the moment.", "Mend it there first."
            )
            return ""
        replaced = entry.name if RECIPE in entry.origins else ""
        name = self._new_run.put_dataset(
            replaced or recipe_name(entry), self._draft, bool(replaced)
        )
        self._new_run.select("datasets")
        if IMPORTED not in entry.origins and DEMO not in entry.origins:
            self._awaited = key_of(self._draft)
        elif IMPORTED in entry.origins and self.is_changed:
            self._awaited = key_of(self._draft)
            self.library.remember(self._draft, instead=entry.key)
        self.used.emit(name)
        self.message.emit("info", f"The recipe in New run has this dataset as {name}.", "")
        return name

    # inside

    def _datasets(self) -> Mapping[str, Any]:
        found = self._new_run.at("datasets")
        return found if isinstance(found, Mapping) else {}

    def _base(self) -> Mapping[str, Any]:
        found = self._new_run.at("base")
        return found if isinstance(found, Mapping) and _label(found) else {}

    def _change(self, source: dict[str, Any]) -> None:
        if source == self._draft:
            return
        self._draft = source
        entry = self.entry
        if entry is not None and IMPORTED in entry.origins and len(entry.origins) == 1:
            old, self._key = self._key, key_of(source)
            self._awaited = ""
            self.library.remember(source, instead=old)
        self._remap.start()
        self.changed.emit()

    def _look(self) -> None:
        number = self.items.item.number if self.items.item is not None else 0
        same = self.items.source is not None and place_in(self.items.source) == place_in(
            self._draft
        )
        if not same:
            self._fields = ()
        self._surveying.withdraw(self._around)
        self.items.template = self.teaching()[0]
        self.items.show(self._draft, number=number if same else 0)
        self.lengths.reset()
        self.changed.emit()

    def _learn(self) -> None:
        """Columns are known from the first row that was read, and better once all were."""
        survey, item = self.items.survey, self.items.item
        if survey is not None:
            self._fields = survey.fields
        elif item is not None and item.fields and not self._fields:
            self._fields = tuple((name, kind, 1, value) for name, kind, value in item.fields)

    def _guess(self) -> None:
        """Rows that fit no format, and no columns chosen yet: propose some."""
        survey = self.items.survey
        if survey is None or survey.format or self._draft.get("columns") or "format" in self._draft:
            return
        columns = guessed(survey.columns)
        if "prompt" in columns and self.items.source == self._draft:
            self._change(with_format(self._draft, OWN, columns))

    def _known(self, source: Source, known: Known) -> None:
        key = key_of(source)
        self.library.know(key, known)
        entry = self.library.entry(key)
        if entry is not None and entry.state != known.state:
            self.refresh()  # the file has changed since the list was gathered

    def _look_around(self) -> None:
        """Survey what is small and was never looked at, one at a time and only while nothing else is asked.

        What is chosen is surveyed already, unless that was stopped.
        """
        if not self._watched or self._surveying.busy:
            return
        for entry in self.library.model.entries():
            small = entry.size is not None and entry.size <= SMALL and entry.key != self._key
            if small and entry.known is None and (entry.key, entry.state) not in self._failed:
                self._survey(entry)
                return

    def _survey(self, entry: Entry) -> None:
        def take(record: Mapping[str, Any]) -> None:
            found = (record["format"], record["rows"], record["faulty"], record["state"])
            if record["state"] != entry.state:
                self._failed.add(
                    (entry.key, entry.state)
                )  # it is being written; the next look finds it
            self.library.know(entry.key, Known(*found))

        def fail(_: UserError) -> None:
            self._failed.add((entry.key, entry.state))  # it is told when the dataset is chosen

        self._around = self._surveying.ask("survey", {"source": entry.source}, take, fail)

    def _listed(self) -> None:
        if self._awaited and self.library.entry(self._awaited) is not None:
            key, self._awaited = self._awaited, ""
            self.select(key)
        self._idle.start()
        self.changed.emit()


def _label(model: Mapping[str, Any]) -> str:
    return next((str(model[it]) for it in ("name", "folder", "hub", "gguf") if model.get(it)), "")
