"""Hand-made runs for tests and screenshots. Every number here is invented; the names say so."""

from __future__ import annotations

import math
import os
import random
import time

import psutil

from core.events import (
    CheckpointSaved,
    CkaMeasured,
    CompletionSampled,
    EvaluatedItem,
    Event,
    Failure,
    GuardWarning,
    Heartbeat,
    ItemsEvaluated,
    Metrics,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.recipe.plan import Step, plan
from core.recipe.spec import Recipe
from core.store.store import Store

STEPS = 200
LAYERS = ("embeddings", *(f"block_{layer}" for layer in range(30)), "final_norm")
ITEMS = {"tooluse": 97, "science": 200}
CORRECT = {
    "base": {"tooluse": 29, "science": 64},
    "nf4": {"tooluse": 24, "science": 55},
    "pruned": {"tooluse": 21, "science": 49},
    "recovered": {"tooluse": 47, "science": 71},
}
PROMPT = (
    "Your task is to answer the user's question using available tools.\n"
    "Name: Axolotl\nDocumentation: pictures and facts about axolotls.\n"
    "Question: Hey, can you show me a random picture of an axolotl?"
)
DEMONSTRATION = (
    "Thought: I should call getRandomAxolotlImage.\nAction: getRandomAxolotlImage\nAction Input: {}"
)
PIECES = (
    "Thought", ":", " I", " should", " search", " for", " an", " image", " of", " an", " axolotl", ".",
    "\n", "Action", ":", " search", "Axolotl", "Images", "\n", "Action", " Input", ":", " {", '"page"',
    ":", " 1", "}",
)  # fmt: skip
DIVERGENCE = (
    None, None, None, 0.04, 0.61, 0.33, 0.02, 0.05, 0.01, 0.03, 0.08, 0.02,
    0.01, 0.0, 0.0, 1.9, 0.4, 2.6, 0.02, 0.0, 0.0, 0.0, 0.2, 1.1, 0.1, 0.7, 0.05,
)  # fmt: skip


def recipe(name: str = "fixture · NF4, then SDFT on tooluse", *, degrade: str = "nf4") -> Recipe:
    """Base, one degradation, one recovery, all measured."""
    damage = (
        {"id": "nf4", "kind": "quantize"} if degrade == "nf4" else {"id": "pruned", "kind": "prune"}
    )
    return Recipe.model_validate(
        {
            "name": name,
            "base": {"name": "smollm2-135m-instruct"},
            "datasets": {
                "tooluse": {"file": "data/tooluse.jsonl"},
                "tooluse_eval": {"file": "data/tooluse_eval.json"},
                "science_eval": {"file": "data/science_eval"},
                "probe": {"file": "data/science.jsonl"},
            },
            "tasks": {
                "tooluse": {"scorer": "tooluse_official_v1", "dataset": "tooluse_eval"},
                "science": {"scorer": "science_exact_v1", "dataset": "science_eval"},
            },
            "stages": [
                damage,
                {"id": "recovered", "kind": "sdft", "dataset": "tooluse", "max_steps": STEPS},
            ],
            "measure": {
                "tasks": ["tooluse", "science"],
                "every_steps": 20,
                "cka": {"probe": "probe", "every_steps": 5},
            },
        }
    )


def events(of: Recipe, *, until: int = STEPS, seed: int = 7) -> list[Event]:
    """The log of a run that has reached training step `until`; with all steps, of a finished run."""
    steps = plan(of)
    made: list[Event] = [
        RunStarted(
            session=1,
            stages=tuple(step.planned for step in steps),
            environment={"fixture": "hand-made events"},
        )
    ]
    for step in steps:
        training = step.kind == "sdft"
        made.append(
            StageStarted(
                stage=step.id,
                device="cpu",
                dtype="float32",
                why="no GPU",
                estimated_memory=2_400_000_000 if training else None,
                estimated_seconds=3900.0 if training else None,
            )
        )
        if step.kind == "sdft":
            made += _training(step, until, random.Random(seed))
            if until < STEPS:
                return made
        made += _closing(step)
    made.append(
        RunFinished(
            status="done",
            seconds=4211.0,
            recovered_fraction={"recovered": {"tooluse": 4.6, "science": 1.78}},
        )
    )
    return made


def _closing(step: Step) -> list[Event]:
    made: list[Event] = []
    source = step.source or "base"
    if step.kind == "evaluate":
        made += [_score(step.id, source, task, CORRECT[source][task]) for task in ITEMS]
    if step.kind == "cka":
        made.append(_cka(step.id, source, None, {"recovered": 1.0, "nf4": 0.4}.get(source, 0.1)))
    if step.makes_checkpoint:
        made.append(
            CheckpointSaved(
                stage=step.id,
                identity=f"{step.id:0<64}",
                parent=None,
                stage_kind=step.kind,
                path=f"checkpoints/{step.id}",
                bytes=270_000_000 if step.kind == "base" else 94_000_000,
            )
        )
    peak = 2_130_000_000 if step.kind == "sdft" else None
    made.append(StageFinished(stage=step.id, status="done", seconds=61.0, peak_memory=peak))
    return made


def _training(step: Step, until: int, rng: random.Random) -> list[Event]:
    made: list[Event] = []
    for at in range(1, until + 1):
        divergence = 0.95 * math.exp(-at / 38) + 0.22 + 0.09 * (rng.random() - 0.5)
        made.append(
            Metrics(
                stage=step.id,
                step=at,
                tokens=at * 900,
                values={
                    "loss": divergence,
                    "divergence": divergence,
                    "entropy": 0.71 - 0.0006 * at + 0.03 * rng.random(),
                    "completion_length": 58 + 6 * rng.random(),
                    "ended": 0.95 + 0.03 * rng.random(),
                    "grad_norm": 0.38 + 0.5 * math.exp(-at / 20),
                    "tokens_per_second": 41 + 3 * rng.random(),
                    "learning_rate": 1e-4 * math.cos(math.pi * at / 2 / STEPS),
                },
            )
        )
        if at % 20 == 0:
            share = 1 - math.exp(-at / 60)
            before, after = CORRECT["nf4"]["tooluse"], CORRECT["recovered"]["tooluse"]
            correct = round(before + (after - before) * share)
            made.append(_score(step.id, step.id, "tooluse", correct, at))
        if at % 5 == 0:
            made.append(_cka(step.id, step.id, at, 1 - math.exp(-at / 45)))
            made.append(_completion(step, at, divergence))
        if at == 60:
            made.append(
                GuardWarning(
                    stage=step.id, code="artefact_phrases", step=at, values={"share": 0.031}
                )
            )
    rate = 21.0
    made.append(
        Progress(
            stage=step.id,
            done=until,
            total=STEPS,
            unit="step",
            rate=1 / rate,
            eta=(STEPS - until) * rate,
        )
    )
    made.append(Heartbeat(rss=1_350_000_000))
    return made


def _completion(step: Step, at: int, divergence: float) -> CompletionSampled:
    scale = divergence / 0.41
    return CompletionSampled(
        stage=step.id,
        step=at,
        item=f"tooluse-{at:04d}",
        prompt=PROMPT,
        demonstration=DEMONSTRATION,
        tokens=PIECES,
        divergence=tuple(None if nats is None else nats * scale for nats in DIVERGENCE),
        kl=divergence,
        teacher_top1_agreement=0.86,
        ended=at % 50 != 0,
    )


def _score(stage: str, subject: str, task: str, correct: int, step: int | None = None) -> Event:
    return TaskEvaluated(
        stage=stage,
        subject=subject,
        checkpoint=None if step is not None else f"{subject:0<64}",
        task=task,
        step=step,
        n=ITEMS[task],
        correct=correct,
        protocol=f"{task:f<64}",
        scorer="tooluse_official_v1" if task == "tooluse" else "science_exact_v1",
        dataset=f"{task}_eval",
        seed=42,
    )


def two_stage() -> Recipe:
    """A small model bootstrapped from a larger one and then recovered by SDFT, by several teachers."""
    return Recipe.model_validate(
        {
            "name": "fixture · bootstrapped, then SDFT",
            "base": {"name": "rekindle-1m"},
            "models": {"large": {"name": "smollm2-135m-instruct"}},
            "datasets": {"tooluse": {"file": "data/tooluse.jsonl"}},
            "stages": [
                {"id": "pruned", "kind": "prune"},
                {"id": "taught", "kind": "bootstrap", "teacher": "large", "dataset": "tooluse"},
                {
                    "id": "recovered",
                    "kind": "sdft",
                    "teacher": ["taught", "ema"],
                    "dataset": "tooluse",
                    "max_steps": STEPS,
                    "eval_steps": 20,
                    "early_stopping_patience": 3,
                    "seed": 7,
                },
            ],
        }
    )


def checked(of: Recipe, *, taught: float = 1.0) -> list[Event]:
    """The log of a finished `two_stage` run whose teacher, shown the demonstration, reaches `taught`."""
    steps = plan(of)
    made: list[Event] = [
        RunStarted(session=1, stages=tuple(step.planned for step in steps), environment={})
    ]
    for step in steps:
        made.append(StageStarted(stage=step.id, device="cpu", dtype="float32"))
        if step.kind == "sdft":
            made += _check(step, taught)
            made += [it for it in _training(step, 100, random.Random(3)) if isinstance(it, Metrics)]
            for at, loss in ((20, 0.6), (40, 0.31), (60, 0.36), (80, 0.4), (100, 0.44)):
                made.append(Metrics(stage=step.id, step=at, values={"held_out_loss": loss}))
            made.append(
                GuardWarning(
                    stage=step.id,
                    code="stopped_early",
                    step=100,
                    values={"best_step": 40.0, "held_out_loss": 0.31, "measurements": 3.0},
                )
            )
        made += _closing(step)
    made.append(RunFinished(status="done", seconds=900.0))
    return made


def _check(step: Step, taught: float) -> list[Event]:
    values = {
        "demonstration_items": 32.0,
        "accuracy_without_demonstration": 0.45,
        "accuracy_with_demonstration": taught,
        "teacher_accuracy": taught,
        "kl_with_demonstration": 0.9,
        "kl_without_demonstration": 0.1,
    }
    made: list[Event] = [Metrics(stage=step.id, step=0, values=values)]
    if taught < 0.55:
        warned = {**values, "least_lift": 0.1}
        made.append(
            GuardWarning(stage=step.id, code="demonstration_no_help", step=0, values=warned)
        )
    return made


def items(stage: str, subject: str) -> ItemsEvaluated:
    """A batch of scored items, as the evaluation stage emits it."""
    return ItemsEvaluated(
        stage=stage,
        subject=subject,
        task="tooluse",
        items=(EvaluatedItem(item="tooluse-0001", correct=True, score=1.0),),
    )


def _cka(stage: str, subject: str, step: int | None, healed: float) -> CkaMeasured:
    size = len(LAYERS)
    values = []
    for row in range(size):
        for col in range(size):
            depth = max(row, col) / size
            loss = 0.09 * depth**1.6 * (1.2 - healed)
            near = math.exp(-(((row - col) / 9) ** 2))
            wave = 0.003 * math.sin(row * 1.7 + col * 0.9 + (step or 0))
            values.append(min(0.55 + (0.45 - loss) * near + wave, 1.0))
    return CkaMeasured(
        stage=stage,
        subject=subject,
        reference="base",
        probe="probe",
        step=step,
        mode="per_sample",
        token="last_prompt",
        preprocessing="center",
        variant="debiased",
        layout="map",
        rows=LAYERS,
        cols=LAYERS,
        values=tuple(values),
        null_floor=tuple(0.12 for _ in LAYERS),
        n=64,
    )


def add(store: Store, of: Recipe, log: list[Event], *, age: float = 0.0, live: bool = False) -> str:
    """Write a run with its log, begun `age` seconds ago; `live` ones belong to this process."""
    now = time.time()
    uid = store.queue_run(
        of.model_dump_json(by_alias=True),
        name=of.name,
        seed=of.seed,
        base=of.base.label,
        created=now - age,
    )
    if log:
        me = psutil.Process()
        store.claim(uid, os.getpid() if live else 999_999_999, me.create_time() if live else 1.0)
        store.record(uid, log, t=now - age + 60)
    return uid


def fill(store: Store) -> dict[str, str]:
    """A small history: finished, pruned, failed, stopped, waiting and running runs, by name."""
    hour = 3600.0
    first = recipe()
    done = add(store, first, events(first), age=50 * hour)
    pruned = recipe("fixture · pruned 10 %, then SDFT", degrade="pruned")
    second = add(store, pruned, events(pruned, seed=3), age=26 * hour)
    lost = recipe("fixture · long completions")
    failed = add(store, lost, events(lost, until=40, seed=5), age=20 * hour)
    store.record(
        failed,
        [
            RunFinished(
                status="failed",
                seconds=900.0,
                failure=Failure(
                    failure="out_of_memory",
                    message="The device ran out of memory in stage recovered (asked for 2.1 GiB).",
                    hint="Halve per_device_train_batch_size or max_completion_length, then resume.",
                ),
            )
        ],
    )
    halted = recipe("fixture · lower learning rate")
    stopped = add(store, halted, events(halted, until=75, seed=9), age=5 * hour)
    store.record(stopped, [RunFinished(status="stopped", seconds=1600.0)])
    store.set_star(done, 1)
    now = recipe("fixture · NF4, then SDFT, seed 43")
    running = add(store, now, events(now, until=128, seed=11), age=0.8 * hour, live=True)
    waiting = add(store, recipe("fixture · pruned, seed 43", degrade="pruned"), [], age=60.0)
    return {
        "done": done,
        "pruned": second,
        "failed": failed,
        "stopped": stopped,
        "running": running,
        "waiting": waiting,
    }
