from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from app import __main__ as entry
from app import cli
from app.cli_display import Display
from core.engine import estimate_process
from core.errors import UserError
from core.events import Event, Metrics, Progress, RunFinished, RunStatus
from core.store.home import Home
from core.store.rows import RunRow
from core.store.store import Store
from tests.app.test_viewmodels_run import cka, metric, score, started, whole_run
from tests.helpers import fake_foresight

RECIPE = """\
schema: 1
name: Two stages
base: {name: smollm2-135m-instruct}
datasets:
  d: {file: d.jsonl}
stages:
  - {id: nf4, kind: quantize}
  - {id: back, kind: sdft, dataset: d}
"""


class Shell:
    """The command line with an engine that plays prepared events."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(RECIPE)
        (folder / "d.jsonl").write_text("{}\n")
        self.home = Home.default()
        self.events: list[Event] = [it.event for it in whole_run()]
        self.windows: list[bool] = []
        self.display = True
        self.interrupt = False
        self._capsys = capsys

    def execute(self, uid: str, home: Home, on_event: Callable[[Event], None]) -> RunStatus:
        if self.interrupt:
            raise KeyboardInterrupt
        status: RunStatus = "done"
        with Store.open(home.database) as store:
            store.claim(uid, os.getpid(), psutil.Process().create_time())
            for event in self.events:
                store.record(uid, [event])
                on_event(event)
                if isinstance(event, RunFinished):
                    status = event.status
        return status

    def gui(self, in_process: bool) -> int:
        self.windows.append(in_process)
        return 0

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        app = cli.build(self.execute, self.gui, lambda: self.display)
        self._capsys.readouterr()
        code = cli.main(app, [str(it) for it in arguments])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *arguments: object) -> tuple[int, list[dict[str, Any]]]:
        code, out, _ = self(*arguments, "--json")
        return code, [json.loads(line) for line in out.splitlines()]

    def rows(self) -> list[RunRow]:
        with Store.open(self.home.database) as store:
            return store.runs()

    def finished(self) -> str:
        self("run", self.recipe)
        return self.rows()[0].uid


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys)


def test_that_run_ends_with_the_result_as_the_last_json_line(shell: Shell) -> None:
    code, lines = shell.json("run", shell.recipe)
    assert code == 0
    assert [line["type"] for line in lines[:2]] == ["run_queued", "run_started"]
    result = lines[-1]
    assert (result["type"], result["status"], result["failure"]) == ("result", "done", None)
    assert result["run"] == lines[0]["run"] == shell.rows()[0].uid
    assert result["metrics"]["back"]["tooluse"] == {
        "accuracy": 0.55,
        "correct": 55,
        "n": 100,
        "protocol": "p",
        "scorer": "tooluse_official_v1",
        "values": {},
    }
    assert result["cka"] == {"nf4": pytest.approx(0.9), "back": pytest.approx(0.95)}
    assert result["seconds"] == 40
    assert sum(line["type"] == "metrics" for line in lines) == 10


def test_that_other_readings_of_the_answers_stand_under_the_accuracies(shell: Shell) -> None:
    values = {"strict_accuracy": 0.402, "mean_completion_tokens": 31.4}
    shell.events[3] = score("base", 60).model_copy(update={"values": values})
    _, out, err = shell("run", shell.recipe)
    lines = [line.split() for line in (out + err).splitlines() if "strict" in line]
    assert len(lines) == 1
    assert "40.2" in lines[0]
    assert "31.4" not in out + err


def test_that_the_recovered_fraction_of_the_engine_is_in_the_result(shell: Shell) -> None:
    shell.events[-1] = RunFinished(
        status="done", seconds=1, recovered_fraction={"back": {"tooluse": 0.75, "mmlu": None}}
    )
    _, lines = shell.json("run", shell.recipe)
    assert lines[-1]["recovered_fractions"] == {"back": {"tooluse": 0.75, "mmlu": None}}


def test_that_the_mean_cka_of_a_map_is_that_of_its_diagonal_where_it_is_defined(
    shell: Shell,
) -> None:
    shell.events = [
        started(),
        cka("nf4", None, [float("nan"), 0, 0, 0, 0.5, 0, 0, 0, 0.7], layout="map"),
        RunFinished(status="done", seconds=1),
    ]
    _, lines = shell.json("run", shell.recipe)
    assert lines[-1]["cka"] == {"nf4": pytest.approx(0.6)}


def test_that_json_lines_are_strict_even_for_values_that_are_no_numbers(shell: Shell) -> None:
    shell.events.insert(1, Metrics(stage="back", step=0, values={"loss": float("nan")}))
    code, lines = shell.json("run", shell.recipe)
    assert code == 0
    assert next(line for line in lines if line["type"] == "metrics")["values"] == {"loss": None}


def test_that_settings_replace_fields_of_the_recipe(shell: Shell) -> None:
    shell("run", shell.recipe, "--set", "stages.back.max_steps=3", "--set", "seed=7")
    row = shell.rows()[0]
    assert row.seed == 7
    assert json.loads(row.recipe_json)["stages"][1]["max_steps"] == 3


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("failed", 1), ("stopped", 130)])
def test_that_the_exit_status_says_how_it_ended(shell: Shell, status: RunStatus, code: int) -> None:
    shell.events[-1] = RunFinished(status=status, seconds=1)
    assert shell("run", shell.recipe)[0] == code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "gone.yaml"], "gone.yaml"),
        (["run", "recipe.yaml", "--set", "stages.back.teacher=nobody"], "nobody"),
        (["run", "recipe.yaml", "--set", "seed=minus"], "seed"),
        (["run", "recipe.yaml", "--set", "datasets.d.file=gone.jsonl"], "gone.jsonl"),
        (["run", "recipe.yaml", "--set", "nonsense"], "path=value"),
        (["show", "nothing"], "nothing"),
        (["resume", "nothing"], "nothing"),
        (["stop", "nothing"], "nothing"),
    ],
)
def test_that_bad_input_is_a_sentence_and_exit_status_two(
    shell: Shell, arguments: list[str], words: str
) -> None:
    code, out, err = shell(*arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in out + err
    code, lines = shell.json(*arguments)
    assert code == 2
    assert lines[-1]["type"] == "error"


def test_that_a_command_that_does_not_exist_is_bad_input(shell: Shell) -> None:
    assert shell("dance")[0] == 2


def test_that_people_see_lines_and_a_table(shell: Shell) -> None:
    _, out, _ = shell("run", shell.recipe)
    assert "nf4: an identical checkpoint was found" in out
    assert "Tooluse" in out
    assert "+15.0" in out
    assert "0.75" in out
    assert out.rstrip().endswith(": done")


def test_that_a_loss_within_noise_is_called_so_in_the_table(shell: Shell) -> None:
    shell.events = [started(), score("base", 44), score("nf4", 40), score("back", 58)]
    _, out, _ = shell("run", shell.recipe)
    assert "loss within noise" in out
    assert "4.50" not in out


def test_that_without_a_terminal_progress_comes_as_a_line_now_and_then() -> None:
    out = io.StringIO()
    with Display(Console(file=out, width=120)) as display:
        for step in range(1, 50):
            display.on_event(
                Progress(stage="back", done=step, total=200, unit="step", rate=0.5, eta=90.0)
            )
    assert out.getvalue().splitlines() == ["back  step 1 / 200  0.5 steps/s, 1 m 30 s left"]


def test_that_a_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    out = io.StringIO()
    with Display(Console(file=out, width=160, force_terminal=True)) as display:
        display.on_event(metric(1, 0.25))
        display.on_event(Progress(stage="back", done=1, total=4, unit="step", rate=0.5, eta=6.0))
        assert display._bar is not None
        display._bar.refresh()
        shown = out.getvalue()
    assert "step 1 / 4" in shown
    assert "0.5 steps/s, 6 s left" in shown
    assert "divergence 0.25" in shown


def test_that_runs_lists_all_of_them(shell: Shell) -> None:
    assert "No runs yet" in shell("runs")[1]
    uid = shell.finished()
    _, out, _ = shell("runs")
    assert uid in out
    assert "Two stages" in out
    _, lines = shell.json("runs")
    assert [(line["run"], line["status"]) for line in lines] == [(uid, "done")]
    assert lines[0]["scores"] == {"base/tooluse": 0.6, "nf4/tooluse": 0.4, "back/tooluse": 0.55}


def test_that_show_finds_a_run_by_the_beginning_of_its_id_or_its_name(shell: Shell) -> None:
    uid = shell.finished()
    assert "done" in shell("show", uid[:5])[1]
    _, (line,) = shell.json("show", "Two stages")
    assert line["run"] == uid
    assert line["metrics"]["base"]["tooluse"]["n"] == 100


def test_that_json_may_stand_before_the_command(shell: Shell) -> None:
    shell.finished()
    _, out, _ = shell("--json", "runs")
    assert json.loads(out)["status"] == "done"


def test_that_resume_goes_on_with_a_stopped_run_and_refuses_a_finished_one(shell: Shell) -> None:
    shell.events = [started(), RunFinished(status="stopped", seconds=1)]
    uid = shell.finished()
    shell.events = [started(session=2), score("base", 50), RunFinished(status="done", seconds=1)]
    code, lines = shell.json("resume", uid)
    assert (code, lines[-1]["status"], lines[-1]["run"]) == (0, "done", uid)
    assert len(shell.rows()) == 1
    assert shell("resume", uid)[0] == 2


def test_that_ctrl_c_before_the_engine_is_up_stops_the_run(shell: Shell) -> None:
    shell.interrupt = True
    assert shell("run", shell.recipe)[0] == 130
    assert shell.rows()[0].status == "stopped"


def test_that_stop_asks_a_living_worker_and_waits(shell: Shell) -> None:
    code = (
        "import sys, time, pathlib\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(.05)"
    )
    shell.home.create()
    with Store.open(shell.home.database) as store:
        uid = store.queue_run("{}", name="r", seed=1, base="b")
        request = shell.home.run(uid) / "stop"
        worker = subprocess.Popen([sys.executable, "-c", code, str(request)])
        store.claim(uid, worker.pid, psutil.Process(worker.pid).create_time())
        store.record(uid, [RunFinished(status="stopped", seconds=1)])
        store.set_status(uid, "running")
    status, lines = shell.json("stop", uid, "--discard")
    assert worker.wait() == 0
    assert request.read_text() == "discard"
    assert (status, lines[-1]["type"]) == (0, "stopped")


def test_that_stop_on_a_dead_worker_marks_its_run_and_says_how_to_go_on(shell: Shell) -> None:
    shell.home.create()
    with Store.open(shell.home.database) as store:
        uid = store.queue_run("{}", name="r", seed=1, base="b")
        store.claim(uid, 999_999_999, 1.0)
    code, _, err = shell("stop", uid)
    assert code == 2
    assert f"resume {uid}" in err
    assert shell.rows()[0].status == "interrupted"


def test_that_without_a_command_the_window_opens(shell: Shell) -> None:
    assert shell()[0] == 0
    assert shell("--in-process")[0] == 0
    assert shell.windows == [False, True]


def test_that_without_a_display_the_quickstart_runs_and_the_way_to_the_window_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.display = False
    monkeypatch.setattr(cli, "QUICKSTART", shell.recipe)
    code, out, _ = shell()
    assert (code, shell.windows) == (0, [])
    assert "Tooluse" in out
    assert "To open the window" in out


def test_that_the_version_is_told(shell: Shell) -> None:
    assert re.fullmatch(r"Rekindle \d+\.\d+\.\d+\S*\n", shell("--version")[1])


def test_that_a_display_is_looked_for_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not entry.has_display()
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert entry.has_display()
    monkeypatch.delenv("QT_QPA_PLATFORM")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert entry.has_display()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert entry.has_display()


def test_that_neither_torch_nor_qt_widgets_are_loaded_to_list_runs() -> None:
    code = (
        "import sys; from app.__main__ import main; main(['runs']); main(['--version']);"
        "heavy = {'torch', 'transformers', 'peft', 'datasets', 'pyqtgraph', 'PySide6.QtWidgets'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_that_window_view_models_load_no_torch() -> None:
    code = (
        "import sys; import app.viewmodels.application, app.run_thread, app.qt_guard;"
        "heavy = {'torch', 'transformers', 'peft', 'datasets', 'pyqtgraph', 'typer', 'scipy'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_that_an_unusable_recipe_names_every_problem(shell: Shell) -> None:
    with pytest.raises(UserError) as caught:
        cli.checked(shell.recipe, ["stages.back.teacher=x", "stages.back.dataset=y"])
    assert "x" in caught.value.message
    assert "y" in caught.value.message


@pytest.fixture
def estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate comes from a process that needs no torch."""
    command = [sys.executable, fake_foresight.__file__]
    monkeypatch.setattr(estimate_process, "command", lambda home: command)


def test_that_an_estimate_is_shown_with_its_sum(shell: Shell, estimated: None) -> None:
    code, out, _ = shell("estimate", shell.recipe)
    assert code == 0
    assert "back: 4.0 GiB at most, about 2 m" in out
    assert re.search(r"activations kept for backward +2.0 GiB", out)
    assert re.search(r"together +4.0 GiB", out)
    assert "The run as a whole: 4.0 GiB at most, about 4 m 30 s." in out
    assert "This machine: cpu in float32, 16.0 GiB of memory" in out
    assert "fit" not in out


def test_that_what_will_not_fit_ends_with_status_1_and_says_what_helps(
    shell: Shell, estimated: None
) -> None:
    code, out, _ = shell("estimate", shell.recipe, "--set", "name=Huge")
    assert code == 1
    assert "back will not fit: 64.0 GiB of 16.0 GiB. Switch gradient_checkpointing on" in out


def test_that_an_estimate_is_one_json_object_for_programs(shell: Shell, estimated: None) -> None:
    code, (record,) = shell.json("estimate", shell.recipe)
    assert code == 0
    assert record["type"] == "estimate"
    assert record["fits"] is True
    back = record["stages"][1]
    assert (back["stage"], back["memory"], back["peak"]) == ("back", 4 * 2**30, "backward")
    assert sum(item["bytes"] for item in back["phases"][1]["items"]) == back["memory"]


def test_that_an_estimate_that_fails_is_bad_input(shell: Shell, estimated: None) -> None:
    code, _, err = shell("estimate", shell.recipe, "--set", "name=Error")
    assert code == 2
    assert "There is no such device." in err
    code, _, err = shell("estimate", shell.recipe, "--set", "name=End")
    assert code == 2
    assert "The estimate could not be made" in err
