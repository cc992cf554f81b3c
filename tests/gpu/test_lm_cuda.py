"""On a CUDA device: NF4 and decoding give what they give on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from transformers import AutoModelForCausalLM

from core.lm.activations import capture, layer_names
from core.lm.adapter import add_lora
from core.lm.generate import Sampling, generate
from core.lm.nf4 import load_unpacked, save_packed
from tests.helpers.tiny import tiny_model

pytestmark = pytest.mark.gpu

PROMPTS = [[5, 90, 301, 7], [44], [200, 12, 499, 33, 72]]


def test_that_nf4_packed_on_the_gpu_equals_nf4_packed_on_the_cpu(tmp_path: Path) -> None:
    cuda, cpu = torch.device("cuda:0"), torch.device("cpu")
    save_packed(tiny_model(), tmp_path / "cpu")
    save_packed(tiny_model().to(cuda), tmp_path / "cuda")
    one = load_unpacked(tmp_path / "cpu", cpu, torch.float32).state_dict()
    two = load_unpacked(tmp_path / "cuda", cpu, torch.float32).state_dict()
    same = total = 0
    for name, weight in one.items():
        same += int(torch.isclose(weight, two[name], rtol=1e-2, atol=1e-4).sum())
        total += weight.numel()
    assert same / total > 0.999  # a value on the border of two codes may fall to either side


def test_that_unpacked_computes_as_linear4bit_does_on_the_gpu(tmp_path: Path) -> None:
    cuda = torch.device("cuda:0")
    save_packed(tiny_model().to(cuda), tmp_path)
    packed = AutoModelForCausalLM.from_pretrained(tmp_path, device_map={"": cuda})
    assert isinstance(packed.model.layers[0].mlp.up_proj, Linear4bit)
    plain = load_unpacked(tmp_path, cuda, torch.float32)
    ids = torch.tensor([[5, 90, 301, 7, 44]], device=cuda)
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, packed(ids).logits, rtol=1e-3, atol=1e-3)


def test_that_decoding_on_the_gpu_equals_decoding_on_the_cpu() -> None:
    for sampling in (None, Sampling(seed=3)):
        found = [
            generate(
                tiny_model().to(device),
                PROMPTS,
                max_new_tokens=8,
                eos_ids=frozenset({2}),
                pad_id=0,
                sampling=sampling,
            )
            for device in ("cpu", "cuda:0")
        ]
        assert found[0] == found[1]


def test_that_an_adapter_on_the_gpu_is_the_same_and_leaves_the_gpus_random_state() -> None:
    state = torch.cuda.get_rng_state()
    on_cpu = add_lora(tiny_model(), 4, 8, seed=1)
    on_gpu = add_lora(tiny_model().to("cuda:0"), 4, 8, seed=1)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    names = [name for name, _ in on_cpu.named_parameters() if "lora_" in name]
    assert names
    for name in names:
        assert torch.equal(on_cpu.get_parameter(name), on_gpu.get_parameter(name).cpu())


def test_that_states_captured_on_the_gpu_lie_on_the_cpu() -> None:
    model = tiny_model()
    layers = layer_names(model)
    expected = capture(model, [PROMPTS], layers, lambda _, states: states)
    found = capture(model.to("cuda:0"), [PROMPTS], layers, lambda _, states: states)
    for name in layers:
        for one, other in zip(expected[name], found[name], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
