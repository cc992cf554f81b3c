"""Jobs on models in processes of their own: what they answer, what they leave, how they are ended."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine import jobs, spawn
from core.engine.jobs import Advance, Job, Outcome, Rate, command, question, read, run
from core.engine.model_job import work
from core.errors import UserError
from core.lm import hub as hub_module
from core.lm.checkpoint import folder_of
from core.store.home import Home
from core.store.store import Store
from tests.helpers.fake_hub import REPOSITORY, FakeHub
from tests.helpers.tiny import build_tiny, tiny_base
from tests.helpers.tiny_gguf import tiny_llama, write_gguf


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    Store.open(made.database).close()
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture
def hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(model) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
        yield made


def blobs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "hub-cache").glob("models--*/blobs/*"))


def test_that_a_model_is_fetched_with_its_bytes_counted(
    hub: FakeHub, home: Home, model: Path
) -> None:
    told: list[Advance] = []
    result = run(Job("download", REPOSITORY), home, told.append)
    folder = Path(result["folder"])
    weights = (model / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == weights
    assert (folder / "tokenizer.json").is_file()
    assert told[-1] == Advance(len(weights), len(weights))
    sent = hub.sent
    run(Job("download", REPOSITORY), home)
    assert hub.sent == sent  # it is there already


def test_that_a_download_that_was_ended_goes_on_where_it_was(
    hub: FakeHub, home: Home, model: Path, tmp_path: Path
) -> None:
    hub.slow = 0.02
    size = (model / "model.safetensors").stat().st_size
    job = Job("download", REPOSITORY)
    with subprocess.Popen(
        command(job, home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=spawn.environment(),
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question(job))
        process.stdin.close()
        for line in process.stdout:
            said = read(line)
            if isinstance(said, Advance) and said.done > size // 8:
                process.terminate()
                break
        assert process.wait() == jobs.ENDED_STATUS
    part = next(it for it in blobs(tmp_path) if it.name.endswith(".part"))
    kept = part.stat().st_size
    assert 0 < kept < size
    hub.slow = 0.0
    hub.asked.clear()
    folder = Path(run(job, home)["folder"])
    assert [asked for method, _, asked in hub.asked if method == "GET" and asked] == [
        f"bytes={kept}-"
    ]
    assert (folder / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert not part.exists()


def test_that_broken_connections_are_taken_up_again(hub: FakeHub, home: Home, model: Path) -> None:
    size = (model / "model.safetensors").stat().st_size
    hub.cut_after = size // 3
    folder = Path(run(Job("download", REPOSITORY), home)["folder"])
    assert (folder / "model.safetensors").stat().st_size == size
    assert hub.sent == size


def test_that_bytes_that_are_not_the_announced_ones_are_thrown_away(
    hub: FakeHub, home: Home, model: Path, tmp_path: Path
) -> None:
    listing = hub.listing()
    for entry in listing["siblings"]:  # type: ignore[attr-defined]
        if "lfs" in entry:
            entry["lfs"]["sha256"] = "0" * 64
    hub.listing = lambda: listing  # type: ignore[method-assign]
    with pytest.raises(UserError, match="not the file that was announced"):
        run(Job("download", REPOSITORY), home)
    assert [it for it in blobs(tmp_path) if it.stat().st_size > 1000 and "0" * 20 in it.name] == []


def test_that_a_closed_model_asks_for_the_token_and_the_environment_gives_it(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.token = "hf_secret"
    with pytest.raises(UserError, match="private") as caught:
        run(Job("download", REPOSITORY), home)
    assert "HF_TOKEN" in caught.value.hint
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    run(Job("download", REPOSITORY), home)
    written = [it for it in home.path.rglob("*") if it.is_file()]
    assert not any(b"hf_secret" in it.read_bytes() for it in written)
    assert not (tmp_path / "no-token").exists()


def test_that_a_model_can_be_looked_at_before_it_is_fetched(hub: FakeHub, home: Home) -> None:
    found = run(Job("look_up", REPOSITORY), home)
    assert found["architecture"] == "Qwen2ForCausalLM"
    assert found["dtype"] == "float32"
    assert found["bytes"] > 0
    assert found["refusal"] == ""
    assert hub.sent == 0


def test_that_without_a_network_the_way_out_is_said_and_what_was_fetched_is_found(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(Job("download", REPOSITORY), home)["folder"]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert run(Job("download", REPOSITORY), home)["folder"] == folder
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9 cannot be reached") as caught:
        run(Job("download", "someone/other"), home)
    assert "give the folder instead" in caught.value.hint


def test_that_a_folder_and_a_gguf_are_inspected_converted_and_refused_in_words(
    home: Home, model: Path, tmp_path: Path
) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(model, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    told: list[Advance] = []

    def tell(done: int, total: int, unit: str) -> None:
        told.append(Advance(done, total, unit))

    found = work(Job("inspect", str(model)), home, tell)
    assert (found["architecture"], found["dtype"]) == ("Qwen2ForCausalLM", "float32")
    assert found["parameters"] > 10_000
    assert len(found["tokenizer"]) == len(found["template"]) == 64
    assert "pickled" in work(Job("inspect", str(pickled)), home, tell)["refusal"]
    file = write_gguf(tiny_llama(), tmp_path / "tiny.gguf")
    read_file = work(Job("inspect", str(file)), home, tell)
    assert (read_file["architecture"], read_file["dtype"]) == ("llama", "F32")
    assert read_file["layers"] == 2
    target = tmp_path / "converted"
    made = work(Job("convert", str(file), str(target)), home, tell)
    assert made["folder"] == str(target)
    assert made["parameters"] == read_file["parameters"]
    assert work(Job("inspect", str(target)), home, tell)["parameters"] == read_file["parameters"]
    assert {it.unit for it in told} == {"%", "B"}


def test_that_an_export_carries_its_lineage_and_is_refused_in_words(
    home: Home, tmp_path: Path
) -> None:
    base = tiny_base(tmp_path / "models")
    folder = folder_of(home.checkpoints, base.identity)
    shutil.copytree(base.path, folder)
    job = Job("export", base.identity, str(tmp_path / "out"))
    result = work(job, home, lambda *_: None)
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert provenance["lineage"][0]["identity"] == base.identity
    assert "model.safetensors" in result["files"]
    with pytest.raises(UserError, match="something in"):
        work(job, home, lambda *_: None)


@pytest.mark.parametrize("kind", ["checkpoints", "cache", "trash"])
def test_that_nothing_is_written_among_what_the_home_keeps(
    home: Home, tmp_path: Path, kind: str
) -> None:
    base = tiny_base(tmp_path / "models")
    shutil.copytree(base.path, folder_of(home.checkpoints, base.identity))
    target = getattr(home, kind) / "new" / "out"
    with pytest.raises(UserError, match="keeps by itself") as caught:
        work(Job("export", base.identity, str(target)), home, lambda *_: None)
    assert "outside" in caught.value.hint
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("number", "sentence", "way_out"),
    [
        (errno.ENOSPC, "The disk is full", "room"),
        (errno.EACCES, "may not be written to", "permissions"),
        (errno.EROFS, "may not be written to", "permissions"),
        (errno.EIO, "cannot be read or written", "disk"),
    ],
)
def test_that_what_the_system_refuses_is_said_with_a_way_out(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    sentence: str,
    way_out: str,
) -> None:
    def refused(*_: object) -> dict[str, object]:
        raise OSError(number, os.strerror(number), "/a/place")

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(question(Job("export", "x", "/a/place"))))
    assert jobs.serve(refused, ["--home", str(home.path)]) == 1
    said = read(capsys.readouterr().out)
    assert isinstance(said, Outcome)
    assert sentence in said.error
    assert "/a/place" in said.error
    assert way_out in said.hint


def test_that_a_cache_without_room_is_no_fault_of_the_network() -> None:
    with pytest.raises(UserError, match="is full") as caught, hub_module._explained("a/b", "main"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "goes on where it ended" in caught.value.hint


def test_that_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    rate.take(0.0, Advance(0, 1000))
    assert rate.per_second is None
    assert rate.seconds_left is None
    rate.take(2.0, Advance(200, 1000))
    assert rate.per_second == 100
    assert rate.seconds_left == 8
    rate.take(20.0, Advance(200, 1000))
    assert rate.per_second is None  # it has stood still
    rate.take(21.0, Advance(10, 1000))  # a new phase begins at its beginning
    rate.take(22.0, Advance(20, 1000))
    assert rate.per_second == 10


def test_that_lines_of_libraries_are_passed_over_and_silence_is_explained() -> None:
    assert read("Loading weights: 100%") is None
    assert read("[1]") is None
    assert read('{"said": "advance", "done": 1, "total": 2, "unit": "%"}') == Advance(1, 2, "%")
    assert read('{"said": "outcome", "result": {}, "error": "x", "hint": "y"}') == Outcome(
        {}, "x", "y"
    )
    assert "memory runs out" in jobs.unanswered(-9, []).error
    assert "ImportError: x" in jobs.unanswered(1, ["Traceback", "ImportError: x"]).error


def test_that_what_a_killed_conversion_leaves_is_named(home: Home, tmp_path: Path) -> None:
    half = home.cache / "abc.part-77"
    half.mkdir()
    other = home.cache / "abc.part-78"
    other.mkdir()
    part = tmp_path / ".out.part-77"
    part.mkdir()
    assert jobs.leftovers(Job("convert", "x.gguf", str(tmp_path / "out")), home, 77) == [part, half]
    assert os.name == "nt" or signal.SIGTERM.value + 128 == jobs.ENDED_STATUS
