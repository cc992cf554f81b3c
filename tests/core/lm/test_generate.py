"""Decoding: equal to transformers where greedy, exact where sampled, stoppable everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import GenerationConfig

from core.errors import Diverged, StopRequested
from core.lm.adapter import add_lora
from core.lm.generate import SAMPLING_BLOCK, Generated, Sampling, end_ids, generate, inverse_cdf
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
    sampled = generate(
        model, PROMPTS, max_new_tokens=8, eos_ids=NO_END, pad_id=0, sampling=Sampling(seed=3)
    )
    first = generate(
        model, PROMPTS[:1], max_new_tokens=8, eos_ids=NO_END, pad_id=0, sampling=Sampling(seed=3)
    )
    assert sampled[0] == first[0]


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


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_that_sampled_tokens_follow_the_models_distribution(model, temperature: float) -> None:
    rows, prompt = 4000, [5, 90, 301]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1].double()
    expected = torch.softmax(logits / temperature, -1).numpy() * rows
    found = generate(
        model,
        [prompt] * rows,
        max_new_tokens=1,
        eos_ids=NO_END,
        pad_id=0,
        sampling=Sampling(temperature=temperature, seed=11),
    )
    counts = np.bincount([row.ids[0] for row in found], minlength=VOCAB)
    assert _chi_square(counts, expected) > 1e-3
    assert _chi_square(np.roll(counts, 1), expected) < 1e-6  # the test can tell


def _chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """p of the counts; entries expected fewer than five times are pooled."""
    common = expected >= 5
    observed = [*counts[common], counts[~common].sum()]
    wanted = np.array([*expected[common], expected[~common].sum()])
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
    found = generate(
        model,
        [prompt] * 500,
        max_new_tokens=1,
        eos_ids=NO_END,
        pad_id=0,
        sampling=Sampling(top_p=0.5, seed=0),
    )
    drawn = {row.ids[0] for row in found}
    assert drawn <= nucleus
    assert len(drawn) > 1


def test_that_randomness_comes_from_the_seed_or_the_generator_alone(model) -> None:
    def sample(**choice: object) -> list[Generated]:
        return generate(
            model,
            PROMPTS,
            max_new_tokens=6,
            eos_ids=choice.pop("eos", NO_END),
            pad_id=0,
            sampling=Sampling(**choice),
        )

    state = torch.get_rng_state()
    assert sample(seed=5) == sample(seed=5)
    assert sample(seed=5) != sample(seed=6)
    assert torch.equal(torch.get_rng_state(), state)
    short, long = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    sample(generator=short, eos=frozenset(range(VOCAB)))
    sample(generator=long)
    assert torch.equal(short.get_state(), long.get_state())


def test_that_logits_that_are_not_numbers_are_named() -> None:
    broken = tiny_model()
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="not a number"):
        generate(broken, [[1, 2]], max_new_tokens=2, eos_ids=NO_END, pad_id=0, sampling=Sampling())


def test_that_end_tokens_come_from_tokenizer_and_generation_config(model) -> None:
    assert end_ids(model, tiny_tokenizer()) == {0, 2}
