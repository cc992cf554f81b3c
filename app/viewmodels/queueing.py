"""Queueing several runs at once: one job of the writer, then all of them wait for their device in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from app.queue import Waiting
from core.recipe.spec import Recipe
from core.store.store import Store

Write = Callable[[Callable[[Store], object], Callable[[object], None]], None]
Queued = Callable[[tuple[str, ...]], None]
"""Takes the ids of the queued runs, in order."""


class Queueing:
    """Queues recipes as tagged runs.

    Args:
        write: does a job in the thread that may write, and hands on its answer.
        enqueue: lets runs wait for their devices.
        start_waiting: starts those whose turn it is.
    """

    def __init__(
        self,
        write: Write,
        enqueue: Callable[[Iterable[Waiting]], None],
        start_waiting: Callable[[], None],
    ) -> None:
        self._write = write
        self._enqueue = enqueue
        self._start_waiting = start_waiting

    def many(self, recipes: Sequence[Recipe], tags: Sequence[str], done: Queued) -> None:
        """Queue checked recipes whose paths are found; `done` is called once all of them wait."""
        wanted = tuple(recipes)

        def queue(store: Store) -> tuple[str, ...]:
            return tuple(queue_tagged(store, recipe, tags) for recipe in wanted)

        def queued(answer: object) -> None:
            uids = tuple(map(str, answer)) if isinstance(answer, tuple) else ()
            pairs = zip(uids, wanted, strict=True)
            self._enqueue([Waiting(uid, recipe.device) for uid, recipe in pairs])
            self._start_waiting()
            done(uids)

        self._write(queue, queued)


def queue_tagged(store: Store, recipe: Recipe, tags: Sequence[str]) -> str:
    """Queue one recipe; its id."""
    text = recipe.model_dump_json(by_alias=True)
    uid = store.queue_run(text, name=recipe.name, seed=recipe.seed, base=recipe.base.label)
    if tags:
        store.set_tags(uid, tags)
    return uid
