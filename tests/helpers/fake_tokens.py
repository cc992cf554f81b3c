"""A stand-in for `core.engine.data_tokens` that loads no tokenizer: a token is a word. Run as a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.data.chat import teacher_messages
from core.data.example import Message
from core.engine.data_desk import Desk
from core.engine.data_lengths import distributions
from core.engine.data_process import serve

CONTEXT = 40
ENDLESS = "characters for ever"
"""A template with which measuring does not end."""


def words(messages: tuple[Message, ...]) -> int:
    return sum(len(it.content.split()) for it in messages)


def lengths(given: Mapping[str, Any], heard: Callable[[int, int], None]) -> Any:
    items = Desk().items(given, heard)
    heard(0, len(items))
    if given.get("template") == ENDLESS:
        time.sleep(600)
    good = [(number, it) for number, it in items.good() if it is not None]
    known = given.get("model") is not None
    found = [
        (
            words(it.messages),
            len(it.demonstration.split()),
            words(teacher_messages(it)) if it.demonstration else 0,
        )
        for _, it in good
    ]
    return {
        "unit": "tokens" if known else "characters",
        "context": CONTEXT if known else None,
        "items": len(good),
        **distributions([number for number, _ in good], found),
    }


def render(given: Mapping[str, Any], heard: Callable[[int, int], None]) -> Any:
    example = Desk().items(given, heard).example(int(given["number"]))
    text = f"<start>{example.prompt}<end>"
    return {"student": {"text": text, "tokens": words(example.messages)}}


def count(given: Mapping[str, Any], heard: Callable[[int, int], None]) -> Any:
    prompts = {
        name: sum(len(text.split()) for _, text in turns)
        for name, turns in given["prompts"].items()
    }
    answers = {name: len(text.split()) for name, text in given["answers"].items()}
    return {"prompts": prompts, "answers": answers, "context": CONTEXT}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    serve({"lengths": lengths, "render": render, "count": count}, sys.stdin, sys.stdout)
