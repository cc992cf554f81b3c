"""A recipe as an editable text: YAML that keeps its comments and order while single fields change."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import LiteralScalarString

from core.recipe.files import parse_text
from core.recipe.messages import Problem

_WIDTH = 100

ABSENT = object()
"""What `get` returns where the document has nothing."""


def _yaml() -> YAML:
    yaml = YAML()  # round trip: a safe loader that keeps comments
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


class RecipeDocument:
    """YAML text and the data in it, always equal; text that is no YAML leaves the last good data."""

    def __init__(self, text: str = "") -> None:
        self._text: str | None = ""
        self._data: Any = CommentedMap()
        self.problems: list[Problem] = []
        if text:
            self.set_text(text)

    @property
    def text(self) -> str:
        """The YAML, written anew after a field has changed."""
        if self._text is None:
            stream = StringIO()
            _yaml().dump(self._data, stream)
            self._text = stream.getvalue()
        return self._text

    @property
    def raw(self) -> Any:
        """The data as plain dicts, lists and scalars: what `core.recipe.validate.parse` reads."""
        return _plain(self._data)

    def set_text(self, text: str) -> None:
        """Take edited text; where it is no YAML, `problems` say why and the data stay."""
        raw, self.problems = parse_text(text)
        self._text = text
        if self.problems:
            return
        try:
            loaded = _yaml().load(text)
        except YAMLError:  # the reader above takes what the round-trip loader does not
            loaded = _commented(raw)
        self._data = CommentedMap() if loaded is None else loaded

    @property
    def editable(self) -> bool:
        """Whether fields can be set: the text must be YAML and a mapping."""
        return not self.problems and isinstance(self._data, MutableMapping)

    def get(self, path: str) -> Any:
        """The plain value at a dotted path, or `ABSENT`."""
        value = self._data
        for part in path.split("."):
            value = _child(value, part)
            if value is ABSENT:
                return ABSENT
        return _plain(value)

    def set(self, path: str, value: Any) -> None:
        """Put `value` at a dotted path, making mappings on the way."""
        *parents, last = path.split(".")
        target = self._data
        for part in parents:
            child = _child(target, part)
            if not isinstance(child, MutableMapping | MutableSequence):
                child = CommentedMap()
                _assign(target, part, child)
            target = child
        entry = _commented(value)
        if isinstance(entry, LiteralScalarString) and isinstance(target, CommentedMap):
            target.fa.set_block_style()  # between braces, lines would have to be escaped
        _assign(target, last, entry)
        self._text = None

    def remove(self, path: str) -> None:
        """Take away what is at a dotted path; a mapping left empty goes too, a list does not."""
        *parents, last = path.split(".")
        target = self._data
        for part in parents:
            target = _child(target, part)
        if isinstance(target, MutableMapping) and last in target:
            del target[last]
        elif isinstance(target, MutableSequence) and last.isdecimal() and int(last) < len(target):
            del target[int(last)]
        self._text = None

    def insert(self, path: str, index: int, value: Any) -> None:
        """Insert into the list at `path`, which is made where it is missing."""
        if not isinstance(_child(self._data, path), MutableSequence):
            self.set(path, [])
        _child(self._data, path).insert(index, _commented(value))
        self._text = None

    def move(self, path: str, index: int, to: int) -> None:
        """Move an entry of the list at `path`."""
        entries = _child(self._data, path)
        entries.insert(to, entries.pop(index))
        self._text = None


def _child(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part, ABSENT)
    if isinstance(value, MutableSequence) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return ABSENT


def _assign(target: Any, part: str, value: Any) -> None:
    if isinstance(target, MutableSequence):
        target[int(part)] = value
    else:
        target[part] = value


def _plain(value: Any) -> Any:
    """Without the round-trip loader's own scalar types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(it) for key, it in value.items()}
    if isinstance(value, MutableSequence):
        return [_plain(it) for it in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if type(value).__name__ == "ScalarBoolean":
        return bool(value)
    return str(value)


def _commented(value: Any) -> Any:
    if isinstance(value, Mapping):
        return CommentedMap({key: _commented(it) for key, it in value.items()})
    if isinstance(value, list | tuple):
        entries = CommentedSeq(_commented(it) for it in value)
        if all(not isinstance(it, Mapping | list) for it in entries):
            entries.fa.set_flow_style()
        return entries
    if isinstance(value, str) and "\n" in value:
        return LiteralScalarString(value)  # as it was typed, line by line
    return value
