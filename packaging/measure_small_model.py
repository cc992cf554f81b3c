"""Run the small model's recipes over seeds, write the README's tables, and make the sample project.

    python packaging/measure_small_model.py --work FOLDER [--only quickstart]   # runs; may be stopped and repeated
    python packaging/measure_small_model.py --work FOLDER --write               # tables and sample project

Nothing is picked: every seed that was run is in the tables, and the recipes' settings were chosen on the tune
split, which no table reads.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from core.recipe.files import load
from core.store.home import Home
from core.store.sqlite import Database
from core.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "resources" / "recipes"
SAMPLE = ROOT / "resources" / "sample" / "rekindle.sqlite3.xz"
README = ROOT / "README.md"
CARD = ROOT / "resources" / "models" / "rekindle-1m" / "README.md"
SEEDS = {
    "quickstart": range(10),
    "sft_or_sdft": range(3),
    "forgetting": range(3),
    "two_stage": range(3),
    "nf4": range(3),
    "cka_loss": range(3),
}
READ = ("quickstart", "sft_or_sdft", "forgetting", "nf4")
"""Recipes whose checkpoints are compared in every reading of CKA."""
SHOWN_SEEDS = range(3)
"""Seeds whose runs are in the sample project."""
READINGS = (
    ("last prompt token", {"mode": "per_sample", "token": "last_prompt"}),
    ("last token", {"mode": "per_sample", "token": "last"}),
    ("within sequence", {"mode": "per_sequence"}),
)
VARIANTS = ("biased", "debiased")
MOST_BYTES = 5_000_000
LEAST_MOVE = 0.002

Result = Mapping[str, Any]


def run(name: str, seed: int, work: Path) -> None:
    """Run one recipe with one seed, unless its result is there already."""
    result = work / f"{name}-{seed}.json"
    if result.exists():
        return
    title = load(RECIPES / f"{name}.yaml").name
    _run(
        RECIPES / f"{name}.yaml",
        work,
        result,
        [f"seed={seed}", f"name={json.dumps(f'{title}, seed {seed}')}"],
    )


def run_readings(name: str, seed: int, work: Path) -> None:
    """CKA of every checkpoint of a recipe's run, which is found again, in every reading."""
    result = work / f"readings_{name}-{seed}.json"
    if result.exists():
        return
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    reference = recipe["measure"]["cka"]["reference"]
    recipe["name"], recipe["seed"], recipe["measure"] = f"readings of {name}, {seed}", seed, {}
    makers = [stage["id"] for stage in recipe["stages"] if stage["id"] != reference]
    for maker in makers:
        for place, (_, reading) in enumerate(READINGS):
            for variant in VARIANTS:
                recipe["stages"].append(
                    {"id": f"{maker}_{place}_{variant}", "kind": "cka", "from": maker}
                    | {"reference": reference, "probe": "probe", "layout": "diagonal"}
                    | {"variant": variant, **reading}
                )
    path = work / f"readings_{name}-{seed}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    _run(path, work, result, [])


def _run(recipe: Path, work: Path, result: Path, settings: Sequence[str]) -> None:
    command = [sys.executable, "-m", "app", "run", str(recipe), "--json"]
    for setting in settings:
        command += ["--set", setting]
    environment = {**os.environ, "REKINDLE_HOME": str(work / "home")}
    print(f"{result.stem} …", flush=True)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kept = lines[-1] | {"cka_measured": [it for it in lines if it["type"] == "cka_measured"]}
    result.write_text(json.dumps(kept), encoding="utf-8")
    print(f"{result.stem}: {kept['status']} in {kept['seconds']:.0f} s", flush=True)


def results(name: str, work: Path) -> list[Result]:
    """All results of a recipe, by seed."""
    found = [work / f"{name}-{seed}.json" for seed in SEEDS.get(name, SHOWN_SEEDS)]
    return [json.loads(path.read_text(encoding="utf-8")) for path in found if path.exists()]


def accuracy_table(found: Sequence[Result]) -> Iterator[str]:
    """Stages by tasks: mean over the seeds, lenient reading in brackets where it differs."""
    stages = list(found[0]["metrics"])
    tasks = list(found[0]["metrics"][stages[0]])
    yield "| | " + " | ".join(task.replace("_", ", ") for task in tasks) + " |"
    yield "|---|" + "---|" * len(tasks)
    for stage in stages:
        cells = [_cell([it["metrics"][stage][task] for it in found]) for task in tasks]
        yield f"| {stage} | " + " | ".join(cells) + " |"


def _cell(scores: Sequence[Mapping[str, Any]]) -> str:
    strict = [100 * it["accuracy"] for it in scores]
    text = _with_spread(strict)
    if "lenient_accuracy" in scores[0]["values"]:
        lenient = fmean(100 * it["values"]["lenient_accuracy"] for it in scores)
        if abs(lenient - fmean(strict)) >= 1:
            text += f" [{lenient:.0f}]"
    return text


def _with_spread(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    spread = f" ({low:.0f} to {high:.0f})" if high - low >= 1 else ""
    return f"{fmean(values):.0f}{spread}"


def quickstart(found: Sequence[Result]) -> Iterator[str]:
    """The quickstart's table and its recovered fractions."""
    yield from accuracy_table(found)
    yield ""
    for key, name in (("recovered_fraction", "SDFT"), ("recovered_fraction_sft", "SFT")):
        values = [it[key] for it in found]
        yield (
            f"Recovered fraction, {name}: {fmean(values):.2f} on average over {len(values)} seeds, "
            f"{min(values):.2f} to {max(values):.2f}."
        )
    seconds = [it["seconds"] for it in found]
    yield f"A run took {min(seconds):.0f} to {max(seconds):.0f} s on two cores that had other work, too."


def forgetting(found: Sequence[Result]) -> Iterator[str]:
    """Accuracies, and the recovered fraction of each recovery."""
    yield from accuracy_table(found)
    yield ""
    for stage in found[0]["recovered_fractions"]:
        values = [it["mean_recovered_fractions"][stage] for it in found]
        yield (
            f"Recovered fraction, {stage}: {fmean(values):.2f} on average over {len(values)} seeds, "
            f"{min(values):.2f} to {max(values):.2f}."
        )


def cka_loss(found: Sequence[Result]) -> Iterator[str]:
    """Accuracies, fractions, and the geometry that was moved on purpose."""
    yield from forgetting(found)
    stages = list(found[0]["cka"])
    yield ""
    yield "| | " + " | ".join(stages) + " |"
    yield "|---|" + "---|" * len(stages)
    means = [fmean(it["cka"][stage] for it in found) for stage in stages]
    yield "| CKA to the base | " + " | ".join(f"{it:.3f}" for it in means) + " |"


def readings(found: Sequence[Result]) -> Iterator[str]:
    """Mean CKA to the reference by reading, and how it moved from the first checkpoint to each later one."""
    subjects = _subjects(found)
    yield f"| CKA to {_reference(found)} | " + " | ".join(subjects) + " |"
    yield "|---|" + "---|" * len(subjects)
    for name, variant, key in _keys():
        means = [fmean(_defined(_by_layer(found, f"{it}_{key}"))) for it in subjects]
        cells = [f"{means[0]:.3f}"]
        cells += [f"{it:.3f} ({_moved(it - means[0])})" for it in means[1:]]
        yield f"| {name}, {variant} | " + " | ".join(cells) + " |"


def readings_beside(found: Sequence[Result]) -> Iterator[str]:
    """Mean CKA to the reference by reading, of checkpoints that do not follow each other."""
    subjects = _subjects(found)
    yield f"| CKA to {_reference(found)} | " + " | ".join(subjects) + " |"
    yield "|---|" + "---|" * len(subjects)
    for name, variant, key in _keys():
        means = [fmean(_defined(_by_layer(found, f"{it}_{key}"))) for it in subjects]
        yield f"| {name}, {variant} | " + " | ".join(f"{it:.3f}" for it in means) + " |"


def layers(found: Sequence[Result]) -> Iterator[str]:
    """CKA to the reference, layer by layer, in every reading: mean over the seeds."""
    names = found[0]["cka_measured"][0]["rows"]
    yield f"| to {_reference(found)} | | " + " | ".join(it.replace("_", " ") for it in names) + " |"
    yield "|---|---|" + "---|" * len(names)
    for name, variant, key in _keys():
        for subject in _subjects(found):
            values = _by_layer(found, f"{subject}_{key}")
            cells = ["-" if math.isnan(it) else f"{it:.3f}" for it in values]
            yield f"| {name}, {variant} | {subject} | " + " | ".join(cells) + " |"


def _keys() -> Iterator[tuple[str, str, str]]:
    """Name, variant, and how the ids of its stages end, of every reading."""
    for place, (name, _) in enumerate(READINGS):
        for variant in VARIANTS:
            yield name, variant, f"{place}_{variant}"


def _subjects(found: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(it["subject"] for it in found[0]["cka_measured"]))


def _reference(found: Sequence[Result]) -> str:
    return f"the {found[0]['cka_measured'][0]['reference']}"


def _by_layer(found: Sequence[Result], stage: str) -> list[float]:
    """Mean over the results of one measurement's values; NaN where a layer has none."""
    rows = [
        [math.nan if it is None else it for it in measured["values"]]
        for result in found
        for measured in result["cka_measured"]
        if measured["stage"] == stage
    ]
    return [fmean(column) for column in zip(*rows, strict=True)]


def _defined(values: Sequence[float]) -> list[float]:
    return [it for it in values if not math.isnan(it)]


def _moved(change: float) -> str:
    if abs(change) < LEAST_MOVE:
        return "level"
    return "rises" if change > 0 else "falls"


def nf4(found: Sequence[Result]) -> Iterator[str]:
    """Accuracies, and the geometry that moves."""
    yield from accuracy_table(found)
    means = {stage: fmean(it["cka"][stage] for it in found) for stage in ("nf4", "recovered")}
    yield ""
    yield (
        f"Mean CKA to the base over the layers (last prompt token, debiased): {means['nf4']:.3f} after NF4, "
        f"{means['recovered']:.3f} after SDFT."
    )


TABLES = {
    "quickstart": quickstart,
    "sft_or_sdft": accuracy_table,
    "forgetting": forgetting,
    "two_stage": accuracy_table,
    "nf4": nf4,
    "cka_loss": cka_loss,
    **{f"readings_{name}": readings for name in READ},
    "readings_sft_or_sdft": readings_beside,  # four ways from one base, no way back
}
LAYERS = {f"readings_{name}": layers for name in READ}


def write_tables(
    file: Path, tables: Mapping[str, Callable[[Sequence[Result]], Iterator[str]]], work: Path
) -> None:
    """Replace the text between the marks of each table."""
    text = file.read_text(encoding="utf-8")
    for name, table in tables.items():
        found = results(name, work)
        if found:
            begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
            pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
            body = "\n".join(table(found))
            text = re.sub(pattern, lambda _, b=f"{begin}\n{body}\n{end}": b, text, flags=re.DOTALL)
    file.write_text(text, encoding="utf-8")


def write_sample(work: Path) -> None:
    """The runs of the shown seeds as one compressed database file, without weights."""
    copy = work / "sample.sqlite3"
    copy.unlink(missing_ok=True)
    Database(Home(work / "home").database).execute("VACUUM INTO ?", [str(copy)])
    shown = {it["run"] for name in SEEDS for it in results(name, work)[: len(SHOWN_SEEDS)]}
    with Store.open(copy) as store:
        for row in store.runs():
            if row.uid in shown:
                store.set_tags(row.uid, ["sample"])
            else:
                store.delete_run(row.uid)
    small = work / "sample_small.sqlite3"
    small.unlink(missing_ok=True)
    Database(copy).execute("VACUUM INTO ?", [str(small)])
    SAMPLE.parent.mkdir(parents=True, exist_ok=True)
    SAMPLE.write_bytes(lzma.compress(small.read_bytes(), preset=9))
    size = SAMPLE.stat().st_size
    print(f"{SAMPLE.name}: {len(shown)} runs, {small.stat().st_size:,} bytes, packed {size:,}")
    if size > MOST_BYTES:
        raise SystemExit(f"The sample project is larger than {MOST_BYTES:,} bytes.")


def main() -> int:
    """Run, or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "measured")
    parser.add_argument("--only", choices=[*SEEDS, "readings"])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    work = given.work.absolute()
    if given.write:
        write_tables(README, TABLES, work)
        write_tables(CARD, LAYERS, work)
        write_sample(work)
        return 0
    work.mkdir(parents=True, exist_ok=True)
    for name, seeds in SEEDS.items():
        for seed in seeds if given.only in (None, name) else ():
            run(name, seed, work)
    for name in READ if given.only in (None, "readings") else ():
        for seed in SHOWN_SEEDS:
            run_readings(name, seed, work)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
