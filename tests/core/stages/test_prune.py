"""Structured FFN pruning: what is removed, what stays equal, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from core.errors import BugError, UserError
from core.events import CheckpointSaved, GuardWarning, Progress
from core.lm.adapter import add_lora, save_adapter
from core.lm.checkpoint import Checkpoint, read_manifest, write_manifest
from core.lm.load import load_model
from core.recipe.stage_specs import PruneSpec
from core.stages import prune, weights
from core.stages.prune import find_ffns, magnitude, slice_ffn, strongest, target_width
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, FFN, FFN_PRUNED, LAYERS, ROUND_TO, tiny_base, tiny_model

SPEC = PruneSpec(id="pruned", round_to=ROUND_TO)


def _masked_logits(
    model: PreTrainedModel, ids: torch.Tensor, kept: list[list[int]]
) -> torch.Tensor:
    """Logits when the activations of all other neurons are zeroed: the same function as removing them."""
    handles = []
    for ffn, indices in zip(find_ffns(model), kept, strict=True):
        mask = torch.zeros(ffn.width)
        mask[indices] = 1

        def zero(_: object, args: tuple[torch.Tensor], mask: torch.Tensor = mask) -> object:
            return (args[0] * mask,)

        handles.append(ffn.linear("down_proj").register_forward_pre_hook(zero))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    for handle in handles:
        handle.remove()
    return logits


@torch.no_grad()
def _expected_kept(model: PreTrainedModel, width: int) -> list[list[int]]:
    kept = []
    for layer in model.model.layers:
        mlp = layer.mlp
        scores = [
            float(
                mlp.gate_proj.weight[j].norm()
                * mlp.up_proj.weight[j].norm()
                * mlp.down_proj.weight[:, j].norm()
            )
            for j in range(mlp.gate_proj.out_features)
        ]
        kept.append(sorted(np.argsort(scores)[::-1][:width].tolist()))
    return kept


def test_that_the_weakest_neurons_go_and_the_rest_computes_as_before(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    base = tiny_base(tmp_path / "checkpoints")
    context = stand.context("pruned")
    made = prune.run(SPEC, base, context)

    expected = _expected_kept(tiny_model(), FFN_PRUNED)
    record = json.loads((made.path / prune.RECORD).read_text())
    assert record["kept"] == expected
    assert (record["width"], record["width_before"]) == (FFN_PRUNED, FFN)

    reloaded = AutoModelForCausalLM.from_pretrained(made.path, dtype=torch.float32).eval()
    assert reloaded.config.intermediate_size == FFN_PRUNED
    assert all(layer.mlp.gate_proj.out_features == FFN_PRUNED for layer in reloaded.model.layers)
    ids = torch.arange(40)[None] * 7 % 500
    with torch.no_grad():
        found = reloaded(input_ids=ids).logits
        whole = tiny_model()(input_ids=ids).logits
    masked = _masked_logits(tiny_model(), ids, expected)
    torch.testing.assert_close(found, masked, atol=2e-5, rtol=1e-5)
    assert float((found - whole).abs().max()) > 0.01


def test_that_the_checkpoint_is_sealed_and_reported(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    base = tiny_base(tmp_path / "checkpoints")
    made = prune.run(SPEC, base, stand.context("pruned"))
    assert read_manifest(made.path) == made
    assert (made.kind, made.storage, made.parent) == ("prune", "full", base.identity)
    assert made.spec["ratio"] == 0.10
    assert made.facts["achieved_ratio"] == pytest.approx(0.1)
    assert made.facts["reload_difference"] == 0.0
    (saved,) = stand.of(CheckpointSaved)
    assert (saved.path, saved.final, saved.identity) == ("checkpoints/pruned", True, made.identity)
    assert saved.bytes >= sum(f.stat().st_size for f in made.path.glob("*.safetensors")) > 0
    assert [(p.done, p.total) for p in stand.of(Progress)] == [
        (0, LAYERS),
        (1, LAYERS),
        (2, LAYERS),
    ]
    assert stand.of(GuardWarning) == []
    assert (made.path / "tokenizer.json").is_file()


def test_that_a_ratio_changed_by_rounding_is_reported(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    spec = PruneSpec(id="pruned", ratio=0.3, round_to=128)
    made = prune.run(spec, tiny_base(tmp_path / "checkpoints"), stand.context("pruned"))
    (warning,) = stand.of(GuardWarning)
    assert warning.code == "achieved_ratio"
    assert warning.values == {"wanted": 0.3, "achieved": pytest.approx(0.2), "width": 256}
    assert made.facts["achieved_ratio"] == pytest.approx(0.2)


def test_that_untied_weights_and_equal_stages_give_equal_files(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        stand = Stand(tmp_path / name)
        made = prune.run(
            SPEC, tiny_base(tmp_path / name / "checkpoints", tie=False), stand.context("pruned")
        )
        files.append((made.path / "model.safetensors").read_bytes())
    assert files[0] == files[1]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_that_an_adapter_is_merged_before_pruning(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "checkpoints")
    adapter = _random_adapter(base, tmp_path / "checkpoints" / "tuned")
    stand = Stand(tmp_path)
    made = prune.run(SPEC, adapter, stand.context("pruned", subject="tuned"))
    whole = load_model(adapter, CPU32, merge=True)
    ids = torch.arange(30)[None]
    kept = json.loads((made.path / prune.RECORD).read_text())["kept"]
    assert kept == _expected_kept(whole, FFN_PRUNED)
    with torch.no_grad():
        found = load_model(made, CPU32)(input_ids=ids).logits
    torch.testing.assert_close(found, _masked_logits(whole, ids, kept), atol=2e-5, rtol=1e-5)


def _random_adapter(parent: Checkpoint, folder: Path) -> Checkpoint:
    model = add_lora(load_model(parent, CPU32), r=4, alpha=8, seed=1)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    folder.mkdir(parents=True)
    save_adapter(model, folder)
    made = Checkpoint(
        "a" * 64, folder, parent.identity, parent.path, "sft", "adapter", "float32", {}, {}, {}
    )
    write_manifest(made)
    return made


def test_that_quantized_weights_are_refused(tmp_path: Path) -> None:
    packed = Checkpoint(
        "b" * 64, tmp_path / "nf4", None, None, "quantize", "nf4", "float32", {}, {}, {}
    )
    packed.path.mkdir()
    write_manifest(packed)
    above = Checkpoint(
        "c" * 64, tmp_path / "x", "b" * 64, packed.path, "sdft", "adapter", "float32", {}, {}, {}
    )
    for checkpoint in (packed, above):
        with pytest.raises(UserError, match="are quantized"):
            prune.run(SPEC, checkpoint, Stand(tmp_path).context("pruned", subject="nf4"))


def test_that_an_unfaithful_copy_gets_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(made: Checkpoint, compute: object) -> PreTrainedModel:
        model = load_model(made, CPU32)
        model.model.layers[1].mlp.down_proj.weight.data[0, 0] += 0.5
        return model

    monkeypatch.setattr(weights, "load_model", lambda made, compute, **_: wrong(made, compute))
    stand = Stand(tmp_path)
    monkeypatch.setattr(prune, "full_weights", lambda checkpoint, context: tiny_model())
    with pytest.raises(BugError, match="another function"):
        prune.run(SPEC, tiny_base(tmp_path / "checkpoints"), stand.context("pruned"))
    assert read_manifest(tmp_path / "checkpoints" / "pruned") is None
    assert stand.of(CheckpointSaved) == []


@pytest.mark.parametrize(
    ("width", "ratio", "round_to", "kept"),
    [
        (11008, 0.10, 128, 9856),
        (18944, 0.10, 128, 17024),
        (11008, 0.10, 64, 9920),
        (320, 0.10, 32, 288),
        (10, 0.5, 1, 5),
    ],
)
def test_that_the_width_is_rounded_to_the_nearest_multiple(
    width: int, ratio: float, round_to: int, kept: int
) -> None:
    assert target_width(width, ratio, round_to) == kept


def test_that_rounding_to_all_or_none_says_which_settings_work() -> None:
    with pytest.raises(UserError, match="would keep all") as error:
        target_width(256, 0.1, 128)
    assert "set ratio to 0.5000, which keeps 128" in error.value.hint.lower()
    assert "set round_to to 32" in error.value.hint
    assert target_width(256, 0.5, 128) == 128
    assert target_width(256, 0.1, 32) == 224

    with pytest.raises(UserError, match="would keep none") as error:
        target_width(1024, 0.95, 256)
    assert "set ratio to 0.7500, which keeps 256" in error.value.hint.lower()
    assert target_width(1024, 0.75, 256) == 256

    with pytest.raises(UserError, match="would keep none"):
        target_width(96, 0.5, 256)


def test_that_fused_projections_are_sliced_in_both_halves(tmp_path: Path) -> None:
    config = Phi3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = Phi3ForCausalLM(config).eval()
    ids = torch.arange(20)[None]
    ffns = find_ffns(model)
    kept = [strongest(magnitude(ffn), 16).tolist() for ffn in ffns]
    fused = model.model.layers[0].mlp
    gate, up = fused.gate_up_proj.weight.chunk(2)
    oracle = gate.norm(dim=1) * up.norm(dim=1) * fused.down_proj.weight.norm(dim=0)
    assert kept[0] == sorted(oracle.argsort(descending=True)[:16].tolist())
    expected = _masked_logits(model, ids, kept)
    for ffn, indices in zip(ffns, kept, strict=True):
        slice_ffn(ffn, np.array(indices))
    model.config.intermediate_size = 16
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, expected)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(reloaded(input_ids=ids).logits, expected)


def test_that_biases_follow_their_neurons(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=4,
            mlp_bias=True,
        )
    ).eval()
    for name, parameter in model.named_parameters():
        if "mlp" in name and name.endswith("bias"):
            parameter.data.normal_()
    ids = torch.arange(20)[None]
    kept = [strongest(magnitude(ffn), 8).tolist() for ffn in find_ffns(model)]
    expected = _masked_logits(model, ids, kept)
    slice_ffn(find_ffns(model)[0], np.array(kept[0]))
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, expected)


def test_that_other_architectures_are_refused_naming_what_was_looked_for() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2))
    with pytest.raises(UserError, match=r"GPT2LMHeadModel .* gate_proj, up_proj and down_proj"):
        find_ffns(model)


def test_that_layers_of_unequal_width_are_refused() -> None:
    model = tiny_model()
    slice_ffn(find_ffns(model)[0], np.arange(64))
    with pytest.raises(UserError, match="cannot be pruned"):
        find_ffns(model)


def test_that_of_equal_neurons_the_first_are_kept() -> None:
    assert strongest(np.array([1.0, 2.0, 1.0, 2.0, 1.0]), 3).tolist() == [0, 1, 3]
