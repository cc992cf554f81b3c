"""One item of a dataset, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RoleName = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One chat turn."""

    role: RoleName
    content: str


@dataclass(frozen=True)
class ToolCall:
    """A tool name and its arguments as the JSON text of the gold answer."""

    action: str
    action_input: str


@dataclass(frozen=True)
class Example:
    """A prompt with what is known about its answer.

    Attributes:
        id: stable within the dataset: row number and a digest of the content.
        messages: the conversation up to and including the user turn to answer.
        demonstration: the expert response put in the teacher's prompt and the target of SFT; "" if none.
        gold: the answer key: a letter ("A"), or "" where calls or choices carry it.
        calls: gold tool calls, for tool use.
        choices: options of a multiple-choice item; `gold_choice` indexes them.
        group: what items cluster by in intervals: the subject or the tool; "" if none.
        question: the bare question of a multiple-choice item (without options); "" if none.
    """

    id: str
    messages: tuple[Message, ...]
    demonstration: str = ""
    gold: str = ""
    calls: tuple[ToolCall, ...] = ()
    choices: tuple[str, ...] = ()
    gold_choice: int | None = None
    group: str = ""
    question: str = ""

    @property
    def prompt(self) -> str:
        """The last user turn, as plain text."""
        return self.messages[-1].content


@dataclass(frozen=True)
class Dataset:
    """Loaded examples with where they came from; `fingerprint` is the SHA-256 of their content."""

    name: str
    source: str
    format: str
    fingerprint: str
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.examples)
