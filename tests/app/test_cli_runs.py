from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from core.store.home import Home
from core.store.store import Store
from tests.app.sample_runs import fill
from tests.app.test_cli import Shell


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """The command line on hand-made runs."""
    monkeypatch.chdir(tmp_path)
    home = Home.default()
    home.create()
    with Store.open(home.database) as store:
        fill(store)
    return Shell(tmp_path, capsys)


def uids(shell: Shell, *arguments: object) -> list[str]:
    code, lines = shell.json("runs", *arguments)
    assert code == 0
    return [it["run"] for it in lines]


def test_that_runs_are_filtered_sorted_and_cut_as_in_the_window(shell: Shell) -> None:
    rows = shell.rows()
    done = [it.uid for it in rows if it.status == "done"]
    assert done
    assert uids(shell, "status:done") == done
    assert uids(shell, "status:done", "or", "status:failed") == [
        it.uid for it in rows if it.status in ("done", "failed")
    ]
    _, out, _ = shell("--json", "runs", "--", "-status:done")
    others = [it.uid for it in rows if it.status != "done"]
    assert [json.loads(line)["run"] for line in out.splitlines()] == others
    names = [it.name for it in rows]
    by_name = {it.uid: it.name for it in rows}
    assert [by_name[it] for it in uids(shell, "--sort", "name")] == sorted(names, key=str.casefold)
    newest_last = [it.uid for it in sorted(rows, key=lambda it: it.created)]
    assert uids(shell, "--sort", "created") == newest_last
    assert uids(shell, "--sort", "-created", "--limit", "2") == newest_last[::-1][:2]


def test_that_a_filter_that_cannot_be_read_says_what_was_meant(shell: Shell) -> None:
    code, _, said = shell("runs", "statsu:done")
    assert code == 2
    assert "Did you mean “status:done”?" in said
    code, _, said = shell("runs", "--sort", "colour")
    assert code == 2
    assert "There is no “colour”" in said
    assert "No run passes" in shell("runs", "name:nobody")[1]


def test_that_the_table_shows_the_numbers_of_the_window(shell: Shell) -> None:
    _, out, _ = shell("runs", "status:done")
    for word in ("degraded", "recovered", "fraction"):
        assert word in out


def test_that_tags_notes_names_and_marks_are_changed(shell: Shell) -> None:
    first, second = [it.uid for it in shell.rows()[:2]]
    assert shell("tag", first, second, "--add", "paper", "--add", "table 1")[0] == 0
    code, lines = shell.json("tag", first, "--remove", "table 1")
    assert code == 0
    assert "paper" in lines[0]["tags"]
    assert "table 1" not in lines[0]["tags"]
    assert set(uids(shell, "tag:paper")) == {first, second}
    shell("note", first, "seed 3 diverged")
    shell("rename", first, "control")
    shell("star", first)
    shell("cross", second)
    found = {it.uid: it for it in shell.rows()}
    assert (found[first].notes, found[first].name) == ("seed 3 diverged", "control")
    assert (found[first].star, found[second].star) == (1, -1)
    _, out, _ = shell("show", first)
    assert "★" in out
    assert "seed 3 diverged" in out
    shell("star", first)
    assert {it.uid: it.star for it in shell.rows()}[first] == 0
    assert "nothing to change" in shell("rename", first, "control")[1]
    assert shell("tag", first)[0] == 2


def test_that_notes_can_be_piped_in(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = shell.rows()[0].uid
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    shell("note", uid, "-")
    assert {it.uid: it.notes for it in shell.rows()}[uid] == "two\nlines"


def test_that_deleting_says_how_to_take_it_back_and_that_works(shell: Shell) -> None:
    uid = next(it.uid for it in shell.rows() if it.status == "done")
    code, out, _ = shell("delete", uid)
    assert code == 0
    assert f"restore {uid}" in out
    assert uid not in [it.uid for it in shell.rows()]
    code, lines = shell.json("runs", "--deleted")
    assert [it["run"] for it in lines] == [uid]
    assert shell("restore", uid[:5])[0] == 0
    assert uid in [it.uid for it in shell.rows()]
    code, _, said = shell("restore", uid)
    assert code == 2
    assert "No deleted run fits" in said


def test_that_a_running_run_is_not_deleted(shell: Shell) -> None:
    running = next(it for it in shell.rows() if it.status == "running")
    code, _, said = shell("delete", running.uid)
    assert code == 2
    assert "cannot be deleted" in said
    assert running.uid in [it.uid for it in shell.rows()]


def test_that_sql_answers_questions(shell: Shell) -> None:
    question = "SELECT status, count(*) AS n FROM run GROUP BY status ORDER BY status"
    code, lines = shell.json("sql", question)
    assert code == 0
    assert sum(it["n"] for it in lines) == len(shell.rows())
    _, out, _ = shell("sql", question, "--limit", "1")
    assert "more than these 1" in out
    _, out, _ = shell("sql")
    assert "run(uid, " in out
    _, lines = shell.json("sql", "SELECT data FROM cka LIMIT 1")
    assert lines[0]["data"].endswith(" bytes")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM run",
        "UPDATE run SET name = 'x'",
        "DROP TABLE run",
        "ATTACH DATABASE 'other.sqlite3' AS other",
        "PRAGMA journal_mode=DELETE",
        "VACUUM INTO 'copy.sqlite3'",
        "SELECT 1; DELETE FROM run",
        "SELECT * FROM nowhere",
        "nonsense",
    ],
)
def test_that_sql_changes_nothing_and_says_why_not(shell: Shell, statement: str) -> None:
    before = shell.rows()
    code, _, said = shell("sql", statement)
    assert code == 2
    assert "Traceback" not in said
    assert shell.rows() == before
    assert not list(Path.cwd().glob("*.sqlite3"))


def test_that_a_home_that_cannot_be_used_is_a_sentence(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "file" / "home"))
    for command in (("runs",), ("runs", "--deleted"), ("star", "x"), ("sql", "SELECT 1")):
        code, _, said = shell(*command)
        assert code == 2
        assert "Traceback" not in said
        assert "REKINDLE_HOME" in said
