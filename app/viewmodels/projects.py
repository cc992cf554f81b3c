"""Projects: a project is a home folder with its database. One is the person's own, one holds the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.store.home import Home

OWN, SAMPLE = "My project", "Sample project"
SAMPLE_FOLDER = "sample"
MOST_REMEMBERED = 5
"""Folders opened lately that the menu offers."""


@dataclass(frozen=True)
class Project:
    """A project that can be opened: what it is called, its folder, and whether it is open now."""

    title: str
    path: str
    is_open: bool = False


def sample_home(own: Home) -> Home:
    """Where the sample project lies: a folder in the person's own."""
    return Home(own.path / SAMPLE_FOLDER)


def projects(opened: Home, own: Home, lately: Sequence[str] = ()) -> tuple[Project, ...]:
    """The person's own, the sample, the one that is open where it is neither, and those opened lately.

    Args:
        opened: the one that is open.
        own: the person's own (`Home.default`).
        lately: folders opened before.
    """
    known = {OWN: own, SAMPLE: sample_home(own)}
    found = [Project(title, str(home.path), home == opened) for title, home in known.items()]
    others = dict.fromkeys((opened, *(Home(Path(path)) for path in lately)))
    found += [
        Project(other.path.name, str(other.path), other == opened)
        for other in others
        if other not in known.values() and (other == opened or other.database.is_file())
    ]
    return tuple(found)


def remembered(lately: Sequence[str], opened: Home) -> list[str]:
    """The folders opened lately, with this one in front."""
    return list(dict.fromkeys((str(opened.path), *lately)))[:MOST_REMEMBERED]


def refusal(folder: Path) -> tuple[str, str]:
    """Why a folder cannot become a project, and what to do; both "" for a project or an empty folder.

    A project makes folders and a database: other people's files are no place for it.
    """
    home = Home(folder)
    try:
        if home.database.is_file() or not folder.exists() or not any(folder.iterdir()):
            return "", ""
    except OSError as error:
        return f"The folder {folder} cannot be opened: {error.strerror or error}.", ""
    return (
        f"{folder} holds other files, and no project.",
        "Choose a folder with a project, or an empty one; “New project…” makes one.",
    )
