"""The process that has a tokenizer: how long the items of a dataset are, and one of them as the model reads it.

`python -m core.engine.data_tokens --home PATH` answers questions line by line, see `core.engine.data_process`.
Nothing is downloaded: where no tokenizer is at hand, characters are counted, and the answer says so.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from core.data.chat import answer_ids, prompt_ids, prompt_text, teacher_messages
from core.data.example import Example, Message
from core.data.survey import TELL_EVERY
from core.engine.data_desk import Desk
from core.engine.data_lengths import Lengths, distributions
from core.engine.data_process import serve
from core.errors import UserError
from core.lm.load import TOKENIZER_FILES
from core.lm.skeleton import local_folder
from core.recipe.sources import ModelSource
from core.recipe.template import TEACHER_TEMPLATE, problem_of
from core.store.home import Home

_LOG = logging.getLogger(__name__)
CONTEXT = "max_position_embeddings"
NO_TOKENIZER = "The tokenizer of this model is not on this machine."

Progress = Callable[[int, int], None]


class TokenDesk:
    """What can be asked, and the tokenizer that was used last."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self._desk = Desk()
        self._known: tuple[Path, PreTrainedTokenizerBase] | None = None
        self.acts = {"lengths": self.lengths, "render": self.render, "count": self.count}

    def lengths(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """The lengths of all items, in tokens of the model that the question names, else in characters."""
        items = self._desk.items(given, heard)
        if items.trouble is not None:
            raise items.trouble
        tokenizer, context = self._model(given.get("model"))
        template = _template(given)
        numbers: list[int] = []
        found: list[Lengths] = []
        for number, example in items.good():
            if number % TELL_EVERY == 0:
                heard(number, len(items))
            if example is not None:
                numbers.append(number)
                found.append(_measured(example, template, tokenizer))
        return {
            "unit": "characters" if tokenizer is None else "tokens",
            "context": context,
            "items": len(found),
            **distributions(numbers, found),
        }

    def render(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """Student's and teacher's prompt of item `number` as text with the template's own marks, and its tokens."""
        tokenizer, _ = self._model(given.get("model"))
        if tokenizer is None:
            raise UserError(NO_TOKENIZER, "The turns are shown without its template.")
        example = self._desk.items(given, heard).example(int(given["number"]))
        record: dict[str, Any] = {}
        sides: dict[str, Sequence[Message]] = {"student": example.messages}
        if example.demonstration:
            sides["teacher"] = teacher_messages(example, _template(given))
        for side, messages in sides.items():
            record[side] = {
                "text": prompt_text(tokenizer, messages),
                "tokens": len(prompt_ids(tokenizer, messages)),
            }
        return record

    def count(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """Tokens of the conversations in `prompts` up to where the answer begins, and of the texts in `answers`."""
        tokenizer, context = self._model(given.get("model"))
        if tokenizer is None:
            raise UserError(NO_TOKENIZER, "Tokens are counted when the run starts.")
        prompts = {
            name: len(prompt_ids(tokenizer, [Message(role, text) for role, text in turns]))
            for name, turns in given["prompts"].items()
        }
        answers = {name: len(answer_ids(tokenizer, it)) for name, it in given["answers"].items()}
        return {"prompts": prompts, "answers": answers, "context": context}

    def _model(self, raw: Any) -> tuple[PreTrainedTokenizerBase | None, int | None]:
        """A model's tokenizer where it lies on this machine, and how much it can read."""
        if raw is None:
            return None, None
        try:
            folder = local_folder(ModelSource.model_validate(raw), self._cache)
        except ValidationError:
            return None, None
        except UserError as error:
            _LOG.info("There is no such model: %s", error)
            return None, None
        if folder is None or not any((folder / name).is_file() for name in TOKENIZER_FILES):
            return None, None
        if self._known is None or self._known[0] != folder:
            try:
                made = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            except (OSError, ValueError) as error:
                _LOG.info("The tokenizer in %s cannot be opened: %s", folder, error)
                return None, None
            self._known = folder, made
        return self._known[1], _context(folder)


def _measured(
    example: Example, template: str, tokenizer: PreTrainedTokenizerBase | None
) -> Lengths:
    shown = teacher_messages(example, template) if example.demonstration else None
    if tokenizer is None:
        return (
            _characters(example.messages),
            len(example.demonstration),
            _characters(shown) if shown is not None else 0,
        )
    return (
        len(prompt_ids(tokenizer, example.messages)),
        len(answer_ids(tokenizer, example.demonstration)) if example.demonstration else 0,
        len(prompt_ids(tokenizer, shown)) if shown is not None else 0,
    )


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages)


def _template(given: Mapping[str, Any]) -> str:
    template = str(given.get("template") or TEACHER_TEMPLATE)
    return TEACHER_TEMPLATE if problem_of(template) else template


def _context(folder: Path) -> int | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = config.get(CONTEXT) or config.get("text_config", {}).get(CONTEXT)
    return found if isinstance(found, int) else None


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    parser = argparse.ArgumentParser(prog="rekindle-tokens", description="Measure data in tokens.")
    parser.add_argument("--home", type=Path, required=True, help="folder with converted models")
    home = Home(parser.parse_args().home)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    serve(TokenDesk(home.cache).acts, sys.stdin, answers)
