"""A checkpoint taken out of the home: a folder that other programs open.

Three forms. "merged": one whole network in plain safetensors, adapters added into the weights in float32
and packed weights unpacked. "adapter": the LoRA delta alone, for PEFT, with the name of what it belongs
over. "packed": NF4 weights as bitsandbytes packs them. The folder appears by a rename when all of it is on
the disk; before that nothing of its name is there. Beside the weights lie the checkpoint's manifest and a
provenance: what it was made from, how, and what was measured on it.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from safetensors import SafetensorError

from core.errors import UserError
from core.lm.checkpoint import MANIFEST, Checkpoint, read_manifest
from core.lm.device import Compute
from core.lm.headers import BYTES, count_weights, headers, precision
from core.lm.load import TOKENIZER_FILES, load_model, load_tokenizer, weights_folder

Form = Literal["merged", "adapter", "packed"]
PROVENANCE = "provenance.json"
PART = ".part-"
"""In the name of a folder that grows, before the process that writes it; see `jobs.leftovers`."""
CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
ROOM_TO_SPARE = 64 * 2**20
"""Bytes left free on the disk beyond what is written."""
NAME_DIGITS = 12
"""Of an identity, in the name of what an adapter belongs over."""
COPIED_AT_ONCE = 8 * 2**20
LOOK_SECONDS = 0.2
"""How often the growing files are measured for the progress."""
_OURS = (MANIFEST,)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, its bytes, and the names of its files."""

    folder: Path
    bytes: int
    files: tuple[str, ...]


def part_of(target: Path) -> Path:
    """Where the folder grows until it is complete; another process writes another one."""
    return target.with_name(f".{target.name}{PART}{os.getpid()}")


def export(
    checkpoint: Checkpoint,
    target: Path,
    form: Form,
    *,
    dtype: str = "auto",
    provenance: Mapping[str, Any],
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write the checkpoint into a new folder.

    Args:
        checkpoint: a finished one.
        target: a folder that does not exist yet, or an empty one.
        form: see above.
        dtype: of the merged weights; auto keeps the precision in which they are stored.
        provenance: what `provenance.json` says.
        progress: called with (bytes written, bytes in all as far as known).

    Raises:
        UserError: the form does not fit the checkpoint, the folder is not empty, or the disk is too full.
    """
    _refuse_form(checkpoint, form)
    if dtype not in ("auto", *BYTES):
        raise UserError(f"There is no precision {dtype}.", f"Give auto, {', '.join(BYTES)}.")
    kept = dtype if dtype != "auto" else stored_precision(checkpoint)
    needed = bytes_needed(checkpoint, form, kept)
    _refuse_target(target, needed)
    with _appearing(target) as part:
        progress(0, needed)
        if form == "merged" and not _is_plain(checkpoint, kept):
            with _watched(part, needed, progress):
                _write_merged(checkpoint, part, kept)
        else:
            _copy(weights_folder(checkpoint), part, needed, progress)
        if form == "adapter":
            _name_base(checkpoint, part)
        _write_json(part / PROVENANCE, provenance)
        _write_manifest(checkpoint, part)
    return _written(target, progress)


def copy_folder(source: Path, target: Path, progress: Progress) -> Exported:
    """Copy a model's folder as it is, a converted GGUF say.

    Raises:
        UserError: the target is not empty, or the disk is too full.
    """
    needed = sum(file.stat().st_size for file in _files(source))
    _refuse_target(target, needed)
    with _appearing(target) as part:
        _copy(source, part, needed, progress)
    return _written(target, progress)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends well and vanishes when it does not."""
    part = part_of(target)
    _refuse_company(target)
    part.mkdir(parents=True)
    try:
        yield part
        _settle(part)
        _refuse_full(target)  # somebody may have put something there meanwhile
        if target.is_dir():
            target.rmdir()
        part.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _refuse_company(target: Path) -> None:
    """Two may not write the same folder; what a process left that is no more is removed."""
    for other in target.parent.glob(f".{glob.escape(target.name)}{PART}*"):
        number = other.name.rpartition("-")[2]
        if number.isdigit() and int(number) != os.getpid() and psutil.pid_exists(int(number)):
            raise UserError(
                f"{target} is being written by another export.",
                f"Wait for its end, or choose another folder. When there is none, delete {other}.",
            )
        shutil.rmtree(other, ignore_errors=True)


def _written(target: Path, progress: Progress) -> Exported:
    files = tuple(sorted(it.name for it in target.iterdir()))
    size = sum((target / name).stat().st_size for name in files)
    progress(size, size)
    return Exported(target, size, files)


def stored_precision(checkpoint: Checkpoint) -> str:
    """The precision in which the weights under all adapters are stored, for example "bfloat16"."""
    return precision(headers(weights_folder(lineage(checkpoint)[_root_place(checkpoint)])))


def bytes_needed(checkpoint: Checkpoint, form: Form, dtype: str) -> int:
    """Bytes that the export will write, nearly: the weights and the files around them."""
    if form == "merged":
        root = weights_folder(lineage(checkpoint)[_root_place(checkpoint)])
        return count_weights(headers(root)) * BYTES.get(dtype, BYTES["float32"])
    folder = weights_folder(checkpoint)
    return sum(file.stat().st_size for file in _files(folder))


def lineage(checkpoint: Checkpoint) -> tuple[Checkpoint, ...]:
    """The checkpoint and its ancestors as far as their folders are there, the nearest first."""
    found = [checkpoint]
    while (folder := found[-1].parent_path) is not None:
        parent = read_manifest(folder)
        if parent is None:
            break
        found.append(parent)
    return tuple(found)


def _root_place(checkpoint: Checkpoint) -> int:
    """Place in the lineage of the nearest whole network."""
    chain = lineage(checkpoint)
    for place, it in enumerate(chain):
        if it.storage != "adapter":
            return place
    raise UserError(
        f"The checkpoint in {checkpoint.path} builds on one that is gone.",
        "Run the earlier stages again.",
    )


def _refuse_form(checkpoint: Checkpoint, form: Form) -> None:
    if form == "adapter":
        if checkpoint.storage != "adapter":
            raise UserError(
                "This checkpoint is no adapter: it holds whole weights.", "Export it merged."
            )
        if len(lineage(checkpoint)) > 1 and lineage(checkpoint)[1].storage == "adapter":
            raise UserError(
                "This adapter lies over another adapter and means nothing without it.",
                "Export it merged: one whole network that holds both.",
            )
    if form == "packed" and checkpoint.storage != "nf4":
        raise UserError("This checkpoint is not packed.", "Export it merged.")


def _refuse_full(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"There is something in {target} already.", "Choose a new or an empty folder."
        )


def _refuse_target(target: Path, needed: int) -> None:
    _refuse_full(target)
    place = target.parent
    while not place.is_dir():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed + ROOM_TO_SPARE:
        raise UserError(
            f"The export needs {_size(needed)} and {_size(ROOM_TO_SPARE)} to spare; the disk of "
            f"{place} has {_size(free)} left.",
            "Free some room, or choose a folder on another disk.",
        )


def _size(count: int) -> str:
    """Bytes in the larger of two units that a disk is measured in."""
    gib = count / 2**30
    return f"{gib:.1f} GiB" if gib >= 1 else f"{count / 2**20:.1f} MiB"


def _is_plain(checkpoint: Checkpoint, dtype: str) -> bool:
    """Whether the files are the merged form already."""
    return checkpoint.storage == "full" and dtype == stored_precision(checkpoint)


def _write_merged(checkpoint: Checkpoint, part: Path, dtype: str) -> None:
    compute = Compute(torch.device("cpu"), getattr(torch, dtype), "the export keeps this precision")
    model = load_model(checkpoint, compute, merge=True)
    model.config.dtype = compute.dtype
    try:
        model.save_pretrained(part)
    except SafetensorError as error:  # which is what a full disk becomes
        raise UserError(
            f"The weights cannot be written: {error}",
            "Look how much room the disk has, or choose a folder on another disk.",
        ) from error
    load_tokenizer(checkpoint).save_pretrained(part)
    for file in part.glob("*.safetensors"):  # which safetensors lets nobody else read
        file.chmod((part / CONFIG).stat().st_mode)


def _files(folder: Path) -> list[Path]:
    """The files of a model folder that leave it: no training state, no pickles, nothing of ours."""
    wanted = (".safetensors", ".json", ".jinja", ".txt", ".model")
    return [
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and file.suffix in wanted and file.name not in _OURS
    ]


def _copy(source: Path, part: Path, total: int, progress: Progress) -> None:
    done = 0
    for file in _files(source):
        with file.open("rb") as reading, (part / file.name).open("wb") as writing:
            while block := reading.read(COPIED_AT_ONCE):
                writing.write(block)
                done += len(block)
                progress(min(done, total), total)


def _name_base(checkpoint: Checkpoint, part: Path) -> None:
    """Tell PEFT what the adapter belongs over, by a name that means something elsewhere."""
    config = json.loads((part / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    parent = lineage(checkpoint)[1]
    config["base_model_name_or_path"] = _name_of(parent)
    _write_json(part / ADAPTER_CONFIG, config)
    if not any((part / name).is_file() for name in TOKENIZER_FILES):
        load_tokenizer(checkpoint).save_pretrained(part)


def _name_of(parent: Checkpoint) -> str:
    """Of a base what others know it by; of what a stage made its kind and identity, which nobody takes for it."""
    if parent.kind != "base":
        return f"{parent.kind}-{parent.identity[:NAME_DIGITS]}"
    source = parent.spec
    return str(
        source.get("hub")
        or source.get("name")
        or Path(str(parent.facts.get("label", ""))).name
        or parent.identity
    )


def _write_manifest(checkpoint: Checkpoint, part: Path) -> None:
    """The manifest without the places on this machine."""
    record = json.loads((checkpoint.path / MANIFEST).read_text(encoding="utf-8"))
    record["facts"].pop("weights", None)
    _write_json(part / MANIFEST, record)


def _write_json(file: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def _settle(folder: Path) -> None:
    """Everything in the folder is on the disk."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    _sync(folder)


def _sync(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder, and has no need to
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _watched(folder: Path, total: int, progress: Progress) -> Iterator[None]:
    """Inside the block the bytes written into a folder are told as they grow."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            written = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
            progress(min(written, total), total)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
