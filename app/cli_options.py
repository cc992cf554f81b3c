"""The arguments and options of the command line, with what its help says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, nothing else.")]
RecipeFile = Annotated[Path, typer.Argument(help="A recipe file (YAML).")]
Replacing = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Replace a field of the recipe."),
]
RunName = Annotated[str, typer.Argument(help="Id of the run, its beginning, or its name.")]
Detach = Annotated[
    bool, typer.Option("--detach", help="Start a worker in the background and return at once.")
]
Margin = Annotated[
    float,
    typer.Option(
        "--margin",
        min=0.01,
        max=99,
        metavar="POINTS",
        help="A change within this counts as preserved.",
    ),
]
Several = Annotated[
    int,
    typer.Option(
        "--processes", min=1, metavar="N", help="Share each training step between N processes."
    ),
]
Compared = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN[:STAGE]...",
        help="One run: its own checkpoints. Several, or checkpoints: each against the first.",
    ),
]
Fitted = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Runs whose checkpoints are fitted; all by default."),
]
OnlyTask = Annotated[str, typer.Option("--task", help="Only this task.")]
Swept = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        metavar="PATH=VALUES",
        help="One run for each value: a,b,c or start..stop:count or start..stop:log:count.",
    ),
]
Paired = Annotated[
    bool, typer.Option("--zip", help="Pair the values of several sweeps instead of combining them.")
]
DataFile = Annotated[Path, typer.Argument(help="A file or folder of data.")]
ColumnMap = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=COLUMN,…",
        help="Which column is prompt, demonstration, answer, choices, system, subject.",
    ),
]
