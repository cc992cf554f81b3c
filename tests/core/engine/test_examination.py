"""The watcher of the checks: what it reports of a check that answers, fails, crashes, hangs or never starts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.engine.examination import PARTS, Part, Verdict, examine
from core.store.home import Home

CHECKS = """\
import os, signal, sys, time
from pathlib import Path
from core.engine.examination import Verdict, serve
from core.errors import UserError

def good(home):
    print("a library says hello")
    print("[1, 2]")
    return Verdict(True, "Seen in " + str(home.path), "a hint \\u2013 with a dash")

def user(home):
    raise UserError("The disk is full.", "Free some space.")

def memory(home):
    raise RuntimeError("CUDA out of memory.\\nFor debugging consider passing LAUNCH_BLOCKING=1")

def defect(home):
    raise KeyError("no hint fits this")

def silent(home):
    os._exit(7)

def crash(home):
    os.kill(os.getpid(), signal.SIGSEGV)

def killed(home):
    os.kill(os.getpid(), signal.SIGKILL)

def hang(home):
    Path(home.path, "pid").write_text(str(os.getpid()))
    time.sleep(60)

def none(home):
    return Verdict(None, "Nothing to judge.")

if __name__ == "__main__":
    functions = (good, user, memory, defect, silent, crash, killed, hang, none)
    sys.exit(serve({it.__name__: it for it in functions}))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home, with the module `planted_checks` for children to find."""
    (tmp_path / "planted_checks.py").write_text(CHECKS, encoding="utf-8")
    (tmp_path / "planted_broken.py").write_text("import no_such_library\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = Home(tmp_path / "home")
    made.create()
    return made


def verdicts(home: Home, *names: str, limit: float = 60) -> dict[str, Verdict]:
    return dict(examine(home, parts=(Part("planted_checks", names),), limit=limit))


def test_that_an_answer_arrives_whole_whatever_libraries_print(home: Home) -> None:
    started: list[str] = []
    part = Part("planted_checks", ("good", "none"))
    found = list(examine(home, parts=(part,), on_check=started.append))
    assert found == [
        ("good", Verdict(True, f"Seen in {home.path}", "a hint \u2013 with a dash")),
        ("none", Verdict(None, "Nothing to judge.")),
    ]
    assert started == ["good", "none"]


def test_that_an_error_with_a_way_out_keeps_it_and_the_process_goes_on(home: Home) -> None:
    found = verdicts(home, "user", "good")
    assert found["user"] == Verdict(False, "The disk is full.", "Free some space.")
    assert found["good"].ok


def test_that_an_unforeseen_error_is_named_and_the_next_check_runs(home: Home) -> None:
    found = verdicts(home, "memory", "defect", "good")
    memory = found["memory"]
    assert (memory.ok, memory.detail) == (False, "RuntimeError: CUDA out of memory.")
    assert "other programs" in memory.hint
    assert "LAUNCH_BLOCKING" in memory.trace
    assert found["defect"].detail == "KeyError: 'no hint fits this'"
    assert "report it" in found["defect"].hint
    assert "in defect" in found["defect"].trace
    assert found["good"].ok


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("crash", "SIGSEGV", "report it"),
        ("killed", "SIGKILL", "memory runs out"),
        ("silent", "status 7", "report it"),
    ],
)
def test_that_a_dead_process_is_a_verdict_and_the_next_check_runs(
    home: Home, name: str, said: str, hint: str
) -> None:
    found = verdicts(home, "good", name, "none")
    assert list(found) == ["good", name, "none"]
    assert found[name].ok is False
    assert said in found[name].detail
    assert hint in found[name].hint
    assert found["none"].ok is None
    if name == "crash":
        assert "Segmentation fault" in found[name].trace


def test_that_a_check_that_hangs_is_ended(home: Home) -> None:
    began = time.monotonic()
    found = verdicts(home, "hang", "none", limit=3)
    assert time.monotonic() - began < 30
    assert found["hang"].ok is False
    assert "hung" in found["hang"].detail
    assert found["none"].detail == "Nothing to judge."


def test_that_libraries_that_cannot_be_loaded_are_reported_once(home: Home) -> None:
    parts = (Part("planted_broken", ("torch", "cuda")), Part("planted_checks", ("good",)))
    found = dict(examine(home, parts=parts))
    assert found["torch"].ok is False
    assert "no_such_library" in found["torch"].detail
    assert "make run" in found["torch"].hint
    assert found["cuda"] == Verdict(None, "Not looked at, because of: torch.")
    assert found["good"].ok


def test_that_a_watcher_that_leaves_early_leaves_no_process(home: Home) -> None:
    watched = examine(home, parts=(Part("planted_checks", ("none", "hang")),))
    assert next(watched)[0] == "none"
    began = time.monotonic()
    watched.close()
    assert time.monotonic() - began < 10


def test_that_an_unknown_check_is_refused_by_its_process(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "planted_checks", "--home", str(home.path), "nonsense"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_that_every_check_has_one_name() -> None:
    names = [name for part in PARTS for name in part.checks]
    assert len(set(names)) == len(names)
