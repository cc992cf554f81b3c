"""Further models and the bootstrap stage in strips, lists and the recipe's cards."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from app.viewmodels import recipe_words
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.run import RunViewModel
from app.widgets.stage_strip import StageStrip
from app.widgets.theme import Theme
from core.events import RunStarted, StageStarted
from core.recipe.files import dump
from core.recipe.plan import plan
from core.store.rows import LoggedEvent
from tests.app.sample_runs import two_stage
from tests.app.test_viewmodels_run import row

RECIPE = two_stage()


def _run(*, begun: bool) -> RunViewModel:
    view = RunViewModel("u")
    view.describe(row(recipe_json=RECIPE.model_dump_json(by_alias=True)))
    if begun:
        planned = tuple(step.planned for step in plan(RECIPE))
        events = [
            RunStarted(session=1, stages=planned, environment={}),
            StageStarted(stage="large", device="cpu", dtype="float32"),
        ]
        view.apply([LoggedEvent(place, 1.0, it) for place, it in enumerate(events)])
    return view


def test_that_a_further_model_is_a_root_of_its_own_and_says_what_it_is(qtbot: QtBot) -> None:
    for begun in (False, True):
        cards = {it.id: it for it in _run(begun=begun).stages()}
        large = cards["large"]
        assert (large.kind, large.role, large.source) == ("model", "expert", None)
        assert cards["taught"].headline == "teacher large · 1.0 epochs · LoRA 64"
        assert cards["taught"].role == "expert"
        assert cards["recovered"].headline.startswith("teacher taught + ema")
    waiting = {it.id: it for it in _run(begun=False).stages()}
    assert waiting["large"].headline == "smollm2-135m-instruct"
    assert {it.id: it for it in _run(begun=True).stages()}["large"].headline == "loading"


def test_that_no_arrow_leads_to_a_further_model(theme: Theme, qtbot: QtBot) -> None:
    strip = StageStrip(theme)
    qtbot.addWidget(strip)
    strip.set_cards(_run(begun=True).stages())
    kinds = [(arrow.root, arrow.branch) for arrow in strip._arrows]
    # base + large | pruned (from base) -> taught -> recovered
    assert kinds == [(True, False), (False, True), (False, False), (False, False)]
    assert "from base" in strip.cards[2].accessibleName()


def test_that_a_run_names_all_its_teachers(qtbot: QtBot) -> None:
    assert "teacher large, taught + ema" in _run(begun=True).facts
    assert recipe_words.chain(RECIPE) == "prune → bootstrap → sdft"


def test_that_the_recipe_names_its_further_models_on_the_base(qtbot: QtBot) -> None:
    model = NewRunViewModel(lambda recipe: None)
    model.load_recipe(dump(RECIPE))
    cards = model.cards()
    assert cards[0].headline == "rekindle-1m · large: smollm2-135m-instruct"
    assert [it.kind for it in cards] == ["base", "prune", "bootstrap", "sdft"]


def test_that_a_stages_own_seed_is_the_source_of_its_numbers() -> None:
    assert recipe_words.seed(RECIPE, ["recovered"]) == 7
    assert recipe_words.seed(RECIPE, ["taught", "recovered"]) == RECIPE.seed
