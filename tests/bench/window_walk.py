"""A walk through the whole window on a full home, with a run at work: how long each act keeps the event loop away.

Every page is visited for the first and the second time, every menu, panel and drawer opened, the list filtered,
grouped, sorted, marked, charts switched and added, theme and density changed, large data and a large lineage
opened. Acts are done on the event loop, as clicks are, and each is given the time to have its effects.

Prints a table, worst first, with the stack that was seen most in turns over 8 ms; the last line is JSON:
`worst_ms` and, by act, `cpu_ms` (the longest turn of the event loop, CPU time of the window's thread), `wall_ms`,
`whole_ms` (all turns of the act), `over` (turns above 16 ms). Of several walks (`--times`) the median of each counts.

`python tests/bench/window_walk.py [--times N] [--home FOLDER] [--only TEXT] [--growth]`; a home given is filled
once and used again. `--growth` opens runs, comparisons and the palette fifty times each instead, and reports how
memory and Qt objects grow.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900
STACKS = 2


def child(home: Path, *arguments: str) -> dict[str, object]:
    """One walk in a process of its own."""
    environment = {**os.environ, "REKINDLE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment |= {"QT_NO_GLIB": "1"}
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    command = [sys.executable, "-m", "tests.bench.walking", *arguments]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    record: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return record


def together(walks: list[dict[str, dict[str, object]]]) -> dict[str, dict[str, object]]:
    """The median of each figure over the walks; the stacks of the last one."""
    figures = ("cpu_ms", "wall_ms", "whole_ms", "over")
    return {
        name: {
            **{
                it: round(statistics.median(float(str(w[name][it])) for w in walks), 1)
                for it in figures
            },
            "stacks": act["stacks"],
        }
        for name, act in walks[-1].items()
    }


def main() -> None:
    """Measure, print for people, and print the JSON line."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--growth", action="store_true")
    given = parser.parse_args()
    from tests.bench import full_home

    with tempfile.TemporaryDirectory() as name:
        home = given.home or Path(name) / "home"
        if not home.exists():
            full_home.make(home)
        if given.growth:
            print(json.dumps(child(home, "growth")))
            return
        walks = [child(home, "walk", given.only) for _ in range(given.times)]
    acts = together([walk["acts"] for walk in walks])  # type: ignore[misc]
    worst = sorted(acts.items(), key=lambda it: -float(str(it[1]["cpu_ms"])))
    print(f"{'act':52} {'cpu ms':>7} {'wall ms':>8} {'whole':>7} {'>16':>4}")
    for name, act in worst:
        print(
            f"{name:52} {act['cpu_ms']:>7} {act['wall_ms']:>8} {act['whole_ms']:>7} {act['over']:>4}"
        )
        for stack in list(act["stacks"])[:STACKS]:  # type: ignore[call-overload]
            print(f"      {stack}")
    print(json.dumps({"worst_ms": worst[0][1]["cpu_ms"], "acts": acts}))


if __name__ == "__main__":
    main()
