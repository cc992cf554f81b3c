"""A recipe: the declared graph of stages over one base model.

Specs are data only and validate types and limits. What needs the whole graph is in
`core.recipe.validate`; what needs a file, in `core.recipe.files`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.recipe.field import Spec, StageId, about
from core.recipe.sources import DatasetSource, ModelSource, Task
from core.recipe.stage_specs import CkaSettings, StageSpec

SCHEMA: Literal[1] = 1


class LiveCka(CkaSettings):
    """CKA after every stage, and every `every_steps` while training (0: only after stages).

    While training it is measured less often than that where it would exceed `max_share`.
    """

    every_steps: int = about(
        "Steps between measurements while training.", default=20, ge=0, le=100000, unit="steps"
    )
    max_share: float = about(
        "Share of the training time that live CKA may take; it measures less often when it would take "
        "more. 1 sets no limit.",
        default=0.1,
        gt=0,
        le=1,
        advanced=True,
    )


class Measure(Spec):
    """What is measured on every checkpoint, without a stage of its own."""

    tasks: list[str] = about("Tasks scored on every checkpoint.", default=[])
    every_steps: int = about(
        "Steps between evaluations while training; 0 evaluates only after stages.",
        default=0,
        ge=0,
        le=100000,
        unit="steps",
    )
    live_items: int = about(
        "Items of each task scored while training.", default=32, ge=1, le=100000, unit="items"
    )
    cka: LiveCka | None = None


class Recipe(Spec):
    """The declared graph: a base model, datasets, tasks, stages, and what is measured on every checkpoint."""

    schema_: Literal[1] = Field(
        default=SCHEMA, alias="schema", description="Version of this file format."
    )
    name: str = about("What a person calls this experiment.", min_length=1, max_length=120)
    notes: str = about("Anything worth keeping with the recipe.", default="")
    base: ModelSource
    models: dict[StageId, ModelSource] = about(
        "Further models by name, for example a larger teacher; they are scored, never trained.",
        default={},
    )
    seed: int = about(
        "Seed of data order, initialisation and sampling.", default=42, ge=0, le=2**31 - 1
    )
    device: str = about(
        "auto, cpu, or cuda:N.", default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$"
    )
    datasets: dict[str, DatasetSource] = about("Datasets by name.", default={})
    tasks: dict[str, Task] = about("Evaluation tasks by name.", default={})
    stages: list[Annotated[StageSpec, Field(discriminator="kind")]] = about(
        "The stages, in order.", default=[]
    )
    measure: Measure = Measure()
