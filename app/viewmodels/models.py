"""The checkpoints of the home as a person looks at them: a lineage, what each is worth, what deleting loses.

The shelf is read in the background while the page is shown, not more often than every two seconds; the
window's thread gets it ready worded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels import model_words, words
from app.viewmodels.loss_words import loss
from app.viewmodels.model_words import NodeView, Section
from core.engine import removal
from core.engine.removal import KEPT_SECONDS, Removal
from core.engine.shelf import Shelf, ShelfReader
from core.errors import UserError
from core.store.home import Home
from core.store.store import Store

REREAD_MS = 2000
Job = Callable[[Store], object]
Submit = Callable[[Job, Callable[[object], None] | None], None]


@dataclass(frozen=True)
class _Look:
    """What one reading gave.

    Attributes:
        thrown: paths of what was deleted last and is still in the trash.
        same: it shows nothing new but perhaps other sizes of the disk.
    """

    shelf: Shelf
    nodes: tuple[NodeView, ...]
    thrown: tuple[str, ...]
    same: bool


@dataclass(frozen=True)
class Question:
    """What is asked before checkpoints are deleted.

    Attributes:
        keys: of all that go.
        refusal: why they may not be deleted now, "" when they may.
    """

    title: str
    text: str
    accept: str
    keys: frozenset[str] = frozenset()
    refusal: str = ""
    hint: str = ""


class ModelsViewModel(QObject):
    """All checkpoints, one of them selected.

    Args:
        home: where they lie.
        read: runs a job on the reading store, off the window's thread.
        write: the same on the writing store; the list of runs is read again afterwards.
        tell: shows a message: level, text, hint.
    """

    changed = Signal()
    diskChanged = Signal()
    selectionChanged = Signal()
    searchChanged = Signal()

    def __init__(
        self,
        home: Home,
        read: Submit,
        write: Submit,
        tell: Callable[[str, str, str], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._read = read
        self._write = write
        self._tell = tell
        self._reader = ShelfReader(home)  # its memory belongs to the reader's thread
        self._last: _Look | None = None  # and so does this
        self._look: _Look | None = None
        self._by_key: Mapping[str, NodeView] = {}
        self._selected = ""
        self._search = ""
        self._with_gone = False
        self._shown: tuple[NodeView, ...] = ()
        self._watched = self._reading = self._again = self._purged = False
        self._timer = QTimer(self, singleShot=True, interval=REREAD_MS)
        self._timer.timeout.connect(self.refresh)

    # what goes in

    def watch(self, on: bool) -> None:
        """Whether somebody looks: nothing is read before."""
        self._watched = on
        if on:
            self.refresh()

    def something_changed(self) -> None:
        """The database changed: read again soon."""
        if self._watched and not self._timer.isActive():
            self._timer.start()

    def refresh(self) -> None:
        """Read everything again; calls that come meanwhile count as one."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        self._read(self._read_shelf, self._take)

    def select(self, key: str) -> None:
        """Choose a checkpoint, "" for none."""
        if key != self._selected:
            self._selected = key
            self.selectionChanged.emit()

    def search(self, text: str) -> None:
        """Look for words in names, kinds, runs, identities, states."""
        if text != self._search:
            self._search = text
            self.searchChanged.emit()

    def show_gone(self, on: bool) -> None:
        """Whether checkpoints without files are shown, too."""
        if on != self._with_gone:
            self._with_gone = on
            self._choose_shown()
            self.changed.emit()
            self.searchChanged.emit()

    def delete(self, key: str, agreed: frozenset[str]) -> None:
        """Move a checkpoint, and what needs it, into the trash.

        Args:
            key: of the checkpoint.
            agreed: the keys that the question said would go; when others would go by now, none does.
        """

        def job(store: Store) -> tuple[int, str]:
            plan = removal.plan_removal(ShelfReader(self._home)(store), key)
            if not agreed.issuperset(it.identity for it in plan.items):
                raise UserError(
                    "Other checkpoints need this one by now; nothing was deleted.",
                    "Look at the lineage again, then decide.",
                )
            return len(removal.throw_away(self._home, store, plan)), words.size(plan.bytes)

        def done(answer: object) -> None:
            assert isinstance(answer, tuple)
            gone, size = answer
            kept = words.duration(KEPT_SECONDS)
            count = model_words.counted(gone, "checkpoint")
            self._tell(
                "info",
                f"{count}, {size}, moved to the trash.",
                f"Undo (Ctrl+Z) puts {'it' if gone == 1 else 'them'} back. "
                f"The trash keeps the files for {kept}, or until it is emptied.",
            )
            self.refresh()

        self._write(job, done)

    @property
    def can_undo(self) -> bool:
        """The last deletion can be taken back, also one of before the window was opened."""
        return self._look is not None and bool(self._look.thrown)

    def undo(self) -> None:
        """Put back what was deleted last; once more, what was deleted before that."""
        self._put_back(lambda: removal.last_thrown(self._home))

    def put_back(self, key: str) -> None:
        """Put one checkpoint back from the trash, with the parents it needs."""
        node = self._by_key.get(key)
        needed: list[str] = []
        while node is not None and node.state == "trash":
            needed.append(node.path)
            node = self._by_key.get(node.parent)
        self._put_back(lambda: tuple(needed))

    def empty_trash(self) -> None:
        """Delete for good what is in the trash."""

        def done(freed: object) -> None:
            assert isinstance(freed, int)
            self._tell("info", f"The trash is empty; {words.size(freed)} are free again.", "")
            self.refresh()

        self._write(lambda store: removal.empty_trash(self._home, store), done)

    # what comes out

    @property
    def loaded(self) -> bool:
        """The shelf has been read."""
        return self._look is not None

    def nodes(self) -> tuple[NodeView, ...]:
        """All checkpoints, parents before children."""
        return self._look.nodes if self._look is not None else ()

    def shown(self) -> tuple[NodeView, ...]:
        """Those to show: without what is gone and leads to nothing that is there, unless all is gone."""
        return self._shown

    @property
    def with_gone(self) -> bool:
        """Checkpoints without files are shown, too."""
        return self._with_gone

    @property
    def without_files(self) -> int:
        """How many could be left out because their files are gone; 0 when that would leave nothing."""
        return len(self.nodes()) - len(there(self.nodes()))

    def node(self, key: str) -> NodeView | None:
        """One checkpoint."""
        return self._by_key.get(key)

    @property
    def selected(self) -> NodeView | None:
        """The chosen checkpoint."""
        return self._by_key.get(self._selected)

    def matching(self) -> frozenset[str] | None:
        """Keys of the checkpoints that hold all words looked for; None when nothing is looked for."""
        wanted = self._search.casefold().split()
        if not wanted:
            return None
        return frozenset(
            node.key
            for node in self.nodes()
            if all(word in node.search or node.key.startswith(word) for word in wanted)
        )

    def sections(self, key: str) -> tuple[Section, ...]:
        """Everything about a checkpoint, for the panel beside the graph."""
        if self._look is None or key not in self._look.shelf.items:
            return ()
        return model_words.sections(self._look.shelf, key)

    @property
    def disk_text(self) -> str:
        """Sizes of checkpoints, converted models and trash, and what is left of the disk."""
        return model_words.disk(self._look.shelf) if self._look is not None else ""

    @property
    def trash_text(self) -> str:
        """The size of the trash, "" when it is empty."""
        size = self._look.shelf.trash_bytes if self._look is not None else 0
        return words.size(size) if size else ""

    def question(self, key: str, busy: frozenset[str] = frozenset()) -> Question:
        """What is lost with a checkpoint, said exactly.

        Args:
            key: of the checkpoint.
            busy: keys of checkpoints that are being exported: neither they nor what they need may go.
        """
        if self._look is None:
            return _refused("The checkpoints are being read.", "Try again in a moment.")
        try:
            plan: Removal = removal.plan_removal(self._look.shelf, key)
        except UserError as error:
            return _refused(error.message, error.hint)
        if plan.live:
            running = ", ".join(plan.live)
            return _refused(
                f"A running run uses this checkpoint: {running}.",
                "Stop the run, or wait for its end.",
            )
        if busy.intersection(it.identity for it in plan.items):
            return _refused(
                "This checkpoint is being exported.", "Cancel the export, or wait for its end."
            )
        names = model_words.names_of(self._look.shelf)
        title, text = loss(plan, names)
        keys = frozenset(it.identity for it in plan.items)
        return Question(
            title, text, "Delete" if len(keys) == 1 else f"Delete all {len(keys)}", keys
        )

    # inside

    def _read_shelf(self, store: Store) -> _Look | UserError:
        try:
            shelf = self._reader(store)
        except UserError as error:
            return error
        before = self._last
        nodes = model_words.nodes(shelf)
        same = (
            before is not None
            and nodes == before.nodes
            and shelf.items == before.shelf.items
            and shelf.runs == before.shelf.runs
            and shelf.live == before.shelf.live
        )
        self._last = _Look(shelf, nodes, removal.last_thrown(self._home), same)
        return self._last

    def _take(self, answer: object) -> None:
        self._reading = False
        if isinstance(answer, UserError):
            self._tell("error", answer.message, answer.hint)
            self._read_again()
            return
        assert isinstance(answer, _Look)
        self._look = answer
        self.diskChanged.emit()
        if not answer.same:
            self._by_key = {node.key: node for node in answer.nodes}
            self._choose_shown()
            self.changed.emit()
            if self._selected:
                self.selectionChanged.emit()
        if not self._purged:
            self._purged = True
            if answer.shelf.trash_bytes:
                self._write(
                    lambda store: removal.empty_trash(self._home, store, KEPT_SECONDS), None
                )
        self._read_again()

    def _choose_shown(self) -> None:
        self._shown = self.nodes() if self._with_gone else there(self.nodes())

    def _read_again(self) -> None:
        """Something came in meanwhile."""
        if self._again:
            self._again = False
            self.refresh()

    def _put_back(self, wanted: Callable[[], tuple[str, ...]]) -> None:
        def job(store: Store) -> tuple[str, ...]:
            paths = wanted()
            removal.put_back(self._home, store, paths)
            return paths

        def done(paths: object) -> None:
            assert isinstance(paths, tuple)
            names = {node.path: node.title for node in self.nodes()}
            back = ", ".join(names.get(str(path), str(path)) for path in paths)
            if paths:
                counted = model_words.counted(len(paths), "checkpoint")
                self._tell("info", f"{counted} put back: {back}.", "")
            self.refresh()

        self._write(job, done)


def there(nodes: tuple[NodeView, ...]) -> tuple[NodeView, ...]:
    """Checkpoints that are there, with all they were made from; all when none is."""
    wanted: set[str] = set()
    for node in reversed(nodes):  # children before parents
        if not node.gone or node.key in wanted:
            wanted |= {node.key, node.parent}
    return tuple(node for node in nodes if node.key in wanted) or nodes


def _refused(refusal: str, hint: str) -> Question:
    return Question("", "", "", refusal=refusal, hint=hint)
