"""Where a base model comes from: a folder, the hub, a GGUF file, or a named model.

Whatever the source, the result is a folder of safetensors that `from_pretrained` opens without running
code that came with the model. Refused, with a sentence that says what to do: pickled weights, custom code,
weights that are quantized already, missing or damaged shards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from core.errors import UserError
from core.lm import gguf
from core.lm.hashing import digests
from core.lm.hub import download
from core.lm.named import find, named_models
from core.lm.pickles import refuse_pickle
from core.recipe.sources import ModelSource

DESCRIBING = (  # files that decide, with the weights, what the model computes and how text is read
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
MEMORY = "digests.json"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BaseModelFiles:
    """A base model on disk, checked.

    Attributes:
        folder: absolute; safetensors, config and tokenizer.
        digest: SHA-256 over the content of all of them: the same model has the same digest anywhere.
        label: what a person calls it.
        facts: origin, architecture, hashes, notes: for the manifest.
    """

    folder: Path
    digest: str
    label: str
    facts: Mapping[str, Any]


def resolve(source: ModelSource, cache: Path, progress: Progress | None = None) -> BaseModelFiles:
    """Fetch or convert the model if need be, check it, and name it by its content.

    Args:
        source: exactly one of name, folder, hub, gguf.
        cache: folder for converted models and remembered digests.
        progress: called with (done, total), in units that may change between phases.

    Raises:
        UserError: the model cannot be found, fetched or used.
    """
    tell = progress if progress is not None else lambda done, total: None
    cache.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {}
    if source.folder:
        folder = Path(source.folder).expanduser()
        facts["origin"] = "folder"
    elif source.hub:
        fetched = download(source.hub, source.revision, tell)
        folder = fetched.folder
        facts |= {"origin": "hub", "hub": source.hub, "commit": fetched.commit}
    else:
        file = find(source.name) if source.name else Path(source.gguf or "").expanduser()
        facts["origin"] = "name" if source.name else "gguf"
        if source.name and file.is_dir():
            folder = file
        else:
            folder = gguf.convert(file, cache, tell)
            facts["gguf"] = gguf.read_record(folder)
        if source.name:
            facts["note"] = named_models()[source.name].note
    folder = folder.resolve()
    config = check_folder(folder)
    files = [folder / name for name in DESCRIBING if (folder / name).is_file()]
    files += sorted(folder.glob("*.safetensors"))
    hashes = digests(files, cache / MEMORY, tell)
    facts |= {
        "architecture": ", ".join(config.get("architectures") or [config.get("model_type", "?")]),
        "sha256": hashes,
        "bytes": sum(file.stat().st_size for file in files),
    }
    listing = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    digest = hashlib.sha256(listing.encode()).hexdigest()
    return BaseModelFiles(folder, digest, source.label, facts)


def check_folder(folder: Path) -> dict[str, Any]:
    """The model's config, after making sure that the folder can be opened safely and completely.

    Raises:
        UserError: it cannot; says why and what to do.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Check the path of the model.")
    names = sorted(path.name for path in folder.iterdir())
    weights = [name for name in names if name.endswith(".safetensors")]
    refuse_pickle(names, str(folder))
    if "config.json" not in names:
        raise UserError(
            f"{folder} has no config.json.",
            "Give the folder that save_pretrained wrote, with config.json and safetensors weights.",
        )
    if not weights:
        gguf_files = [name for name in names if name.endswith(".gguf")]
        hint = f"Give the file as gguf: {folder / gguf_files[0]}" if gguf_files else ""
        raise UserError(
            f"{folder} has no safetensors weights.", hint or "Copy the model's weights there."
        )
    config = _json(folder / "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).is_file() and "auto_map" in _json(folder / name):
            raise UserError(
                f"The model in {folder} brings its own code (auto_map in {name}), which is never run here.",
                "Use a model whose architecture transformers knows by itself.",
            )
    quantization = config.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method", "an unknown method")
        raise UserError(
            f"The weights in {folder} are quantized already ({method}).",
            "Give the unquantized model as base, and add a quantize stage.",
        )
    _check_shards(folder, weights)
    return config


def _check_shards(folder: Path, weights: list[str]) -> None:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        wanted = sorted(set(_json(index).get("weight_map", {}).values()))
        absent = [name for name in wanted if name not in weights]
        if absent:
            raise UserError(
                f"{folder} lacks {len(absent)} of {len(wanted)} weight files, among them {absent[0]}.",
                "Copy or download the missing files.",
            )
    for name in weights:
        try:
            with safe_open(folder / name, framework="numpy") as tensors:
                tensors.keys()
        except SafetensorError as error:
            raise UserError(
                f"{folder / name} is damaged ({error}).", "Copy or download the file again."
            ) from error


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{file} is not valid JSON: {error}.", "Copy or download the file again."
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{file} does not hold a JSON object.", "Copy or download the file again.")
    return value
