"""The base checkpoint: a manifest that points at weights, and follows them."""

import shutil
from pathlib import Path

import pytest
import torch

from core.errors import UserError
from core.lm.checkpoint import Checkpoint, folder_of, read_manifest
from core.lm.load import load_model, load_tokenizer
from core.recipe.sources import Dtype, ModelSource
from core.stages.base import run
from tests.helpers.tiny import CPU32, build_tiny, tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    build_tiny(tmp_path / "model")
    return tmp_path / "model"


def register(home: Path, model: Path, dtype: Dtype = "auto") -> Checkpoint:
    return run(ModelSource(folder=str(model), dtype=dtype), home / "checkpoints", home / "cache")


def test_that_weights_stay_where_they_are_and_load_from_there(tmp_path: Path, model: Path) -> None:
    base = register(tmp_path, model)
    assert [path.name for path in base.path.iterdir()] == ["manifest.json"]
    assert base.path == folder_of(tmp_path / "checkpoints", base.identity)
    assert read_manifest(base.path) == base
    assert (base.parent, base.storage, base.dtype) == (None, "full", "auto")
    loaded, expected = load_model(base, CPU32), tiny_model()
    tokens = torch.arange(8)[None]
    assert torch.equal(loaded(tokens).logits, expected(tokens).logits)
    assert load_tokenizer(base).pad_token is not None


def test_that_the_same_model_in_another_place_is_the_same_checkpoint_and_is_found_there(
    tmp_path: Path, model: Path
) -> None:
    first = register(tmp_path, model)
    moved = tmp_path / "elsewhere"
    shutil.move(model, moved)
    second = register(tmp_path, moved)
    assert second.identity == first.identity
    found = read_manifest(first.path)
    assert found is not None
    assert found.facts["weights"] == str(moved)
    load_model(found, CPU32)


def test_that_another_precision_or_other_weights_are_another_checkpoint(
    tmp_path: Path, model: Path
) -> None:
    first = register(tmp_path, model)
    assert register(tmp_path, model, "bfloat16").identity != first.identity
    build_tiny(tmp_path / "other", seed=1)
    assert register(tmp_path, tmp_path / "other").identity != first.identity


def test_that_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError):
        register(tmp_path, tmp_path / "empty")
