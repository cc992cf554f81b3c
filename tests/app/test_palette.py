from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.viewmodels.palette import (
    Entry,
    PaletteModel,
    arranged,
    how_found,
    matching,
    rate,
    runs_matching,
)
from app.viewmodels.run_entry import RunEntry, entry_of
from app.views.pages import LISTED
from app.widgets.theme import Theme
from tests.app.conftest import Sample
from tests.app.shell import Shell, shell_on
from tests.app.test_viewmodels_run import row

CTRL = Qt.KeyboardModifier.ControlModifier


def entry(title: str, group: str = "Page", **more: object) -> Entry:
    return Entry(title, group, lambda: None, **more)  # type: ignore[arg-type]


@pytest.fixture
def shell(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Shell]:
    with shell_on(sample, theme, qtbot) as made:
        yield made


def titles(shell: Shell) -> list[str]:
    model = shell.window.palette_box.model
    return [model.entry(row).title for row in range(model.rowCount())]


def test_that_letters_are_found_in_their_order_only() -> None:
    assert rate("nr", "new run") is not None
    assert rate("rn", "new") is None
    assert rate("zz", "new run") is None


@pytest.mark.parametrize(
    ("query", "better", "worse"),
    [
        ("nr", "new run", "internal error"),
        ("co", "compare", "becomes slow"),
        ("run", "run", "r u n"),
        ("set", "settings", "runs of the test"),
    ],
)
def test_that_starts_of_words_and_letters_in_a_row_are_worth_more(
    query: str, better: str, worse: str
) -> None:
    good, bad = rate(query, better), rate(query, worse)
    assert good is not None
    assert bad is None or good > bad


def test_that_the_best_fit_comes_first_and_noise_does_not_come() -> None:
    entries = [entry("Internal error"), entry("Compare"), entry("New run")]
    assert [it.title for it in matching("nr", entries)] == ["New run"]
    assert [it.title for it in matching("", entries)] == [it.title for it in entries]


def test_that_further_words_find_a_setting() -> None:
    storage = entry("Storage place", "Setting", also="home folder REKINDLE_HOME")
    assert matching("rekindle_home", [entry("Runs"), storage]) == (storage,)


def run(uid: str, name: str, tags: tuple[str, ...] = (), notes: str = "") -> RunEntry:
    return entry_of(row(uid=uid, name=name, tags=tags, notes=notes))


def test_that_runs_are_found_by_every_word_the_newest_first_and_only_as_many_as_fit() -> None:
    alike = run("id0", "nf4 seed 0")
    entries = {
        f"id{place}": replace(alike, search=f"id{place} nf4 seed {place}")
        for place in range(10_000)
    }
    assert runs_matching("seed nf4", entries, entries, most=3) == ("id0", "id1", "id2")
    assert runs_matching("id9999", entries, entries) == ("id9999",)
    assert runs_matching("seed pruned", entries, entries) == ()


def test_that_runs_opened_lately_come_first_then_names_then_tags_and_notes() -> None:
    runs = (
        run("a", "first", notes="repeat for the rebuttal"),
        run("b", "second", tags=("rebuttal",)),
        run("c", "rebuttal, seed 1"),
        run("d", "rebuttal, seed 2"),
        run("e", "another"),
    )
    entries = {it.row.uid: it for it in runs}
    assert runs_matching("REBUTTAL", entries, entries, ("e", "d", "gone")) == ("d", "c", "a", "b")
    assert runs_matching("", entries, entries, ("e",), 2) == ("e", "a")
    ways = [how_found("rebuttal", entries[uid]) for uid in "abc"]
    assert ways == ["Run · notes", "Run · rebuttal", "Run"]


def test_that_a_command_named_as_typed_stands_before_runs_and_a_fuzzy_one_after() -> None:
    runs = [entry("nf4 · run of today", "Run")]
    commands = [entry("New run"), entry("Runs")]
    found = [it.title for it in arranged("runs", commands, runs)]
    assert found[:2] == ["Runs", "nf4 · run of today"]


def test_that_the_list_is_a_sound_model(qtmodeltester: ModelTester) -> None:
    model = PaletteModel()
    model.take([entry("a"), entry("b", enabled=False), entry("c")])
    qtmodeltester.check(model)
    assert not model.flags(model.index(1)) & Qt.ItemFlag.ItemIsEnabled
    spoken = model.data(model.index(1), int(Qt.ItemDataRole.AccessibleTextRole))
    assert spoken == "Page, b, not now"
    assert (model.next_enabled(0, 1), model.next_enabled(2, 1), model.next_enabled(0, -1)) == (
        2,
        0,
        2,
    )
    model.take([entry("b", enabled=False)])
    assert model.next_enabled(-1, 1) == -1


def test_that_ctrl_k_opens_it_and_enter_goes_to_the_page(shell: Shell, qtbot: QtBot) -> None:
    window = shell.window
    qtbot.keyClick(window, Qt.Key.Key_K, CTRL)
    palette = window.palette_box
    assert palette.isVisible()
    assert palette.field.hasFocus()
    qtbot.keyClicks(palette.field, "settings")
    assert titles(shell)[0] == "Settings"
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert not palette.isVisible()
    assert window.page == "settings"


def test_that_the_field_of_the_header_opens_it_by_a_click_and_esc_gives_the_focus_back(
    shell: Shell, qtbot: QtBot
) -> None:
    window = shell.window
    before = window.runs_page.findChild(QLineEdit)
    before.setFocus()
    qtbot.mouseClick(window.header.search, Qt.MouseButton.LeftButton)
    palette = window.palette_box
    assert palette.isVisible()
    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert before.hasFocus()
    assert window.isVisible()


def test_that_arrows_choose_a_line_and_its_words_are_told_to_a_screen_reader(
    shell: Shell, qtbot: QtBot
) -> None:
    palette = shell.window.palette_box
    palette.open()
    first = palette.field.accessibleDescription()
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    assert palette.list.currentIndex().row() == palette.model.next_enabled(0, 1)
    assert palette.field.accessibleDescription() != first
    qtbot.keyClick(palette.field, Qt.Key.Key_Up)
    qtbot.keyClick(palette.field, Qt.Key.Key_Up)
    last = palette.model.next_enabled(palette.model.rowCount(), -1)
    assert palette.list.currentIndex().row() == last
    qtbot.keyClick(palette.field, Qt.Key.Key_PageUp)
    assert palette.list.currentIndex().row() < last


def test_that_a_run_is_found_by_its_name_and_opened_by_a_click(shell: Shell, qtbot: QtBot) -> None:
    window, palette = shell.window, shell.window.palette_box
    palette.open()
    qtbot.keyClicks(palette.field, "pruned 10")
    index = palette.model.index(titles(shell).index("fixture · pruned 10 %, then SDFT"))
    place = palette.list.visualRect(index).center()
    qtbot.mouseClick(palette.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert window.page == "run"
    assert window.run_page.run is not None
    assert window.run_page.run.uid == shell.runs["pruned"]


def test_that_pages_actions_of_the_page_presets_and_settings_are_listed(shell: Shell) -> None:
    shell.window.show_page("settings")
    shell.window.palette_box.open()
    found = titles(shell)
    assert found[0] == "Open the home folder"  # what can be done here comes first
    assert {place.title for place in LISTED} <= set(found)
    assert any("Quickstart" in title for title in found)
    assert "Storage place and disk left" in found


def test_that_what_cannot_be_done_now_is_grey_and_enter_does_not_do_it(
    shell: Shell, qtbot: QtBot
) -> None:
    shell.window.show_page("compare")
    palette = shell.window.palette_box
    palette.open()
    qtbot.keyClicks(palette.field, "take all runs out")
    row = titles(shell).index("Take all runs out of the comparison")
    assert not palette.model.entry(row).enabled
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()


def test_that_a_click_beside_it_closes_it_and_one_on_it_does_not(
    shell: Shell, qtbot: QtBot
) -> None:
    palette = shell.window.palette_box
    palette.open()
    qtbot.mouseClick(palette, Qt.MouseButton.LeftButton, pos=palette.panel.geometry().center())
    assert palette.isVisible()
    qtbot.mouseClick(palette, Qt.MouseButton.LeftButton, pos=QPoint(5, palette.height() - 5))
    assert not palette.isVisible()


def test_that_nothing_found_says_so(shell: Shell, qtbot: QtBot) -> None:
    palette = shell.window.palette_box
    palette.open()
    qtbot.keyClicks(palette.field, "qqqzzz")
    assert palette.nothing.isVisible()
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()


def test_that_it_follows_the_size_of_the_window(shell: Shell, qtbot: QtBot) -> None:
    window = shell.window
    window.palette_box.open()
    window.resize(1000, 620)
    qtbot.waitUntil(lambda: window.palette_box.width() == window.centralWidget().width())
    assert window.palette_box.rect().contains(window.palette_box.panel.geometry())


def test_that_what_is_not_possible_stands_last_until_something_is_typed() -> None:
    stop = entry("Stop and save", "Here", enabled=False)
    page, run = entry("Runs", "Page"), entry("stopped early", "Run")
    assert arranged("", (stop, page), (run,)) == (page, run, stop)
    assert arranged("stop", (stop, page), (run,)) == (stop, run)


def test_that_a_run_opened_lately_is_the_first_before_anything_is_typed(
    shell: Shell, qtbot: QtBot
) -> None:
    window, palette = shell.window, shell.window.palette_box
    oldest = min(shell.application.runs.rows(shell.runs.values()), key=lambda it: it.created)
    palette.open()
    assert oldest.name not in runs_of(shell)
    palette.close_it()
    window.open_run(oldest.uid)
    window.show_page("runs")
    palette.open()
    assert runs_of(shell)[0] == oldest.name


def runs_of(shell: Shell) -> list[str]:
    model = shell.window.palette_box.model
    lines = [model.entry(place) for place in range(model.rowCount())]
    return [it.title for it in lines if it.group.startswith("Run ") or it.group == "Run"]


def test_that_a_checkpoint_is_found_and_shown_with_what_is_known_of_it(
    shell: Shell, qtbot: QtBot
) -> None:
    window, palette = shell.window, shell.window.palette_box
    palette.open()
    qtbot.waitUntil(lambda: shell.application.models.loaded, timeout=10_000)
    node = next(it for it in shell.application.models.nodes() if it.run)
    qtbot.keyClicks(palette.field, node.key[:12])
    model = palette.model
    lines = [model.entry(place) for place in range(model.rowCount())]
    place = next(place for place, it in enumerate(lines) if it.group == "Checkpoint")
    assert node.title in lines[place].title
    palette._do(place)
    assert window.page == "models"
    assert shell.application.models.selected == node


def test_that_what_is_read_while_one_types_leaves_the_choice_alone(
    shell: Shell, qtbot: QtBot
) -> None:
    palette = shell.window.palette_box
    palette.open()
    qtbot.keyClicks(palette.field, "se")
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    chosen = palette.list.currentIndex().row()
    assert chosen > 0
    shell.application.models.changed.emit()
    assert palette.list.currentIndex().row() == chosen
