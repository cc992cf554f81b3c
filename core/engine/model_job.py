"""The process that inspects, converts and exports models: torch lives here and dies with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

from core.engine import jobs
from core.engine.jobs import Job, Tell
from core.errors import UserError
from core.lm import gguf
from core.lm.checkpoint import Checkpoint, folder_of, read_manifest
from core.lm.export import Form, copy_folder, export, lineage
from core.lm.inspection import inspect_file, inspect_folder
from core.store.home import Home
from core.store.store import Store


def work(job: Job, home: Home, tell: Tell) -> Mapping[str, Any]:
    """Do one job.

    Raises:
        UserError: it cannot be done.
    """
    if job.kind == "inspect":
        path = Path(job.source).expanduser()
        return inspect_folder(path) if path.is_dir() else inspect_file(path)
    if job.kind == "convert":
        return _convert(job, home, tell)
    return _export(job, home, tell)


def _convert(job: Job, home: Home, tell: Tell) -> Mapping[str, Any]:
    cache = home.cache
    cache.mkdir(parents=True, exist_ok=True)
    file = Path(job.source).expanduser()
    folder = gguf.convert(file, cache, lambda done, total: tell(done, total, "%"))
    record = gguf.read_record(folder)
    if job.target:
        target = _outside(job.target, home)
        folder = copy_folder(folder, target, lambda done, total: tell(done, total, "B")).folder
    return {"folder": str(folder), **record}


def _outside(target: str, home: Home) -> Path:
    """The folder to write; among what Rekindle keeps by itself, it would be taken for one of its own."""
    folder = Path(target).expanduser().absolute()
    kept = (home.checkpoints, home.cache, home.trash)
    if any(folder.resolve().is_relative_to(it.resolve()) for it in kept):
        raise UserError(
            f"{folder} lies in a folder that Rekindle keeps by itself.",
            f"Choose a folder outside {home.path}.",
        )
    return folder


def _export(job: Job, home: Home, tell: Tell) -> Mapping[str, Any]:
    checkpoint = read_manifest(folder_of(home.checkpoints, job.source))
    if checkpoint is None:
        raise UserError(
            "The files of this checkpoint are not there.",
            "Run the recipe again to make it anew, or put it back from the trash.",
        )
    form = job.options.get("form", "merged")
    if form not in get_args(Form):
        raise UserError(f"There is no form {form}.", f"Forms: {', '.join(get_args(Form))}.")
    target = _outside(job.target, home)
    made = export(
        checkpoint,
        target,
        cast(Form, form),
        dtype=job.options.get("dtype", "auto"),
        provenance=provenance(checkpoint, home),
        progress=lambda done, total: tell(done, total, "B"),
    )
    return {"folder": str(made.folder), "bytes": made.bytes, "files": list(made.files)}


def provenance(checkpoint: Checkpoint, home: Home) -> dict[str, Any]:
    """Where the checkpoint comes from and what was measured on it, for a reader without this database."""
    with Store.open(home.database, read_only=True) as store:
        known = store.lineage()
    scores = [it for it in known.scores if it.checkpoint == checkpoint.identity]
    return {
        "rekindle": "Made by Rekindle; identities are SHA-256 over everything that decides the weights.",
        "lineage": [
            {
                "identity": it.identity,
                "parent": it.parent,
                "kind": it.kind,
                "storage": it.storage,
                "spec": dict(it.spec),
                "inputs": dict(it.inputs),
                "facts": {key: value for key, value in it.facts.items() if key != "weights"},
            }
            for it in lineage(checkpoint)
        ],
        "scores": [
            {
                "run": it.run,
                "run_name": known.runs[it.run].name if it.run in known.runs else "",
                "stage": it.subject,
                "task": it.task,
                "n": it.n,
                "correct": it.correct,
                "protocol": it.protocol,
                "scorer": it.scorer,
                "dataset": it.dataset,
                "seed": it.seed,
            }
            for it in scores
        ],
    }


if __name__ == "__main__":
    sys.exit(jobs.serve(work))
