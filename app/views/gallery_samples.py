"""What the gallery shows in its widgets: made-up cards, fields, rows and curves, one for every state."""

from __future__ import annotations

import numpy as np

from app.viewmodels.recipe_types import Choice, FieldView
from app.viewmodels.types import Completion, Heatmap, StageCard
from app.viewmodels.words import NONE
from app.widgets.forest import GraphNode
from app.widgets.tables import Cell, Column

STEPS = 120
LAYERS = 12
DECAY = 30.0
WAVE = 0.03
ROLES = ("base", "degraded", "recovered", "expert")
STATUSES = ("queued", "running", "done", "stopped", "failed", "interrupted")

STAGES = (
    StageCard(
        "base", "base", "base", "done", "base", "smollm2-135m", ("Tooluse 29.9",), fraction=1.0
    ),
    StageCard(
        "nf4",
        "quantize",
        "degraded",
        "running",
        "nf4",
        "block 12 / 30",
        fraction=0.4,
        source="base",
    ),
    StageCard("warm", "sft", "", "running", "warming up", "loading", source="nf4"),
    StageCard("waits", "sdft", "recovered", "waiting", "recovered", "step 0 / 200", source="warm"),
    StageCard(
        "broke",
        "sdft",
        "recovered",
        "failed",
        "again",
        "out of memory",
        fraction=0.7,
        source="nf4",
        problems=1,
    ),
)

FIELDS = (
    FieldView("text", "Text", "text", "a value", help="A line of text.", section="Fields"),
    FieldView("default", "Left as it is", "float", 0.1, 0.1, True, unit="nats", section="Fields"),
    FieldView(
        "wrong",
        "Wrong",
        "int",
        -3,
        problem="Steps are at least 1.",
        problem_hint="Leave it empty for whole epochs.",
        section="Fields",
    ),
    FieldView(
        "idle",
        "Without effect",
        "int",
        1,
        1,
        True,
        idle="Another setting decides.",
        section="Fields",
    ),
    FieldView(
        "choice",
        "Choice",
        "choice",
        "mean",
        choices=(Choice("mean", "mean"), Choice("sum", "sum of the tokens")),
        section="Fields",
    ),
    FieldView("switch", "Switch", "bool", True, section="Fields"),
    FieldView("path", "Path", "path", "data/tooluse.jsonl", section="Fields"),
    FieldView(
        "many",
        "Several",
        "stage",
        ("base",),
        multiple=True,
        choices=(Choice("base", "base"), Choice("nf4", "nf4")),
        section="Fields",
    ),
    FieldView("prose", "Prose", "prose", "Several lines\nof text.", section="Fields"),
)

COLUMNS = (
    Column("task", numeric=False, stretch=True),
    Column("base", token="base_text"),
    Column("degraded", token="degraded_text"),
    Column("recovered", token="recovered_text"),
)
ROWS = (
    (
        Cell("Tooluse", dot="base"),
        Cell("29.9"),
        Cell("24.7"),
        Cell("48.5", bold=True, tip="47 of 97"),
    ),
    (
        Cell("Science", dot="degraded"),
        Cell("32.0"),
        Cell("27.5"),
        Cell(NONE, "third", tip="no score"),
    ),
)

FAMILY = (
    GraphNode("base", "", "base", "smollm2-135m", "257 MiB", "base"),
    GraphNode("nf4", "base", "nf4", "quantize", "90 MiB", "degraded"),
    GraphNode("back", "nf4", "recovered", "sdft", "48.5 %", "recovered", badge="best"),
    GraphNode("gone", "nf4", "again", "sdft", "", "recovered", faded=True),
)

COMPLETION = Completion(
    stage="recovered",
    step=125,
    item="tooluse-0125",
    prompt="Question: which element has the symbol Fe?",
    demonstration="Thought: I know this one.\nAnswer: iron",
    tokens=("Thought", ": ", "Fe is ", "iron", ".\n", "Answer", ": ", "gold"),
    divergence=(None, 0.01, 0.3, 0.02, 0.0, 0.01, 0.05, 2.6),
    kl=0.37,
    agreement=86.0,
    ended=False,
)


def curve() -> tuple[np.ndarray, np.ndarray]:
    """A loss that falls, and its steps."""
    steps = np.arange(1.0, STEPS + 1)
    return steps, np.exp(-steps / DECAY) + WAVE * np.sin(steps)


def similarity() -> Heatmap:
    """A map that is brightest on its diagonal."""
    names = tuple(str(layer) for layer in range(LAYERS))
    apart = np.abs(np.subtract.outer(np.arange(LAYERS), np.arange(LAYERS)))
    values = 1 - apart / LAYERS
    return Heatmap(names, names, values, float(values.min()), float(values.max()), "")
