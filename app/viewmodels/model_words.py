"""Checkpoints in words: a node of the lineage, everything about one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from app.viewmodels import words
from app.viewmodels.provenance import dataset_part, protocol_part, provenance, run_part
from app.viewmodels.recipe_words import short_model
from app.viewmodels.recovered import Recovered, judge
from core.engine.shelf import Item, Shelf
from core.store.rows import ScoreRow

STATES = {
    "present": "",
    "unfinished": "unfinished",
    "damaged": "manifest damaged",
    "missing": "files missing",
    "trash": "in the trash",
    "deleted": "files deleted",
}
STATE_ABOUT = {
    "unfinished": "A training state that resuming its run goes on from; no finished weights.",
    "damaged": "Its manifest.json cannot be read, so nobody knows what its weights are. Copy it from a "
    "backup, or delete the checkpoint and run the recipe again.",
    "missing": "The database knows it, but its files are not where they were.",
    "trash": "Its files can be put back until the trash is emptied.",
    "deleted": "Its files are gone; lineage and numbers stay readable.",
}
GONE = frozenset({"missing", "deleted"})
STORAGE = {"full": "whole weights", "nf4": "packed NF4 weights", "adapter": "LoRA adapter"}
MERGED_ONLY = "merged only: it lies over the adapter {over} and means nothing without it"
IDENTITY_CHARACTERS = 12


@dataclass(frozen=True)
class NodeView:
    """One checkpoint of the lineage.

    Attributes:
        key: its identity.
        parent: key of its parent, "" for none.
        title: the stage that made it; the model's name for a base.
        role: "base", "degraded", "recovered", "expert" or "".
        runs: the newest of the runs that made or found it, and how many more.
        run: id of the newest of them, "" for none.
        scores: newest accuracy of each task in per cent, "" where nothing was measured.
        fraction: recovered fraction of each task, "" where there is none.
        state: see `STATES`.
        storage: "full", "nf4", "adapter" or "".
        over: title of the adapter under this adapter, "" where there is none.
        score: accuracy (0-1) in the first of the tasks, to sort by; -1 where nothing was measured.
        recovered: fraction of the first of the tasks, to sort by; the least number where there is none.
        tip: what stands behind the numbers.
        search: lower-case text to look for words in.
        path: relative to the home folder.
        folder: with the weights, absolute.
        can_be_base: its folder holds a whole network in plain safetensors.
        source: of a base: (kind, value) as a recipe writes it.
    """

    key: str
    parent: str
    title: str
    kind: str
    role: str
    runs: str
    run: str
    size: int
    scores: str
    fraction: str
    state: str
    state_text: str
    storage: str
    tip: str
    search: str
    path: str
    folder: str
    can_be_base: bool
    over: str = ""
    score: float = -1.0
    recovered: float = -math.inf
    source: tuple[str, str] = ("", "")

    @property
    def gone(self) -> bool:
        """Nothing of it is on the disk that could be opened or put back."""
        return self.state in GONE


@dataclass(frozen=True)
class Fact:
    """A line of the panel: a label, a value, and where it comes from."""

    label: str
    value: str
    tip: str = ""


@dataclass(frozen=True)
class Section:
    """Lines under a heading."""

    title: str
    facts: tuple[Fact, ...]


def counted(count: int, noun: str) -> str:
    """ "1 checkpoint", "3 checkpoints"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def nodes(shelf: Shelf) -> tuple[NodeView, ...]:
    """All checkpoints of the shelf, parents before children; what the newest run made comes first.

    A lineage of which something is left stands before one whose files are all gone.
    """
    made = {it.key: it for it in (_node(shelf, item) for item in shelf.items.values())}
    below: dict[str, list[str]] = {key: [] for key in ("", *made)}
    rank: dict[str, tuple[bool, float]] = {}
    for node in reversed(made.values()):  # children before parents
        below[node.parent].append(node.key)
        own = (not node.gone, _newest_run(shelf, shelf.items[node.key]))
        rank[node.key] = max([own, *(rank[key] for key in below[node.key])])
    ordered: list[NodeView] = []
    stack = [""]
    while stack:
        key = stack.pop()
        if key:
            ordered.append(made[key])
        stack += sorted(below[key], key=rank.__getitem__)  # the last one is next
    return tuple(ordered)


def _newest_run(shelf: Shelf, item: Item) -> float:
    """When the newest run of a checkpoint was queued, in seconds since the epoch; 0 for none."""
    runs = (shelf.runs.get(maker.run) for maker in item.makers)
    return max((run.created for run in runs if run is not None), default=0.0)


def names_of(shelf: Shelf) -> dict[str, str]:
    """Title by identity."""
    return {item.identity: _title(item) for item in shelf.items.values()}


def _title(item: Item) -> str:
    if item.kind == "base":
        label = str(item.facts.get("label", ""))
        return short_model(label) if label else "base"
    return item.makers[-1].stage if item.makers else item.kind or item.folder.name


def _role(item: Item) -> str:
    if item.kind == "base":
        return "base"
    return next((maker.role for maker in reversed(item.makers) if maker.role), "")


def _node(shelf: Shelf, item: Item) -> NodeView:
    newest = _newest(shelf.scores.get(item.identity, ()))
    names = dict.fromkeys(
        shelf.runs[maker.run].name for maker in item.makers if maker.run in shelf.runs
    )
    every = ", ".join(names) or ("no run knows it" if not item.known else "run deleted")
    runs = f"{list(names)[-1]} and {len(names) - 1} more" if len(names) > 1 else every
    run = next((it.run for it in reversed(item.makers) if it.run in shelf.runs), "")
    title, role, state = _title(item), _role(item), STATES[item.state]
    folder = item.weights or item.folder
    source = next(
        ((kind, str(item.spec[kind])) for kind in ("name", "hub", "gguf") if item.spec.get(kind)),
        ("folder", str(folder)),
    )
    sound = [it for it in _fractions(shelf, item, newest).values() if it.sound]
    searched = (title, item.kind, role, every, state, item.storage)
    return NodeView(
        key=item.identity,
        parent=item.parent if item.parent in shelf.items and item.parent else "",
        title=title,
        kind=item.kind,
        role=role,
        runs=runs,
        run=run,
        size=_own_bytes(item),
        scores=_scores(newest),
        fraction=" · ".join(it.text for it in sound),
        state=item.state,
        state_text=state,
        storage=item.storage,
        tip=_tip(shelf, item, newest),
        search=" ".join(searched).casefold(),
        path=item.path,
        folder=str(folder),
        can_be_base=item.state == "present" and item.storage == "full",
        over=_over(shelf, item),
        score=next((it.correct / it.n for it in newest.values()), -1.0),
        recovered=next((it.value for it in sound if it.value is not None), -math.inf),
        source=source if item.kind == "base" else ("folder", str(folder)),
    )


def _own_bytes(item: Item) -> int:
    """Bytes that it takes here: a base's weights lie elsewhere, and what describes them is no size of a model."""
    return 0 if item.weights is not None else item.bytes


def _over(shelf: Shelf, item: Item) -> str:
    """Title of the adapter that an adapter lies over; it can be exported merged only."""
    parent = shelf.items.get(item.parent or "")
    stacked = parent is not None and item.storage == parent.storage == "adapter"
    return _title(parent) if stacked and parent is not None else ""


def _newest(scores: tuple[ScoreRow, ...]) -> dict[str, ScoreRow]:
    """The last score of each task, in the order of the tasks' first ones."""
    return {score.task: score for score in scores}


def _scores(newest: Mapping[str, ScoreRow]) -> str:
    values = [f"{100 * it.correct / it.n:.1f}" for it in newest.values()]
    return f"{' · '.join(values)} %" if values else ""


def _fractions(shelf: Shelf, item: Item, newest: Mapping[str, ScoreRow]) -> dict[str, Recovered]:
    """Task -> recovered fraction, as the newest run that judged it says; one within noise is named so."""
    for maker in reversed(item.makers):
        run = shelf.runs.get(maker.run)
        if run is not None and maker.stage in run.recovered_fraction:
            return {
                task: judge(
                    value,
                    _above(shelf, item, newest.get(task), "base"),
                    _above(shelf, item, newest.get(task), "degraded"),
                )
                for task, value in run.recovered_fraction[maker.stage].items()
            }
    return {}


def _above(shelf: Shelf, item: Item, score: ScoreRow | None, role: str) -> ScoreRow | None:
    """The score of the nearest ancestor of a role, by the same protocol; None where there is none."""
    for _ in shelf.items:  # no more ancestors than there are checkpoints
        if score is None or item.parent is None or item.parent not in shelf.items:
            break
        item = shelf.items[item.parent]
        found = _newest(shelf.scores.get(item.identity, ())).get(score.task)
        if _role(item) == role and found is not None and found.protocol == score.protocol:
            return found
    return None


def _origin(shelf: Shelf, item: Item, score: ScoreRow) -> str:
    run = shelf.runs.get(score.run)
    return provenance(
        run=run_part(run.name, score.run) if run is not None else score.run,
        seed=score.seed,
        checkpoint=f"{score.subject} ({item.identity[:IDENTITY_CHARACTERS]})",
        dataset=dataset_part(score.dataset, score.n),
        protocol=protocol_part(score.scorer, score.protocol),
    )


def _tip(shelf: Shelf, item: Item, newest: Mapping[str, ScoreRow]) -> str:
    lines = [STATE_ABOUT[item.state]] if item.state in STATE_ABOUT else []
    fractions = _fractions(shelf, item, newest)
    for task, score in newest.items():
        share = f"{words.plain(task)}: {score.correct} of {score.n}"
        if task in fractions:
            share += f", recovered fraction: {fractions[task].text}"
        lines += [share, _origin(shelf, item, score)]
    return "\n".join(lines)


def disk(shelf: Shelf) -> str:
    """Sizes of everything on the shelf in a line."""
    parts = [
        f"{counted(len(shelf.items), 'checkpoint')} · {words.size(shelf.checkpoint_bytes)}",
        f"converted models {words.size(shelf.cache_bytes)}" if shelf.cache_bytes else "",
        f"trash {words.size(shelf.trash_bytes)}" if shelf.trash_bytes else "",
        f"{words.size(shelf.free)} free",
    ]
    return " · ".join(part for part in parts if part)


def sections(shelf: Shelf, key: str) -> tuple[Section, ...]:
    """Everything about one checkpoint."""
    item = shelf.items[key]
    names = names_of(shelf)
    found = [
        Section("What it is", tuple(_identity(shelf, item, names))),
        Section("Scores", tuple(_measured(shelf, item))),
        Section("Runs", tuple(_makers(shelf, item))),
        Section("Settings", tuple(_plain(item.spec))),
        Section("What went in", tuple(_plain(item.inputs))),
        Section("What was found", tuple(_plain(item.facts))),
    ]
    return tuple(section for section in found if section.facts)


def _identity(shelf: Shelf, item: Item, names: Mapping[str, str]) -> list[Fact]:
    chain: list[str] = []
    parent = item.parent
    while parent and parent in shelf.items and len(chain) <= len(shelf.items):
        chain.append(names[parent])
        parent = shelf.items[parent].parent
    storage = STORAGE.get(item.storage, "")
    needs = ", ".join(names[it] for it in item.needs if it in names)
    lines = [
        Fact("identity", item.identity[:IDENTITY_CHARACTERS], item.identity),
        Fact("state", STATES[item.state] or "complete", STATE_ABOUT.get(item.state, "")),
        Fact("kind", words.KIND_ABOUT.get(item.kind, item.kind)),
        Fact("made from", " ← ".join(chain)),
        Fact("holds", f"{storage}, opened over {needs}" if needs else storage),
        Fact("exports", MERGED_ONLY.format(over=over) if (over := _over(shelf, item)) else ""),
        Fact("on the disk", words.size(_own_bytes(item)) if _own_bytes(item) else ""),
        Fact("folder", str(item.folder)),
        Fact("weights", str(item.weights) if item.weights else ""),
        Fact("row", "" if item.known else "none: no run of this database knows it"),
    ]
    return [line for line in lines if line.value]


def _measured(shelf: Shelf, item: Item) -> list[Fact]:
    """A line for each result, the newest first; runs that measured the same share one."""
    found = shelf.scores.get(item.identity, ())
    newest = _newest(found)
    fractions = _fractions(shelf, item, newest)
    same: dict[tuple[str, str, str, int, int], list[ScoreRow]] = {}
    for score in reversed(found):
        result = (score.task, score.protocol, score.dataset, score.n, score.correct)
        same.setdefault(result, []).append(score)
    lines = []
    for task in newest:
        for scores in (it for it in same.values() if it[0].task == task):
            score = scores[0]
            value = f"{100 * score.correct / score.n:.1f} % · {score.correct} of {score.n}"
            if task in fractions and score is newest[task]:
                value += f" · fraction {fractions[task].text}"
            if len(scores) > 1:
                value += f" · {len(scores)} times"
            origins = dict.fromkeys(_origin(shelf, item, it) for it in scores)
            lines.append(Fact(words.plain(task), value, "\n".join(origins)))
    return lines


def _makers(shelf: Shelf, item: Item) -> list[Fact]:
    makers = {maker.run: maker.stage for maker in item.makers}
    lines = []
    for uid in dict.fromkeys((*makers, *shelf.used.get(item.identity, ()))):
        run = shelf.runs.get(uid)
        if run is not None:
            stage = makers.get(uid)
            what = f"stage {stage}" if stage else "reads it"
            live = " · running now" if uid in shelf.live else ""
            lines.append(Fact(words.status(run.status), f"{run.name} · {what}{live}", uid))
    return lines


def _plain(record: Mapping[str, object]) -> list[Fact]:
    """Settings and facts that fit a line; long hashes are shortened, the whole is in the tip."""
    lines: list[Fact] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            lines += [
                Fact(f"{words.plain(key)}: {it}", _short(at), str(at)) for it, at in value.items()
            ]
        elif value not in (None, "", [], ()):
            lines.append(Fact(words.plain(key), _short(value), str(value)))
    return lines


def _short(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "yes" if value else "no"
    if isinstance(value, float):
        return words.number(value)
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    is_hash = len(text) >= 40 and all(it in "0123456789abcdef" for it in text)
    return text[:IDENTITY_CHARACTERS] if is_hash else text
