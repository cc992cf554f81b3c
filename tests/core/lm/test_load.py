"""Opening checkpoints: bases by reference, adapters over their chain of parents, honest failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import UserError
from core.lm.adapter import add_lora, save_adapter
from core.lm.checkpoint import Checkpoint, write_manifest
from core.lm.device import Compute
from core.lm.load import load_model, load_tokenizer
from tests.helpers.tiny import CPU32, build_tiny, tiny_base, tiny_model

IDS = torch.tensor([[5, 90, 301, 7, 44]])


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model(IDS).logits


def adapter_over(parent: Checkpoint, letter: str) -> tuple[Checkpoint, Tensor]:
    """A checkpoint with an adapter trained over `parent`, and its logits in memory."""
    model = add_lora(load_model(parent, CPU32), 4, 8, seed=ord(letter))
    generator = torch.Generator().manual_seed(ord(letter))
    for name, parameter in model.named_parameters():
        if "lora_B.default" in name:
            nn.init.normal_(parameter, std=0.1, generator=generator)
    path = parent.path.parent / letter
    path.mkdir()
    save_adapter(model, path)
    made = Checkpoint(
        letter * 64, path, parent.identity, parent.path, "sft", "adapter", "auto", {}, {}, {}
    )
    write_manifest(made)
    return made, logits(model)


def test_that_a_base_is_opened_where_its_weights_are(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    model = load_model(base, CPU32)
    assert torch.equal(logits(model), logits(tiny_model()))
    assert not model.training
    assert model.dtype == torch.float32
    half = load_model(base, Compute(torch.device("cpu"), torch.bfloat16, ""))
    assert half.dtype == torch.bfloat16


def test_that_adapters_are_stacked_over_their_chain_of_parents(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    first, first_logits = adapter_over(base, "a")
    second, second_logits = adapter_over(first, "b")
    assert isinstance(load_model(first, CPU32), PeftModel)
    torch.testing.assert_close(logits(load_model(first, CPU32)), first_logits)
    torch.testing.assert_close(
        logits(load_model(second, CPU32)), second_logits, rtol=1e-5, atol=1e-5
    )
    whole = load_model(second, CPU32, merge=True)
    assert not isinstance(whole, PeftModel)
    torch.testing.assert_close(logits(whole), second_logits, rtol=1e-4, atol=1e-4)


def test_that_the_tokenizer_is_the_nearest_ancestors(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    second, _ = adapter_over(adapter_over(base, "a")[0], "b")
    assert not (second.path / "tokenizer.json").exists()
    tokenizer = load_tokenizer(second)
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer("Paris").input_ids == load_tokenizer(base)("Paris").input_ids


def test_that_a_tokenizer_without_padding_gets_some(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    tokenizer = load_tokenizer(base)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(Path(base.facts["weights"]))
    assert load_tokenizer(base).pad_token == tokenizer.eos_token


def test_that_a_missing_tensor_is_an_error_and_not_a_random_number(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    file = Path(base.facts["weights"]) / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights, among them model\.layers\.1\.mlp\.up"):
        load_model(base, CPU32)


def test_that_a_cut_file_is_named(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    file = Path(base.facts["weights"]) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        load_model(base, CPU32)


def test_that_weights_that_moved_are_named(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    gone = replace(base, facts={"weights": str(tmp_path / "gone")})
    with pytest.raises(UserError, match="no longer in"):
        load_model(gone, CPU32)
    with pytest.raises(UserError, match="no tokenizer"):
        load_tokenizer(gone)


def test_that_a_parent_that_is_gone_is_named(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    child, _ = adapter_over(base, "a")
    (base.path / "manifest.json").unlink()
    with pytest.raises(UserError, match="which is gone"):
        load_model(child, CPU32)


def test_that_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    one, two = build_tiny(tmp_path / "one"), build_tiny(tmp_path / "two")
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
