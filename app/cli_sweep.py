"""A sweep from the command line: all its runs are checked, then queued, then executed one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from app.cli_display import write_json
from app.viewmodels import sweep_words
from app.viewmodels.queueing import queue_tagged
from core.errors import UserError
from core.recipe.files import load_raw, usable
from core.recipe.spec import Recipe
from core.recipe.sweep import expand, parse_axis
from core.recipe.validate import check_files
from core.store.home import Home
from core.store.store import Store


def recipes(
    path: Path, settings: Sequence[str], sweeps: Sequence[str], *, paired: bool, detach: bool
) -> tuple[list[Recipe], str]:
    """The recipes of a sweep, each checked, with their swept values in their names; and the sweep's tag.

    Raises:
        UserError: one of them cannot be used, or they are to be started in the background.
    """
    if detach:
        raise UserError(
            "The runs of a sweep are executed one after another, not in the background.",
            "Leave out --detach, or queue the sweep in the window.",
        )
    raw = load_raw(path, settings)
    variants = expand(raw, [parse_axis(it) for it in sweeps], "zip" if paired else "product")
    name = str(raw.get("name", "")) if isinstance(raw, dict) else ""
    found = []
    for variant in variants:
        title = sweep_words.variant_name(name, variant.settings)
        recipe = usable({**variant.raw, "name": title}, path)
        problems = check_files(recipe, Path.cwd())
        if problems:
            raise UserError(
                f"{title} needs files that are not there: "
                + " ".join(problem.message for problem in problems),
                problems[0].hint,
            )
        found.append(recipe)
    return found, sweep_words.TAG + sweep_words.slug(name)


def run(
    home: Home,
    wanted: Sequence[Recipe],
    tag: str,
    one: Callable[[str], int],
    say: Callable[[str], None] | None,
) -> int:
    """Queue all runs, then execute them one after another; a stopped one leaves the others queued.

    Args:
        home: where they are queued.
        wanted: their recipes.
        tag: what they are tagged with.
        one: executes one; its exit status.
        say: tells what begins; None writes JSON lines.

    Returns:
        the first exit status that was not 0, else 0.
    """
    home.create()
    with Store.open(home.database) as store:
        uids = [queue_tagged(store, recipe, (tag,)) for recipe in wanted]
    worst = 0
    for number, (uid, recipe) in enumerate(zip(uids, wanted, strict=True), start=1):
        if say is None:
            line = {"run": uid, "name": recipe.name, "number": number, "of": len(uids)}
            write_json({"type": "sweep", **line})
        else:
            say(f"Run {uid}, {number} of {len(uids)}: {recipe.name}")
        worst = one(uid) or worst
        with Store.open(home.database, read_only=True) as store:
            if store.run(uid).status == "stopped":
                break
    return worst
