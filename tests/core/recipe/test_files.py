"""Recipes as files: the round trip through YAML, overrides, and messages with line numbers."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.recipe.files import apply_overrides, dump, load, parse_text, resolve_paths
from core.recipe.sources import DatasetSource, ModelSource, Task
from core.recipe.spec import LiveCka, Measure, Recipe
from core.recipe.stage_specs import CkaSpec, EvaluateSpec, PruneSpec, QuantizeSpec
from core.recipe.training_specs import SdftSpec, SftSpec
from core.recipe.validate import check, parse

RECIPES = Path(__file__).parents[3] / "resources" / "recipes"

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
names = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
rates = st.floats(1e-12, 1.0)
roles = st.sampled_from(["base", "degraded", "recovered", "expert"])
cka_fields: dict[str, Any] = {
    "reference": names,
    "probe": texts,
    "samples": st.integers(4, 4096),
    "mode": st.sampled_from(["per_sample", "per_sequence"]),
    "drop_sinks": st.booleans(),
    "layout": st.sampled_from(["diagonal", "map"]),
}
train_fields: dict[str, Any] = {
    "id": names,
    "from_": st.none() | names,
    "dataset": texts | st.lists(texts, min_size=1, max_size=3),
    "max_steps": st.none() | st.integers(1, 1000),
    "learning_rate": rates,
    "seed": st.none() | st.integers(0, 2**31 - 1),
    "role": roles,
}
stages = st.one_of(
    st.builds(QuantizeSpec, id=names, from_=st.none() | names, use_double_quant=st.booleans()),
    st.builds(PruneSpec, id=names, ratio=st.floats(1e-9, 0.999)),
    st.builds(SftSpec, **train_fields),
    st.builds(SdftSpec, teacher=names, temperature=st.floats(0.01, 5), **train_fields),
    st.builds(EvaluateSpec, id=names, tasks=st.lists(texts, min_size=1, max_size=3)),
    st.builds(CkaSpec, id=names, **cka_fields),
)
sources = st.one_of(
    st.builds(DatasetSource, file=texts, columns=st.dictionaries(texts, texts, max_size=2)),
    st.builds(DatasetSource, hub=texts, limit=st.none() | st.integers(1, 99)),
)
recipes = st.builds(
    Recipe,
    name=texts,
    notes=texts | st.text("ab \n:#-", max_size=200),
    base=st.one_of(st.builds(ModelSource, name=texts), st.builds(ModelSource, folder=texts)),
    seed=st.integers(0, 2**31 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda:1"]),
    datasets=st.dictionaries(texts, sources, max_size=2),
    tasks=st.dictionaries(
        texts,
        st.builds(Task, scorer=st.just("science_exact_v1"), dataset=texts),
        max_size=2,
    ),
    stages=st.lists(stages, max_size=4),
    measure=st.builds(
        Measure,
        tasks=st.lists(texts, max_size=2),
        cka=st.none() | st.builds(LiveCka, every_steps=st.integers(0, 50), **cka_fields),
    ),
)


def read(text: str) -> Recipe:
    raw, problems = parse_text(text)
    assert problems == []
    recipe, problems = parse(raw)
    assert recipe is not None, problems
    return recipe


@given(recipes)
@settings(max_examples=40, deadline=None)
def test_that_a_recipe_reads_back_as_it_was_written(recipe: Recipe) -> None:
    assert read(dump(recipe)) == recipe


@given(recipes)
@settings(max_examples=10, deadline=None)
def test_that_writing_is_stable(recipe: Recipe) -> None:
    assert dump(read(dump(recipe))) == dump(recipe)


MINIMAL = """\
schema: 1
name: a recipe
base:
  name: tiny
datasets:
  science:
    file: science.jsonl
stages:
  - id: nf4
    kind: quantize
  - id: back
    kind: sdft
    from: nf4
    dataset: science
"""


def test_that_defaults_are_left_out_and_the_order_is_that_of_a_reader() -> None:
    assert dump(read(MINIMAL)) == MINIMAL


def test_that_numbers_dates_and_words_mean_what_they_look_like() -> None:
    raw, _ = parse_text("a: 1e-4\nb: 2024-01-01\nc: yes\nd: on\ne: null\nf: 012")
    assert raw == {"a": 1e-4, "b": "2024-01-01", "c": "yes", "d": "on", "e": None, "f": 12}


def test_that_yaml_that_builds_objects_is_refused() -> None:
    _, problems = parse_text("a: !!python/object/apply:os.getcwd []")
    assert len(problems) == 1
    assert "Line 1" in problems[0].message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3", "Line 3: this is not YAML"),
        ("a: 1\nb: 2\na: 3", 'Line 3: key "a" is given twice'),
        ("a: \x07", "not YAML"),
    ],
)
def test_that_broken_yaml_is_told_with_its_line(text: str, message: str) -> None:
    raw, problems = parse_text(text)
    assert raw is None
    assert message in problems[0].message


class TestOverrides:
    raw = parse_text(MINIMAL)[0]

    def test_that_a_stage_is_named_by_its_id_or_its_place(self) -> None:
        changed = apply_overrides(self.raw, ["stages.back.max_steps=3", "stages.0.blocksize=64"])
        assert changed["stages"][1]["max_steps"] == 3
        assert changed["stages"][0]["blocksize"] == 64
        assert "max_steps" not in self.raw["stages"][1]

    def test_that_missing_mappings_are_made(self) -> None:
        changed = apply_overrides(self.raw, ["measure.cka.probe=science"])
        assert changed["measure"] == {"cka": {"probe": "science"}}

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("3", 3),
            ("1e-4", 1e-4),
            ("true", True),
            ("null", None),
            ("", None),
            ("/data/a b.jsonl", "/data/a b.jsonl"),
            ("/data/a: b", "/data/a: b"),
            ("x #y", "x #y"),
            ("#y", "#y"),
            ("- x", "- x"),
            ("@x", "@x"),
            ("C:\\data\\x", "C:\\data\\x"),
            ("'3'", "3"),
            ("[a, b]", ["a", "b"]),
            ("{prompt: q}", {"prompt": "q"}),
            ("a=b", "a=b"),
        ],
    )
    def test_that_values_are_yaml_scalars(self, text: str, value: Any) -> None:
        assert apply_overrides(self.raw, [f"notes={text}"])["notes"] == value

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("stages.bakc.seed=1", "no entry bakc"),
            ("stages.7.seed=1", "no entry 7"),
            ("name.x=1", "name is a single value"),
            ("seed", "no setting"),
            (".seed=1", "no setting"),
        ],
    )
    def test_that_a_path_that_leads_nowhere_is_refused(self, override: str, message: str) -> None:
        with pytest.raises(UserError, match=message):
            apply_overrides(self.raw, [override])

    @given(names, names, st.integers() | st.booleans() | st.none())
    @settings(max_examples=50, deadline=None)
    def test_that_what_is_put_is_found_and_nothing_else_moves(
        self, outer: str, inner: str, value: int | bool | None
    ) -> None:
        raw = {"other": [1], outer: {"kept": 1}, "stages": [{"id": inner}]}
        text = {None: "null", True: "true", False: "false"}.get(value, str(value))
        if isinstance(value, int) and not isinstance(value, bool):
            text = str(value)
        if outer == "stages":
            return
        changed = apply_overrides(raw, [f"{outer}.{inner}={text}"])
        assert changed[outer][inner] == value
        changed[outer].pop(inner)
        raw[outer].pop(inner, None)  # type: ignore[attr-defined]
        assert changed == raw


def test_that_relative_paths_are_looked_for_beside_the_recipe_and_then_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, working = tmp_path / "recipes", tmp_path / "work"
    for folder in (beside, working):
        folder.mkdir()
    (beside / "both.jsonl").touch()
    (working / "both.jsonl").touch()
    (working / "here.jsonl").touch()
    monkeypatch.chdir(working)
    recipe = read(MINIMAL).model_copy(
        update={
            "datasets": {
                name: DatasetSource(file=f"{name}.jsonl") for name in ("both", "here", "nowhere")
            },
            "tasks": {"own": Task(scorer="lm_eval", lm_eval_task="x", include_path="mine")},
        }
    )
    (beside / "mine").mkdir()
    assert resolve_paths(recipe, beside).tasks["own"].include_path == str(beside / "mine")
    found = {name: it.file for name, it in resolve_paths(recipe, beside).datasets.items()}
    assert found == {
        "both": str(beside / "both.jsonl"),
        "here": str(working / "here.jsonl"),
        "nowhere": "nowhere.jsonl",
    }


def test_that_loading_names_all_problems_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    bad = ["stages.back.teacher=expert", "stages.back.dataset=x", "stages.nf4.from=back"]
    with pytest.raises(UserError) as caught:
        load(path, bad)
    for place in ("stages.1.teacher", "stages.1.dataset", "stages.0.from"):
        assert place in str(caught.value)
    assert load(path, ["seed=7"]).seed == 7


def test_that_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "nothing.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="not text"):
        load(binary)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_that_every_recipe_that_ships_is_sound(path: Path) -> None:
    recipe = read(path.read_text(encoding="utf-8"))
    assert check(recipe) == []


def test_that_recipes_ship() -> None:
    assert (RECIPES / "smollm2_nf4.yaml").is_file()
