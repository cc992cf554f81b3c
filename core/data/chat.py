"""From messages to token ids, always through the tokenizer's own chat template.

Templates are code from a model's author; transformers renders them in a sandboxed Jinja environment, and
nothing here renders one by other means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from core.data.example import Example, Message
from core.errors import UserError
from core.recipe.template import TEACHER_TEMPLATE, filled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARK = "ANSWER"  # found again in the rendered text; no template writes it by itself


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The conversation followed by the opening of the assistant's turn, as token ids.

    Raises:
        UserError: the tokenizer has no chat template, or the template rejects the conversation.
    """
    return _ids(tokenizer, prompt_text(tokenizer, messages))


def prompt_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """The same as text: what the tokenizer is given, to the letter.

    Raises:
        UserError: as `prompt_ids`.
    """
    return _rendered(tokenizer, messages, generation_prompt=True)


def answer_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """An answer as the model would have generated it: its text and the token that ends the turn."""
    return [*_ids(tokenizer, text), end_of_turn_id(tokenizer)]


def end_of_turn_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that the template puts after an assistant's text; else the end-of-sequence token.

    They differ in base models that carry a chat template (Qwen2.5: <|im_end|> and <|endoftext|>), so
    whoever generates answers should stop at both: `core.lm.generate.end_ids(…) | {end_of_turn_id(…)}`.

    Raises:
        UserError: the tokenizer has neither.
    """
    if tokenizer.chat_template:
        turns = (Message("user", _MARK), Message("assistant", _MARK))
        text = _rendered(tokenizer, turns, generation_prompt=False)
        after = _ids(tokenizer, text.rpartition(_MARK)[2])
        special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        special.update(tokenizer.all_special_ids)
        for token in after:
            if token in special:
                return token
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise UserError(
            "The model's tokenizer has no token that ends an answer.",
            "Set eos_token in its tokenizer_config.json.",
        )
    return end


def teacher_messages(example: Example, template: str = TEACHER_TEMPLATE) -> tuple[Message, ...]:
    """The teacher's conversation: the example's, its last user turn wrapped around the demonstration.

    System turns and earlier turns are kept.

    Args:
        example: with a demonstration.
        template: see `core.recipe.template`.

    Raises:
        UserError: the example has no demonstration.
    """
    if not example.demonstration:
        raise UserError(
            f"Item {example.id} has no demonstration to show to the teacher.",
            "Train on a dataset with expert responses, such as tooluse or sciknoweval files.",
        )
    parts = {"question": example.prompt, "demonstration": example.demonstration}
    return (*example.messages[:-1], Message("user", filled(template, parts)))


def _rendered(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, generation_prompt: bool
) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            "The model's tokenizer has no chat template, so a conversation cannot be put to it.",
            "Use an instruction-tuned model, or add chat_template.jinja to the model's folder.",
        )
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=generation_prompt
        )
    except TemplateError as error:
        roles = ", ".join(message.role for message in messages)
        raise UserError(
            f"The model's chat template rejects a conversation of {roles}: {error}",
            "Use a dataset without system turns, or a model whose template allows them.",
        ) from error
    return str(text)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return [int(token) for token in tokenizer(text, add_special_tokens=False).input_ids]
