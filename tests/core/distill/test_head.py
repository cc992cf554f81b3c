"""The chunked head against the models' own logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from core.distill.head import Head, check_head, chunked_loss, head_of, hidden_states, wide
from core.errors import UserError
from core.lm.adapter import add_lora
from tests.helpers.tiny import tiny_model

# PEFT asks transformers by a name that transformers is giving up.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,
}
FAMILIES: list[tuple[type[PreTrainedModel], PreTrainedConfig]] = [
    (CohereForCausalLM, CohereConfig(**SMALL, logit_scale=0.0625)),
    (Gemma2ForCausalLM, Gemma2Config(**SMALL, final_logit_softcapping=3.0)),
    (GraniteForCausalLM, GraniteConfig(**SMALL, logits_scaling=7.0)),
]


@pytest.mark.parametrize(("family", "config"), FAMILIES, ids=lambda value: type(value).__name__)
def test_that_scaled_and_capped_heads_give_the_models_logits(
    family: type[PreTrainedModel], config: PreTrainedConfig
) -> None:
    torch.manual_seed(0)
    model = family(config).eval()
    ids = torch.tensor([[5, 9, 33, 7]])
    mask = torch.ones_like(ids)

    head = head_of(model)
    check_head(model, head)

    expected = model(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(head.logits(hidden_states(model, ids, mask)), expected)
    assert (head.scale, head.softcap) != (1.0, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("scale", "softcap"), [(1.0, None), (0.25, 3.0)])
@pytest.mark.parametrize("biased", [False, True])
def test_that_logits_written_into_a_given_tensor_are_the_same(
    dtype: torch.dtype, scale: float, softcap: float | None, biased: bool
) -> None:
    bias = torch.randn(9, dtype=dtype) if biased else None
    head = Head(torch.randn(9, 4, dtype=dtype), bias, scale, softcap)
    hidden = torch.randn(5, 4, dtype=dtype)
    space = torch.full((5, 7), torch.nan, dtype=wide(dtype))

    found = head.logits(hidden, out=space)

    assert found.data_ptr() == space.data_ptr()
    torch.testing.assert_close(found, head.logits(hidden, 7))


def test_that_an_adapter_reaches_the_states_and_the_mode_is_kept() -> None:
    model = tiny_model()
    ids = torch.tensor([[5, 9, 33, 7]])
    mask = torch.ones_like(ids)
    before = hidden_states(model, ids, mask)
    student = add_lora(model, 4, 8, seed=0)
    student.train()
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)

    head = head_of(student)
    check_head(student, head)

    assert student.training
    after = hidden_states(student, ids, mask)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(head.logits(after), student(input_ids=ids).logits)


def test_that_a_model_with_other_logits_is_refused() -> None:
    model = tiny_model()
    model.lm_head.register_forward_hook(lambda module, args, output: output.roll(1, -1))

    with pytest.raises(UserError, match="Qwen2ForCausalLM computes its logits"):
        check_head(model, head_of(model))


def test_that_a_model_without_a_linear_head_is_refused() -> None:
    model = tiny_model()
    model.lm_head = nn.Identity()

    with pytest.raises(UserError, match="no linear output head"):
        head_of(model)


def test_that_no_tensor_of_all_tokens_by_vocabulary_is_made() -> None:
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple) else (result,):
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return result

    tokens, vocabulary, chunk = 120, 500, 10
    hidden = torch.randn(tokens, 4, requires_grad=True)
    head = Head(torch.randn(vocabulary, 4))

    def score(rows: slice, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return logits.sum(-1), torch.ones_like(logits)

    with Watch():
        loss = chunked_loss(
            hidden, head, torch.ones(tokens), score, vocabulary=vocabulary, chunk_tokens=chunk
        )
        loss.backward()

    assert largest == vocabulary * chunk
