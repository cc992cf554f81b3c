"""How many tokens the shown prompts come to, counted by the process that has tokenizers, and what that means.

Counted are the very turns that are shown, with what the model's chat template puts around them. Nothing is asked
while nobody looks, and only the newest prompt is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels.data_desk import DataDesk
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.recipe_words import short_model
from app.viewmodels.teacher_prompt import Turn, value_of
from core.errors import UserError
from core.store.home import Home

PAUSE_MS = 300
"""After the last change of a prompt, before its tokens are counted."""
COUNTING = "Counting tokens…"
_FILES = ("folder", "gguf")


@dataclass(frozen=True)
class Counts:
    """Tokens of one item.

    Attributes:
        teacher, student: of the prompts, up to where the answer begins.
        demonstration: as an answer, with the token that ends it.
        context: what the model can read; None where its config does not say.
    """

    teacher: int
    student: int
    demonstration: int
    context: int | None = None


class PromptTokens(QObject):
    """The tokens of what an editor's preview shows.

    Args:
        home: where converted models lie.
        editor: whose recipe and preview it is.
    """

    changed = Signal()

    def __init__(self, home: Home, editor: NewRunViewModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._editor = editor
        self._desk = DataDesk("tokens", home, self)
        self._watched = False
        self._wanted: dict[str, Any] | None = None
        self._asked: dict[str, Any] | None = None
        self._known: dict[str, Any] | None = None
        self._found: Counts | str | None = None  # or why there are none
        self._said: tuple[str, tuple[str, ...]] = ("", ())
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._ask)
        for signal in (editor.changed, editor.fieldsChanged, editor.preview.changed):
            signal.connect(self._look)

    def watch(self, on: bool) -> None:
        """Whether somebody looks at the prompts."""
        self._watched = on
        if on:
            self._look()

    def close(self) -> None:
        """The window closes: the process ends."""
        self._watched = False
        self._pause.stop()
        self._desk.close()

    @property
    def told(self) -> str:
        """ "Tokens of rekindle-1m: teacher 312, student 88, demonstration 120; …"; "" where nothing is shown."""
        found = self._current()
        if self._wanted is None or isinstance(found, str):
            return found if isinstance(found, str) else ""
        if found is None:
            return COUNTING
        stage = self._editor.preview.stage
        return (
            f"Tokens of {self._model()}: teacher's prompt {found.teacher:,}, student's "
            f"{found.student:,}{_at_most('', value_of(stage, 'max_prompt_length'))}; demonstration "
            f"{found.demonstration:,}{_at_most('answers: ', _answer(stage))}."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the limits do to this item; none where it fits."""
        found = self._current()
        return consequences(self._editor.preview.stage, found) if isinstance(found, Counts) else ()

    # inside

    def _model(self) -> str:
        base = self._editor.at("base")
        named = base if isinstance(base, dict) else {}
        return short_model(str(next((it for it in named.values() if it), "the model")))

    def _current(self) -> Counts | str | None:
        return self._found if self._wanted == self._known else None

    def _look(self) -> None:
        prompt, base = self._editor.preview.prompt, self._editor.at("base")
        wanted = None
        if prompt.turns and not prompt.problem and isinstance(base, dict):
            wanted = {
                "model": _found_from(base, self._editor.folder),
                "prompts": {"teacher": _pairs(prompt.turns), "student": _pairs(prompt.student)},
                "answers": {"demonstration": prompt.demonstration},
            }
        self._wanted = wanted
        self._tell()
        if wanted not in (None, self._known) and self._watched:
            self._pause.start()

    def _ask(self) -> None:
        wanted = self._wanted
        if wanted in (None, self._known) or self._asked is not None or not self._watched:
            return  # an answer that comes later asks again for what is wanted then
        assert wanted is not None
        self._asked = wanted
        self._desk.ask("count", wanted, self._take, self._fail)

    def _take(self, record: Mapping[str, Any]) -> None:
        self._settle(Counts(**record["prompts"], **record["answers"], context=record["context"]))

    def _fail(self, error: UserError) -> None:
        self._settle(str(error))

    def _settle(self, found: Counts | str) -> None:
        self._known, self._asked, self._found = self._asked, None, found
        self._ask()
        self._tell()

    def _tell(self) -> None:
        """Limits change what is said, too, without another prompt."""
        before, self._said = self._said, (self.told, self.warnings)
        if self._said != before:
            self.changed.emit()


def consequences(stage: Mapping[str, Any], counts: Counts) -> tuple[str, ...]:
    """What the limits of a stage do to an item: it is left out of training, or its answers are cut.

    As `core.stages` decides; a stage that may hold nonsense says nothing.
    """
    limit, answer = value_of(stage, "max_prompt_length"), _answer(stage)
    if not isinstance(limit, int) or not isinstance(answer, int):
        return ()
    kind = stage.get("kind")
    rewritten = kind == "sft" and bool(stage.get("teacher"))
    learned = kind == "sft" or (kind == "bootstrap" and value_of(stage, "completions") != "teacher")
    prompt = counts.student if kind == "sft" else max(counts.teacher, counts.student)
    room = counts.demonstration if kind == "sft" and not rewritten else answer
    found = []
    if prompt > limit:
        found.append(f"Left out: its prompt has {prompt:,} tokens, {limit:,} are allowed.")
    elif counts.context is not None and not rewritten and prompt + room > counts.context:
        found.append(
            f"Left out: {prompt:,} tokens of prompt and {room:,} of answer are more than the model's "
            f"context of {counts.context:,}."
        )
    if counts.demonstration > answer and not rewritten:
        found.append(
            f"Left out: the demonstration has {counts.demonstration:,} tokens, {answer:,} are allowed."
            if learned
            else f"An answer as long as the demonstration, {counts.demonstration:,} tokens, is cut at "
            f"{answer:,}."
        )
    return tuple(found)


def _answer(stage: Mapping[str, Any]) -> Any:
    return value_of(stage, "max_completion_length")


def _at_most(what: str, limit: Any) -> str:
    """A limit in brackets; nothing where the stage holds no number."""
    return f" ({what}at most {limit:,})" if isinstance(limit, int) else ""


def _pairs(turns: Sequence[Turn]) -> list[list[str]]:
    return [[turn.role, turn.text] for turn in turns]


def _found_from(base: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The model's source, its path made one that another process finds."""
    paths = {
        key: str(folder / Path(str(base[key])).expanduser()) for key in _FILES if base.get(key)
    }
    return {**base, **paths}
