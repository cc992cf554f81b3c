"""Quantizing to NF4: the checkpoint computes what its packed weights say, and nothing is refused silently."""

from __future__ import annotations

from pathlib import Path

import bitsandbytes
import pytest
import torch
from torch import nn

from core.errors import BugError, StopRequested, UserError
from core.events import CheckpointSaved, Progress
from core.lm.checkpoint import read_manifest
from core.lm.load import load_model
from core.recipe.stage_specs import QuantizeSpec
from core.stages import quantize, weights
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, LAYERS, tiny_base, tiny_model

SPEC = QuantizeSpec(id="nf4")
LINEAR_PER_LAYER = 7


@pytest.mark.parametrize("tie", [True, False])
def test_that_the_checkpoint_computes_with_the_weights_bitsandbytes_packs(
    tmp_path: Path, tie: bool
) -> None:
    made = quantize.run(
        SPEC, tiny_base(tmp_path / "checkpoints", tie=tie), Stand(tmp_path).context("nf4")
    )
    oracle = tiny_model(tie=tie)
    for layer in oracle.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, linear in list(part.named_children()):
                if isinstance(linear, nn.Linear):
                    setattr(part, name, _linear4bit(linear))
    ids = torch.arange(40)[None] * 11 % 500
    oracle.train()  # no dropout; in eval mode bitsandbytes rounds to bfloat16 on some CPUs
    with torch.no_grad():
        expected = oracle(input_ids=ids).logits
        found = load_model(made, CPU32)(input_ids=ids).logits
        whole = tiny_model(tie=tie)(input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert float((found - whole).abs().max()) > 0.01


def _linear4bit(linear: nn.Linear) -> nn.Module:
    made = bitsandbytes.nn.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=torch.float32,
        compress_statistics=True,
        quant_type="nf4",
    )
    made.load_state_dict(linear.state_dict())
    return made.to("cpu")


def test_that_the_checkpoint_is_sealed_and_says_how_small_it_is(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    base = tiny_base(tmp_path / "checkpoints")
    made = quantize.run(SPEC, base, stand.context("nf4"))
    assert read_manifest(made.path) == made
    assert (made.kind, made.storage, made.parent) == ("quantize", "nf4", base.identity)
    assert made.facts["quantized_layers"] == LAYERS * LINEAR_PER_LAYER
    assert 4.1 < made.facts["bits_per_weight"] < 5.5  # small layers carry their tables along
    assert made.facts["bytes_after"] < made.facts["bytes_before"] / 5
    assert made.facts["reload_difference"] < 1e-4
    (saved,) = stand.of(CheckpointSaved)
    assert (saved.path, saved.stage_kind) == ("checkpoints/nf4", "quantize")
    assert [(p.done, p.total) for p in stand.of(Progress)] == [(0, 1), (1, 1)]
    assert (made.path / "tokenizer.json").is_file()


def test_that_double_quantization_is_a_choice(tmp_path: Path) -> None:
    plain = QuantizeSpec(id="nf4", use_double_quant=False)
    made = quantize.run(plain, tiny_base(tmp_path / "checkpoints"), Stand(tmp_path).context("nf4"))
    ids = torch.arange(20)[None]
    model = tiny_model()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    quantize.round_trip(model, [name for name in names if name != "lm_head"], plain)
    with torch.no_grad():
        torch.testing.assert_close(
            load_model(made, CPU32)(input_ids=ids).logits, model(input_ids=ids).logits
        )


def test_that_quantizing_twice_is_refused(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    made = quantize.run(SPEC, tiny_base(tmp_path / "checkpoints"), stand.context("nf4"))
    with pytest.raises(UserError, match="those of nf4 are quantized"):
        quantize.run(SPEC, made, stand.context("again", subject="nf4"))


def test_that_a_stop_is_heard_before_anything_is_written(tmp_path: Path) -> None:
    stand = Stand(tmp_path, stop=lambda: False)
    with pytest.raises(StopRequested) as stop:
        quantize.run(SPEC, tiny_base(tmp_path / "checkpoints"), stand.context("nf4"))
    assert stop.value.keep is False
    assert list((tmp_path / "checkpoints" / "nf4").iterdir()) == []


def test_that_an_unfaithful_copy_gets_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_model(seed=5)
    real = weights.load_model
    monkeypatch.setattr(
        weights,
        "load_model",
        lambda made, compute, **kw: other if made.kind == "quantize" else real(made, compute, **kw),
    )
    stand = Stand(tmp_path)
    with pytest.raises(BugError, match="another function"):
        quantize.run(SPEC, tiny_base(tmp_path / "checkpoints"), stand.context("nf4"))
    assert read_manifest(tmp_path / "checkpoints" / "nf4") is None
    assert stand.of(CheckpointSaved) == []
