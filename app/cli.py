"""The command line: everything here also works without a screen, and with `--json` for programs.

Exit status: 0 done, 1 failed, 2 the input cannot be used, 130 stopped. The engine comes in as a callable,
so that listing runs never waits for torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app import (
    cli_compare,
    cli_data,
    cli_doctor,
    cli_estimate,
    cli_geometry,
    cli_models,
    cli_runs,
    cli_sql,
    cli_sweep,
)
from app.cli_display import show, terminal, write_json
from app.cli_options import (
    Compared,
    Detach,
    Fitted,
    Json,
    Margin,
    OnlyTask,
    Paired,
    RecipeFile,
    Replacing,
    RunName,
    Several,
    Swept,
)
from app.cli_result import result_of
from app.cli_running import (
    BAD_INPUT,
    DONE,
    FAILED,
    Execute,
    begin_run,
    execute_here,
    opened,
    stop_run,
)
from app.cli_runs import row_fields
from app.viewmodels.presets import QUICKSTART
from app.viewmodels.queueing import queue_tagged
from core.analysis.paired_proportions import MARGIN
from core.engine import estimate_process
from core.errors import UserError
from core.recipe.files import load
from core.recipe.spec import Recipe
from core.recipe.validate import check_files
from core.store.home import Home

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


Gui = Callable[[bool], int]
"""Opens the window; the argument asks for workers inside the process. Returns the exit status."""


@dataclass
class _Options:
    json: bool = False


def build(execute: Execute, gui: Gui, has_display: Callable[[], bool]) -> typer.Typer:
    """The command line.

    Args:
        execute: runs a run in this process.
        gui: opens the window.
        has_display: whether a window can be opened here.
    """
    app = typer.Typer(
        name="rekindle",
        help="Recover degraded language models by self-distillation. Without a command: the window.",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    options = _Options()

    @app.callback(invoke_without_command=True)
    def start(
        context: typer.Context,
        json: Json = False,
        in_process: Annotated[
            bool,
            typer.Option("--in-process", help="Run inside the window's process, for debugging."),
        ] = False,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version and exit.")
        ] = False,
    ) -> None:
        options.json = json
        if version:
            _say_version(json)
            raise typer.Exit
        if context.invoked_subcommand is None:
            raise typer.Exit(gui(in_process) if has_display() else _without_window(execute, json))

    @app.command()
    def run(
        recipe: RecipeFile,
        settings: Replacing = None,
        detach: Detach = False,
        processes: Several = 1,
        sweep: Swept = None,
        paired: Paired = False,
        json: Json = False,
    ) -> None:
        """Run a recipe and wait for its end. Ctrl-C stops and saves; twice leaves at once."""
        wants_json = json or options.json
        home = Home.default()
        if sweep:
            begin = partial(begin_run, execute, home, processes=processes, json=wants_json)
            say = None if wants_json else terminal().print
            wanted = cli_sweep.recipes(recipe, settings or (), sweep, paired=paired, detach=detach)
            raise typer.Exit(cli_sweep.run(home, *wanted, partial(begin, detach=False), say))
        uid = _queue(home, checked(recipe, settings or ()), wants_json)
        raise typer.Exit(begin_run(execute, home, uid, processes, detach=detach, json=wants_json))

    @app.command()
    def estimate(recipe: RecipeFile, settings: Replacing = None, json: Json = False) -> None:
        """What a recipe will need: memory with its sum, and time. Exit status 1: it will not fit."""
        console = None if json or options.json else terminal()
        found = estimate_process.ask(load(recipe, settings or ()), Home.default())
        raise typer.Exit(DONE if cli_estimate.report(found, console) else FAILED)

    @app.command()
    def resume(
        name: RunName, detach: Detach = False, processes: Several = 1, json: Json = False
    ) -> None:
        """Go on with a run that was stopped or interrupted, failed, or was never started."""
        wants_json = json or options.json
        home = Home.default()
        with opened(home) as store:
            row = store.find(name)
            if row.status == "done":
                raise UserError(
                    f"The run {row.uid} is finished.", "Start its recipe again instead."
                )
        raise typer.Exit(
            begin_run(execute, home, row.uid, processes, detach=detach, json=wants_json)
        )

    cli_runs.register(app, lambda: options.json)

    @app.command("show")
    def show_run(name: RunName, json: Json = False) -> None:
        """Show a run: state, accuracies, CKA, checkpoints."""
        with opened(Home.default()) as store:
            row = store.find(name)
            result = result_of(store, row.uid)
            checkpoints = store.checkpoints(row.uid)
        if json or options.json:
            fields = {**row_fields(row), **result.fields()}
            fields["checkpoints"] = [it.__dict__ for it in checkpoints]
            write_json({"type": "run", **fields})
        else:
            show(terminal(), row, result, checkpoints)

    @app.command()
    def compare(
        names: Compared,
        margin: Margin = 100 * MARGIN,
        json: Json = False,
    ) -> None:
        """What a difference is worth: paired intervals and tests, task by task."""
        with opened(Home.default()) as store:
            pairs = cli_compare.pairs_of(store, names, margin / 100)
        cli_compare.report(pairs, margin / 100, None if json or options.json else terminal())

    @app.command()
    def geometry(
        names: Fitted = None,
        task: OnlyTask = "",
        json: Json = False,
    ) -> None:
        """Whether a checkpoint's CKA foretells the accuracy it lost. Exit status 1: too few checkpoints."""
        console = None if json or options.json else terminal()
        with opened(Home.default()) as store:
            drawn = cli_geometry.report(store, names or (), task, console)
        raise typer.Exit(DONE if drawn else FAILED)

    @app.command()
    def stop(
        name: RunName,
        discard: Annotated[
            bool, typer.Option("--discard", help="Do not save what the current stage has trained.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Ask a run to stop and wait until it has."""
        home = Home.default()
        with opened(home) as store:
            row = store.find(name)
            stop_run(home, store, row, keep=not discard, json=json or options.json)

    cli_models.register(app, lambda: options.json)
    cli_sql.register(app, lambda: options.json)

    @app.command()
    def doctor(json: Json = False) -> None:
        """Check this machine: database, disk, memory, GPU, NF4, decoding, one step of SDFT."""
        wants_json = json or options.json
        findings = cli_doctor.findings(Home.default(), None if wants_json else terminal())
        well = cli_doctor.report(findings, None if wants_json else terminal())
        raise typer.Exit(DONE if well else FAILED)

    cli_data.register(app, lambda json: None if json or options.json else terminal())
    return app


def main(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line; a `UserError` becomes a sentence and exit status 2."""
    try:
        app(args=list(arguments), prog_name="python -m app")
    except UserError as error:
        if "--json" in arguments:
            write_json({"type": "error", "message": error.message, "hint": error.hint})
        else:
            console = Console(stderr=True, highlight=False, soft_wrap=True)
            console.print(error.message, style="bold red", markup=False)
            if error.hint:
                console.print(error.hint, markup=False)
        return BAD_INPUT
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else DONE
    return DONE


def checked(path: Path, settings: Sequence[str]) -> Recipe:
    """The recipe in a file, with every file that it names in its place.

    Raises:
        UserError: it cannot be used; all problems are named.
    """
    recipe = load(path, settings)
    problems = check_files(recipe, Path.cwd())
    if problems:
        raise UserError(
            f"{recipe.name} needs files that are not there:\n"
            + "\n".join(f"  {problem.message}" for problem in problems),
            "\n".join(dict.fromkeys(problem.hint for problem in problems)),
        )
    return recipe


def _queue(home: Home, recipe: Recipe, json: bool) -> str:
    with opened(home) as store:
        uid = queue_tagged(store, recipe, ())
    if json:
        write_json({"type": "run_queued", "run": uid, "name": recipe.name})
    else:
        terminal().print(f"Run {uid}: {recipe.name}", markup=False)
    return uid


def _without_window(execute: Execute, json: bool) -> int:
    """No screen: run the quickstart here, and say how to see more."""
    recipe = checked(QUICKSTART, ())
    if not json:
        terminal().print("There is no display for the window: running the quickstart here.")
    home = Home.default()
    status = execute_here(execute, home, _queue(home, recipe, json), json)
    if not json:
        terminal().print(_OPEN_ELSEWHERE, markup=False)
    return status


_OPEN_ELSEWHERE = (
    "To open the window: type `make run` in a desktop session, or over `ssh -X`; it shows the runs of "
    "this user."
)


def _say_version(json: bool) -> None:
    try:
        version = metadata.version("rekindle")
    except metadata.PackageNotFoundError:  # run from its folder, not installed
        version = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    if json:
        write_json({"type": "version", "version": version})
    else:
        terminal().print(f"Rekindle {version}", markup=False)
