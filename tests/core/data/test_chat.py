"""Prompts: through the tokenizer's own template, ended as the model ends them."""

from __future__ import annotations

import pytest

from core.data.chat import answer_ids, end_of_turn_id, prompt_ids, teacher_messages
from core.data.example import Example, Message
from core.errors import UserError
from tests.helpers.tiny import tiny_tokenizer

ASKED = (Message("system", "Be brief."), Message("user", "What is the weather in Paris?"))


def test_that_a_prompt_is_the_template_with_the_answer_opened() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(prompt_ids(tokenizer, ASKED)) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhat is the weather in Paris?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_that_prompt_and_answer_together_are_the_templates_own_conversation() -> None:
    tokenizer = tiny_tokenizer()
    turns = [
        {"role": m.role, "content": m.content} for m in (*ASKED, Message("assistant", "Sunny"))
    ]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    ids = prompt_ids(tokenizer, ASKED) + answer_ids(tokenizer, "Sunny")
    assert tokenizer.decode(ids) + "\n" == whole
    assert ids[-1] == tokenizer.eos_token_id


def test_that_the_end_of_a_turn_is_what_the_template_puts_there() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"  # as in base models: not what ends a turn
    assert end_of_turn_id(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert end_of_turn_id(tokenizer) == tokenizer.convert_tokens_to_ids("<|endoftext|>")
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="no token that ends an answer"):
        end_of_turn_id(tokenizer)


def test_that_the_teacher_is_shown_the_demonstration_word_for_word() -> None:
    example = Example("1", ASKED, demonstration="Thought: x\nAction: y")
    system, user = teacher_messages(example)
    assert system == ASKED[0]
    assert user.role == "user"
    assert user.content == (
        "What is the weather in Paris?\n"
        "\n"
        "This is an example for a response to the question:\n"
        "Thought: x\n"
        "Action: y\n"
        "\n"
        "Now answer with a response of your own, including the thinking process."
    )


def test_that_braces_in_the_data_are_text() -> None:
    example = Example(
        "1", (Message("user", "{demonstration} {x} \\1"),), demonstration="{question}"
    )
    (user,) = teacher_messages(example, "{question}|{demonstration}")
    assert user.content == "{demonstration} {x} \\1|{question}"


def test_that_an_item_without_demonstration_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="Item 7-abc has no demonstration"):
        teacher_messages(Example("7-abc", ASKED))


def test_that_a_missing_or_rejecting_template_is_said_plainly() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no system turns') }}"
    with pytest.raises(UserError, match=r"rejects a conversation of system, user: no system turns"):
        prompt_ids(tokenizer, ASKED)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        prompt_ids(tokenizer, ASKED)


def test_that_a_template_cannot_reach_out_of_its_sandbox() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages.__class__.__mro__[-1].__subclasses__() }}"
    with pytest.raises(UserError, match="rejects"):
        prompt_ids(tokenizer, ASKED)
