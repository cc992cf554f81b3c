"""The shipped small model, and its demo data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.data.example import Dataset
from core.data.load import load
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model, load_tokenizer
from core.recipe.sources import DatasetSource, ModelSource
from core.stages import base
from tests.helpers.tiny import CPU32

SMALL = Path(__file__).parents[2] / "resources" / "models" / "rekindle-1m"


def small_base(home: Path) -> Checkpoint:
    """The small model as a base checkpoint under `home`."""
    return base.run(ModelSource(name="rekindle-1m"), home / "checkpoints", home / "cache")


def small_model(home: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Network and tokenizer."""
    made = small_base(home)
    return load_model(made, CPU32), load_tokenizer(made)


@cache
def demo(task: Any, config: str, split: str, limit: int) -> Dataset:
    """A demo dataset, named after its task."""
    source = DatasetSource(demo=task, config=config, split=split, limit=limit)
    return load(str(task), source, Path())
