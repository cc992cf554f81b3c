"""Decoding: equal to transformers where greedy, exact where sampled, stoppable everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from core.errors import Diverged, StopRequested
from core.lm.adapter import add_lora
from core.lm.generate import (
    SAMPLING_BLOCK,
    Generated,
    Sampling,
    end_ids,
    generate,
    inverse_cdf,
    truncate,
)
from tests.helpers.tiny import VOCAB, tiny_model, tiny_tokenizer

PROMPTS = [[5, 90, 301, 7], [44], [200, 12, 499, 33, 72, 18, 3, 260], [61, 62]]
NO_END = frozenset({-1})


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_model()


def greedy(model, prompts, new=12, eos=NO_END, **more):
    return generate(model, prompts, max_new_tokens=new, eos_ids=eos, pad_id=0, **more)


def reference(model, prompt: list[int], new: int, eos: int | None = None) -> list[int]:
    config = GenerationConfig(
        max_new_tokens=new, do_sample=False, eos_token_id=eos, pad_token_id=0, use_cache=True
    )
    ids = torch.tensor([prompt])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return output[0, len(prompt) :].tolist()


def test_that_greedy_equals_transformers_token_for_token(model) -> None:
    found = greedy(model, PROMPTS, new=20)
    assert [row.ids for row in found] == [reference(model, prompt, 20) for prompt in PROMPTS]
    assert not any(row.ended for row in found)


def test_that_a_row_ends_as_in_transformers_and_keeps_its_end_token(model) -> None:
    free = reference(model, PROMPTS[0], 12)
    eos = free[5]
    cut = free[: free.index(eos) + 1]
    (row,) = greedy(model, [PROMPTS[0]], eos=frozenset({eos}))
    assert row == Generated(cut, ended=True)
    assert row.ids == reference(model, PROMPTS[0], 12, eos)
    assert row.text_ids == cut[:-1]


def test_that_a_row_does_not_depend_on_its_batch(model) -> None:
    together = greedy(model, PROMPTS)
    alone = [greedy(model, [prompt])[0] for prompt in PROMPTS]
    assert together == alone
    ends = frozenset({alone[1].ids[2]})  # one row ends early; the others must not notice
    assert greedy(model, PROMPTS, eos=ends) == [
        greedy(model, [prompt], eos=ends)[0] for prompt in PROMPTS
    ]


def sample(model, prompts, new=8, eos=NO_END, log_probs=False, **choice):
    return generate(
        model,
        prompts,
        max_new_tokens=new,
        eos_ids=eos,
        pad_id=0,
        sampling=Sampling(**choice),
        with_log_probs=log_probs,
    )


def test_that_a_sampled_row_depends_on_its_seed_and_not_on_its_place(model) -> None:
    seeds = [7, 1, 2**64 - 1, 0]
    together = sample(model, PROMPTS, seeds=seeds)
    assert together == [
        sample(model, [prompt], seeds=[seed])[0]
        for prompt, seed in zip(PROMPTS, seeds, strict=True)
    ]
    assert together == sample(model, PROMPTS[::-1], seeds=seeds[::-1])[::-1]
    assert sample(model, [PROMPTS[0]] * 2, seeds=[7, 8])[1] != together[0]
    longer = sample(model, PROMPTS, new=12, seeds=seeds)
    assert [row.ids[:8] for row in longer] == [row.ids for row in together]
    ends = frozenset({together[1].ids[2]})  # one row ends early; the others must not notice
    assert sample(model, PROMPTS, eos=ends, seeds=seeds) == [
        sample(model, [prompt], eos=ends, seeds=[seed])[0]
        for prompt, seed in zip(PROMPTS, seeds, strict=True)
    ]
    with pytest.raises(ValueError, match="3 seeds for 4 prompts"):
        sample(model, PROMPTS, seeds=[1, 2, 3])


@pytest.mark.parametrize("choice", [{}, {"top_k": 5, "temperature": 0.7}, {"top_p": 0.8}])
def test_that_log_probabilities_are_those_before_truncation(model, choice) -> None:
    found = sample(model, PROMPTS, log_probs=True, seed=4, **choice)
    for prompt, row in zip(PROMPTS, found, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + row.ids])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits.double() / choice.get("temperature", 1.0), -1)
        expected = expected.gather(1, torch.tensor(row.ids)[:, None])[:, 0]
        np.testing.assert_allclose(row.log_probs, expected.numpy(), rtol=1e-5)
    assert [row.ids for row in found] == [
        row.ids for row in sample(model, PROMPTS, seed=4, **choice)
    ]
    assert sample(model, PROMPTS, seed=4)[0].log_probs is None
    ends = frozenset({found[0].ids[2]})
    short = sample(model, PROMPTS, eos=ends, log_probs=True, seed=4, **choice)
    assert all(len(row.log_probs) == len(row.ids) for row in short)
    with pytest.raises(ValueError, match="sampled"):
        greedy(model, PROMPTS, with_log_probs=True)


@pytest.mark.parametrize(
    "choice",
    [
        {"top_k": 7},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"top_k": 50, "top_p": 0.9, "min_p": 0.02, "temperature": 0.8},
        {"top_k": 9000, "top_p": 0.999, "temperature": 1.5},
        {"top_p": 0.3, "min_p": 0.9},
        {"top_p": 1e-6},
    ],
)
def test_that_truncation_is_that_of_transformers(choice) -> None:
    logits = torch.randn(6, 5000, generator=torch.Generator().manual_seed(1)) * 3
    logits[3:] /= 6  # flat rows, whose nucleus is wider than LIKELY
    sampling = Sampling(**choice)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(sampling.temperature))])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    expected = torch.softmax(warpers(torch.zeros(6, 1, dtype=torch.long), logits), -1)
    scaled = logits / sampling.temperature
    mass = truncate(torch.exp(scaled - scaled.amax(-1, keepdim=True)), sampling)
    assert torch.equal(mass > 0, expected > 0)
    torch.testing.assert_close(mass / mass.sum(-1, keepdim=True), expected, rtol=1e-4, atol=1e-8)


def test_that_decoding_ends_when_all_rows_have_ended(model) -> None:
    checks: list[int] = []
    every = frozenset(range(VOCAB))
    found = greedy(model, PROMPTS, new=50, eos=every, check=lambda: checks.append(1))
    assert [len(row.ids) for row in found] == [1, 1, 1, 1]
    assert len(checks) == 1


def test_that_a_stop_is_noticed_at_the_next_token_and_modes_are_restored(model) -> None:
    model.train()
    model.model.layers[0].eval()
    seen: list[int] = []

    def check() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise StopRequested(keep=True)

    try:
        with pytest.raises(StopRequested):
            greedy(model, PROMPTS, check=check)
        assert len(seen) == 3
        assert model.training
        assert not model.model.layers[0].mlp.training
        assert model.model.layers[1].mlp.training
    finally:
        model.eval()


def test_that_the_head_is_computed_for_the_last_position_only(model) -> None:
    widths: list[int] = []
    handle = model.lm_head.register_forward_pre_hook(
        lambda _, args: widths.append(args[0].shape[1])
    )
    try:
        greedy(model, PROMPTS, new=3)
    finally:
        handle.remove()
    assert widths == [1, 1, 1]


def test_that_nothing_asked_gives_nothing(model) -> None:
    assert greedy(model, []) == []
    assert greedy(model, [[1]], new=0) == [Generated([], False)]
    with pytest.raises(ValueError, match="no tokens"):
        greedy(model, [[1], []])


def test_that_adapters_take_part(model) -> None:
    peft = add_lora(tiny_model(), 4, 8, seed=0)
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    assert greedy(peft, PROMPTS) != greedy(model, PROMPTS)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 0.8, "top_k": 60, "top_p": 0.9, "min_p": 0.05},
    ],
)
def test_that_sampled_tokens_follow_the_models_distribution(model, choice) -> None:
    rows, prompt = 4000, [5, 90, 301]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1].double()
    mass = torch.softmax(logits / choice.get("temperature", 1.0), -1)
    mass = truncate((mass / mass.max())[None], Sampling(**choice))[0]
    expected = (mass / mass.sum()).numpy() * rows
    found = sample(model, [prompt] * rows, new=1, seed=11, **choice)
    counts = np.bincount([row.ids[0] for row in found], minlength=VOCAB)
    assert _chi_square(counts, expected) > 1e-3
    assert _chi_square(np.roll(counts, 1), np.maximum(expected, 1e-9)) < 1e-6  # the test can tell


def _chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """p of the counts; entries expected fewer than five times are pooled."""
    common = expected >= 5
    observed = [*counts[common], counts[~common].sum()]
    wanted = np.array([*expected[common], expected[~common].sum()])
    if wanted[-1] == 0:  # nothing is rare: all else is never drawn
        assert observed.pop() == 0
        wanted = wanted[:-1]
    return float(stats.chisquare(observed, wanted * (np.sum(observed) / wanted.sum())).pvalue)


def test_that_the_inverse_cdf_is_exact() -> None:
    size = 3 * SAMPLING_BLOCK + 17  # several blocks and a ragged end
    generator = torch.Generator().manual_seed(0)
    mass = torch.rand(1, size, generator=generator) ** 8
    mass[0, ::3] = 0
    uniform = torch.rand(5000, dtype=torch.float64, generator=generator)
    uniform = torch.cat([uniform, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)])
    found = inverse_cdf(mass.expand(len(uniform), -1), uniform)
    cdf = mass[0].double().numpy().cumsum()
    expected = np.searchsorted(cdf, uniform.numpy() * cdf[-1], side="right")
    np.testing.assert_array_equal(found.numpy(), np.minimum(expected, size - 1))
    assert (mass[0, found] > 0).all()


def test_that_rare_tokens_keep_their_share() -> None:
    # A token of probability 1e-9 behind 150,000 others: float32 sums would lose it altogether.
    mass = torch.full((1, 151_936), 1e-12)
    mass[0, 0] = 1.0
    mass[0, -1] = 1e-9
    total = mass.double().sum().item()
    before = (total - 1e-9) / total
    hit = torch.tensor([before + 0.5e-9 / total], dtype=torch.float64)
    miss = torch.tensor([before - 0.5e-9 / total], dtype=torch.float64)
    assert inverse_cdf(mass, hit).item() == 151_935
    assert inverse_cdf(mass, miss).item() != 151_935


def test_that_top_p_draws_from_the_nucleus_only(model) -> None:
    prompt = [5, 90, 301]
    with torch.no_grad():
        probability = torch.softmax(model(torch.tensor([prompt])).logits[0, -1].double(), -1)
    ordered, order = probability.sort(descending=True)
    nucleus = set(order[: int((ordered.cumsum(-1) < 0.5).sum()) + 1].tolist())
    found = sample(model, [prompt] * 500, new=1, top_p=0.5)
    drawn = {row.ids[0] for row in found}
    assert drawn <= nucleus
    assert len(drawn) > 1


def test_that_randomness_comes_from_the_seed_alone(model) -> None:
    state = torch.get_rng_state()
    assert sample(model, PROMPTS, seed=5) == sample(model, PROMPTS, seed=5)
    assert sample(model, PROMPTS, seed=5) != sample(model, PROMPTS, seed=6)
    assert sample(model, PROMPTS[:1], seed=5) == sample(model, PROMPTS, seed=5)[:1]
    assert len({tuple(row.ids) for row in sample(model, PROMPTS[:1] * 4, seed=5)}) > 1
    assert torch.equal(torch.get_rng_state(), state)


def test_that_logits_that_are_not_numbers_are_named() -> None:
    broken = tiny_model()
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="not a number"):
        sample(broken, [[1, 2]])
    with pytest.raises(Diverged, match="not a number"):
        sample(broken, [[1, 2]], top_k=5, top_p=0.9)


def test_that_end_tokens_come_from_tokenizer_and_generation_config(model) -> None:
    assert end_ids(model, tiny_tokenizer()) == {0, 2}
