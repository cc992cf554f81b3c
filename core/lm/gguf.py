"""A GGUF file, converted once to a safetensors folder.

transformers dequantizes GGUF weights but refuses to save the result (engine-room.md, trap 3), so the
weights are put into a fresh model without the quantization record. The folder is named by the file's
content and this converter's version, and appears by an atomic rename: what is there is complete.

The numbers are those of the quantized file. Converting does not bring the original weights back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.integrations.gguf.reader import read_gguf_metadata
from transformers.utils import logging as transformers_logging

from core.errors import UserError
from core.lm.assemble import assemble
from core.lm.hashing import sha256_of

CONVERTER_VERSION = "1"
"""Raised whenever a conversion would write other weights or another tokenizer."""

RECORD = "conversion.json"
MAGIC = b"GGUF"
EXACT_BELOW = (
    2**30
)  # bytes of GGUF up to which weights are kept in float32; larger ones in bfloat16
GPT2_SPLITS = frozenset({"default", "gpt-2", "gpt2"})  # names of what byte-level BPE does anyway
HASHED, OPENED, WEIGHTS, TOKENIZER, SAVED = 5, 10, 70, 85, 100  # per cent of the work, from timings

Progress = Callable[[int, int], None]


def convert(file: Path, cache: Path, progress: Progress = lambda done, total: None) -> Path:
    """The safetensors folder of a GGUF file, made on first use.

    Args:
        file: the GGUF file.
        cache: folder of converted models; the result is a folder in it.
        progress: called with (done, 100) as the work goes on.

    Raises:
        UserError: the file is missing, is no GGUF, or holds an architecture that cannot be converted.
    """
    if not file.is_file():
        raise UserError(f"There is no file {file}.", "Check the path of the GGUF file.")
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise UserError(
                f"{file.name} is not a GGUF file.",
                "Give a file that ends in .gguf, or a folder with safetensors weights.",
            )
    progress(0, SAVED)
    sha256 = sha256_of(file)
    progress(HASHED, SAVED)
    key = hashlib.sha256(f"gguf {CONVERTER_VERSION} {sha256}".encode()).hexdigest()
    folder = cache / key[:20]
    if (folder / RECORD).is_file():
        progress(SAVED, SAVED)
        return folder
    part = cache / f"{folder.name}.part-{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        record = _write(file, part, progress)
        record |= {"source": file.name, "sha256": sha256, "converter": CONVERTER_VERSION}
        (part / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        try:
            part.rename(folder)
        except OSError:  # another process was first
            if not (folder / RECORD).is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    progress(SAVED, SAVED)
    return folder


def read_record(folder: Path) -> dict[str, Any]:
    """What is known about a converted folder: source file, its SHA-256, architecture, precision."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def _write(file: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = torch.float32 if file.stat().st_size < EXACT_BELOW else torch.bfloat16
    try:
        metadata, _ = read_gguf_metadata(str(file))
        progress(OPENED, SAVED)
        loaded = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=dtype, local_files_only=True
        )
    except (ValueError, KeyError, NotImplementedError, OSError) as error:
        raise UserError(
            f"{file.name} cannot be converted: {error}",
            "Convert it elsewhere to a folder with config.json and safetensors, and give that folder.",
        ) from error
    progress(WEIGHTS, SAVED)
    tokenizer = _tokenizer(file, str(metadata.get("tokenizer.ggml.pre", "default")))
    progress(TOKENIZER, SAVED)
    config = loaded.config
    del config.quantization_config
    config._name_or_path = file.stem
    fresh, missing = assemble(config, loaded.state_dict(), dtype)
    if missing:
        raise UserError(
            f"{file.name} lacks {len(missing)} weights, among them {missing[0]}.",
            "The file is damaged or incomplete; download it again.",
        )
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "architecture": str(metadata["general.architecture"]),
        "name": str(metadata.get("general.name", file.stem)),
        "licence": str(metadata.get("general.license", "")),
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": sum(parameter.numel() for parameter in fresh.parameters()),
    }


def _tokenizer(file: Path, split: str) -> PreTrainedTokenizerBase:
    """The file's tokenizer, splitting text the way its vocabulary was learned.

    A GGUF only names its way of splitting. transformers knows some names and takes GPT-2's way for all
    others, silently; for SmolLM2 that would join newlines and digits differently from the original.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        file.parent, gguf_file=file.name, local_files_only=True
    )
    if split == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    elif split not in GPT2_SPLITS and split not in GGUF_PRE_TOKENIZER_SPLITS:
        raise UserError(
            f"{file.name} splits text by rules named {split}, which are not known here.",
            "Give a folder with config.json, safetensors and tokenizer.json of this model instead.",
        )
    return tokenizer
