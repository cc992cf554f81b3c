"""The walk along a recipe: what is held in each stage, what is unknown, and how it adds up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.engine import spawn
from core.engine.estimate import StageEstimate, from_record, to_record
from core.engine.footprint import FLOAT32
from core.engine.forecast import Forecast
from core.engine.reckoning import Surroundings
from core.engine.stage_needs import needs
from core.errors import UserError
from core.lm.skeleton import of_folder
from core.recipe.plan import Step, plan
from core.recipe.spec import Recipe
from tests.helpers.tiny import CPU32, FFN_PRUNED, ROUND_TO, build_tiny
from tests.helpers.training import weather

TRAIN = {"dataset": "weather", "max_steps": 4, "lora_r": 4, "gradient_accumulation_steps": 2}
LIBRARIES = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("model") / "tiny")


Make = Callable[..., Forecast]


@pytest.fixture
def make(folder: Path) -> Make:
    def made(*stages: dict[str, Any], **rest: Any) -> Forecast:
        raw = {
            "name": "n",
            "base": {"folder": str(folder)},
            "datasets": {"weather": {"file": "weather.jsonl"}},
            "stages": stages,
            **rest,
        }
        recipe = Recipe.model_validate(raw)
        return Forecast(recipe, CPU32, lambda name: weather(10), timed=False, libraries=LIBRARIES)

    return made


def held(estimate: StageEstimate, name: str) -> dict[str, int]:
    """The items of a phase by name."""
    phase = next(it for it in estimate.phases if it.name == name)
    return {item.name: item.bytes for item in phase.items}


def test_that_a_lora_student_serves_as_its_own_parent_and_no_other_teacher(
    make: Make, folder: Path
) -> None:
    network = of_folder(folder)
    forecast = make(
        {"id": "nf4", "kind": "quantize"},
        {"id": "shared", "kind": "sdft", "teacher": "nf4", **TRAIN},
        {"id": "apart", "kind": "sdft", "from": "nf4", "teacher": "base", **TRAIN},
        {"id": "full", "kind": "sdft", "from": "base", "method": "full", **TRAIN},
    )
    assert "teachers" not in held(forecast.of("shared"), "loss")
    assert held(forecast.of("apart"), "loss")["teachers"] == 4 * network.parameters
    assert held(forecast.of("full"), "loss")["teachers"] == 4 * network.parameters


def test_that_training_holds_adapter_gradients_and_moments(make: Make, folder: Path) -> None:
    network = of_folder(folder)
    forecast = make({"id": "a", "kind": "sft", **TRAIN})
    items = held(forecast.of("a"), "step")
    trained = network.lora(4)
    assert items["student"] == 4 * network.parameters
    assert items["adapter"] == items["gradients"] == FLOAT32 * trained
    assert items["moments"] == 8 * trained
    assert items["libraries"] == LIBRARIES
    assert "masters" not in items  # float32 weights are their own


def test_that_adapters_of_earlier_stages_are_stacked_until_full_training_merges_them(
    make: Make, folder: Path
) -> None:
    network = of_folder(folder)
    forecast = make(
        {"id": "a", "kind": "sft", **TRAIN},
        {"id": "b", "kind": "sft", **TRAIN},
        {"id": "c", "kind": "sft", "method": "full", **TRAIN},
    )
    adapter = FLOAT32 * network.lora(4)
    assert held(forecast.of("b"), "load")["adapter"] == 2 * adapter
    assert "adapter" not in held(forecast.of("c"), "load")
    assert held(forecast.of("c"), "load")["second_copy"] == 2 * adapter


def test_that_pruning_is_followed_by_smaller_stages(make: Make, folder: Path) -> None:
    pruned = of_folder(folder).pruned(FFN_PRUNED)
    forecast = make(
        {"id": "p", "kind": "prune", "round_to": ROUND_TO}, {"id": "a", "kind": "sft", **TRAIN}
    )
    assert held(forecast.of("a"), "load")["student"] == 4 * pruned.parameters


def test_that_a_quantized_network_is_held_dequantized(make: Make, folder: Path) -> None:
    forecast = make({"id": "q", "kind": "quantize"}, {"id": "a", "kind": "sft", **TRAIN})
    size = 4 * of_folder(folder).parameters
    loading = held(forecast.of("a"), "load")
    assert loading["student_nf4"] == loading["second_copy"] == size


def test_that_several_teachers_sum_up_and_a_moving_one_costs_what_is_trained(
    make: Make, folder: Path
) -> None:
    network = of_folder(folder)
    forecast = make(
        {"id": "other", "kind": "prune", "round_to": ROUND_TO},
        {"id": "back", "kind": "sdft", **TRAIN},
    )
    step = next(it for it in plan(forecast.recipe) if it.id == "back")
    assert step.spec is not None
    several = step.spec.model_copy(update={"teacher": ["base", "ema", "live", "base", "other"]})
    around = Surroundings(
        forecast.recipe, forecast._networks(), 4, LIBRARIES, lambda names: None, None
    )
    items = held(needs(around, Step("back", "sdft", several, "other", "recovered")), "loss")
    assert items["teachers"] == 4 * network.parameters  # "other" is the student's own parent
    assert items["ema"] == FLOAT32 * network.pruned(FFN_PRUNED).lora(4)


def test_that_a_bootstrap_reads_the_demonstration_on_both_sides_and_keeps_its_teacher(
    make: Make, folder: Path
) -> None:
    network = of_folder(folder)
    small = {"id": "small", "kind": "prune", "round_to": ROUND_TO}
    taught = {"kind": "bootstrap", "from": "small", "teacher": "base", **TRAIN}
    forecast = make(
        small,
        {"id": "boot", **taught},
        {"id": "answered", **taught, "completions": "teacher"},
        {"id": "back", "kind": "sdft", "from": "small", **TRAIN},
    )
    boot, answered, back = (forecast.of(it) for it in ("boot", "answered", "back"))
    assert held(boot, "loss")["teachers"] == 4 * network.parameters
    assert boot.tokens > 0
    assert [it.name for it in boot.phases].count("rewrite") == 0
    assert [it.name for it in answered.phases].count("rewrite") == 1
    assert answered.tokens > back.tokens  # its prompt holds the demonstration, with the same limit
    assert all(it.name != "rollout" for it in boot.phases)


def test_that_kept_weights_iterations_and_generations_are_reckoned_with(make: Make) -> None:
    stage = {"kind": "sdft", **TRAIN}
    forecast = make(
        {"id": "plain", "from": "base", **stage},
        {"id": "kept", "from": "base", **stage, "eval_steps": 2},
        {"id": "four", "from": "base", **stage, "num_generations": 4},
        {"id": "twice", "from": "base", **stage, "num_iterations": 2},
    )
    forecast.timed = True  # the work is counted where time is asked for
    plain, kept, four, twice = (forecast.of(it) for it in ("plain", "kept", "four", "twice"))
    assert held(kept, "loss")["best"] == held(kept, "loss")["adapter"]
    assert "best" not in held(plain, "loss")
    assert four.flops > 2 * plain.flops
    assert twice.steps == plain.steps == 4
    assert twice.flops < plain.flops  # the same steps from half of the rollouts


def test_that_lengths_come_from_the_data_and_else_from_the_limits(make: Make) -> None:
    stage = {"id": "a", "kind": "sdft", **TRAIN, "max_completion_length": 32}
    known = make(stage)
    found = known.of("a")
    assert found.lengths == "data"
    assert 32 < found.tokens < 150
    unknown = make(stage)
    unknown.dataset = lambda name: None
    told = unknown.of("a")
    assert told.lengths == "limits"
    assert told.tokens == 2048  # what the network was made for
    assert (told.memory or 0) > (found.memory or 0)


def test_that_data_that_cannot_be_read_stop_no_estimate(make: Make) -> None:
    forecast = make({"id": "a", "kind": "sft", **TRAIN})

    def gone(name: str) -> None:
        raise UserError("There is no file.")

    forecast.dataset = gone
    assert forecast.of("a").lengths == "limits"


def test_that_recomputing_smaller_batches_and_adapters_lower_the_peak(make: Make) -> None:
    plain = {"id": "a", "kind": "sdft", "method": "full", **TRAIN}
    told = make(plain).of("a")
    for change in (
        {"gradient_checkpointing": True},
        {"per_device_train_batch_size": 1},
        {"method": "lora"},
        {"max_completion_length": 64},
    ):
        assert (make({**plain, **change}).of("a").memory or 0) < (told.memory or 0)
        assert next(iter(change)).replace("method", "lora") in told.knobs


def test_that_cka_in_the_loss_costs_its_rows_and_two_forward_passes(
    make: Make, folder: Path
) -> None:
    network = of_folder(folder)
    found = []
    for arm in ("off", "attract"):
        forecast = make(
            {"id": "a", "kind": "sdft", "num_generations": 2, **TRAIN, "max_completion_length": 16}
            | {"cka_loss": arm}
        )
        forecast.timed = True
        found.append(forecast.of("a"))
    off, on = (held(it, "loss")["working"] for it in found)
    rows = 4 * 16 * 2 * 2  # prompts, tokens, micro-batches, completions of each
    assert on - off == 3 * network.layers * rows * network.hidden * FLOAT32
    assert (found[1].seconds or 0) > (found[0].seconds or 0) > 0


def test_that_a_model_that_is_not_here_is_unknown_not_guessed(make: Make) -> None:
    forecast = make({"id": "a", "kind": "sft", **TRAIN}, base={"hub": "nobody/no-such-model"})
    found = forecast.all()
    (stage,) = found.stages
    assert stage.memory is None
    assert "is not known" in stage.unknown
    assert found.memory is None


def test_that_every_step_of_the_plan_but_the_base_is_reckoned_and_survives_json(
    make: Make,
) -> None:
    forecast = make(
        {"id": "q", "kind": "quantize"},
        {"id": "a", "kind": "sdft", **TRAIN},
        tasks={"t": {"scorer": "science_exact_v1", "dataset": "weather"}},
        measure={
            "tasks": ["t"],
            "every_steps": 2,
            "cka": {"probe": "weather", "every_steps": 2, "samples": 8},
        },
    )
    forecast.timed = True
    found = forecast.all()
    assert [it.stage for it in found.stages] == [it.id for it in plan(forecast.recipe)[1:]]
    assert all(it.memory and it.seconds for it in found.stages)
    assert found.seconds == pytest.approx(sum(it.seconds or 0 for it in found.stages))
    assert [it.name for it in next(it for it in found.stages if it.stage == "a").phases] == [
        "load",
        "rollout",
        "loss",
        "backward",
        "step",
        "score",
        "score",
    ]
    record = json.loads(json.dumps(to_record(found)))
    assert from_record(record) == found
    for stage in record["stages"]:
        for phase in stage["phases"]:
            assert phase["bytes"] == sum(item["bytes"] for item in phase["items"])


def test_that_a_stage_fits_where_the_device_has_the_memory(make: Make) -> None:
    found = make({"id": "a", "kind": "sft", **TRAIN}).all()
    (stage,) = found.stages
    assert stage.memory is not None

    def on(device: str, memory: int) -> bool | None:
        return type(found)(
            SimpleNamespace(device=device, memory=memory),  # type: ignore[arg-type]
            found.stages,
        ).fits(stage)

    assert on("cpu", stage.memory) is True
    assert on("cpu", stage.memory - 1) is False
    assert on("cuda:0", stage.memory) is False  # the driver takes some
    assert on("cpu", 0) is None


MEASURED = """
import json, sys
from pathlib import Path
from core.engine.foresight import foresee
from core.engine.peak import PeakMemory
from core.recipe.spec import Recipe
from core.stages import sft
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, tiny_base
from tests.helpers.training import weather

place = Path(sys.argv[1])
stand = Stand(place, checkpoints={"base": tiny_base(place)}, datasets={"weather": weather(64)})
recipe = Recipe.model_validate(
    {"name": "n", "base": {"folder": str(place / "tiny")}, "datasets": {"weather": {"file": "w"}},
     "stages": [{"id": "a", "kind": "sft", "dataset": "weather", "max_steps": 3, "method": "full",
                 "per_device_train_batch_size": 64, "gradient_accumulation_steps": 1}]})
told = foresee(recipe, CPU32, lambda name: stand.datasets[name])("a")
meter = PeakMemory(CPU32.device)
meter.begin()
sft.run(recipe.stages[0], stand.checkpoints["base"], stand.context("a"))
print(json.dumps({"told": told.memory, "found": meter.end()}))
"""


def test_that_the_peak_of_a_real_training_is_near_the_estimate(tmp_path: Path) -> None:
    """Loosely: the kernel counts what the allocator keeps and what libraries load on the way."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURED, str(tmp_path)],
        env=spawn.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["told"] == pytest.approx(seen["found"], rel=0.35)


def test_that_a_device_that_cannot_be_measured_leaves_the_memory(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("core.engine.forecast.calibrate", refuse)
    forecast = make({"id": "a", "kind": "sft", **TRAIN})
    forecast.timed = True
    found = forecast.of("a")
    assert found.memory
    assert found.seconds is None
