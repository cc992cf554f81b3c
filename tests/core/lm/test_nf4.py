"""NF4: what is packed, that plain transformers opens it, and that unpacked computes the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from bitsandbytes.nn import Linear4bit
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from core.errors import UserError
from core.lm.adapter import add_lora, save_adapter
from core.lm.checkpoint import Checkpoint, write_manifest
from core.lm.load import load_model
from core.lm.nf4 import load_unpacked, save_packed
from tests.helpers.tiny import CPU32, LAYERS, tiny_model

IDS = torch.tensor([[5, 90, 301, 7, 44], [1, 2, 3, 4, 5]])
CPU = torch.device("cpu")


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model(IDS).logits


def exact(packed: nn.Module) -> nn.Module:
    """In training mode (there is no dropout here): in eval mode, bitsandbytes rounds to bfloat16 where
    the CPU has AVX512-BF16, whatever precision was asked for."""
    return packed.train()


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("double_quant", [True, False])
def test_that_plain_from_pretrained_opens_it_and_computes_the_same(
    tmp_path: Path, tie: bool, double_quant: bool
) -> None:
    model = tiny_model(tie=tie)
    before = logits(model)
    report = save_packed(model, tmp_path, double_quant=double_quant)
    assert torch.equal(logits(model), before)  # the model itself is left alone
    assert len(report.layers) == 7 * LAYERS
    assert 0 < report.max_error < 0.2
    assert report.bytes_after < report.bytes_before / 6

    packed = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(packed.model.layers[0].mlp.up_proj, Linear4bit)
    assert type(packed.lm_head) is nn.Linear
    unpacked = load_unpacked(tmp_path, CPU, torch.float32)
    assert type(unpacked.model.layers[0].mlp.up_proj) is nn.Linear
    torch.testing.assert_close(logits(unpacked), logits(exact(packed)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits(unpacked), before, atol=0.1)
    assert (unpacked.lm_head.weight is unpacked.model.embed_tokens.weight) == tie
    assert unpacked.generation_config.eos_token_id == [2, 0]
    assert not unpacked.training


def test_that_a_layer_computes_as_linear4bit_does_after_quantizing_itself() -> None:
    # bitsandbytes quantizes on its own road here; ours must give the same numbers.
    layer = tiny_model().model.layers[0].mlp.down_proj
    theirs = Linear4bit(layer.in_features, layer.out_features, bias=False, quant_type="nf4")
    theirs.load_state_dict(layer.state_dict())
    theirs = theirs.to("cpu")
    packed, state = quantize_4bit(
        layer.weight.detach(), blocksize=64, compress_statistics=True, quant_type="nf4"
    )
    x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            nn.functional.linear(x, dequantize_4bit(packed, state)),
            exact(theirs)(x),
            rtol=1e-5,
            atol=1e-5,
        )


def test_that_everything_but_the_linear_layers_keeps_its_precision(tmp_path: Path) -> None:
    model = tiny_model()
    save_packed(model, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    original = model.state_dict()
    for name in (
        "model.embed_tokens.weight",
        "model.norm.weight",
        "model.layers.0.self_attn.q_proj.bias",
    ):
        assert torch.equal(stored[name], original[name])
    assert "lm_head.weight" not in stored  # tied: stored once
    assert stored["model.layers.0.mlp.up_proj.weight"].dtype == torch.uint8


def test_that_a_weight_and_its_scales_may_lie_in_different_shards(tmp_path: Path) -> None:
    save_packed(tiny_model(), tmp_path / "one")
    tensors = load_file(tmp_path / "one" / "model.safetensors")
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "config.json").write_bytes((tmp_path / "one" / "config.json").read_bytes())
    # Reversed, the scales come first; shards of one kilobyte part nearly all of them from their weight.
    order = dict(reversed(tensors.items()))
    save_torch_state_dict(order, tmp_path / "many", max_shard_size=1000, metadata={"format": "pt"})
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 5
    one, many = (load_unpacked(tmp_path / name, CPU, torch.float32) for name in ("one", "many"))
    assert torch.equal(logits(one), logits(many))


def test_that_a_missing_weight_is_an_error_and_not_a_random_number(tmp_path: Path) -> None:
    save_packed(tiny_model(), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.norm.weight"]
    save_torch_state_dict(tensors, tmp_path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights, among them model\.norm\.weight"):
        load_unpacked(tmp_path, CPU, torch.float32)


def test_that_an_nf4_checkpoint_opens_packed_or_unpacked_and_under_an_adapter(
    tmp_path: Path,
) -> None:
    nf4, adapter = tmp_path / "nf4", tmp_path / "adapter"
    save_packed(tiny_model(), nf4)
    parent = Checkpoint("a" * 64, nf4, None, None, "quantize", "nf4", "auto", {}, {}, {})
    write_manifest(parent)
    plain, packed = load_model(parent, CPU32), load_model(parent, CPU32, packed=True)
    assert isinstance(packed.model.layers[0].mlp.up_proj, Linear4bit)
    torch.testing.assert_close(logits(plain), logits(exact(packed)), rtol=1e-5, atol=1e-5)

    trained = add_lora(plain, 4, 8, seed=0)
    for name, parameter in trained.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    save_adapter(trained, adapter)
    child = Checkpoint("b" * 64, adapter, "a" * 64, nf4, "sdft", "adapter", "auto", {}, {}, {})
    torch.testing.assert_close(logits(load_model(child, CPU32)), logits(trained))
    torch.testing.assert_close(
        logits(exact(load_model(child, CPU32, packed=True))), logits(trained), rtol=1e-4, atol=1e-4
    )


def test_that_the_packed_file_is_safetensors_with_torch_metadata(tmp_path: Path) -> None:
    save_packed(tiny_model(), tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert not list(tmp_path.glob("*.bin"))
