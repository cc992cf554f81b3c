"""Register the base model as the checkpoint that everything descends from.

Weights are not copied: the checkpoint is a manifest whose fact `weights` names the folder that holds them.
The model may move between two runs; its digest is its identity, and the manifest follows it. This is the
one stage that reads no checkpoint, so its `run` has a shape of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.lm.checkpoint import Checkpoint, folder_of, identity_of, read_manifest, write_manifest
from core.lm.formats import resolve
from core.recipe.field import BASE
from core.recipe.sources import ModelSource


def run(
    source: ModelSource,
    checkpoints: Path,
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Checkpoint:
    """Find (or download, or convert) the base model and write its manifest.

    Args:
        source: where the model comes from.
        checkpoints: folder of all checkpoints.
        cache: folder for what is made again when missing.
        progress: told bytes done and bytes in all.

    Raises:
        UserError: the model is not there, or is refused.
    """
    files = resolve(source, cache, progress)
    inputs = {"digest": files.digest, "dtype": source.dtype}
    identity = identity_of(None, {"kind": BASE}, inputs)
    folder = folder_of(checkpoints, identity)
    checkpoint = Checkpoint(
        identity=identity,
        path=folder,
        parent=None,
        parent_path=None,
        kind=BASE,
        storage="full",
        dtype=source.dtype,
        spec=source.model_dump(mode="json"),
        inputs=inputs,
        facts={**files.facts, "label": files.label, "weights": str(files.folder.resolve())},
    )
    known = read_manifest(folder)
    if known is None or known.facts != checkpoint.facts:
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(checkpoint)
    return checkpoint
