"""Networks known by their config alone: the same sizes as the loaded ones, to the last weight."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from core.errors import UserError
from core.lm.adapter import add_lora, count_trainable
from core.lm.load import load_model
from core.lm.nf4 import save_packed
from core.lm.skeleton import Network, local_folder, local_network, measured, of_folder, skeleton
from core.recipe.sources import ModelSource
from tests.helpers.small import SMALL, small_model
from tests.helpers.tiny import CPU32, FFN_PRUNED, HIDDEN, LAYERS, VOCAB, build_tiny, tiny_base
from tests.helpers.tiny_gguf import tiny_llama, write_gguf


@pytest.mark.parametrize("tie", [True, False])
def test_that_the_weights_are_counted_as_those_of_the_loaded_network(
    tmp_path: Path, tie: bool
) -> None:
    loaded = cast(nn.Module, load_model(tiny_base(tmp_path, tie=tie), CPU32))
    network = of_folder(tmp_path / "tiny")
    assert network.parameters == sum(it.numel() for it in loaded.parameters())
    assert network.largest == max(it.numel() for it in loaded.parameters())
    assert (network.layers, network.hidden, network.vocabulary) == (LAYERS, HIDDEN, VOCAB)


def test_that_the_shipped_model_is_known_without_its_weights(tmp_path: Path) -> None:
    network = local_network(ModelSource(name="rekindle-1m"))
    loaded, _ = small_model(tmp_path)
    assert network.parameters == loaded.num_parameters()
    assert local_folder(ModelSource(name="rekindle-1m")) == SMALL


def test_that_no_memory_is_taken_for_weights(tmp_path: Path) -> None:
    config = of_folder(build_tiny(tmp_path / "tiny")).config
    config.hidden_size, config.intermediate_size = 64 * 1024, 256 * 1024  # hundreds of gigabytes
    model = cast(nn.Module, skeleton(config))
    assert {it.device for it in model.parameters()} == {torch.device("meta")}
    assert measured(config).parameters > 10**11


@pytest.mark.parametrize("rank", [1, 8])
def test_that_an_adapter_is_counted_as_the_trained_one(tmp_path: Path, rank: int) -> None:
    loaded = load_model(tiny_base(tmp_path), CPU32)
    network = of_folder(tmp_path / "tiny")
    assert network.lora(rank) == count_trainable(add_lora(loaded, rank, 2 * rank, seed=0))


def test_that_a_pruned_network_is_as_the_pruning_makes_it(tmp_path: Path) -> None:
    network = of_folder(build_tiny(tmp_path / "tiny"))
    pruned = network.pruned(FFN_PRUNED)
    assert pruned.ffn == FFN_PRUNED
    gone = 3 * LAYERS * HIDDEN * (network.ffn - FFN_PRUNED)
    assert network.parameters - pruned.parameters == gone
    assert network.ffn != FFN_PRUNED  # the first one is left as it was


@pytest.mark.parametrize("double", [True, False])
def test_that_the_packed_size_is_that_of_the_written_one(tmp_path: Path, double: bool) -> None:
    model = load_model(tiny_base(tmp_path), CPU32)
    network = of_folder(tmp_path / "tiny")
    packed = save_packed(model, tmp_path / "nf4", double_quant=double)
    kept = 4 * (network.parameters - network.linear_weights)
    told = network.packed_bytes(double_quant=double, dtype_bytes=4) - kept
    assert packed.weights == network.linear_weights
    # Each layer has a table of 16 numbers and a description beside its scales: much for one so small.
    beside = packed.bytes_after - told
    assert 0 <= beside <= len(packed.layers) * 2500


def test_that_a_gguf_file_is_known_by_its_header(tmp_path: Path) -> None:
    model = tiny_llama()
    file = tmp_path / "tiny.gguf"
    write_gguf(model, file)
    network = local_network(ModelSource(gguf=str(file)))
    assert network.parameters == model.num_parameters()


def test_that_a_converted_gguf_file_is_found_by_its_name(tmp_path: Path) -> None:
    file, folder = tmp_path / "tiny.gguf", tmp_path / "cache" / "0123"
    write_gguf(tiny_llama(), file)
    source = ModelSource(gguf=str(file))
    assert local_folder(source, tmp_path / "cache") is None
    folder.mkdir(parents=True)
    (folder / "conversion.json").write_text('{"source": "tiny.gguf"}')
    assert local_folder(source, tmp_path / "cache") == folder


def test_that_a_hub_model_that_was_never_downloaded_is_not_known() -> None:
    with pytest.raises(UserError, match="is not known: its config is not on this machine"):
        local_network(ModelSource(hub="nobody/nothing-of-this-name"))


def test_that_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        local_network(ModelSource(folder=str(tmp_path)))


def test_that_keys_and_queries_have_their_own_widths(tmp_path: Path) -> None:
    network: Network = of_folder(build_tiny(tmp_path / "tiny"))
    assert (network.queries, network.keys) == (HIDDEN, HIDDEN // 2)


def test_that_a_model_of_another_kind_is_refused_with_a_sentence(tmp_path: Path) -> None:
    kinds = {"vit": "ViTConfig", "mamba": "MambaConfig"}
    for kind, named in kinds.items():
        (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
        with pytest.raises(UserError, match=f"{named} is of no causal language model"):
            of_folder(tmp_path)
