"""Log-likelihoods against a plain computation, one row at a time, whatever is shared."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from core.errors import StopRequested, UserError
from core.evaluation.likelihood import (
    Continuation,
    continuation,
    continuations,
    item_likelihoods,
    log_likelihoods,
    max_length,
)
from core.lm.adapter import add_lora
from core.lm.checkpoint import Checkpoint, write_manifest
from core.lm.load import load_model
from core.lm.nf4 import save_packed
from tests.helpers.tiny import CPU32, VOCAB, tiny_model, tiny_tokenizer


def plain(
    model: PreTrainedModel, context: tuple[int, ...], following: tuple[int, ...]
) -> tuple[float, bool]:
    """One unpadded row, all logits, one log-softmax, token by token."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([context + following])).logits[0].double()
    total, greedy = 0.0, True
    for offset, token in enumerate(following):
        row = logits[len(context) + offset - 1]
        total += float(row[token] - torch.logsumexp(row, 0))
        greedy = greedy and int(row.argmax()) == token
    return total, greedy


def values(
    model: PreTrainedModel, requests: list[Continuation], batch_size: int = 4
) -> list[float]:
    found = log_likelihoods(model, requests, pad_id=0, batch_size=batch_size)
    return [each.log_likelihood for each in found]


def questions(subjects: int = 3, shots: int = 40, items: int = 6) -> list[Continuation]:
    """Options of several tokens after questions of different lengths after each subject's long beginning."""
    rng = random.Random(0)

    def some(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.randrange(5, VOCAB) for _ in range(rng.randint(low, high)))

    found = []
    for _ in range(subjects):
        beginning = some(shots, shots + 20)
        for _ in range(items):
            question = beginning + some(3, 25)
            found += [Continuation(question, some(1, 5)) for _ in range(4)]
            found += [Continuation(question, (letter,)) for letter in (40, 41, 42, 43)]
    return found


def counted(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The list that receives the shape of each input of the network."""
    shapes: list[tuple[int, int]] = []
    forward: Callable[..., Any] = model.forward

    def counting(*args: object, **kwargs: Any) -> Any:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", counting)
    return shapes


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_that_batched_scores_equal_plain_ones(batch_size: int) -> None:
    requests = [
        Continuation((5, 6, 7), (8,)),
        Continuation((5, 6, 7), (9,)),
        Continuation((5, 6, 7), (8, 11, 300)),
        Continuation((17, 4, 200, 34, 90, 5, 6), (1, 2)),
        Continuation((42,), (10,)),
        Continuation((5, 6, 7), (8,)),
    ]
    found = values(tiny_model(), requests, batch_size)
    expected = [plain(tiny_model(), each.context, each.following)[0] for each in requests]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found[0] == found[5]


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_that_shared_beginnings_change_no_number(batch_size: int) -> None:
    model, requests = tiny_model(), questions()
    found = log_likelihoods(model, requests, pad_id=3, batch_size=batch_size)
    expected = [plain(model, each.context, each.following) for each in requests]
    assert [it.log_likelihood for it in found] == pytest.approx(
        [it for it, _ in expected], abs=1e-4
    )
    assert [it.greedy for it in found] == [greedy for _, greedy in expected]


def test_that_a_greedy_continuation_is_known_as_one() -> None:
    model, context = tiny_model(), (5, 6, 7)
    best: tuple[int, ...] = ()
    for _ in range(3):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([context + best])).logits[0, -1]
        best = (*best, int(logits.argmax()))
    other = (*best[:2], best[2] - 1)
    found = log_likelihoods(
        model,
        [Continuation(context, best), Continuation(context, other)],
        pad_id=0,
        batch_size=8,
    )
    assert [each.greedy for each in found] == [True, False]


def test_that_what_is_shared_goes_through_the_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, requests = tiny_model(), questions(subjects=1, shots=200)
    rows = {each.context + each.following[:-1] for each in requests}
    shapes = counted(model, monkeypatch)
    values(model, requests)
    assert shapes[0] == (1, max(width for count, width in shapes if count == 1))
    assert shapes[0][1] >= 200
    shared = sum(count * width for count, width in shapes)
    assert shared < sum(map(len, rows)) / 5


def test_that_one_token_options_of_a_question_share_one_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model()
    shapes = counted(model, monkeypatch)
    requests = [
        Continuation(context, (letter,))
        for context in ((5, 6, 7), (8, 9))
        for letter in (40, 41, 42, 43)
    ]
    values(model, requests, batch_size=8)
    assert shapes == [(2, 3)]


def test_that_adapters_count() -> None:
    model = add_lora(tiny_model(), r=4, alpha=8, seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    requests = questions(subjects=1, items=2)
    found = values(model, requests)
    expected = [plain(model, each.context, each.following)[0] for each in requests]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found != pytest.approx(values(tiny_model(), requests), abs=1e-2)


def test_that_a_network_in_four_bits_shares_as_well(tmp_path: Path) -> None:
    save_packed(tiny_model(), tmp_path)
    checkpoint = Checkpoint("a" * 64, tmp_path, None, None, "quantize", "nf4", "auto", {}, {}, {})
    write_manifest(checkpoint)
    model, requests = load_model(checkpoint, CPU32, packed=True), questions(subjects=1, items=2)
    assert isinstance(model.model.layers[0].mlp.up_proj, Linear4bit)
    expected = [plain(model, each.context, each.following)[0] for each in requests]
    # bitsandbytes rounds to bfloat16 in eval mode where the CPU has AVX512-BF16.
    assert values(model, requests) == pytest.approx(expected, rel=2**-7, abs=2**-5)
    assert values(model, requests) != pytest.approx(values(tiny_model(), requests), abs=0.2)


def _llama(**changes: Any) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        **changes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def test_that_a_sliding_window_is_scored_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    config = MistralConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=16,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MistralForCausalLM(config).eval()
    requests = questions(subjects=1, items=2)
    expected = [plain(model, each.context, each.following)[0] for each in requests]
    rows = {each.context + each.following[:-1] for each in requests}
    shapes = counted(model, monkeypatch)
    assert values(model, requests) == pytest.approx(expected, abs=1e-4)
    assert sum(count for count, _ in shapes) == len(rows)


def test_that_other_attention_shares_prefixes_only() -> None:
    model, requests = _llama(attn_implementation="eager"), questions(subjects=2, items=3)
    assert model.config._attn_implementation == "eager"
    expected = [plain(model, each.context, each.following)[0] for each in requests]
    assert values(model, requests) == pytest.approx(expected, abs=1e-4)


def test_that_a_context_too_long_loses_its_beginning_as_in_lm_eval() -> None:
    model = _llama(max_position_embeddings=16)
    context = tuple(range(5, 30))
    found = log_likelihoods(
        model,
        [Continuation(context, (7, 8)), Continuation(context[:15], (7, 8))],
        pad_id=0,
        batch_size=2,
    )
    assert max_length(model) == 16
    assert [each.cut for each in found] == [len(context) + 2 - 17, 0]
    expected = plain(model, context[-15:], (7, 8))[0]
    assert found[0].log_likelihood == pytest.approx(expected, abs=1e-4)
    with pytest.raises(UserError, match="An option has 17 tokens, and the model reads at most 16"):
        log_likelihoods(model, [Continuation((5,), (6,) * 17)], pad_id=0, batch_size=1)


def test_that_scoring_leaves_the_network_as_it_was() -> None:
    model = tiny_model().train()
    model.model.layers[0].eval()
    before = [module.training for module in model.modules()]
    values(model, questions(subjects=1))
    assert [module.training for module in model.modules()] == before
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_that_a_stop_is_heard_between_batches() -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise StopRequested

    requests = [Continuation((token,), (6,)) for token in range(5, 11)]
    with pytest.raises(StopRequested):
        log_likelihoods(tiny_model(), requests, pad_id=0, batch_size=2, check=check)
    assert len(calls) == 3


def test_that_scores_are_log_probabilities() -> None:
    found = values(tiny_model(), [Continuation((5, 6), (token,)) for token in range(VOCAB)])
    assert sum(map(math.exp, found)) == pytest.approx(1.0, abs=1e-5)


def test_that_items_come_whole_and_each_once() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    items = [
        [
            (f"Which city is number {i}?", f" {city}")
            for city in ("Paris", "Oslo", "Rome")[: 1 + i % 3]
        ]
        for i in range(7)
    ]
    found = dict(item_likelihoods(model, tokenizer, items, batch_size=2))
    assert sorted(found) == list(range(7))
    for place, requests in enumerate(items):
        asked = continuations(tokenizer, requests)
        expected = [plain(model, each.context, each.following)[0] for each in asked]
        assert [it.log_likelihood for it in found[place]] == pytest.approx(expected, abs=1e-4)


def test_that_tokens_are_split_where_the_context_ends() -> None:
    tokenizer = tiny_tokenizer()
    each = continuation(tokenizer, "Answer:", " A")
    assert tokenizer.decode(each.context) == "Answer:"
    assert tokenizer.decode(each.following) == " A"
    moved = continuation(tokenizer, "Answer: ", "A")
    assert moved == each


def test_that_the_end_token_stands_for_a_missing_context() -> None:
    tokenizer: PreTrainedTokenizerBase = tiny_tokenizer()
    each = continuation(tokenizer, "", "Paris")
    assert each.context == (tokenizer.eos_token_id,)
    assert tokenizer.decode(each.following) == "Paris"
    with pytest.raises(UserError, match="adds no token"):
        continuation(tokenizer, "Paris", "")
