"""What a model's folder or file says of itself, read without loading a weight: shown before it is used.

A model that would be refused as a base is reported with the refusal, not raised: the person asked what
it is.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from transformers.integrations.gguf.reader import read_gguf_metadata

from core.errors import UserError
from core.lm.formats import check_folder
from core.lm.gguf import MAGIC
from core.lm.hashing import sha256_of
from core.lm.headers import count_weights, headers, precision

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
TEMPLATES = ("chat_template.jinja", "tokenizer_config.json")
_SIZES = {
    "layers": ("num_hidden_layers", "block_count"),
    "hidden": ("hidden_size", "embedding_length"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "context_length"),
}


def inspect_folder(folder: Path) -> dict[str, Any]:
    """Architecture, sizes, precision, hashes of tokenizer and chat template, and why it would be refused.

    Raises:
        UserError: there is no such folder, or nothing of a model in it.
    """
    refusal, hint = "", ""
    try:
        check_folder(folder)
    except UserError as error:
        refusal, hint = error.message, error.hint
    if not (folder / "config.json").is_file():
        raise UserError(refusal or f"{folder} holds no model.", hint)
    config = _json(folder / "config.json")
    tensors = headers(folder) if not refusal or "damaged" not in refusal else {}
    tokenizer = next((folder / it for it in TOKENIZERS if (folder / it).is_file()), None)
    return {
        "origin": "folder",
        "path": str(folder),
        "architecture": ", ".join(
            config.get("architectures") or [str(config.get("model_type", ""))]
        ),
        "parameters": count_weights(tensors),
        "dtype": precision(tensors),
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        "tokenizer": sha256_of(tokenizer) if tokenizer is not None else "",
        "template": _template(folder),
        "refusal": refusal,
        "hint": hint,
        **_sizes(config),
    }


def inspect_file(file: Path) -> dict[str, Any]:
    """The same of a GGUF file.

    Raises:
        UserError: there is no such file, or it is no GGUF.
    """
    if not file.is_file():
        raise UserError(f"There is nothing at {file}.", "Check the path of the model.")
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise UserError(
                f"{file.name} is not a GGUF file.",
                "Give a file that ends in .gguf, or a folder with safetensors weights.",
            )
    try:
        metadata, _ = read_gguf_metadata(str(file))
        tensors = GGUFReader(str(file)).tensors
    except (ValueError, KeyError, OSError, IndexError) as error:
        raise UserError(
            f"{file.name} cannot be read: {error}", "Copy or download the file again."
        ) from error
    kind = str(metadata.get("general.architecture", ""))
    own = {key.removeprefix(f"{kind}."): value for key, value in metadata.items()}
    weights = [int(math.prod(int(side) for side in it.shape)) for it in tensors]
    formats = sorted({it.tensor_type.name for it in tensors if len(it.shape) > 1})
    template = str(metadata.get("tokenizer.chat_template") or "")
    return {
        "origin": "gguf",
        "path": str(file),
        "architecture": kind,
        "parameters": sum(weights),
        "dtype": ", ".join(formats),
        "bytes": file.stat().st_size,
        "tokenizer": "",
        "template": _digest(template),
        "licence": str(metadata.get("general.license") or ""),
        "refusal": "",
        "hint": "",
        **_sizes(own),
    }


def _sizes(config: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, keys in _SIZES.items():
        value = next((config[key] for key in keys if isinstance(config.get(key), int)), None)
        if value is not None:
            found[name] = int(value)
    return found


def _template(folder: Path) -> str:
    """SHA-256 of the chat template, "" where there is none."""
    first, second = (folder / name for name in TEMPLATES)
    if first.is_file():
        return _digest(first.read_text(encoding="utf-8"))
    template = _json(second).get("chat_template") if second.is_file() else ""
    return _digest(json.dumps(template) if isinstance(template, list) else str(template or ""))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON: {error}.", "Copy the file again.") from error
    return value if isinstance(value, dict) else {}
