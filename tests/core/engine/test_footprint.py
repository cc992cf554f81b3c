"""The arithmetic of memory against what torch really keeps."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from core.distill.divergence import divergence
from core.distill.head import head_of, hidden_states
from core.distill.measure import Measure
from core.distill.taught import TaughtStates
from core.engine import footprint
from core.engine.estimate import Phase
from core.engine.footprint import Held, Trained
from core.lm.adapter import add_lora, plain_model
from core.lm.skeleton import measured
from core.stages.optimizer import MasterAdamW

RANK = 16
SIZES = {"tiny": (64, 320, 2, 4, 2), "small": (256, 704, 6, 8, 2), "square": (128, 512, 4, 8, 8)}
VOCABULARY = 1000


def config_of(size: str) -> Qwen2Config:
    hidden, ffn, layers, heads, keys = SIZES[size]
    return Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        tie_word_embeddings=True,
    )


def student(size: str, how: Trained, dtype: torch.dtype) -> nn.Module:
    model = Qwen2ForCausalLM(config_of(size)).to(dtype)
    made = model if how.full else add_lora(model, RANK, RANK, seed=0)
    if how.checkpointing:
        plain_model(made).activation_checkpointing_enable({"use_reentrant": False})
    return cast(nn.Module, made).train()


def kept_for_backward(model: nn.Module, ids: Tensor, mask: Tensor) -> int:
    """Bytes of the storages, each once, that a forward pass saves; weights are not among them."""
    weights = {it.untyped_storage().data_ptr() for it in model.parameters()}
    kept: dict[int, tuple[int, Tensor]] = {}  # the tensor is held: its place must not be used again

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda it: it):
        hidden_states(model, ids, mask)  # type: ignore[arg-type]
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("full", [False, True], ids=["lora", "full"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("size", SIZES)
def test_that_activations_are_those_that_torch_saves(
    size: str, dtype: torch.dtype, full: bool, checkpointing: bool
) -> None:
    network = measured(config_of(size))
    how = Trained(full, network.parameters, 0 if full else RANK, checkpointing)
    rows, length = 3, 48
    ids = torch.randint(VOCABULARY, (rows, length))
    mask = torch.ones_like(ids)
    mask[0, length // 2 :] = 0
    found = kept_for_backward(student(size, how, dtype), ids, mask)
    told = footprint.activations(network, how, rows * length, length, dtype.itemsize)
    if checkpointing:  # one layer at a time is computed again: it is not saved by the forward pass
        layer = footprint.layer_activations(network, how, dtype.itemsize, length)
        told -= rows * length * layer
    assert told == pytest.approx(found, rel=0.25)


def test_that_recomputing_takes_less() -> None:
    network = measured(config_of("small"))
    sizes = [
        footprint.activations(network, Trained(True, 1, 0, recomputed), 512, 128, 4)
        for recomputed in (False, True)
    ]
    assert sizes[1] < sizes[0] / 3


def test_that_the_cache_of_a_rollout_is_exact() -> None:
    config = config_of("small")
    model = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        output = model(input_ids=torch.zeros((5, 7), dtype=torch.long), use_cache=True)
    found = sum(
        tensor.untyped_storage().nbytes()
        for layer in output.past_key_values.layers
        for tensor in (layer.keys, layer.values)
    )
    assert footprint.kv_cache(measured(config), 5, 7, 4) == found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_that_masters_and_moments_are_those_of_the_optimizer(dtype: torch.dtype) -> None:
    network = measured(config_of("tiny"))
    model = Qwen2ForCausalLM(config_of("tiny")).to(dtype)
    optimizer = MasterAdamW(model, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.clip(1.0)
    optimizer.step(1e-3)
    tensors = optimizer.tensors()
    moments = sum(it.nbytes for key, it in tensors.items() if key.startswith("exp_avg"))
    assert moments == network.parameters * footprint.ADAM_MOMENTS
    own = sum(it.nbytes for key, it in tensors.items() if key.startswith("weight."))
    assert own == network.parameters * footprint.FLOAT32
    weights = sum(it.nbytes for it in cast(nn.Module, model).parameters())
    assert Held(network).weights(dtype.itemsize) == weights


@pytest.mark.parametrize("chunk", [16, 64], ids=["several chunks", "one chunk"])
def test_that_the_logits_of_a_chunk_are_bounded_by_what_is_told(chunk: int) -> None:
    """What the loss allocates at its peak, by torch's own account of memory."""
    network = measured(config_of("tiny"))
    model = Qwen2ForCausalLM(config_of("tiny"))
    head = head_of(model)
    tokens = 64
    states = torch.randn(tokens, network.hidden, requires_grad=True)
    weights = torch.full((tokens,), 1 / tokens)
    taught = TaughtStates(states.detach() + 1, head)
    peak = peak_of(
        lambda: divergence(states, head, taught, weights, Measure(), chunk_tokens=chunk).loss
    )
    told = footprint.chunk_logits(network, tokens, chunk, footprint.SDFT_CHUNK)
    told += footprint.head_gradient(network, Trained(True, 1, 0, False), 4) // 2
    assert told == pytest.approx(peak, rel=0.25)


def peak_of(work: object) -> int:
    """Bytes of tensors that exist together at most while `work` runs."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()  # type: ignore[operator]
    total = most = 0
    events = [it for it in seen.profiler.kineto_results.events() if it.name() == "[memory]"]
    for event in sorted(events, key=lambda it: it.start_ns()):
        total += event.nbytes()
        most = max(most, total)
    return most


def test_that_a_phase_is_the_sum_of_its_items_and_leaves_out_what_takes_nothing() -> None:
    made = footprint.phase("step", [("student", 5), ("adapter", 0), ("moments", 7)])
    assert isinstance(made, Phase)
    assert made.bytes == 12
    assert [item.name for item in made.items] == ["student", "moments"]


def test_that_a_quantized_network_exists_twice_while_it_is_opened() -> None:
    network = measured(config_of("tiny"))
    assert Held(network, nf4=True).while_loading(2) == 2 * network.parameters
    assert Held(network).while_loading(2) == 0
    merged = Held(network, adapters=100).while_loading(2, merge=True)
    assert merged == 2 * network.parameters + 400
