"""The acts of a walk, in the order of the pages. See `window_walk`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QWidget

from app.views.recipe_sides import SIDES
from app.views.tag_dialog import TagDialog
from tests.bench.walk import Step, Walk

SELECTED = 1000


def menus(walk: Walk, name: str, open_it: Callable[[], object]) -> Iterator[Step]:
    """Open a menu, and close it."""
    yield Step(f"{name}: open", open_it)
    yield Step(f"{name}: close", walk.close_popup)


def popup_of(box: QComboBox) -> Callable[[], None]:
    """Open the list of a combo box."""
    return lambda: box.showPopup()


def steps(walk: Walk) -> Iterator[Step]:
    """The whole walk."""
    yield Step("start: window made and shown", walk.open)
    window, application = walk.window, walk.application
    loaded = application.runs
    yield Step(
        "start: list read, charts imported",
        lambda: None,
        lambda: loaded.rowCount() > 9_000 and window._imports.isFinished(),
    )
    yield from list_steps(walk)
    yield from run_steps(walk)
    yield from shell_steps(walk)
    yield from other_pages(walk)
    yield from data_steps(walk)
    for choice in ("dark", "light"):
        for key in ("runs", "run", "new", "models", "compare", "settings"):
            yield Step(f"(on {key})", lambda key=key: window.show_page(key))
            yield Step(
                f"theme {choice}, on {key}", lambda it=choice: window.header.choose_theme(it)
            )
            other = "light" if choice == "dark" else "dark"
            yield Step("(theme back)", lambda it=other: window.header.choose_theme(it))  # type: ignore[arg-type]
    for density in ("compact", "roomy", "normal"):
        yield Step(f"density {density}", lambda it=density: window._choose_density(it))
    yield Step("resize to 1600 x 1000", lambda: window.resize(1600, 1000))
    yield Step("resize to 1280 x 800", lambda: window.resize(1280, 800))


def list_steps(walk: Walk) -> Iterator[Step]:
    """The run list."""
    window, application = walk.window, walk.application
    page = window.runs_page
    head, table, model = page.head, page.table, page.model
    edits = application.edits

    def done(words: str) -> Callable[[], bool]:
        """The newest change is this one, and the list shows it."""
        return lambda: edits.next_undo.endswith(words) and not application._reading

    yield Step("list: scroll a page down", lambda: walk.key(Qt.Key.Key_PageDown))
    yield Step("list: arrow down", lambda: walk.key(Qt.Key.Key_Down))
    yield Step("list: to the end", lambda: walk.key(Qt.Key.Key_End, ctrl=True))
    yield Step("list: to the beginning", lambda: walk.key(Qt.Key.Key_Home, ctrl=True))
    yield Step("list: repaint", lambda: table.viewport().update())
    yield Step("list: focus in the search", lambda: head.search.setFocus())
    yield Step("list: type a letter", lambda: walk.key(Qt.Key.Key_B))
    yield Step("list: type another", lambda: walk.key(Qt.Key.Key_E))
    yield Step("list: clear", head.clear)
    yield Step("list: filter status:done", lambda: head.search.edit.setText("status:done"))
    yield Step("list: filter lr>1e-9 tag:x", lambda: head.search.edit.setText("lr>1e-9 tag:x"))
    yield Step("list: clear again", head.clear)
    yield from menus(walk, "list: filter examples", head.search.help.click)
    for key in ("base", "day", "status"):
        known = dict(head._group_choices())
        if key in known:
            yield Step(f"list: group by {key}", lambda key=key: head.set_group(key))
    yield Step("list: fold all groups", lambda: model.fold([it.key for it in model.groups()], True))
    yield Step("list: no groups", lambda: head.set_group(""))
    for column in ("name", "recovered", "created"):
        place = model.columns.index(column)
        yield Step(
            f"list: sort by {column}",
            lambda it=place: table.sortByColumn(it, Qt.SortOrder.DescendingOrder),
        )
    yield from menus(walk, "list: groups", popup_of(head.group))
    yield from menus(walk, "list: columns", page._column_menu)
    extra = application.runs.vocabulary().fields[0]
    yield Step("list: add a column", lambda: model.add_column(extra))
    yield Step("list: remove the column", lambda: model.remove_column(extra))
    yield Step("list: select one", lambda: table.selectRow(3))
    yield from menus(walk, "list: context menu", lambda: page._menu(table.rect().center()))
    yield Step("list: star it", lambda: page._act("star"), done("starred."))
    yield Step("list: undo the star", edits.undo, done(""))

    def select() -> None:
        table.clearSelection()
        from PySide6.QtCore import QItemSelection, QItemSelectionModel

        chosen = QItemSelection(
            model.index(0, 0), model.index(SELECTED - 1, model.columnCount() - 1)
        )
        table.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    yield Step("list: select 1,000", select)
    dialog: list[TagDialog] = []

    def tags() -> None:
        known = application.runs.vocabulary().tags
        dialog.append(TagDialog(page, "Tags", dict.fromkeys(known, 0.5)))
        dialog[0].open()

    yield Step("list: tag dialog", tags)
    yield Step("list: tag dialog closed", lambda: dialog[0].reject())
    yield Step("list: tag 1,000", lambda: page._act("tag"), done("tags."))
    yield Step("list: undo the tags", edits.undo, done(""))
    yield Step("list: copy 1,000", lambda: page._act("copy"))
    yield Step("list: delete 1,000", lambda: page._act("delete"), done("deleted."))
    yield Step("list: bring 1,000 back", edits.undo, done(""))
    yield Step("list: select all", table.selectAll)
    yield Step("list: no selection", table.clearSelection)


def run_steps(walk: Walk) -> Iterator[Step]:
    """The run page: a run that has ended, then the one at work."""
    window = walk.window
    ended, other = walk.runs("done")[:2]  # the newest ones have their logs
    live = walk.runs("running")[0]
    yield Step("run: first visit", lambda: window.show_page("run"))
    yield Step(
        "run: first run opened", lambda: window.open_run(ended), lambda: window.run_page.run.loaded
    )
    page = window.run_page
    area = page.area
    yield Step("run: another run", lambda: window.open_run(other), lambda: page.run.loaded)
    yield Step("run: away", lambda: window.show_page("runs"))
    yield Step("run: second visit", lambda: window.show_page("run"))
    yield from menus(walk, "run: charts menu", area.choose_charts)
    wanted = [key for key, _ in area.options() if key not in area.shown()]
    for number, key in enumerate(wanted[:4]):
        yield Step(f"run: chart {number + 3} added", lambda key=key: area.set_shown(key, True))
    yield Step("run: chart switched", lambda: area._replace(area.tiles[0], wanted[-1]))
    for key in wanted[:4]:
        yield Step("run: chart taken away", lambda key=key: area.set_shown(key, False))
    yield Step("run: charts again, third", lambda: area.set_shown(wanted[0], True))
    yield Step("run: log y", area.log.click)
    yield Step("run: clip", area.clip.click)
    yield Step("run: smoothing", lambda: area._smooth("0.97"))
    yield Step("run: zoom", lambda: area.zoom(0.5))
    yield Step("run: whole", area.whole.click)
    for axis, title in [(it.key, it.title) for it in page.run.axes()]:
        yield Step(f"run: x axis {title}", lambda it=axis: area._set_x_axis(it))
    yield Step("run: x axis back", lambda: area._set_x_axis(page.run.axes()[0].key))
    for button in page.details.side.findChildren(QWidget):
        if hasattr(button, "click"):
            yield Step(f"run: panel {button.text()}", button.click)
    for button in page.completions.pick.findChildren(QWidget):
        if hasattr(button, "click"):
            yield Step(f"run: completion {button.text()}", button.click)
    yield Step("run: completion search", lambda: page.completions.search.setText("the"))
    yield Step("run: completion search off", lambda: page.completions.search.setText(""))
    for button in page.cka.layout_choice.findChildren(QWidget):
        if hasattr(button, "click"):
            yield Step(f"run: CKA {button.text()}", button.click)
    yield from menus(walk, "run: more", page.more.click)
    yield Step(
        "run: live run opened", lambda: window.open_run(live), lambda: bool(page.run.series("loss"))
    )
    yield Step("run: live run watched", lambda: None, lambda: True)
    yield Step("run: live, away", lambda: window.show_page("runs"))
    yield Step("run: live, back", lambda: window.show_page("run"))
    yield Step("run: away from the live run", lambda: window.open_run(ended))


def shell_steps(walk: Walk) -> Iterator[Step]:
    """Palette, drawer, notices."""
    window, application = walk.window, walk.application
    box = window.palette_box
    for page in ("run", "runs"):
        yield Step(f"(on {page})", lambda page=page: window.show_page(page))
        yield Step(f"palette on {page}: open", box.open)
        yield Step("palette: type a letter", lambda: walk.key(Qt.Key.Key_B))
        yield Step("palette: type another", lambda: walk.key(Qt.Key.Key_E))
        yield Step("palette: arrow", lambda: walk.key(Qt.Key.Key_Down))
        yield Step("palette: close", box.close_it)
        yield Step(f"drawer on {page}: open", window.shortcuts.toggle)
        yield Step(f"drawer on {page}: close", window.shortcuts.toggle)
    yield from menus(walk, "projects", window._project_menu)
    yield Step("a notice", lambda: application.message.emit("info", "A notice.", "What to do."))
    yield Step("an error", lambda: application.message.emit("error", "An error.", "What to do."))
    yield Step("notice gone", window.notice.leave)


def other_pages(walk: Walk) -> Iterator[Step]:
    """New run, Compare, Settings, the lineage."""
    window, application = walk.window, walk.application
    done = walk.runs("done")
    for visit in ("first visit", "second visit"):
        for key in ("new", "compare", "settings", "models"):
            yield Step(f"{key}: {visit}", lambda key=key: window.show_page(key))
    yield Step("new: preset", lambda: window._load_preset(application.new_run.presets()[0].path))
    page = window.new_page
    yield from menus(walk, "new: presets", popup_of(page.head.presets))
    for number in range(min(3, len(page._model.cards()))):
        yield Step(f"new: card {number}", lambda it=number: page._choose_card(it))
    for side, _ in SIDES:
        yield Step(f"new: side {side}", lambda it=side: page.sides.go_to(it))
    yield from menus(walk, "new: add a stage", page._add_stage)
    yield Step("new: undo", page._undo)
    yield Step(
        "compare: two runs",
        lambda: window.compare(done[:2]),
        lambda: not application.compare.loading,
    )
    yield Step(
        "compare: four runs",
        lambda: window.compare(done[2:6]),
        lambda: not application.compare.loading,
    )
    compare = window.compare_page
    yield from menus(walk, "compare: add", compare._add_menu)
    yield Step("compare: away", lambda: window.show_page("runs"))
    yield Step("compare: back", lambda: window.show_page("compare"))
    yield Step(
        "models: back", lambda: window.show_page("models"), lambda: application.models.loaded
    )
    models: Any = window.page_at("models")
    panel = models.checkpoints
    yield Step("models: lineage shown", lambda: None, lambda: len(application.models.nodes()) > 250)
    yield Step("models: fold all", lambda: panel.graph.fold_all(True))
    yield Step("models: unfold all", lambda: panel.graph.fold_all(False))
    for factor in (0.5, 0.3, 8.0):
        yield Step(f"models: zoom {factor:g}", lambda it=factor: panel.graph.zoom(it))
    yield Step("models: fit", panel.graph.fit)
    yield Step(
        "models: select one", lambda: panel.show_checkpoint(application.models.nodes()[40].key)
    )
    yield Step(
        "models: select another", lambda: panel.show_checkpoint(application.models.nodes()[141].key)
    )
    yield Step("models: search", lambda: panel.search.setText("sdft"))
    yield Step("models: search off", lambda: panel.search.setText(""))
    yield Step("models: table", panel._other_view)
    yield Step("models: graph", panel._other_view)
    yield Step("models: add", panel.show_add)
    yield from menus(
        walk, "models: export", lambda: panel.export_menu(application.models.nodes()[40])
    )


def data_steps(walk: Walk) -> Iterator[Step]:
    """The library and a hundred thousand rows."""
    window, model = walk.window, walk.application.data
    page: Any = window.page_at("models")
    panel = page.data
    yield Step(
        "data: first visit",
        lambda: page.parts.choose("data"),
        lambda: model.library.model.rowCount() > 0,
    )
    for file in walk.files[1:]:
        model.library.remember({"file": str(file)})
    yield Step(
        "data: library of 40",
        lambda: model.library.refresh(),
        lambda: model.library.model.rowCount() > 39,
    )
    yield Step("data: surveys of all", lambda: None, lambda: not model._reading.busy)
    yield Step(
        "data: import 100,000 rows",
        lambda: model.import_file(str(walk.files[0])),
        lambda: model.items.survey is not None and model.items.survey.rows > 90_000,
    )
    for part in ("columns", "items", "figures", "leaks"):
        yield Step(f"data: {part}", lambda part=part: panel.part.choose(part))
    yield Step("data: items again", lambda: panel.part.choose("items"))
    yield Step("data: any item", model.items.shuffle)
    yield Step("data: next item", lambda: panel._step(1))
    yield Step(
        "data: find", lambda: (panel.items.search.setText("99999"), panel.items.find_text(1))
    )
    yield Step("data: lengths", lambda: panel.part.choose("lengths"))
    yield Step(
        "data: lengths of 100,000 measured",
        panel.lengths.start,
        lambda: model.lengths.known and not model.lengths.measuring,
    )
    yield Step("data: lengths left", lambda: panel.part.choose("items"))
    yield Step("data: lengths again", lambda: panel.part.choose("lengths"))
    yield Step("data: another dataset", lambda: panel.list.selectRow(5))
    yield Step("data: filter", lambda: panel.filter.setText("set1"))
    yield Step("data: filter off", lambda: panel.filter.setText(""))
    yield Step("data: back to models", lambda: page.parts.choose("models"))


# growth
