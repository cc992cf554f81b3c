"""Deleting checkpoints: what would be lost, into the trash, back again, and for good.

A deleted checkpoint is first moved into the trash of its home, which costs no time and frees nothing. The
row stays whatever happens, so that lineage and numbers remain readable. What cannot be opened without the
deleted one goes with it: an adapter over nothing is of no use.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.engine.lock import exclusive
from core.engine.shelf import Item, Shelf, folder_bytes
from core.errors import UserError
from core.lm.checkpoint import MANIFEST
from core.store.home import Home
from core.store.store import Store

KEPT_SECONDS = 7 * 24 * 3600
"""How long the trash keeps what was thrown into it."""
_SEPARATOR = "-"
_RESUMABLE = frozenset({"stopped", "failed", "interrupted"})


@dataclass(frozen=True)
class Removal:
    """What deleting a checkpoint takes along.

    Attributes:
        chosen: what the person pointed at.
        dependants: what cannot be opened without it, nearest first; deleted with it.
        remade: children that stand by themselves and stay.
        bytes: freed on the disk, in the end.
        live: names of running runs that use any of them: then nothing is deleted.
        resumes: names of unfinished runs that would have to make these again when resumed.
        based: names of waiting and unfinished runs whose recipe has one of these folders as its base.
        measured: number of scores that stay readable but cannot be measured again.
        outside: folder of weights that is not ours and stays as it is.
    """

    chosen: Item
    dependants: tuple[Item, ...]
    remade: tuple[Item, ...]
    bytes: int
    live: tuple[str, ...]
    resumes: tuple[str, ...]
    based: tuple[str, ...]
    measured: int
    outside: Path | None

    @property
    def items(self) -> tuple[Item, ...]:
        """All that goes."""
        return (self.chosen, *self.dependants)


def plan_removal(shelf: Shelf, identity: str) -> Removal:
    """What would be lost with a checkpoint.

    Raises:
        UserError: there is no such checkpoint, or it has no files.
    """
    chosen = shelf.items.get(identity)
    if chosen is None:
        raise UserError("This checkpoint is no longer there.", "Look at the list again.")
    if not chosen.bytes:
        raise UserError("This checkpoint has no files left.", "There is nothing to delete.")
    going = {identity}
    dependants: list[Item] = []
    grown = True
    while grown:
        grown = False
        for item in shelf.items.values():
            if item.identity not in going and item.bytes and going.intersection(item.needs):
                going.add(item.identity)
                dependants.append(item)
                grown = True
    items = (chosen, *dependants)
    users = {run for item in items for run in shelf.used.get(item.identity, ())}
    folders = {str(item.folder) for item in items}
    based = {
        uid
        for uid, run in shelf.runs.items()
        if run.base in folders and run.status in _RESUMABLE | {"queued"}
    }
    remade = (
        it
        for it in shelf.items.values()
        if it.parent in going and it.identity not in going and it.bytes
    )
    return Removal(
        chosen=chosen,
        dependants=tuple(dependants),
        remade=tuple(remade),
        bytes=sum(item.bytes for item in items),
        live=_names(shelf, users & shelf.live),
        resumes=_names(
            shelf,
            {
                run
                for run in users - based
                if run in shelf.runs and shelf.runs[run].status in _RESUMABLE
            },
        ),
        based=_names(shelf, based),
        measured=sum(len(shelf.scores.get(item.identity, ())) for item in items),
        outside=chosen.weights,
    )


def _names(shelf: Shelf, runs: set[str]) -> tuple[str, ...]:
    return tuple(shelf.runs[uid].name for uid in sorted(runs) if uid in shelf.runs)


def throw_away(home: Home, store: Store, removal: Removal) -> tuple[str, ...]:
    """Move all of it into the trash; the answer are the paths, for `put_back`.

    Raises:
        UserError: a running run uses some of it, or a file cannot be moved. Then all is where it was.
    """
    if removal.live:
        raise UserError(
            f"A running run uses this checkpoint: {removal.live[0]}.",
            "Stop the run, or wait for its end.",
        )
    moved: list[Item] = []
    stamp = ""
    try:
        home.trash.mkdir(exist_ok=True)
        stamp = _free_stamp(home)
        for item in removal.items:
            with exclusive(item.folder.with_suffix(".lock")) as held:
                if not held:
                    raise UserError(
                        "A running run is making this checkpoint.", "Wait for it, or stop the run."
                    )
                item.folder.rename(home.trash / f"{stamp}{_SEPARATOR}{item.folder.name}")
            item.folder.with_suffix(".lock").unlink(missing_ok=True)
            moved.append(item)
    except OSError as error:
        _undo(home, moved, stamp)
        raise UserError(
            f"The checkpoint cannot be moved into the trash: {error}",
            "Close what has its files open, then try again.",
        ) from error
    except UserError:
        _undo(home, moved, stamp)
        raise
    for item in moved:
        store.mark_files(item.path, item.bytes, "trash")
    return tuple(item.path for item in moved)


def _free_stamp(home: Home) -> str:
    """The second of this deletion, later than every other's: those of one stamp went together."""
    last = max((stamp for stamp, _ in _thrown(home)), default=0)
    return str(max(int(time.time()), last + 1))


def _thrown(home: Home) -> list[tuple[int, Path]]:
    """When each folder of the trash was thrown there, in seconds since the epoch; the oldest first."""
    found = []
    for folder in home.trash.glob(f"*{_SEPARATOR}*"):
        stamp = folder.name.partition(_SEPARATOR)[0]
        if stamp.isdigit():
            found.append((int(stamp), folder))
    return sorted(found)


def _home_of(home: Home, folder: Path) -> Path:
    """Where a folder of the trash was before."""
    return home.checkpoints / folder.name.partition(_SEPARATOR)[2]


def _undo(home: Home, moved: Sequence[Item], stamp: str) -> None:
    for item in moved:
        (home.trash / f"{stamp}{_SEPARATOR}{item.folder.name}").rename(item.folder)


def last_thrown(home: Home) -> tuple[str, ...]:
    """Paths of what was deleted last and is still in the trash, for `put_back`."""
    thrown = _thrown(home)
    return tuple(
        _home_of(home, folder).relative_to(home.path).as_posix()
        for stamp, folder in thrown
        if stamp == thrown[-1][0]
    )


def put_back(home: Home, store: Store, paths: Sequence[str]) -> int:
    """Put thrown-away checkpoints back where they were; says how many.

    Raises:
        UserError: one is no longer in the trash, was made anew meanwhile, or cannot be moved. Then all
            stay in the trash.
    """
    moves: list[tuple[Path, Path]] = []
    for path in paths:
        target = home.path / path
        found = [folder for _, folder in _thrown(home) if _home_of(home, folder) == target]
        if not found:
            raise UserError(
                f"{target.name} is no longer in the trash.",
                "Run the recipe again to make the checkpoint anew.",
            )
        if target.exists():
            raise UserError(
                f"{target.name} was made again meanwhile.", "Delete the new one first, or keep it."
            )
        moves.append((found[-1], target))
    moved: list[tuple[Path, Path]] = []
    try:
        for folder, target in moves:
            folder.rename(target)
            moved.append((folder, target))
    except OSError as error:
        for folder, target in moved:
            target.rename(folder)
        raise UserError(
            f"The checkpoint cannot be moved out of the trash: {error}",
            f"Move it by hand: it lies in {home.trash}.",
        ) from error
    for path in paths:
        store.mark_files(path, 0, "")
    return len(paths)


def empty_trash(home: Home, store: Store, older_than: float = 0.0) -> int:
    """Delete for good what has been in the trash for so many seconds; gives the bytes freed.

    Raises:
        UserError: some of it cannot be deleted; what was before it is gone.
    """
    freed = 0
    for stamp, folder in _thrown(home):
        if time.time() - stamp < older_than:
            continue
        size = folder_bytes(folder)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise UserError(
                f"The trash cannot be emptied: {error}",
                f"Close what has its files open, or delete {home.trash} by hand.",
            ) from error
        freed += size
        place = _home_of(home, folder)
        path = place.relative_to(home.path).as_posix()
        if not (place / MANIFEST).exists():
            store.mark_files(path, size, "deleted")
        else:
            store.mark_files(path, 0, "")
    return freed
