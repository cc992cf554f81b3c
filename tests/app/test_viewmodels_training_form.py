"""The form of the training stages: several teachers, templates, weights, settings without effect."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels import relevance
from app.viewmodels.form_sections import OTHER
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.recipe_types import FieldView
from core.recipe.files import parse_text
from core.recipe.sources import Task
from core.recipe.stage_specs import STAGE_SPECS
from core.recipe.template import TEACHER_TEMPLATE

TEXT = """\
schema: 1
name: Teachers
base: {name: rekindle-1m}
models:
  large: {name: smollm2-135m-instruct}
datasets:
  tool: {demo: tooluse, config: all-own, split: train, limit: 20}
  science: {demo: science, config: all-own, split: train, limit: 20}
stages:
  - {id: expert, kind: sft, dataset: tool}
  - {id: small, kind: bootstrap, teacher: large, dataset: tool}
  - {id: back, kind: sdft, dataset: [tool, science]}
"""


class Bench:
    def __init__(self) -> None:
        self.model = NewRunViewModel(lambda recipe: None)
        self.model.load_recipe(TEXT)

    def field(self, name: str, stage: int = 2) -> FieldView:
        self.model.select(stage)
        return next(it for it in self.model.fields() if it.path == f"stages.{stage}.{name}")

    def set(self, name: str, value: Any, stage: int = 2) -> None:
        self.model.set(f"stages.{stage}.{name}", value)

    def stage(self, stage: int = 2) -> Any:
        raw, problems = parse_text(self.model.text)
        assert problems == []
        return raw["stages"][stage]


@pytest.fixture
def bench(qtbot: QtBot) -> Bench:
    return Bench()


def _values(field: FieldView) -> list[str]:
    return [it.value for it in field.choices]


def test_that_teachers_are_stages_models_and_what_follows_the_student(bench: Bench) -> None:
    assert bench.field("teacher").multiple
    assert _values(bench.field("teacher")) == ["base", "expert", "small", "large", "live", "ema"]
    assert bench.field("teacher").choices[3].label == "large: smollm2-135m-instruct"


def test_that_those_of_other_stages_do_not_follow_the_student(bench: Bench) -> None:
    assert _values(bench.field("teacher", 0)) == ["", "base", "large"]
    assert _values(bench.field("teacher", 1)) == ["base", "expert", "large"]
    assert not bench.field("teacher", 1).multiple


def test_that_one_teacher_is_a_name_and_several_keep_their_order(bench: Bench) -> None:
    bench.set("teacher", ("expert",))
    assert bench.stage()["teacher"] == "expert"
    bench.set("teacher", ("large", "base"))
    assert bench.stage()["teacher"] == ["large", "base"]
    assert bench.field("teacher").value == ("large", "base")
    bench.set("teacher", ())
    assert "no teacher" in bench.field("teacher").problem


def test_that_weights_are_numbers_and_nonsense_is_named_at_the_field(bench: Bench) -> None:
    bench.set("teacher", ("base", "expert"))
    bench.set("teacher_weights", ("0.25", "0.75"))
    assert bench.stage()["teacher_weights"] == [0.25, 0.75]
    assert bench.field("teacher_weights").value == ("0.25", "0.75")
    bench.set("teacher_weights", ("much", "0.75"))
    assert "number is expected" in bench.field("teacher_weights").problem
    bench.set("teacher_weights", None)
    assert "teacher_weights" not in bench.stage()


def test_that_a_template_is_checked_while_it_is_typed_and_goes_back(bench: Bench) -> None:
    field = bench.field("teacher_template")
    assert (field.kind, field.value, field.is_default) == ("prose", TEACHER_TEMPLATE, True)
    bench.set("teacher_template", "{question}\nLike this?")
    assert "{demonstration}" in bench.field("teacher_template").problem
    bench.set("teacher_template", "{question}\n\n{demonstration}\nNow you.")
    assert bench.field("teacher_template").problem == ""
    assert "teacher_template: |" in bench.model.text  # as it is read, not with escapes
    assert bench.stage()["teacher_template"] == "{question}\n\n{demonstration}\nNow you."
    bench.set("teacher_template", None)
    assert "teacher_template" not in bench.stage()


def test_that_a_limit_with_a_default_can_be_lifted(bench: Bench) -> None:
    bench.set("distillation_is_clip", "none")
    assert bench.stage()["distillation_is_clip"] is None
    field = bench.field("distillation_is_clip")
    assert (field.value, field.is_default, field.problem) == ("none", False, "")
    bench.set("distillation_is_clip", None)
    assert "distillation_is_clip" not in bench.stage()


def test_that_replay_offers_the_datasets(bench: Bench) -> None:
    field = bench.field("replay", 0)
    assert (field.kind, field.multiple, _values(field)) == ("dataset", True, ["tool", "science"])
    bench.set("replay", ("science",), 0)
    assert bench.stage(0)["replay"] == "science"
    assert bench.field("replay_ratio", 0).idle == ""


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("distillation_alpha", "divergence", "jsd"),
        ("teacher_pool", "teacher", ("base", "expert")),
        ("teacher_weights", "teacher", ("base", "expert")),
        ("teacher_update_rate", "teacher", ("ema",)),
        ("distillation_is_clip", "num_iterations", 2),
        ("distillation_is_clip", "teacher_cache_steps", 4),
        ("early_stopping_patience", "eval_steps", 20),
        ("load_best_model_at_end", "eval_steps", 20),
        ("early_stopping_criterion", "eval_steps", 20),
        ("cka_weight", "cka_loss", "repel"),
        ("cka_layers", "cka_loss", "only"),
        ("cka_layers", "early_stopping_criterion", "loss_and_cka"),
    ],
)
def test_that_a_setting_without_effect_says_why_until_it_has_one(
    bench: Bench, name: str, setting: str, value: Any
) -> None:
    assert bench.field(name).idle
    bench.set(setting, value)
    assert bench.field(name).idle == ""


def test_that_cka_alone_has_nothing_to_be_weighed_against(bench: Bench) -> None:
    bench.set("cka_loss", "only")
    for name in ("cka_weight", "cka_balance", "cka_ramp_steps"):
        assert "nothing to weigh" in bench.field(name).idle
    bench.set("cka_loss", "off")
    assert "cka_loss" not in bench.stage()
    assert "CKA in the loss" in bench.field("cka_weight").idle


def test_that_all_blocks_are_no_number_of_blocks(bench: Bench) -> None:
    bench.set("cka_layers", "none")
    assert bench.stage()["cka_layers"] is None
    assert (bench.field("cka_layers").value, bench.field("cka_layers").problem) == ("none", "")


def test_that_every_rule_names_fields_that_exist() -> None:
    known = {name for spec in (*STAGE_SPECS.values(), Task) for name in spec.model_fields}
    assert {name for rule in relevance.RULES for name in rule.fields} <= known


def test_that_every_field_of_a_training_has_its_heading(bench: Bench) -> None:
    for stage in (0, 1, 2):
        bench.model.select(stage)
        fields = bench.model.fields()
        assert OTHER not in {it.section for it in fields}
        headings = [it.section for it in fields]
        assert len(set(headings)) == len(list(itertools.groupby(headings)))


def test_that_further_models_are_edited_like_the_base(bench: Bench, tmp_path: Path) -> None:
    bench.model.add_model()
    bench.model.select("base")
    paths = {it.path: it for it in bench.model.fields()}
    assert paths["models.large.name"].kind == "choice"
    assert paths["models.large_2.hub"].problem or paths["models.large_2.source"].problem
    bench.model.set("models.large_2.source", "folder")
    bench.model.set("models.large_2.folder", str(tmp_path))
    assert bench.model.models() == {"large": "smollm2-135m-instruct", "large_2": tmp_path.name}
    bench.model.remove_model("large_2")
    bench.model.remove_model("large")
    assert bench.field("teacher", 1).problem  # the stage named it
