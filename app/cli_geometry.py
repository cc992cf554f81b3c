"""The command `geometry`: does the distance of a checkpoint's activations foretell the accuracy it lost?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli_display import write_json
from app.viewmodels import words
from app.viewmodels.distances import Cloud, Row, Settings, clouds
from app.viewmodels.pairings import read
from app.viewmodels.provenance import FINGERPRINT_CHARACTERS, run_part
from core.analysis.geometry import (
    FEWEST_DISTANCES,
    FEWEST_POINTS,
    Curve,
    GeometryFit,
    TooFew,
)
from core.store.store import Store

_COLUMNS = ("run", "checkpoint", "to", "1 - CKA", "lost, points", "correct/n", "dataset", "seed")
_FORMULAS = {
    "linear": "{intercept} {slope} x",
    "saturating": "{a} (1 - exp(-{b} x))",
    "logistic": "{a} / (1 + exp(-(x - {m}) / {s}))",
}
NONE_LEFT = (
    "No checkpoint has both a score and a debiased CKA against a reference that was scored, too.",
    "Ask for tasks and CKA in a recipe's measure section, with variant debiased.",
)


def report(store: Store, names: Sequence[str], task: str, console: Console | None) -> bool:
    """Fit the named runs, or all; says whether any curve was drawn.

    Args:
        store: where the runs are.
        names: of runs; none for all of them.
        task: only this one; "" for all.
        console: None writes JSON lines.
    """
    rows = [store.find(name) for name in names] if names else store.runs()
    found, biased = clouds(read(store, row) for row in rows)
    wanted = {it: cloud for it, cloud in found.items() if not task or it.task == task}
    drawn = False
    for settings, cloud in wanted.items():
        result = cloud.fitted()
        drawn |= isinstance(result, GeometryFit)
        if console is None:
            _write(settings, cloud, result)
        else:
            _show(console, settings, cloud, result)
    if console is not None:
        if not wanted:
            console.print(Text(" ".join(NONE_LEFT)))
        if biased:
            console.print(
                Text(
                    f"{biased} readings of CKA were left out: biased, and so not near 0 by chance.",
                    "dim",
                )
            )
    return drawn


def _show(console: Console, settings: Settings, cloud: Cloud, result: GeometryFit | TooFew) -> None:
    protocol = settings.protocol[:FINGERPRINT_CHARACTERS]
    title = (
        f"{words.plain(settings.task)} · {settings.base} · protocol {protocol} · {settings.reading}"
    )
    console.print(Text(title, "bold"))
    table = Table(pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _COLUMNS[:3] else "right")
    for row in sorted(cloud.rows, key=lambda it: it.point.distance):
        table.add_row(*map(Text, _cells(row)))
    console.print(table)
    for sentence in [*_sentences(result), *_left_out(cloud, result)]:
        console.print(Text(sentence))


def _cells(row: Row) -> list[str]:
    return [
        run_part(row.name, row.run),
        row.subject,
        row.reference,
        f"{row.point.distance:.4f}",
        words.signed(100 * row.point.drop),
        f"{row.score.correct}/{row.score.n}",
        row.score.dataset[:FINGERPRINT_CHARACTERS],
        str(row.score.seed),
    ]


def _sentences(result: GeometryFit | TooFew) -> list[str]:
    if isinstance(result, TooFew):
        return [
            f"No curve: {result.usable} usable checkpoints at {result.distances} distances; at least "
            f"{FEWEST_POINTS} at {FEWEST_DISTANCES} are needed."
        ]
    errors = ", ".join(f"{it.name} {100 * it.error:.2f}" for it in result.curves)
    sentences = [
        f"Error for a left-out checkpoint, in points: {errors}; no relation {100 * result.no_relation:.2f}."
    ]
    if result.foretells:
        sentences.append(
            f"Chosen: {result.chosen.name}, lost share = {_formula(result.chosen)}; {_band(result)}"
        )
    else:
        sentences.append(
            "No curve foretells a left-out checkpoint better than the mean of the others: the "
            "distance says nothing here."
        )
    return [*sentences, _correlation(result)]


def _formula(curve: Curve) -> str:
    values = {
        name: f"{value:+.4g}" if name == "slope" else f"{value:.4g}"
        for name, value in curve.parameters.items()
    }
    return _FORMULAS[curve.name].format(**values)


def _band(result: GeometryFit) -> str:
    ends = " and ".join(
        f"{100 * result.low[place]:.1f} to {100 * result.high[place]:.1f} points at {result.x[place]:.4f}"
        for place in (len(result.x) // 2, -1)
    )
    drawn = (
        "drawn by whole runs"
        if result.clusters
        else f"drawn by single checkpoints, as there are too few runs ({result.runs}), and so too narrow"
    )
    return f"95 % band of a further checkpoint: {ends}, {drawn}."


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _correlation(result: GeometryFit) -> str:
    found = result.correlation
    if found is None:
        return "Spearman's rho is undefined: all checkpoints lost the same."
    how = (
        "all permutations"
        if found.exact
        else f"random permutations, \N{PLUS-MINUS SIGN}{found.error:.1g}"
    )
    return (
        f"Spearman's rho {found.rho:.3f}, p {found.p:.2g} ({how}); it takes the {result.n} checkpoints "
        f"as independent, which those of one run are not, and they come from {_runs(result.runs)}."
    )


def _left_out(cloud: Cloud, result: GeometryFit | TooFew) -> list[str]:
    counts = (
        (result.left_out, "CKA undefined"),
        (cloud.again, "the very same checkpoint in another run"),
        (cloud.other_protocol, "reference scored by another protocol"),
    )
    parts = [f"{count} ({why})" for count, why in counts if count]
    return [f"Left out: {', '.join(parts)}."] if parts else []


def _write(settings: Settings, cloud: Cloud, result: GeometryFit | TooFew) -> None:
    record: dict[str, Any] = {
        "type": "geometry",
        "task": settings.task,
        "base": settings.base,
        "protocol": settings.protocol,
        "cka": settings.reading,
        "points": [
            {
                "run": row.run,
                "name": row.name,
                "stage": row.subject,
                "reference": row.reference,
                "checkpoint": row.score.checkpoint,
                "distance": row.point.distance,
                "drop": row.point.drop,
                "correct": row.score.correct,
                "n": row.score.n,
                "dataset": row.score.dataset,
                "seed": row.score.seed,
            }
            for row in cloud.rows
        ],
        "undefined": result.left_out,
        "duplicates": cloud.again,
        "other_protocol": cloud.other_protocol,
        "refusal": " ".join(_sentences(result)) if isinstance(result, TooFew) else "",
    }
    if isinstance(result, GeometryFit):
        record |= {
            "chosen": result.chosen.name,
            "foretells": result.foretells,
            "curves": {
                it.name: {"error": it.error, "parameters": it.parameters} for it in result.curves
            },
            "no_relation_error": result.no_relation,
            "band": {
                "distance": result.x.tolist(),
                "drop": result.middle.tolist(),
                "low": result.low.tolist(),
                "high": result.high.tolist(),
                "clusters": result.clusters,
            },
            "runs": result.runs,
        }
        if result.correlation is not None:
            record["spearman"] = {
                "rho": result.correlation.rho,
                "p": result.correlation.p,
                "exact": result.correlation.exact,
                "error": result.correlation.error,
            }
    write_json(record)
