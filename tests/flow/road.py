"""The whole road on the tiny model: every kind of stage in one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.recipe.files import dump
from core.recipe.spec import Recipe
from tests.helpers.tiny import ROUND_TO, build_tiny, write_datasets

CHECKPOINTS = ("base", "pruned", "forgot", "recovered", "nf4", "nf4_recovered")


def road(folder: Path, *, name: str = "tiny road", steps: int = 3) -> Recipe:
    """A recipe over a model and datasets written into `folder`."""
    model = build_tiny(folder / "model")
    data = write_datasets(folder / "data")
    train: dict[str, Any] = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "max_steps": steps,
        "max_completion_length": 8,
        "lora_r": 4,
        "lora_alpha": 8,
        "save_steps": 1,
        "learning_rate": 1e-3,
    }
    sdft = {**train, "kind": "sdft", "dataset": "train", "logging_completions": 1}
    return Recipe.model_validate(
        {
            "schema": 1,
            "name": name,
            "base": {"folder": str(model)},
            "datasets": {
                "train": {"file": str(data.tooluse)},
                "tools": {"file": str(data.tooluse_eval)},
                "science": {"file": str(data.science_eval)},
                "mmlu": {"file": str(data.mmlu)},
                "probe": {"file": str(data.science)},
            },
            "tasks": {
                "tooluse": {
                    "scorer": "tooluse_official_v1",
                    "dataset": "tools",
                    "limit": 4,
                    "max_new_tokens": 8,
                },
                "science": {
                    "scorer": "science_exact_v1",
                    "dataset": "science",
                    "limit": 4,
                    "max_new_tokens": 8,
                },
                "mmlu": {"scorer": "multiple_choice_v1", "dataset": "mmlu", "limit": 8},
            },
            "stages": [
                {"id": "pruned", "kind": "prune", "round_to": ROUND_TO},
                {
                    "id": "forgot",
                    "kind": "sft",
                    "dataset": "train",
                    "method": "full",
                    **train,
                    "max_completion_length": 128,
                },
                {"id": "recovered", "teacher": "base", **sdft},
                {"id": "nf4", "kind": "quantize", "from": "base"},
                {"id": "nf4_recovered", "teacher": "base", **sdft},
                {"id": "again", "kind": "evaluate", "tasks": ["mmlu"]},
                {
                    "id": "within",
                    "kind": "cka",
                    "probe": "probe",
                    "mode": "per_sequence",
                    "samples": 6,
                    "variant": "biased",
                    "layout": "diagonal",
                },
            ],
            "measure": {
                "tasks": ["tooluse", "science", "mmlu"],
                "every_steps": 2,
                "live_items": 2,
                "cka": {
                    "reference": "base",
                    "probe": "probe",
                    "samples": 8,
                    "every_steps": 1,
                    "max_share": 1,
                },
            },
        }
    )


def write(recipe: Recipe, folder: Path) -> Path:
    """The recipe as a file."""
    path = folder / "road.yaml"
    path.write_text(dump(recipe), encoding="utf-8")
    return path
