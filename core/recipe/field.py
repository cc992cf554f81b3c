"""The base of all specs and the field that carries its own form texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

BASE = "base"
"""Id of the implicit first stage: the undegraded base model."""

LIVE = "live"
EMA = "ema"
FOLLOWING: Mapping[str, str] = {
    LIVE: "the student itself",
    EMA: "the student's running average",
}
"""Teachers that are no checkpoint; no stage can have their names."""

StageId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


def about(
    description: str,
    *,
    unit: str = "",
    paper: str = "",
    label: str = "",
    advanced: bool = False,
    **limits: Any,
) -> Any:
    """A pydantic field with its form texts; `limits` are pydantic's (`default`, `ge`, `le`, `gt`, `lt`)."""
    extra: dict[str, JsonValue] = {
        "unit": unit,
        "paper": paper,
        "label": label,
        "advanced": advanced,
    }
    return Field(description=description, json_schema_extra=extra, **limits)


class Spec(BaseModel):
    """Base of all specs: frozen, nothing unknown, names as in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StageSpecBase(Spec):
    """What every stage has."""

    id: StageId = about("Name of the stage in this recipe; its checkpoint carries it.")
    from_: StageId | None = Field(
        default=None,
        alias="from",
        description="The stage whose checkpoint is read; by default the stage before.",
    )
