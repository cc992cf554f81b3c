"""GGUF conversion: the weights, the tokenizer, the cache, the refusals."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.errors import UserError
from core.lm.gguf import convert, read_record
from tests.helpers.tiny import CHATML
from tests.helpers.tiny_gguf import tiny_llama, write_gguf

IDS = torch.tensor([[1, 300, 17, 450, 2, 88, 301]])


def logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(IDS).logits


def test_that_an_unquantized_gguf_becomes_the_same_network(tmp_path: Path) -> None:
    model = tiny_llama()
    folder = convert(write_gguf(model, tmp_path / "tiny.gguf"), tmp_path / "cache")
    with torch.no_grad():
        expected = model(IDS).logits
    torch.testing.assert_close(logits(folder), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0])
def test_that_quantized_blocks_keep_exactly_the_values_they_stand_for(
    tmp_path: Path, kind: gguf.GGMLQuantizationType
) -> None:
    model = tiny_llama()
    folder = convert(write_gguf(model, tmp_path / "tiny.gguf", kind), tmp_path / "cache")
    converted = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    name = "model.layers.1.mlp.down_proj.weight"
    original = model.state_dict()[name].numpy()
    np.testing.assert_array_equal(
        converted[name].numpy(), dequantize(quantize(original, kind), kind)
    )
    assert not np.array_equal(converted[name].numpy(), original)


def test_that_the_tokenizer_splits_digits_and_keeps_newlines_together(tmp_path: Path) -> None:
    folder = convert(write_gguf(tiny_llama(), tmp_path / "tiny.gguf"), tmp_path / "cache")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a\n\n12")
    assert [piece for piece, _ in pieces] == ["a", "ĊĊ", "1", "2"]
    assert tokenizer.chat_template == CHATML
    text = "Weather in Paris, day 12?"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.eos_token_id == 2


def test_that_a_second_call_converts_nothing(tmp_path: Path) -> None:
    file = write_gguf(tiny_llama(), tmp_path / "tiny.gguf")
    calls: list[tuple[int, int]] = []
    folder = convert(file, tmp_path / "cache", lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 100)
    assert calls[-1] == (100, 100)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    renamed = file.rename(tmp_path / "other name.gguf")  # named by content, not by path
    assert convert(renamed, tmp_path / "cache") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    record = read_record(folder)
    assert record["source"] == "tiny.gguf"
    assert record["architecture"] == "llama"
    assert record["licence"] == "apache-2.0"


def test_that_a_damaged_file_leaves_nothing_behind(tmp_path: Path) -> None:
    file = write_gguf(tiny_llama(), tmp_path / "tiny.gguf")
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"tiny\.gguf cannot be converted"):
        convert(file, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_that_an_unknown_way_of_splitting_text_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tiny_llama(), tmp_path / "tiny.gguf", split="martian")
    with pytest.raises(UserError, match="rules named martian"):
        convert(file, tmp_path / "cache")


def test_that_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.gguf"
    file.write_text("hello")
    with pytest.raises(UserError, match="not a GGUF file"):
        convert(file, tmp_path / "cache")
    with pytest.raises(UserError, match="no file"):
        convert(tmp_path / "absent.gguf", tmp_path / "cache")
