"""Checkpoints as rows and as folders: what is there, what depends on what, and deleting with a way back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.engine.removal import (
    empty_trash,
    last_thrown,
    plan_removal,
    put_back,
    throw_away,
)
from core.engine.shelf import Shelf, ShelfReader
from core.errors import UserError
from core.events import (
    CheckpointSaved,
    PlannedStage,
    RunFinished,
    RunStarted,
    StageFinished,
    TaskEvaluated,
)
from core.lm.checkpoint import MANIFEST
from core.store.home import Home
from core.store.store import Store
from tests.helpers.shelf import ids, lay_out, register_base


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home.database) as opened:
        yield opened


def read(home: Home, store: Store) -> Shelf:
    return ShelfReader(home)(store)


def test_that_rows_and_folders_are_joined_with_runs_roles_and_scores(
    home: Home, store: Store
) -> None:
    uid = lay_out(home, store)
    shelf = read(home, store)
    items = shelf.items
    assert list(items) == [ids("base"), ids("nf4"), ids("lora"), ids("lora2"), ids("copy")]
    assert [items[ids(it)].state for it in ("base", "nf4", "lora")] == ["present"] * 3
    assert items[ids("nf4")].makers[0].role == "degraded"
    assert items[ids("lora")].parent == ids("nf4")
    assert items[ids("lora")].storage == "adapter"
    assert [score.task for score in shelf.scores[ids("lora")]] == ["science"]
    assert shelf.used[ids("nf4")] == (uid,)
    assert shelf.checkpoint_bytes == sum(item.bytes for item in items.values()) > 0
    assert shelf.free > 0


def test_that_a_folder_without_a_row_and_a_row_without_a_folder_are_said(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    shelf = read(home, store)
    assert not shelf.items[ids("copy")].known
    assert shelf.items[ids("copy")].state == "present"
    folder = shelf.items[ids("lora2")].folder
    (folder / MANIFEST).unlink()
    assert read(home, store).items[ids("lora2")].state == "unfinished"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    gone = read(home, store).items[ids("lora2")]
    assert (gone.state, gone.bytes, gone.parent) == ("missing", 0, ids("lora"))


def test_that_what_was_read_before_is_not_read_again_until_it_changes(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    reader = ShelfReader(home)
    before = reader(store)
    assert reader(store).items == before.items
    manifest = before.items[ids("nf4")].folder / MANIFEST
    manifest.write_text(manifest.read_text().replace('"nf4"', '"full"'))
    os.utime(manifest, ns=(1, 1))
    assert reader(store).items[ids("nf4")].storage == "full"


def test_that_an_adapter_goes_with_what_it_is_opened_over_and_the_rest_stays(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    plan = plan_removal(read(home, store), ids("nf4"))
    assert [item.identity for item in plan.dependants] == [ids("lora"), ids("lora2")]
    assert [item.identity for item in plan.remade] == [ids("copy")]
    assert plan.bytes == sum(item.bytes for item in plan.items)
    assert plan.measured == 2
    assert plan.resumes == ("first",)
    assert not plan.live
    leaf = plan_removal(read(home, store), ids("lora2"))
    assert leaf.dependants == ()


def test_that_runs_that_begin_from_its_folder_are_named(home: Home, store: Store) -> None:
    lay_out(home, store)
    folder = read(home, store).items[ids("copy")].folder
    store.queue_run("{}", name="waits for it", seed=1, base=str(folder))
    store.queue_run("{}", name="another", seed=1, base=str(folder.with_name("other")))
    assert plan_removal(read(home, store), ids("copy")).based == ("waits for it",)
    assert plan_removal(read(home, store), ids("nf4")).based == ()


def test_that_deleting_keeps_rows_and_numbers_and_can_be_undone(home: Home, store: Store) -> None:
    lay_out(home, store)
    before = read(home, store)
    plan = plan_removal(before, ids("lora"))
    paths = throw_away(home, store, plan)
    after = read(home, store)
    assert [after.items[ids(it)].state for it in ("lora", "lora2")] == ["trash", "trash"]
    assert after.scores == before.scores
    assert after.trash_bytes == plan.bytes
    assert store.checkpoint(ids("lora")) is not None
    assert put_back(home, store, paths) == 2
    again = read(home, store)
    assert again.items == before.items
    assert again.trash_bytes == 0


def test_that_the_trash_is_emptied_of_what_is_old_enough(home: Home, store: Store) -> None:
    lay_out(home, store)
    plan = plan_removal(read(home, store), ids("lora"))
    paths = throw_away(home, store, plan)
    assert empty_trash(home, store, older_than=3600) == 0
    assert empty_trash(home, store) == plan.bytes
    shelf = read(home, store)
    assert shelf.items[ids("lora")].state == "deleted"
    assert shelf.trash_bytes == 0
    with pytest.raises(UserError, match="no longer in the trash"):
        put_back(home, store, paths)


def test_that_a_checkpoint_that_a_living_run_uses_is_not_deleted(home: Home, store: Store) -> None:
    uid = lay_out(home, store)
    me = psutil.Process()
    store.claim(uid, me.pid, me.create_time())
    plan = plan_removal(read(home, store), ids("lora"))
    assert plan.live == ("first",)
    with pytest.raises(UserError, match="running run uses") as caught:
        throw_away(home, store, plan)
    assert "Stop the run" in caught.value.hint
    assert read(home, store).items[ids("lora")].state == "present"


def test_that_a_move_that_fails_half_way_leaves_all_where_it_was(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(home, store)
    before = read(home, store)
    plan = plan_removal(before, ids("lora"))
    rename = Path.rename

    def refusing(self: Path, target: Path) -> Path:
        if self == plan.items[-1].folder:
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(UserError, match="cannot be moved"):
        throw_away(home, store, plan)
    assert read(home, store).items == before.items


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"identity": "a", "parent_path": null}'])
def test_that_a_manifest_that_cannot_be_read_is_said_of_its_checkpoint_alone(
    home: Home, store: Store, text: str
) -> None:
    lay_out(home, store)
    before = read(home, store).items
    (before[ids("lora2")].folder / MANIFEST).write_text(text)
    after = read(home, store).items
    assert after[ids("lora2")].state == "damaged"
    assert after[ids("lora2")].bytes > 0
    assert {it.state for key, it in after.items() if key != ids("lora2")} == {"present"}
    assert plan_removal(read(home, store), ids("lora2")).bytes > 0


def test_that_a_copied_folder_does_not_take_the_place_of_its_original(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    original = read(home, store).items[ids("nf4")]
    shutil.copytree(original.folder, home.checkpoints / "a backup")
    items = read(home, store).items
    assert items[ids("nf4")] == original
    assert items["folder:a backup"].state == "present"
    throw_away(home, store, plan_removal(read(home, store), "folder:a backup"))
    assert read(home, store).items[ids("nf4")] == original


def test_that_the_last_deletion_is_found_again_and_then_the_one_before(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    assert last_thrown(home) == ()
    first = throw_away(home, store, plan_removal(read(home, store), ids("copy")))
    second = throw_away(home, store, plan_removal(read(home, store), ids("lora")))
    assert set(last_thrown(home)) == set(second)
    put_back(home, store, last_thrown(home))
    assert last_thrown(home) == first


def test_that_all_or_none_is_put_back(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(home, store)
    paths = throw_away(home, store, plan_removal(read(home, store), ids("lora")))
    (home.path / paths[1]).mkdir()
    with pytest.raises(UserError, match="made again meanwhile"):
        put_back(home, store, paths)
    assert not (home.path / paths[0]).exists()
    (home.path / paths[1]).rmdir()
    rename = Path.rename

    def refusing(self: Path, target: Path) -> Path:
        if target == home.path / paths[1]:
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(UserError, match="cannot be moved out of the trash"):
        put_back(home, store, paths)
    assert set(last_thrown(home)) == set(paths)
    assert read(home, store).items[ids("lora")].state == "trash"


def test_that_a_trash_that_cannot_be_emptied_is_said(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(home, store)
    throw_away(home, store, plan_removal(read(home, store), ids("copy")))

    def refusing(path: Path) -> None:
        raise PermissionError("in use")

    monkeypatch.setattr(shutil, "rmtree", refusing)
    with pytest.raises(UserError, match="cannot be emptied"):
        empty_trash(home, store)
    assert read(home, store).trash_bytes > 0


def test_that_a_base_outside_the_home_keeps_its_own_files(home: Home, store: Store) -> None:
    lay_out(home, store)
    plan = plan_removal(read(home, store), ids("base"))
    assert plan.outside is not None
    throw_away(home, store, plan)
    assert (plan.outside / "config.json").is_file()


def test_that_a_checkpoint_used_as_the_base_of_another_lineage_is_needed_by_it(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    copy = read(home, store).items[ids("copy")]
    (copy.folder / "config.json").write_text("{}")
    register_base(home, "second base", copy.folder)
    shelf = read(home, store)
    assert shelf.items[ids("second base")].needs == (ids("copy"),)
    plan = plan_removal(shelf, ids("copy"))
    assert [it.identity for it in plan.dependants] == [ids("second base")]


def test_that_one_checkpoint_made_by_two_runs_is_one_item_with_two_makers(
    home: Home, store: Store
) -> None:
    lay_out(home, store)
    second = store.queue_run("{}", name="second", seed=2, base="tiny")
    store.claim(second, 999_999_999, 1.0)
    store.record(
        second,
        [
            RunStarted(
                session=1,
                stages=(PlannedStage(id="q", kind="quantize", source=None, role="degraded"),),
                environment={},
            ),
            CheckpointSaved(
                stage="q",
                identity=ids("nf4"),
                parent=ids("base"),
                stage_kind="quantize",
                path=f"checkpoints/{ids('nf4')[:20]}",
                bytes=5,
            ),
            StageFinished(
                stage="q", status="done", checkpoint=ids("nf4"), reused=True, seconds=1.0
            ),
            TaskEvaluated(
                stage="q",
                subject="q",
                checkpoint=ids("nf4"),
                task="science",
                n=10,
                correct=4,
                protocol="p" * 64,
                scorer="science_exact_v1",
                dataset="science",
                seed=2,
            ),
            RunFinished(status="done", seconds=2.0),
        ],
    )
    item = read(home, store).items[ids("nf4")]
    assert [maker.stage for maker in item.makers] == ["nf4", "q"]
