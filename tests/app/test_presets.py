from __future__ import annotations

from pathlib import Path

import pytest

from app.viewmodels import presets
from core.recipe.check_training import check_distillation
from core.recipe.files import load
from core.recipe.stage_specs import PruneSpec, QuantizeSpec
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec

PAPER = sorted((presets.FOLDER / presets.PAPER).glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(presets.FOLDER.rglob("*.yaml")), ids=lambda it: it.stem)
def test_that_every_shipped_recipe_can_be_used_as_it_stands(path: Path) -> None:
    recipe = load(path)
    assert recipe.name
    for index, spec in enumerate(recipe.stages):
        assert list(check_distillation(f"stages.{index}", spec)) == []


def test_that_presets_are_offered_in_groups_and_say_what_they_do() -> None:
    found = presets.shipped()
    groups = list(dict.fromkeys(it.group for it in found))
    assert groups == [presets.WORKED, "The paper, Qwen2.5 3B", "The paper, Qwen2.5 7B"]
    assert all(it.description for it in found)
    assert len({it.name for it in found}) == len(found)
    assert all(presets.is_shipped(it.path) for it in found)
    assert not presets.is_shipped("")


def test_that_each_table_of_the_paper_is_there_for_both_sizes() -> None:
    tables = {path.stem.rsplit("_", 1)[0] for path in PAPER}
    assert tables == {
        "table_4_pruned",
        "table_5_two_stages",
        "tables_1_6_forgetting",
        "tables_2_3_nf4",
    }
    assert len(PAPER) == 2 * len(tables)


@pytest.mark.parametrize("path", PAPER, ids=lambda it: it.stem)
def test_that_a_table_degrades_and_recovers_as_the_paper_does(path: Path) -> None:
    recipe = load(path)
    size = path.stem.rsplit("_", 1)[-1].upper()
    assert recipe.base.hub == f"Qwen/Qwen2.5-{size}-Instruct"
    assert recipe.base.dtype == "bfloat16"
    taught = [spec for spec in recipe.stages if isinstance(spec, SdftSpec)]
    kinds = {type(spec) for spec in recipe.stages}
    if "forgetting" in path.stem:
        assert {spec.teacher for spec in taught} == {"base", "expert"}
        assert all(spec.datasets == ("science_train", "tooluse_train") for spec in taught)
        assert SftSpec in kinds
        cka = recipe.measure.cka
        assert cka is not None
        assert (cka.reference, cka.samples, cka.preprocessing) == ("expert", 507, "paper_5_4")
    elif "nf4" in path.stem or "pruned" in path.stem:
        assert {spec.teacher for spec in taught} == {"base"}
        assert len({spec.from_ for spec in taught}) == 1  # both from the same degraded checkpoint
        assert kinds & {QuantizeSpec, PruneSpec}
    else:
        (large,) = recipe.models
        stages = {spec.id: spec for spec in recipe.stages}
        for spec in taught:
            if spec.id.startswith("two_stage"):
                first = stages[str(spec.teacher)]
                assert isinstance(first, BootstrapSpec)
                assert first.teacher == large
            else:
                assert (spec.from_, spec.teacher) == ("base", "base")
