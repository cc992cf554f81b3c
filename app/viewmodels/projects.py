"""Projects: a project is a home folder with its database. One is the person's own, one holds the sample."""

from __future__ import annotations

from dataclasses import dataclass

from core.store.home import Home

OWN, SAMPLE = "My project", "Sample project"
SAMPLE_FOLDER = "sample"


@dataclass(frozen=True)
class Project:
    """A project that can be opened: what it is called, its folder, and whether it is open now."""

    title: str
    path: str
    is_open: bool = False


def sample_home(own: Home) -> Home:
    """Where the sample project lies: a folder in the person's own."""
    return Home(own.path / SAMPLE_FOLDER)


def projects(opened: Home, own: Home) -> tuple[Project, ...]:
    """The person's own, the sample, and the one that is open where it is neither.

    Args:
        opened: the one that is open.
        own: the person's own (`Home.default`).
    """
    known = {OWN: own, SAMPLE: sample_home(own)}
    found = [Project(title, str(home.path), home == opened) for title, home in known.items()]
    if opened not in known.values():
        found.append(Project(opened.path.name, str(opened.path), True))
    return tuple(found)
