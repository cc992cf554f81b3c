"""The process that looks at data: a survey, single items, a search, leaks. It loads `datasets`, and no torch.

`python -m core.engine.data_desk --home PATH` answers questions line by line, see `core.engine.data_process`. A
file that was looked at stays open by its index until it changes or others were asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.data.chat import teacher_messages
from core.data.disk import state_of
from core.data.example import Example
from core.data.leaks import Leak, leaks, repeats
from core.data.numbered import Items
from core.data.survey import TELL_EVERY, kind_of, survey, written
from core.data.within import near_repeats
from core.engine.data_lengths import SHARE_PARTS, packed
from core.engine.data_process import BYTES, serve
from core.errors import UserError
from core.recipe.sources import DatasetSource
from core.recipe.template import TEACHER_TEMPLATE, problem_of

MOST_OPEN = 4
MOST_PAIRS = 200
"""Leaks whose items are told; all are counted and numbered."""
MOST_CHARACTERS = 200_000
"""Of one value that is told."""
PAIR_CHARACTERS = 4_000
"""Of an item of a pair: enough to see what they share."""

Progress = Callable[..., None]
"""See `core.engine.data_process.Act`."""


class Desk:
    """What can be asked, and the files that are open."""

    def __init__(self) -> None:
        self._open: dict[tuple[object, ...], Items] = {}
        self.acts = {
            "survey": self.survey,
            "item": self.item,
            "example": self.example,
            "find": self.find,
            "leaks": self.leaks,
            "repeats": self.repeats,
        }

    def items(self, given: Mapping[str, Any], heard: Progress) -> Items:
        """The items of the source that a question names.

        Raises:
            UserError: there are no such data.
        """
        return self._items(given["source"], str(given.get("folder", "")), heard)

    def survey(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """See `core.data.survey`."""
        state = self._state(given["source"], str(given.get("folder", "")))  # before it is read
        return {**asdict(survey(self.items(given, heard), heard)), "state": state}

    def item(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """Item `number`: its row, and what student and teacher read, or what is wrong with it."""
        items = self.items(given, heard)
        number = int(given["number"])
        if not len(items) and items.trouble is not None:
            raise items.trouble
        if not 0 <= number < len(items):
            raise UserError(f"There is no item {number + 1:,}.", f"There are {len(items):,}.")
        record: dict[str, Any] = {
            "number": number,
            "of": len(items),
            "format": items.format,
            "state": self._state(given["source"], str(given.get("folder", ""))),
        }
        try:
            row = items.row(number)
            fields = [
                [name, kind_of(value), written(value)[:MOST_CHARACTERS]]
                for name, value in row.fields.items()
            ]
            record |= {"where": row.where, "fields": fields}
            record |= shown(items.example(number), str(given.get("template", "")))
        except UserError as error:
            record |= {"problem": error.message, "hint": error.hint}
        return record

    def example(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """What item `number` is: its turns and its demonstration, in full; None behind the last one."""
        items = self.items(given, heard)
        number = int(given["number"])
        if number >= len(items) > 0:
            return None
        if items.trouble is not None:
            raise items.trouble
        found = items.example(number)
        turns = [[it.role, it.content] for it in found.messages]
        return {"id": found.id, "messages": turns, "demonstration": found.demonstration}

    def find(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """The next item behind `number` (or before it, by `step` -1) whose row holds a text, in any case."""
        items = self.items(given, heard)
        wanted, step = str(given["text"]).casefold(), int(given.get("step", 1))
        count, start = len(items), int(given["number"])
        for passed in range(1, count + 1):
            if passed % TELL_EVERY == 0:
                heard(passed, count)
            number = (start + step * passed) % count
            try:
                row = items.row(number)
            except UserError:
                continue
            if any(wanted in written(value).casefold() for value in row.fields.values()):
                return number
        return None

    def leaks(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """Evaluation items that the training data already asks, with both items of each pair.

        Data that are trained on and evaluated, too, ask every item.
        """
        folder = str(given.get("folder", ""))
        trained, training = _good(self._items(given["training"], folder, heard), heard)
        evaluated, evaluation = _good(self._items(given["evaluation"], folder, heard), heard)
        found = leaks(training, evaluation, heard)
        return {
            "evaluated": len(evaluation),
            "trained": len(training),
            **_told(found, evaluated, trained, evaluation, training),
        }

    def repeats(self, given: Mapping[str, Any], heard: Progress) -> Any:
        """Items that ask, word for word or nearly, what an earlier one of the same data asks, with both items.

        "near" is False where the data are too many to look for near ones.
        """
        numbers, examples = _good(self.items(given, heard), heard)
        found = near_repeats(examples, heard)
        return {
            "evaluated": len(examples),
            "trained": len(examples),
            "near": found is not None,
            **_told(
                repeats(examples) if found is None else found, numbers, numbers, examples, examples
            ),
        }

    def _state(self, raw: Any, folder: str) -> str:
        file = raw.get("file") if isinstance(raw, Mapping) else None
        return state_of(Path(folder) / Path(str(file)).expanduser()) if file else ""

    def _items(self, raw: Any, folder: str, heard: Progress) -> Items:
        source = source_of(raw)
        path = Path(folder) / Path(source.file or "").expanduser()
        key = (json.dumps(raw, sort_keys=True), str(path), self._state(raw, folder))
        items = self._open.pop(key, None)
        if items is None:
            items = Items(source, Path(folder), lambda done, of: heard(done, of, BYTES))
        self._open[key] = items
        for old in [*self._open][:-MOST_OPEN]:
            del self._open[old]
        return items


def source_of(raw: Any) -> DatasetSource:
    """The dataset that a question names.

    Raises:
        UserError: it is none.
    """
    try:
        return DatasetSource.model_validate(raw)
    except ValidationError as error:
        told = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"This is no dataset: {told}.", "Mend it in New run.") from error


def shown(example: Example, template: str) -> dict[str, Any]:
    """An example as it is told to the window; the teacher's turns by `template`, the usual one by default."""
    chosen = template if template and not problem_of(template) else TEACHER_TEMPLATE
    gold = example.gold
    if example.calls:
        gold = json.dumps([asdict(call) for call in example.calls], ensure_ascii=False)
    teacher = teacher_messages(example, chosen) if example.demonstration else ()
    return {
        "id": example.id,
        "student": [[it.role, it.content[:MOST_CHARACTERS]] for it in example.messages],
        "teacher": [[it.role, it.content[:MOST_CHARACTERS]] for it in teacher],
        "demonstration": example.demonstration[:MOST_CHARACTERS],
        "gold": gold,
        "group": example.group,
        "choices": list(example.choices),
    }


def _told(
    found: Sequence[Leak],
    evaluated: Sequence[int],
    trained: Sequence[int],
    evaluation: Sequence[Example],
    training: Sequence[Example],
) -> dict[str, Any]:
    """Pairs as columns of numbers, for they may be many, and the texts of the first ones."""
    return {
        "pairs": {
            "evaluated": packed([evaluated[it.evaluated] for it in found]),
            "trained": packed([trained[it.trained] for it in found]),
            "near": packed([it.kind == "near" for it in found]),
            "share": packed([round(it.share * SHARE_PARTS) for it in found]),
        },
        "texts": [
            [
                evaluation[it.evaluated].prompt[:PAIR_CHARACTERS],
                training[it.trained].prompt[:PAIR_CHARACTERS],
            ]
            for it in found[:MOST_PAIRS]
        ],
    }


def _good(items: Items, heard: Progress) -> tuple[list[int], Sequence[Example]]:
    """Numbers and examples of all items that are some."""
    if items.trouble is not None:
        raise items.trouble
    numbers: list[int] = []
    examples: list[Example] = []
    for number, example in items.good():
        if number % TELL_EVERY == 0:
            heard(number, len(items))
        if example is not None:
            numbers.append(number)
            examples.append(example)
    return numbers, examples


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="rekindle-data", description="Look at data.")
    parser.add_argument("--home", type=Path, required=True, help="folder of database and models")
    parser.parse_args()
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    serve(Desk().acts, sys.stdin, answers)
