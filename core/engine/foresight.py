"""The forecast where it is asked for: by a run for its own stages, and by a process of its own for recipes.

`python -m core.engine.foresight --home PATH` reads a recipe as JSON from each line of its input and answers each with a
line: an estimate (`core.engine.estimate.to_record`), or an error with its hint. It ends with its input. It
loads torch once for all recipes, so the window keeps one while a recipe is being written.

An estimate is a service, never a condition: what is expected to go wrong with it (a config that is not at
hand, a file that cannot be read) is logged, and the run goes on without.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from core.data.example import Dataset
from core.data.load import load
from core.engine.estimate import Estimate, StageEstimate, to_record
from core.engine.forecast import Forecast
from core.errors import UserError
from core.lm.device import Compute, choose
from core.recipe.spec import Recipe
from core.recipe.validate import check, parse
from core.store.home import Home

_LOG = logging.getLogger(__name__)


def foresee(
    recipe: Recipe, compute: Compute, dataset: Callable[[str], Dataset], cache: Path | None = None
) -> Callable[[str], StageEstimate | None]:
    """What says of a step of this run what it will need; see `core.engine.runner.Parts`."""
    forecast = Forecast(recipe, compute, dataset, cache)

    def of(stage: str) -> StageEstimate | None:
        try:
            found = forecast.of(stage)
        except UserError as error:
            _LOG.info("What %s needs is not known: %s", stage, error)
            return None
        if found.unknown:
            _LOG.info("What %s needs is not known: %s", stage, found.unknown)
        return found

    return of


def estimate(recipe: Recipe, root: Path, cache: Path | None = None) -> Estimate:
    """The estimate of a recipe that is not run, on the device that it asks for.

    Args:
        recipe: checked, its relative paths resolved.
        root: folder of relative data paths.
        cache: folder of converted models.

    Raises:
        UserError: the device is not there.
    """

    def dataset(name: str) -> Dataset | None:
        source = recipe.datasets[name]
        return None if source.hub else load(name, source, root)  # nothing is downloaded

    compute = choose(recipe.device, recipe.base.dtype)
    return Forecast(recipe, compute, dataset, cache).all()


def answer(line: str, cache: Path | None = None) -> Mapping[str, Any]:
    """The answer to one line of input."""
    try:
        recipe, problems = parse(json.loads(line))
    except ValueError:
        return {"error": "This is no recipe.", "hint": "Give one as JSON on one line."}
    if recipe is not None:
        problems = check(recipe)
    if recipe is None or problems:
        return {"error": str(problems[0]), "hint": ""}
    try:
        return to_record(estimate(recipe, Path.cwd(), cache))
    except UserError as error:
        return {"error": error.message, "hint": error.hint}


def serve(asked: IO[str], told: IO[str], cache: Path | None = None) -> None:
    """Answer every line until the input ends."""
    for line in asked:
        told.write(json.dumps(answer(line, cache), ensure_ascii=False) + "\n")
        told.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    parser = argparse.ArgumentParser(prog="rekindle-foresight", description="Estimate recipes.")
    parser.add_argument("--home", type=Path, required=True, help="folder with converted models")
    home = Home(parser.parse_args().home)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    serve(sys.stdin, answers, home.cache)
