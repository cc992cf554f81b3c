"""Which stages of a recipe train on a dataset, and with which template they show it to a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.viewmodels.teacher_prompt import is_taught


def named(parts: Any) -> list[str]:
    """The datasets that stages (a list) or tasks (a mapping) name, each once."""
    given = parts.values() if isinstance(parts, Mapping) else parts
    found: dict[str, None] = {}
    for part in given if given else ():
        dataset = part.get("dataset") if isinstance(part, Mapping) else None
        for name in dataset if isinstance(dataset, list) else [dataset]:
            if name:
                found[str(name)] = None
    return list(found)


def template_for(stages: Any, names: set[str]) -> tuple[str, str]:
    """The teacher's template of the first stage that shows one of these datasets to a teacher, and the stage.

    Two empty texts where there is no such stage, or it has the usual template.
    """
    given = [it for it in stages if isinstance(it, Mapping)] if isinstance(stages, list) else []
    stage = next((it for it in given if is_taught(it) and names & set(named([it]))), None)
    template = stage.get("teacher_template") if stage is not None else None
    if stage is None or not isinstance(template, str) or not template:
        return "", ""
    return template, str(stage.get("id") or stage.get("kind"))
