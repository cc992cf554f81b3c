from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.viewmodels.recipe_types import Choice, FieldView
from app.widgets.controls import Button
from app.widgets.editors import (
    BoolEditor,
    ChoiceEditor,
    LineEditor,
    ManyEditor,
    read,
    written,
)
from app.widgets.prose_editor import ProseEditor
from app.widgets.spec_form import SpecForm
from app.widgets.theme import Theme

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
RATE = FieldView(
    "stages.1.learning_rate",
    "Learning rate",
    "float",
    1e-4,
    default=1e-4,
    is_default=True,
    help="Peak learning rate of AdamW.",
    paper="not stated",
)
STEPS = FieldView("stages.1.max_steps", "Steps", "int", 200, optional=True, unit="steps", help="n")
TEACHER = FieldView(
    "stages.1.teacher",
    "Teacher",
    "stage",
    "base",
    choices=(Choice("base", "base"), Choice("nf4", "nf4")),
    paper="base, or the expert",
    help="Scores.",
)
DATA = FieldView(
    "stages.1.dataset",
    "Dataset",
    "dataset",
    ("tooluse",),
    multiple=True,
    choices=(Choice("tooluse", "tooluse"), Choice("science", "science")),
)
DOUBLE = FieldView("stages.0.use_double_quant", "Double", "bool", True)
SEED = FieldView("stages.1.seed", "Seed", "int", None, optional=True, advanced=True)
FIELDS = (RATE, STEPS, TEACHER, DATA, DOUBLE, SEED)


@pytest.fixture
def form(theme: Theme, qtbot: QtBot) -> SpecForm:
    made = SpecForm(theme)
    qtbot.addWidget(made)
    made.resize(600, 500)
    made.show_fields(FIELDS)
    made.show()
    qtbot.waitExposed(made)
    return made


def _line(form: SpecForm, path: str) -> LineEditor:
    editor = form.editor(path)
    assert isinstance(editor, LineEditor)
    return editor


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("", "float", None),
        ("1e-4", "float", 1e-4),
        (" 4 096 ", "int", 4096),
        ("many", "int", "many"),
        ("2.5", "int", "2.5"),
        ("path/to", "path", "path/to"),
    ],
)
def test_that_typed_text_becomes_a_value_or_stays_text_for_the_validation(
    text: str, kind: str, value: object
) -> None:
    assert read(text, kind) == value


def test_that_values_survive_being_written_and_read() -> None:
    for value in (1e-4, 0.1, 123456.789, 3.0):
        assert read(written(value), "float") == value
    assert read(written(("a", "b")), "list", many=True) == ("a", "b")


def test_that_a_default_is_a_placeholder_and_typing_commits_once(
    form: SpecForm, qtbot: QtBot
) -> None:
    line = _line(form, RATE.path).line
    assert line.text() == ""
    assert line.placeholderText() == "0.0001"
    said: list[tuple[str, object]] = []
    form.changed.connect(lambda path, value: said.append((path, value)))
    line.setFocus()
    qtbot.keyClicks(line, "5e-5")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.wait(400)
    assert said == [(RATE.path, 5e-5)]
    line.selectAll()
    qtbot.keyClick(line, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: said[-1] == (RATE.path, None), timeout=2000)


def test_that_a_problem_stands_beside_its_field_and_goes_again(form: SpecForm) -> None:
    assert form.note(STEPS.path) == "n"
    wrong = replace(STEPS, problem="Steps must be 1 or more.", problem_hint="Try 200.")
    form.show_fields([RATE, wrong, TEACHER, DATA, DOUBLE, SEED])
    assert form.note(STEPS.path) == "Steps must be 1 or more. Try 200."
    line = _line(form, STEPS.path).line
    assert line.property("wrong") is True
    assert "Steps must be 1 or more" in line.accessibleDescription()
    form.show_fields(FIELDS)
    assert form.note(STEPS.path) == "n"
    assert line.property("wrong") is False


def test_that_the_paper_is_named_only_where_it_says_something(form: SpecForm) -> None:
    assert form.note(RATE.path) == "Peak learning rate of AdamW."
    assert form.note(TEACHER.path) == "Scores. Paper: base, or the expert."


def test_that_an_update_never_overwrites_what_is_being_typed(form: SpecForm, qtbot: QtBot) -> None:
    line = _line(form, STEPS.path).line
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, "30")
    form.show_fields(FIELDS)
    assert line.text() == "30"
    assert form.editor(STEPS.path).control() is line


def test_that_the_same_fields_keep_their_controls_and_others_do_not(form: SpecForm) -> None:
    before = form.editor(RATE.path)
    form.show_fields([replace(RATE, value=0.5, is_default=False), *FIELDS[1:]])
    assert form.editor(RATE.path) is before
    assert _line(form, RATE.path).line.text() == "0.5"
    form.show_fields([STEPS])
    with pytest.raises(KeyError):
        form.editor(RATE.path)


def test_that_the_focus_stays_in_the_form_when_its_controls_are_new(
    form: SpecForm, qtbot: QtBot
) -> None:
    form.show()
    form.activateWindow()
    form.editor(STEPS.path).control().setFocus()
    other = replace(STEPS, path="stages.2.max_steps")
    form.show_fields((TEACHER, other))
    qtbot.waitUntil(lambda: form.editor(other.path).control().hasFocus())
    form.show_fields((RATE, TEACHER))
    qtbot.waitUntil(lambda: form.editor(RATE.path).control().hasFocus())


def test_that_choices_and_boxes_speak(form: SpecForm, qtbot: QtBot) -> None:
    said: list[tuple[str, object]] = []
    form.changed.connect(lambda path, value: said.append((path, value)))
    teacher = form.editor(TEACHER.path)
    assert isinstance(teacher, ChoiceEditor)
    teacher.combo.setFocus()
    qtbot.keyClick(teacher.combo, Qt.Key.Key_Down)
    many = form.editor(DATA.path)
    assert isinstance(many, ManyEditor)
    boxes = many.findChildren(QCheckBox)
    boxes[1].click()
    double = form.editor(DOUBLE.path)
    assert isinstance(double, BoolEditor)
    double.box.click()
    assert said == [
        (TEACHER.path, "nf4"),
        (DATA.path, ("tooluse", "science")),
        (DOUBLE.path, False),
    ]


def test_that_advanced_fields_are_folded_unless_they_hold_a_problem(form: SpecForm) -> None:
    assert not form.editor(SEED.path).isVisible()
    form.show_fields([*FIELDS[:-1], replace(SEED, problem="no")])
    assert form.editor(SEED.path).isVisible()
    form.show_fields(FIELDS)
    form.focus_on(SEED.path)
    assert form.editor(SEED.path).isVisible()
    assert form.editor(SEED.path).control().hasFocus()


def test_that_the_button_that_unfolds_has_room_for_its_words(form: SpecForm) -> None:
    button = next(it for it in form.findChildren(Button) if "more setting" in it.text())
    assert button.text().strip() == "1 more setting"
    assert button.maximumWidth() >= button.sizeHint().width()
    words = button.fontMetrics().horizontalAdvance(button.text())
    assert button.sizeHint().width() >= words + button.iconSize().width()


def test_that_every_control_has_a_name(form: SpecForm) -> None:
    for field in FIELDS:
        assert form.editor(field.path).control().accessibleName()


TEMPLATE = FieldView(
    "stages.1.teacher_template",
    "Teacher template",
    "prose",
    "{question}\n{demonstration}",
    default="{question}\n{demonstration}",
    is_default=True,
    help="How it is put.",
)
ALPHA = FieldView(
    "stages.1.distillation_alpha",
    "Alpha",
    "float",
    0.5,
    default=0.5,
    is_default=True,
    help="The share.",
    idle="Only with the Jensen-Shannon divergence.",
)
TEACHERS = replace(
    TEACHER, value=("nf4", "base"), multiple=True, choices=(*TEACHER.choices, Choice("ema", "ema"))
)


def test_that_a_text_of_several_lines_is_typed_and_taken_back(form: SpecForm, qtbot: QtBot) -> None:
    form.show_fields([TEMPLATE])
    editor = form.editor(TEMPLATE.path)
    assert isinstance(editor, ProseEditor)
    assert editor.text.toPlainText() == TEMPLATE.value
    assert not editor.reset.isVisible()
    said: list[object] = []
    form.changed.connect(lambda _, value: said.append(value))
    editor.text.setFocus()
    qtbot.keyClicks(editor.text, "Q ")
    form.show_fields([TEMPLATE])  # an answer meanwhile does not overwrite what is being typed
    qtbot.waitUntil(lambda: said == ["Q {question}\n{demonstration}"], timeout=2000)
    form.show_fields([replace(TEMPLATE, value=said[0], is_default=False, problem="No.")])
    assert editor.text.property("wrong") is True
    qtbot.keyClick(editor.text, Qt.Key.Key_Tab)
    assert editor.reset.hasFocus()
    qtbot.keyClick(editor.reset, Qt.Key.Key_Return)
    assert said[-1] is None
    editor.text.setFocus()
    qtbot.keyClicks(editor.text, "now ")
    editor.reset.setFocus()  # what was typed is not lost with the focus
    assert said[-1] == "Q now {question}\n{demonstration}"
    form.show_fields([TEMPLATE])
    assert editor.text.toPlainText() == TEMPLATE.value


def test_that_a_setting_without_effect_rests_and_says_why(form: SpecForm) -> None:
    form.show_fields([ALPHA])
    assert not form.editor(ALPHA.path).isEnabled()
    assert form.note(ALPHA.path) == ALPHA.idle
    form.show_fields([replace(ALPHA, value=0.3, is_default=False)])
    assert form.editor(ALPHA.path).isEnabled()  # so that it can be taken back
    form.show_fields([replace(ALPHA, idle="")])
    assert form.editor(ALPHA.path).isEnabled()
    assert form.note(ALPHA.path) == "The share."


def test_that_several_teachers_are_numbered_and_added_at_the_end(
    form: SpecForm, qtbot: QtBot
) -> None:
    form.show_fields([TEACHERS])
    boxes = form.editor(TEACHERS.path).findChildren(QCheckBox)
    assert [it.text() for it in boxes] == ["2. base", "1. nf4", "ema"]
    said: list[object] = []
    form.changed.connect(lambda _, value: said.append(value))
    boxes[2].setFocus()
    qtbot.keyClick(boxes[2], Qt.Key.Key_Space)
    boxes[1].click()
    assert said == [("nf4", "base", "ema"), ("base", "ema")]
    form.show_fields([replace(TEACHERS, value=("base",))])
    assert [it.text() for it in boxes] == ["base", "nf4", "ema"]


def test_that_the_empty_choice_has_its_own_words(form: SpecForm) -> None:
    source = replace(
        TEACHER,
        value=None,
        optional=True,
        choices=(Choice("", "the stage before"), *TEACHER.choices),
    )
    form.show_fields([source])
    editor = form.editor(source.path)
    assert isinstance(editor, ChoiceEditor)
    assert [editor.combo.itemText(row) for row in range(3)] == ["the stage before", "base", "nf4"]
    assert editor.combo.currentText() == "the stage before"


def test_that_enter_in_the_search_goes_to_the_first_setting_found(
    form: SpecForm, qtbot: QtBot
) -> None:
    form.show()
    form.activateWindow()
    form.set_filter("steps")
    form.focus_first()
    qtbot.waitUntil(lambda: form.editor(STEPS.path).control().hasFocus())


def test_that_what_was_typed_a_moment_ago_counts_for_what_is_done_now(
    form: SpecForm, qtbot: QtBot
) -> None:
    line = _line(form, STEPS.path).line
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(line, "7")
    told: list[object] = []
    form.changed.connect(lambda path, value: told.append((path, value)))
    form.finish_typing()
    assert told == [(STEPS.path, 7)]
    form.finish_typing()
    assert told == [(STEPS.path, 7)]


def test_that_every_box_of_several_keeps_its_name(form: SpecForm) -> None:
    editor = form.editor(DATA.path)
    boxes = editor.findChildren(QCheckBox)
    assert [it.accessibleName() for it in boxes] == ["Dataset: tooluse", "Dataset: science"]
    assert editor.accessibleName() == "Dataset"


def test_that_tab_passes_through_new_controls_before_what_stands_behind_the_form(
    theme: Theme, qtbot: QtBot
) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    column = QVBoxLayout(host)
    made, behind = SpecForm(theme), Button(theme, "Behind")
    column.addWidget(made)
    column.addWidget(behind)
    made.show_fields(FIELDS)
    made.show_fields((STEPS, RATE))
    passed, widget = [], made.nextInFocusChain()
    while widget is not behind:
        passed.append(widget)
        widget = widget.nextInFocusChain()
    places = [passed.index(made.editor(it.path).control()) for it in (STEPS, RATE)]
    assert places == sorted(places)
