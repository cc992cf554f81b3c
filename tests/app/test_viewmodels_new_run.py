from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels import presets
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.recipe_types import FieldView
from core.recipe.files import parse_text
from core.recipe.spec import Recipe
from core.recipe.stage_specs import STAGE_SPECS
from core.recipe.training_specs import SdftSpec

TEXT = """\
# a comment that stays
schema: 1
name: Two roads
base: {name: smollm2-135m-instruct}
datasets:
  tool: {file: tool.jsonl}  # the training items
stages:
  - {id: nf4, kind: quantize}
  - id: back
    kind: sdft
    dataset: tool
    learning_rate: 0.0002
"""


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Recipe] = []
        (folder / "tool.jsonl").write_text("{}\n")
        self.model = NewRunViewModel(self.started.append)
        self.model.load_recipe(TEXT, str(folder))

    def field(self, path: str) -> FieldView:
        return next(it for it in self.model.fields() if it.path == path)

    def raw(self) -> Any:
        raw, problems = parse_text(self.model.text)
        assert problems == []
        return raw


@pytest.fixture
def bench(tmp_path: Path, qtbot: QtBot) -> Bench:
    return Bench(tmp_path)


def test_that_the_cards_follow_the_recipe(bench: Bench) -> None:
    cards = bench.model.cards()
    assert [(card.id, card.kind, card.role, card.source) for card in cards] == [
        ("base", "base", "base", None),
        ("nf4", "quantize", "degraded", "base"),
        ("back", "sdft", "recovered", "nf4"),
    ]
    assert cards[2].headline == "teacher base · 1.0 epochs · LoRA 64"


def test_that_every_field_of_every_stage_has_a_control_with_words(bench: Bench) -> None:
    for kind, spec in STAGE_SPECS.items():
        bench.model.add_stage(kind)
        fields = bench.model.fields()
        assert len(fields) == len(spec.model_fields) - 1  # all but `kind`
        assert all(it.help and it.label for it in fields), kind


def test_that_limits_units_defaults_and_the_papers_value_come_from_the_spec(bench: Bench) -> None:
    bench.model.select(1)
    rate = bench.field("stages.1.learning_rate")
    assert (rate.kind, rate.value, rate.default, rate.is_default) == ("float", 0.0002, 1e-4, False)
    assert (rate.minimum, rate.exclusive_minimum, rate.maximum) == (0, True, 1)
    assert (rate.paper, rate.label) == ("not stated", "Learning rate")
    steps = bench.field("stages.1.max_steps")
    assert (steps.kind, steps.value, steps.optional, steps.unit) == ("int", None, True, "steps")
    assert bench.field("stages.1.lora_r").advanced
    method = bench.field("stages.1.method")
    assert [it.value for it in method.choices] == ["lora", "full"]


def test_that_references_offer_what_exists_before_the_stage(bench: Bench) -> None:
    bench.model.select(1)
    teachers = bench.field("stages.1.teacher").choices
    assert [it.value for it in teachers] == ["base", "nf4", "live", "ema"]
    assert [it.label for it in teachers][2:] == [
        "live: the student itself",
        "ema: the student's running average",
    ]
    assert [it.value for it in bench.field("stages.1.from").choices] == ["", "base", "nf4"]
    dataset = bench.field("stages.1.dataset")
    assert (dataset.multiple, dataset.value) == (True, ("tool",))
    assert [it.value for it in dataset.choices] == ["tool"]


def test_that_setting_a_field_changes_the_text_and_keeps_comments(bench: Bench) -> None:
    bench.model.set("stages.1.max_steps", 40)
    assert "# a comment that stays" in bench.model.text
    assert "# the training items" in bench.model.text
    assert bench.raw()["stages"][1]["max_steps"] == 40


def test_that_editing_the_text_changes_the_form(bench: Bench) -> None:
    bench.model.select(1)
    bench.model.set_text(bench.model.text.replace("0.0002", "5e-5"))
    assert bench.field("stages.1.learning_rate").value == 5e-5


def test_that_a_field_set_to_its_default_leaves_the_text(bench: Bench) -> None:
    bench.model.set("stages.1.learning_rate", 1e-4)
    assert "learning_rate" not in bench.model.text
    bench.model.set("stages.1.learning_rate", 3e-4)
    bench.model.set("stages.1.learning_rate", None)
    assert "learning_rate" not in bench.model.text


def test_that_what_a_control_delivers_as_text_becomes_a_number_or_stays_to_be_refused(
    bench: Bench,
) -> None:
    bench.model.select(1)
    bench.model.set("stages.1.max_steps", "12")
    assert bench.raw()["stages"][1]["max_steps"] == 12
    bench.model.set("stages.1.max_steps", "a dozen")
    assert bench.field("stages.1.max_steps").problem != ""
    assert not bench.model.can_start


def test_that_several_datasets_are_a_list_and_one_is_a_name(bench: Bench) -> None:
    bench.model.set("stages.1.dataset", ("tool", "science"))
    assert bench.raw()["stages"][1]["dataset"] == ["tool", "science"]
    bench.model.set("stages.1.dataset", ("tool",))
    assert bench.raw()["stages"][1]["dataset"] == "tool"


def test_that_a_problem_stands_beside_its_field_and_on_its_card(bench: Bench) -> None:
    bench.model.set("stages.1.teacher", "nobody")
    bench.model.select(1)
    teacher = bench.field("stages.1.teacher")
    assert teacher.problem
    assert "base" in teacher.problem_hint
    assert [card.problems for card in bench.model.cards()] == [0, 0, 1]
    assert [it.card for it in bench.model.problems()] == ["1"]
    assert not bench.model.can_start


def test_that_text_that_is_no_yaml_is_named_and_not_overwritten_by_the_form(bench: Bench) -> None:
    broken = TEXT.replace("datasets:", "datasets: [")
    bench.model.set_text(broken)
    (problem,) = bench.model.problems()
    assert "Line" in problem.message
    bench.model.set("seed", 7)
    assert bench.model.text == broken
    assert len(bench.model.cards()) == 3  # the last good state stays in sight
    bench.model.set_text(TEXT)
    assert bench.model.can_start


def test_that_missing_files_are_found_beside_the_recipe_or_reported(
    bench: Bench, qtbot: QtBot
) -> None:
    with qtbot.assertNotEmitted(bench.model.problemsChanged, wait=600):
        pass
    with qtbot.waitSignal(bench.model.problemsChanged, timeout=2000):
        bench.model.set("datasets.tool.file", "gone.jsonl")
    qtbot.waitUntil(lambda: bool(bench.model.problems()), timeout=2000)
    bench.model.select("datasets")
    assert "gone.jsonl" in bench.field("datasets.tool.file").problem
    assert not bench.model.can_start


def test_that_stages_are_added_moved_and_removed(bench: Bench) -> None:
    bench.model.add_stage("prune", after="base")
    assert [card.id for card in bench.model.cards()] == ["base", "pruned", "nf4", "back"]
    assert bench.model.selected == "0"
    bench.model.move_stage("pruned", 1)
    assert [card.id for card in bench.model.cards()] == ["base", "nf4", "pruned", "back"]
    bench.model.move_stage("nf4", -1)
    assert [card.id for card in bench.model.cards()][1] == "nf4"
    bench.model.remove_stage("pruned")
    bench.model.add_stage("quantize")
    bench.model.add_stage("quantize")
    assert [card.id for card in bench.model.cards()][3:] == ["quantized", "quantized_2"]


def test_that_the_model_may_come_from_elsewhere(bench: Bench) -> None:
    bench.model.set("base.source", "hub")
    assert bench.field("base.hub").problem or bench.field("base.source").problem
    bench.model.set("base.hub", "owner/model")
    bench.model.set("base.revision", "v1")
    assert bench.raw()["base"] == {"hub": "owner/model", "revision": "v1"}
    bench.model.set("base.source", "folder")
    assert bench.raw()["base"] == {"folder": ""}
    bench.model.set("base.source", "name")
    assert bench.field("base.name").kind == "choice"
    assert bench.model.can_start


def test_that_a_dataset_may_be_a_generated_task(bench: Bench) -> None:
    bench.model.add_dataset("science")
    bench.model.select("datasets")
    bench.model.set("datasets.science.source", "demo")
    made = {"demo": "tooluse", "config": "all-own", "split": "train", "limit": 500}
    assert bench.raw()["datasets"]["science"] == made
    shown = {it.path.rsplit(".", 1)[-1] for it in bench.model.fields() if "science" in it.path}
    assert shown == {"source", "demo", "config", "split", "limit"}
    bench.model.set("datasets.science.demo", "retention")
    config = bench.field("datasets.science.config")
    assert [it.value for it in config.choices] == ["all"]
    assert "Config of demo retention" in " ".join(it.message for it in bench.model.problems())
    bench.model.set("datasets.science.config", "all")
    assert not [it for it in bench.model.problems() if it.path.startswith("datasets.science")]
    bench.model.set("datasets.science.source", "file")
    assert bench.raw()["datasets"]["science"] == {"file": "", "split": "train", "limit": 500}


def test_that_datasets_tasks_and_cka_are_edited_like_stages(bench: Bench) -> None:
    bench.model.add_dataset("science")
    bench.model.add_task("tooluse")
    bench.model.set("measure.cka.on", True)
    raw = bench.raw()
    assert raw["datasets"]["science"] == {"file": ""}
    assert raw["tasks"]["tooluse"] == {"scorer": "tooluse_official_v1", "dataset": "tool"}
    assert raw["measure"] == {"tasks": ["tooluse"], "cka": {"probe": "tool"}}
    bench.model.select("measure")
    assert bench.field("measure.cka.every_steps").value == 20
    bench.model.set("measure.cka.on", False)
    bench.model.remove_task("tooluse")
    bench.model.remove_dataset("science")
    assert bench.raw()["datasets"] == {"tool": {"file": "tool.jsonl"}}
    assert bench.raw()["tasks"] == {}


def test_that_columns_are_edited_as_pairs(bench: Bench) -> None:
    bench.model.select("datasets")
    bench.model.set("datasets.tool.columns", "prompt: question, answer: key")
    assert bench.raw()["datasets"]["tool"]["columns"] == {"prompt": "question", "answer": "key"}
    assert bench.field("datasets.tool.columns").value == "prompt: question, answer: key"


def test_that_a_double_click_starts_one_run(bench: Bench) -> None:
    bench.model.start()
    bench.model.start()
    assert len(bench.started) == 1
    assert bench.started[0].datasets["tool"].file == str(bench.folder / "tool.jsonl")
    bench.model.start_answered()
    assert bench.model.can_start


def test_that_the_form_is_rebuilt_only_when_its_controls_change(bench: Bench, qtbot: QtBot) -> None:
    bench.model.select(1)
    with (
        qtbot.assertNotEmitted(bench.model.fieldsChanged),
        qtbot.waitSignal(bench.model.valuesChanged),
    ):
        bench.model.set("stages.1.max_steps", 3)
    with qtbot.waitSignal(bench.model.fieldsChanged):
        bench.model.select(0)


def test_that_the_command_repeats_a_preset_with_its_changes(tmp_path: Path, qtbot: QtBot) -> None:
    file = tmp_path / "my recipe.yaml"
    file.write_text(TEXT)
    model = NewRunViewModel(lambda recipe: None)
    model.load_preset(str(file))
    assert model.command() == f"python -m app run '{file}'"
    model.set("stages.1.max_steps", 3)
    model.set("datasets.tool.file", "/data/a b.jsonl")
    assert model.command() == (
        f"python -m app run '{file}' --set 'datasets.tool.file=\"/data/a b.jsonl\"'"
        " --set stages.back.max_steps=3"
    )
    model.remove_stage("nf4")
    assert model.command() == "python -m app run recipe.yaml"


def test_that_shipped_presets_load_and_say_what_they_are(qtbot: QtBot) -> None:
    model = NewRunViewModel(lambda recipe: None)
    presets = model.presets()
    assert presets
    for preset in presets:
        model.load_preset(preset.path)
        assert model.name == preset.name
        assert [it for it in model.problems() if not it.path.startswith("datasets")] == []


def test_that_form_defaults_are_those_of_the_engine(bench: Bench) -> None:
    bench.model.select(1)
    spec = SdftSpec(id="x", dataset="tool")
    for view in bench.model.fields():
        name = view.path.rsplit(".", 1)[-1].replace("from", "from_")
        if view.is_default and not view.multiple:
            default = getattr(spec, name)
            assert view.value == (str(default) if view.kind == "choice" else default), name


def test_that_what_was_undone_is_gone_once_something_else_changes(bench: Bench) -> None:
    bench.model.set("stages.1.max_steps", 7)
    bench.model.undo()
    assert bench.model.can_redo
    bench.model.set("seed", 3)
    assert not bench.model.can_redo
    bench.model.redo()
    assert bench.raw()["seed"] == 3
    assert "max_steps" not in bench.raw()["stages"][1]


def test_that_settings_cannot_say_what_was_taken_away() -> None:
    before = {"seed": 1, "stages": [{"id": "a"}]}
    assert presets.overrides(before, {**before, "seed": 2}) == ["seed=2"]
    assert presets.overrides(before, {"stages": [{"id": "a"}]}) is None
    assert presets.overrides(before, {"seed": 1, "stages": []}) is None


def test_that_epochs_rest_only_while_steps_are_given(bench: Bench) -> None:
    bench.model.select("1")
    assert bench.field("stages.1.num_train_epochs").idle == ""
    bench.model.set("stages.1.max_steps", 7)
    assert "epochs do not count" in bench.field("stages.1.num_train_epochs").idle
