"""Exports: other programs open them, they compute what the checkpoint computes, and they appear whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from core.errors import UserError
from core.lm import export as exporting
from core.lm.adapter import add_lora, save_adapter
from core.lm.checkpoint import Checkpoint, read_manifest, write_manifest
from core.lm.export import PROVENANCE, export, part_of
from core.lm.headers import count_weights, header, headers, precision
from core.lm.load import load_model, load_tokenizer
from core.lm.nf4 import save_packed
from tests.helpers.tiny import CPU32, build_tiny, tiny_base, tiny_model

IDS = torch.tensor([[5, 90, 301, 7, 44]])
TOLERANCE = 1e-6


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model(IDS).logits


@torch.no_grad()
def adapter_over(parent: Checkpoint, seed: int) -> Checkpoint:
    """A LoRA checkpoint as training leaves one."""
    model = add_lora(load_model(parent, CPU32), 4, 8, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B.default" in name:
            parameter.normal_(std=0.1, generator=generator)
    made = replace(
        parent,
        identity=f"{seed:064x}",
        path=parent.path.parent / f"adapter{seed}",
        parent=parent.identity,
        parent_path=parent.path,
        kind="sdft",
        storage="adapter",
        spec={"kind": "sdft"},
        facts={"trained_steps": 3},
    )
    save_adapter(model, made.path)
    write_manifest(made)
    return made


def quantized(parent: Checkpoint) -> Checkpoint:
    made = replace(
        parent,
        identity="4" * 64,
        path=parent.path.parent / "nf4",
        parent=parent.identity,
        parent_path=parent.path,
        kind="quantize",
        storage="nf4",
        facts={},
    )
    save_packed(load_model(parent, CPU32), made.path)
    load_tokenizer(parent).save_pretrained(made.path)
    write_manifest(made)
    return made


class Tree(NamedTuple):
    base: Checkpoint
    first: Checkpoint
    second: Checkpoint
    nf4: Checkpoint
    over_nf4: Checkpoint


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    base = tiny_base(tmp_path_factory.mktemp("tree"))
    first = adapter_over(base, 1)
    nf4 = quantized(base)
    return Tree(base, first, adapter_over(first, 2), nf4, adapter_over(nf4, 3))


def opened(folder: Path) -> nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("name", Tree._fields)
def test_that_a_merged_export_computes_what_the_checkpoint_computes(
    tree: Tree, name: str, tmp_path: Path
) -> None:
    checkpoint = getattr(tree, name)
    told: list[tuple[int, int]] = []
    target = tmp_path / "new" / name
    made = export(
        checkpoint,
        target,
        "merged",
        provenance={"checkpoint": name},
        progress=lambda done, total: told.append((done, total)),
    )
    expected = logits(load_model(checkpoint, CPU32, merge=True))
    assert torch.allclose(logits(opened(target)), expected, atol=TOLERANCE, rtol=0)
    assert torch.allclose(expected, logits(load_model(checkpoint, CPU32)), atol=1e-4, rtol=0)
    assert "quantization_config" not in json.loads((target / "config.json").read_text())
    assert len(AutoTokenizer.from_pretrained(target)) == len(load_tokenizer(checkpoint))
    assert told[0][0] == 0
    assert told[-1] == (made.bytes, made.bytes)
    assert not part_of(target).exists()


def test_that_an_exported_adapter_gives_the_same_network_over_its_base(
    tree: Tree, tmp_path: Path
) -> None:
    target = tmp_path / "adapter"
    export(tree.first, target, "adapter", provenance={})
    again = PeftModel.from_pretrained(tiny_model(), str(target))
    assert torch.allclose(
        logits(again), logits(load_model(tree.first, CPU32)), atol=TOLERANCE, rtol=0
    )
    assert (target / "tokenizer.json").is_file()
    assert str(tree.base.path) not in (target / "adapter_config.json").read_text()


def test_that_an_adapter_names_what_it_belongs_over_and_not_the_base_beneath_that(
    tree: Tree, tmp_path: Path
) -> None:
    hub = replace(tree.base, path=tmp_path / "hub", spec={"kind": "base", "hub": "owner/name"})
    shutil.copytree(tree.base.path, hub.path)
    write_manifest(hub)
    over_hub = replace(tree.first, parent_path=hub.path, path=tmp_path / "over hub")
    shutil.copytree(tree.first.path, over_hub.path)
    write_manifest(over_hub)
    named = []
    for checkpoint in (over_hub, tree.over_nf4):
        target = tmp_path / f"out {checkpoint.identity[-1]}"
        export(checkpoint, target, "adapter", provenance={})
        config = json.loads((target / "adapter_config.json").read_text())
        named.append(config["base_model_name_or_path"])
    assert named == ["owner/name", "quantize-444444444444"]


def test_that_a_packed_export_is_the_same_bytes(tree: Tree, tmp_path: Path) -> None:
    export(tree.nf4, tmp_path / "packed", "packed", provenance={})
    assert (tmp_path / "packed" / "model.safetensors").read_bytes() == (
        tree.nf4.path / "model.safetensors"
    ).read_bytes()


def test_that_another_precision_is_written_when_asked_for(tree: Tree, tmp_path: Path) -> None:
    export(tree.first, tmp_path / "half", "merged", dtype="bfloat16", provenance={})
    assert precision(headers(tmp_path / "half")) == "bfloat16"
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"


def test_that_a_precision_that_there_is_not_is_refused(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no precision float17") as caught:
        export(tree.first, tmp_path / "x", "merged", dtype="float17", provenance={})
    assert "bfloat16" in caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_that_others_may_read_what_they_may_read_of_other_files(tree: Tree, tmp_path: Path) -> None:
    made = export(tree.first, tmp_path / "out", "merged", provenance={})
    assert len({(made.folder / name).stat().st_mode for name in made.files}) == 1


def test_that_manifest_and_provenance_go_along_without_places_on_this_machine(
    tree: Tree, tmp_path: Path
) -> None:
    target = tmp_path / "base"
    export(tree.base, target, "merged", provenance={"scores": [1]})
    assert json.loads((target / PROVENANCE).read_text()) == {"scores": [1]}
    found = read_manifest(target)
    assert found is not None
    assert found.identity == tree.base.identity
    assert str(tree.base.path.parent) not in (target / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("name", "form", "sentence"),
    [
        ("base", "adapter", "no adapter"),
        ("second", "adapter", "over another adapter"),
        ("first", "packed", "not packed"),
    ],
)
def test_that_a_form_that_does_not_fit_is_refused_with_one_that_does(
    tree: Tree, tmp_path: Path, name: str, form: exporting.Form, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        export(getattr(tree, name), tmp_path / "x", form, provenance={})
    assert "merged" in caught.value.hint
    assert not (tmp_path / "x").exists()


def test_that_a_folder_with_something_in_it_is_left_alone(tree: Tree, tmp_path: Path) -> None:
    target = tmp_path / "full"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="something in"):
        export(tree.base, target, "merged", provenance={})
    (target / "mine.txt").unlink()
    export(tree.base, target, "merged", provenance={})
    assert (target / "config.json").is_file()


def test_that_a_full_disk_is_said_before_anything_is_written(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    with pytest.raises(
        UserError, match=r"needs 0.* MiB and 64.0 MiB to spare; .* has 0.0 MiB left"
    ) as caught:
        export(tree.base, tmp_path / "x", "merged", provenance={})
    assert "another disk" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["_settle", "_write_manifest", "_copy"])
def test_that_an_export_that_is_cut_off_leaves_nothing_of_its_name(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def cut(*_: object) -> None:
        raise SystemExit(143)  # what a request to end becomes

    monkeypatch.setattr(exporting, place, cut)
    with pytest.raises(SystemExit):
        export(tree.base, tmp_path / "x", "merged", provenance={})
    assert list(tmp_path.iterdir()) == []


def test_that_a_folder_that_fills_meanwhile_is_left_alone(tree: Tree, tmp_path: Path) -> None:
    target = tmp_path / "x"

    def somebody_else(done: int, total: int) -> None:
        target.mkdir(exist_ok=True)
        (target / "mine.txt").write_text("mine")

    with pytest.raises(UserError, match="something in"):
        export(tree.base, target, "merged", provenance={}, progress=somebody_else)
    assert [it.name for it in tmp_path.rglob("*")] == ["x", "mine.txt"]


def test_that_two_do_not_write_the_same_folder_and_what_a_dead_one_left_goes(
    tree: Tree, tmp_path: Path
) -> None:
    left = tmp_path / ".x.part-999999999"  # no system counts processes so far
    at_work = tmp_path / f".x.part-{os.getppid()}"
    for folder in (left, at_work):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="being written by another export") as caught:
        export(tree.base, tmp_path / "x", "merged", provenance={})
    assert str(at_work) in caught.value.hint
    assert (at_work / "model.safetensors").is_file()
    at_work.rename(tmp_path / f".another.part-{os.getppid()}")
    export(tree.base, tmp_path / "x", "merged", provenance={})
    assert (tmp_path / "x" / "config.json").is_file()
    assert not left.exists()


def test_that_a_disk_that_fills_while_weights_are_written_is_said_and_leaves_nothing(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: PreTrainedModel, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    with pytest.raises(UserError, match="No space left") as caught:
        export(tree.first, tmp_path / "x", "merged", provenance={})
    assert "another disk" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_that_headers_count_weights_and_packed_ones_as_what_they_unpack_to(
    tree: Tree, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path / "tiny")
    plain = headers(folder)
    assert count_weights(plain) == sum(it.numel() for it in tiny_model().parameters())
    assert precision(plain) == "float32"
    assert count_weights(headers(tree.nf4.path)) == count_weights(plain)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:4], lambda data: b"\xff" * 8 + data, lambda data: b""]
)
def test_that_a_damaged_header_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder = build_tiny(tmp_path / "tiny")
    file = folder / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"model\.safetensors is no safetensors"):
        header(file)
