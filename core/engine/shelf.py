"""All checkpoints of a home, from both sides: the rows of the database and the folders on the disk.

They need not agree: a folder may have been copied here or its run deleted (no row), a row may have lost its
files. Both are shown as what they are. No torch here: the window and the command line read this.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from core.engine import liveness
from core.lm.checkpoint import MANIFEST, read_manifest
from core.store.home import Home
from core.store.rows import CheckpointRow, LineageRows, LineageRun, ScoreRow
from core.store.store import Store

_LOG = logging.getLogger(__name__)

State = Literal["present", "unfinished", "damaged", "missing", "trash", "deleted"]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
CONFIG = "config.json"


@dataclass(frozen=True)
class Maker:
    """A run that made, or found, a checkpoint, and the stage that did it."""

    run: str
    stage: str
    role: str


@dataclass(frozen=True)
class Item:
    """One checkpoint.

    Attributes:
        identity: 64 hex digits; of a folder that no row knows, and that does not say its own or says one
            that another folder has, "folder:" and its name.
        parent: identity of the checkpoint it was made from, None for a base.
        kind: stage kind, "" where neither row nor manifest says.
        storage: "full", "nf4", "adapter", "" when unknown.
        path: relative to the home folder.
        folder: absolute.
        state: "present", "unfinished" (a training state to resume from), "damaged" (a manifest that cannot
            be read), "missing" (a row without files), "trash", or "deleted".
        bytes: on the disk now, inside this folder; 0 when nothing is there.
        known: the database has a row of it.
        makers: runs of the database, oldest first.
        weights: the folder of a base's weights, which is not ours; None for all others.
        needs: identities of the checkpoints without which this one cannot be opened.
        spec: settings of the stage.
        inputs: what else went in.
        facts: what the stage found out.
        step: of a training state.
    """

    identity: str
    parent: str | None
    kind: str
    storage: str
    path: str
    folder: Path
    state: State
    bytes: int
    known: bool
    makers: tuple[Maker, ...] = ()
    weights: Path | None = None
    needs: tuple[str, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None


@dataclass(frozen=True)
class Shelf:
    """Every checkpoint, and what the disk holds.

    Attributes:
        items: by identity, parents before children where both are known.
        runs: by id.
        scores: identity -> final scores measured on it.
        live: ids of runs whose worker lives.
        used: identity -> ids of runs that made, found, read or measured it.
        checkpoint_bytes: all checkpoint folders together.
        cache_bytes: converted models, which can be made again.
        trash_bytes: thrown away and not yet gone.
        free: bytes left on the disk.
    """

    items: Mapping[str, Item]
    runs: Mapping[str, LineageRun]
    scores: Mapping[str, tuple[ScoreRow, ...]]
    live: frozenset[str]
    used: Mapping[str, tuple[str, ...]]
    checkpoint_bytes: int
    cache_bytes: int
    trash_bytes: int
    free: int


@dataclass(frozen=True)
class _Folder:
    """What one look into a folder gave."""

    manifest: Mapping[str, Any] | None
    bytes: int
    tokenizer: bool
    damaged: bool = False


class ShelfReader:
    """Reads the shelf; remembers what finished folders hold, which never changes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: dict[Path, tuple[int, _Folder]] = {}

    def __call__(self, store: Store) -> Shelf:
        """The shelf as it is now."""
        rows = store.lineage()
        items = self._items(rows)
        used: defaultdict[str, list[str]] = defaultdict(list)
        for run, identity in sorted(rows.used):
            used[identity].append(run)
        scores: defaultdict[str, list[ScoreRow]] = defaultdict(list)
        for score in rows.scores:
            if score.checkpoint is not None:
                scores[score.checkpoint].append(score)
        live = frozenset(
            uid
            for uid, run in rows.runs.items()
            if run.status == "running" and liveness.alive(run.pid, run.pid_started)
        )
        return Shelf(
            items=_in_order(items),
            runs=rows.runs,
            scores={identity: tuple(found) for identity, found in scores.items()},
            live=live,
            used={identity: tuple(runs) for identity, runs in used.items()},
            checkpoint_bytes=sum(item.bytes for item in items.values()),
            cache_bytes=folder_bytes(self._home.cache),
            trash_bytes=folder_bytes(self._home.trash),
            free=shutil.disk_usage(self._home.path).free,
        )

    def _items(self, rows: LineageRows) -> dict[str, Item]:
        by_identity: defaultdict[str, list[CheckpointRow]] = defaultdict(list)
        for row in rows.checkpoints:
            by_identity[row.identity].append(row)
        found: dict[str, Item] = {}
        seen: set[Path] = set()
        for identity, same in by_identity.items():
            path = self._home.path / same[-1].path
            seen.add(path)
            found[identity] = self._item(identity, path, same, rows)
        if self._home.checkpoints.is_dir():
            for path in sorted(self._home.checkpoints.iterdir()):
                if path.is_dir() and path not in seen:
                    item = self._item(f"folder:{path.name}", path, [], rows)
                    if item.identity in found:  # a copy of another folder
                        item = replace(item, identity=f"folder:{path.name}")
                    found[item.identity] = item
        return {identity: self._with_needs(item, found) for identity, item in found.items()}

    def _with_needs(self, item: Item, items: Mapping[str, Item]) -> Item:
        """An adapter is opened over its parent; weights without a tokenizer take the parent's."""
        needs: list[str] = []
        if item.weights is not None:
            if item.weights.parent == self._home.checkpoints.resolve():  # a checkpoint used as base
                name = item.weights.name
                needs = [it.identity for it in items.values() if it.folder.name == name]
        elif item.parent is not None and item.state != "unfinished":
            bare = item.state == "present" and not self._look(item.folder).tokenizer
            if item.storage == "adapter" or bare:
                needs = [item.parent]
        return replace(item, needs=tuple(needs)) if needs else item

    def _item(
        self, identity: str, path: Path, same: list[CheckpointRow], rows: LineageRows
    ) -> Item:
        relative = path.relative_to(self._home.path).as_posix()
        looked = self._look(path)
        manifest = looked.manifest or {}
        last = same[-1] if same else None
        if looked.manifest is not None:
            state: State = "present"
        elif looked.damaged:
            state = "damaged"
        elif looked.bytes:
            state = "unfinished"
        elif rows.gone.get(relative) == "trash":
            state = "trash"
        else:
            state = "deleted" if relative in rows.gone else "missing"
        weights = manifest.get("facts", {}).get("weights")
        if state == "present" and weights and not (Path(weights) / CONFIG).is_file():
            state = "missing"  # the base's own folder is gone
        return Item(
            identity=str(manifest.get("identity", identity)),
            parent=manifest.get("parent", last.parent if last else None),
            kind=str(manifest.get("kind", last.kind if last else "")),
            storage=str(manifest.get("storage", "")),
            path=relative,
            folder=path,
            state=state,
            bytes=looked.bytes,
            known=bool(same),
            makers=tuple(
                Maker(row.run, row.stage, rows.roles.get((row.run, row.stage), "")) for row in same
            ),
            weights=Path(weights) if weights else None,
            spec=manifest.get("spec", {}),
            inputs=manifest.get("inputs", {}),
            facts=manifest.get("facts", {}),
            step=last.step if last is not None and not last.final else None,
        )

    def _look(self, path: Path) -> _Folder:
        try:
            mark = (path / MANIFEST).stat().st_mtime_ns
        except OSError:
            return _Folder(None, folder_bytes(path), False)
        known = self._known.get(path)
        if known is not None and known[0] == mark:
            return known[1]
        try:
            read = read_manifest(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("The manifest in %s cannot be read: %s", path, error)
            looked = _Folder(None, folder_bytes(path), False, damaged=True)
            self._known[path] = (mark, looked)
            return looked
        manifest = None
        if read is not None:
            manifest = {
                name: getattr(read, name)
                for name in ("identity", "parent", "kind", "storage", "spec", "inputs", "facts")
            }
        tokenizer = any((path / name).is_file() for name in TOKENIZER_FILES)
        looked = _Folder(manifest, folder_bytes(path), tokenizer)
        self._known[path] = (mark, looked)
        return looked


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; files that vanish, or may not be looked at, count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
    return total


def _in_order(items: Mapping[str, Item]) -> dict[str, Item]:
    """Parents before children."""
    ordered: dict[str, Item] = {}

    def add(item: Item) -> None:
        chain: list[Item] = []
        current: Item | None = item
        while current is not None and current.identity not in ordered and current not in chain:
            chain.append(current)
            current = items.get(current.parent) if current.parent else None
        for it in reversed(chain):
            ordered[it.identity] = it

    for item in items.values():
        add(item)
    return ordered
