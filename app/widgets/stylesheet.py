"""The style sheet: every control the window uses, drawn from the tokens.

Variants are dynamic properties: `kind` on buttons (primary, quiet, danger, segment, rail), `role` on
labels (brand, title, heading, strong, caption, explanation, hint, problem, warning, small, section, log), `surface` on frames (card, bar,
rail, chip, notice, rule), `wrong` on fields, `flat` on what stands inside a card. Sizes come from `app.widgets.scale`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from string import Template

from app.widgets.scale import RADII, TYPE_SCALE
from app.widgets.tokens import Tokens

_SHEET = Template(
    """
QWidget { color: $ink; }
QMainWindow, QWidget[surface="page"] { background: $background; }
QWidget[surface="none"], QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }
QFrame[surface="card"] { background: $panel; border: 1px solid $line; border-radius: ${radius_card}px; }
QFrame[surface="bar"] { background: $panel; border: none; border-bottom: 1px solid $line; }
QFrame[surface="status"] { background: $panel; border: none; border-top: 1px solid $line; }
QFrame[surface="rail"] { background: $panel; border: none; border-right: 1px solid $line; }
QFrame[surface="chip"] { background: $panel; border: 1px solid $line; border-radius: ${radius_chip}px; }
QFrame[surface="notice"] { background: $accent_background; border: 1px solid $accent; border-radius: ${radius_card}px; }
QFrame[surface="notice"][level="error"] { background: $panel; border-color: $bad; }
QFrame[surface="notice"][level="warning"] { background: $panel; border-color: $warning; }
QFrame[surface="rule"] { background: $line; border: none; }

QLabel { background: transparent; }
QLabel[role="brand"] { font-size: ${type_body}px; font-weight: 650; }
QLabel[role="title"] { font-size: ${type_title}px; font-weight: 600; }
QLabel[role="heading"] { font-size: ${type_caption}px; font-weight: 600; }
QLabel[role="caption"] { font-size: ${type_caption}px; color: $second; }
QLabel[role="explanation"] { color: $second; }
QLabel[role="hint"] { font-size: ${type_caption}px; color: $third; }
QLabel[role="small"] { font-size: ${type_small}px; color: $second; }
QLabel[role="section"] { font-size: ${type_small}px; color: $third; }
QLabel[role="key"] { font-size: ${type_small}px; color: $second; border: 1px solid $edge; border-radius: 4px; padding: 0 4px; }
QLabel[role="strong"] { font-weight: 600; }
QLabel[role="log"] { font-family: $mono; font-size: ${type_caption}px; color: $second; }
QLabel[resting="true"] { color: $third; }
QLabel[role="problem"] { font-size: ${type_caption}px; color: $bad_text; }
QLabel[role="warning"] { font-size: ${type_caption}px; color: $warning_text; }

QPushButton { background: $panel; border: 1px solid $edge; border-radius: ${radius_control}px; padding: 3px 10px; min-height: 20px; outline: none; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $line; }
QPushButton:disabled { color: $third; border-color: $line; background: $background; }
QPushButton:focus { border: 2px solid $accent; padding: 2px 9px; }
QPushButton[kind="primary"] { background: $accent; border-color: $accent; color: $on_accent; font-weight: 550; }
QPushButton[kind="primary"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[kind="primary"]:focus { border: 2px solid $ink; padding: 2px 9px; }
QPushButton[kind="primary"]:disabled { background: $line; border-color: $line; color: $third; }
QPushButton[kind="danger"] { color: $bad_text; }
QPushButton[kind="danger"]:hover { border-color: $bad; }
QPushButton[kind="danger"]:disabled { color: $third; }
QPushButton[kind="quiet"] { background: transparent; border: 1px solid transparent; color: $second; padding: 2px 5px; }
QPushButton[kind="quiet"]:hover { background: $hover; color: $ink; }
QPushButton[kind="quiet"]:checked { background: $accent_background; color: $accent; }
QPushButton[kind="quiet"]:disabled { color: $third; }
QPushButton[kind="quiet"]:focus { border: 2px solid $accent; padding: 1px 4px; }
QPushButton[kind="cross"] { background: transparent; border: 1px solid transparent; border-radius: 9px; padding: 0; min-height: 0; }
QPushButton[kind="cross"]:hover { background: $line; }
QPushButton[kind="cross"]:focus { border-color: $accent; }
QPushButton[kind="segment"] { background: transparent; border: 1px solid transparent; border-radius: ${radius_small}px; color: $second; font-size: ${type_caption}px; padding: 0 7px; min-height: 20px; }
QPushButton[kind="segment"]:hover { color: $ink; }
QPushButton[kind="segment"]:checked { background: $accent_background; color: $accent; }
QPushButton[kind="segment"]:focus { border: 1px solid $accent; }
QPushButton[kind="dashed"] { background: transparent; border: 1px dashed $third; border-radius: ${radius_card}px; color: $second; }
QPushButton[kind="dashed"]:hover { background: $hover; color: $ink; }
QPushButton[kind="dashed"]:focus { border: 2px solid $accent; }
QPushButton[kind="legend"] { background: transparent; border: 1px solid transparent; border-radius: ${radius_small}px; color: $second; font-size: ${type_small}px; padding: 0 4px; min-height: 16px; }
QPushButton[kind="legend"]:hover { color: $ink; }
QPushButton[kind="legend"]:!checked { color: $third; }
QPushButton[kind="legend"]:focus { border-color: $accent; }
QPushButton[kind="search"] { background: $background; border: 1px solid $line; color: $third; text-align: left; padding: 1px 8px; min-height: 0; }
QPushButton[kind="search"]:hover { border-color: $third; color: $second; }
QPushButton[kind="search"]:focus { border: 2px solid $accent; padding: 0 7px; }
QPushButton[kind="chip"] { background: $panel; border: 1px solid $line; border-radius: 10px; color: $second; font-size: 11px; padding: 0 8px; min-height: 18px; }
QPushButton[kind="chip"]:hover { background: $hover; color: $ink; }
QPushButton[kind="chip"]:focus { border: 1px solid $accent; }
QPushButton[kind="rail"] { background: transparent; border: 1px solid transparent; color: $second; text-align: left; padding: 4px 9px; min-height: 20px; }
QPushButton[kind="rail"]:hover { background: $hover; color: $ink; }
QPushButton[kind="rail"]:checked { background: $accent_background; color: $accent; font-weight: 550; }
QPushButton[kind="rail"]:focus { border: 1px solid $accent; }

QAbstractScrollArea { background: transparent; border: none; }
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit {
  background: $field; border: 1px solid $edge; border-radius: ${radius_control}px; color: $ink;
  selection-background-color: $accent; selection-color: $on_accent; placeholder-text-color: $third; }
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox { padding: 3px 8px; min-height: 20px; }
QComboBox { padding-left: 10px; combobox-popup: 0; }
QPlainTextEdit, QTextEdit { padding: 4px; }
QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover, QPlainTextEdit:hover, QTextEdit:hover { border-color: $third; }
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus { border: 2px solid $accent; padding: 2px 7px; }
QComboBox:focus { padding-left: 9px; }
QPlainTextEdit:focus, QTextEdit:focus { border: 2px solid $accent; padding: 3px; }
QPlainTextEdit:disabled, QTextEdit:disabled { color: $third; background: $background; }
QLineEdit:read-only { background: $background; }
QLineEdit[wrong="true"], QSpinBox[wrong="true"], QDoubleSpinBox[wrong="true"], QComboBox[wrong="true"], QPlainTextEdit[wrong="true"], QTextEdit[wrong="true"], QFrame[wrong="true"] { border-color: $bad; }
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled { color: $third; background: $background; }
QPlainTextEdit[flat="true"], QTextEdit[flat="true"] { background: transparent; border: 1px solid transparent; border-radius: ${radius_small}px; padding: 0; }
QPlainTextEdit[flat="true"]:focus, QTextEdit[flat="true"]:focus { border: 1px solid $accent; padding: 0; }

QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url($icons/down.svg); width: 12px; height: 12px; }
QComboBox[flat="true"] { background: transparent; border: 1px solid transparent; color: $second; font-size: ${type_caption}px; padding: 0 2px 0 6px; min-height: 18px; }
QComboBox[flat="true"]::drop-down { width: 16px; }
QComboBox[heading="true"] { color: $ink; font-weight: 600; padding-left: 0; }
QComboBox[flat="true"]:hover { background: $hover; color: $ink; }
QComboBox[flat="true"]:focus { border: 1px solid $accent; padding: 0 2px 0 6px; }
QComboBox[heading="true"]:focus { padding-left: 0; }
QComboBox QAbstractItemView, QComboBox QAbstractItemView:focus { background: $panel; border: 1px solid $edge; border-radius: 0; padding: 4px; outline: none; }
QComboBox QAbstractItemView::item { color: $ink; min-height: 24px; padding: 0 8px; border: none; border-radius: ${radius_small}px; }
QComboBox QAbstractItemView::item:disabled { color: $third; padding: 6px 8px 0 8px; }
QComboBox QAbstractItemView::item:selected { background: $accent_background; color: $ink; }
QSpinBox::up-button, QDoubleSpinBox::up-button { subcontrol-origin: border; subcontrol-position: top right; width: 20px; border: none; }
QSpinBox::down-button, QDoubleSpinBox::down-button { subcontrol-origin: border; subcontrol-position: bottom right; width: 20px; border: none; }
QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus { background: transparent; border: none; padding: 0 0 0 6px; min-height: 0; }
QComboBox::down-arrow:disabled { image: none; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url($icons/up.svg); width: 9px; height: 9px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url($icons/down.svg); width: 9px; height: 9px; }
QCheckBox { spacing: 8px; background: transparent; border: 1px solid transparent; border-radius: ${radius_small}px; padding: 2px; }
QCheckBox:focus { border-color: $accent; }
QCheckBox::indicator { width: 14px; height: 14px; border: 1px solid $third; border-radius: ${radius_small}px; background: $field; }
QCheckBox::indicator:hover { border-color: $accent; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url($icons/check.svg); }
QCheckBox:disabled { color: $third; }
QCheckBox::indicator:disabled { border-color: $line; }
QCheckBox::indicator:checked:disabled { background: $third; border-color: $line; }
QAbstractItemView::indicator { width: 14px; height: 14px; border: 1px solid $third; border-radius: ${radius_small}px; background: $field; }
QAbstractItemView::indicator:hover { border-color: $accent; }
QAbstractItemView::indicator:checked { background: $accent; border-color: $accent; image: url($icons/check.svg); }
QAbstractItemView::indicator:indeterminate { background: $accent; border-color: $accent; image: url($icons/dash.svg); }

QRadioButton { spacing: 8px; background: transparent; border: 1px solid transparent; border-radius: ${radius_small}px; padding: 2px; }
QRadioButton:focus { border-color: $accent; }
QRadioButton::indicator { width: 14px; height: 14px; border: 1px solid $third; border-radius: 8px; background: $field; }
QRadioButton::indicator:hover { border-color: $accent; }
QRadioButton::indicator:checked { background: $accent; border-color: $accent; image: url($icons/dot.svg); }
QRadioButton:disabled { color: $third; }
QRadioButton::indicator:disabled { border-color: $line; }
QRadioButton::indicator:checked:disabled { background: $third; border-color: $line; }

QToolButton { background: transparent; border: 1px solid transparent; border-radius: ${radius_control}px; color: $second; padding: 3px 5px; }
QToolButton:hover { background: $hover; color: $ink; }
QToolButton:pressed { background: $line; }
QToolButton:checked { background: $accent_background; color: $accent; }
QToolButton:disabled { color: $third; }
QToolButton:focus { border-color: $accent; }
QToolButton::menu-indicator { image: none; }
QLineEdit QToolButton, QLineEdit QToolButton:hover { background: transparent; border: none; padding: 0; }

QGroupBox { background: $panel; border: 1px solid $line; border-radius: ${radius_card}px; margin-top: 18px; padding: 10px 12px; font-size: ${type_caption}px; font-weight: 600; }
QGroupBox::title { subcontrol-origin: margin; subcontrol-position: top left; left: 2px; padding: 0 2px; color: $ink; }
QGroupBox:disabled { color: $third; }
QTabWidget::pane { background: $panel; border: none; border-top: 1px solid $line; }
QTabBar { background: transparent; border: none; }
QTabBar::tab { background: transparent; color: $second; border: none; border-bottom: 2px solid transparent; padding: 6px 10px; margin: 0 2px; }
QTabBar::tab:hover { color: $ink; border-bottom-color: $edge; }
QTabBar::tab:selected { color: $accent; border-bottom-color: $accent; }
QTabBar::tab:focus { background: $accent_background; }
QTabBar::tab:disabled { color: $third; }

QTableView, QListView, QTreeView { background: $panel; alternate-background-color: $panel; border: 1px solid transparent; border-radius: ${radius_small}px; outline: none; gridline-color: $line;
  selection-background-color: $accent_background; selection-color: $ink; }
QTableView:focus, QListView:focus, QTreeView:focus { border-color: $accent; }
QTableView::item { padding: 0 8px; border: none; border-bottom: 1px solid $line; }
QTableView::item:hover { background: transparent; }
QListView::item:hover, QTreeView::item:hover { background: $hover; }
QTableView::item:selected, QListView::item:selected, QTreeView::item:selected { background: $accent_background; color: $ink; }
QTableView:disabled, QListView:disabled, QTreeView:disabled { color: $third; }
QListView::item { padding: 6px 4px; border-bottom: 1px solid $line; }
QTreeView { show-decoration-selected: 1; }
QTreeView::item { min-height: 24px; padding: 0 4px; border: none; }
QTreeView::branch { background: transparent; }
QTreeView::branch:hover { background: $hover; }
QTreeView::branch:selected { background: $accent_background; }
QTreeView::branch:has-children:closed { image: url($icons/right.svg); }
QTreeView::branch:has-children:open { image: url($icons/down.svg); }
QHeaderView { background: $panel; border: none; }
QHeaderView::section { background: $panel; color: $third; font-size: ${type_small}px; font-weight: 500; border: none; border-bottom: 1px solid $line; padding: 4px 11px; }
QHeaderView::section:hover { color: $ink; }
QHeaderView::up-arrow { image: url($icons/up.svg); width: 8px; height: 8px; subcontrol-position: center right; }
QHeaderView::down-arrow { image: url($icons/down.svg); width: 8px; height: 8px; subcontrol-position: center right; }
QTableCornerButton::section { background: $panel; border: none; }

QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $scroll; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: $third; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; border: none; background: none; }
QScrollBar::add-page, QScrollBar::sub-page { background: none; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QScrollBar::handle:pressed { background: $third; }
QSlider { background: transparent; border: none; }
QSlider::groove:horizontal { height: 4px; background: $line; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $third; border-radius: 2px; }
QSlider::handle:horizontal { width: 12px; height: 12px; margin: -5px 0; border-radius: 7px; background: $panel; border: 1px solid $third; }
QSlider::handle:horizontal:hover { border-color: $accent; }
QSlider::handle:horizontal:focus { border: 2px solid $accent; }
QSlider::handle:horizontal:disabled { background: $background; border-color: $line; }
QSlider::sub-page:horizontal:disabled { background: $line; }
QSlider::groove:vertical { width: 4px; background: $line; border-radius: 2px; }
QSlider::add-page:vertical { background: $third; border-radius: 2px; }
QSlider::handle:vertical { width: 12px; height: 12px; margin: 0 -5px; border-radius: 7px; background: $panel; border: 1px solid $third; }
QSlider::handle:vertical:hover { border-color: $accent; }
QSlider::handle:vertical:focus { border: 2px solid $accent; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: $accent_background; }
QSplitter::handle:pressed { background: $accent; }
QRubberBand { background: $accent_background; border: 1px solid $accent; }

QToolTip { background: $ink; color: $panel; border: none; padding: 2px 3px; font-size: ${type_caption}px; }
QMenu { background: $panel; border: 1px solid $edge; border-radius: ${radius_control}px; padding: 4px; }
QMenu::item { padding: 4px 24px 4px 12px; border-radius: ${radius_small}px; }
QMenu::item:selected { background: $accent_background; }
QMenu::item:disabled { color: $third; }
QMenu::item:checked { font-weight: 550; }
QMenu::indicator { width: 12px; height: 12px; left: 6px; }
QMenu::indicator:checked { image: url($icons/tick.svg); }
QMenu::item:checked, QMenu::item:unchecked { padding-left: 24px; }
QMenu::right-arrow { image: url($icons/right.svg); width: 12px; height: 12px; right: 4px; }
QMenu::separator { height: 1px; background: $line; margin: 4px 8px; }
QMenuBar { background: $panel; border: none; border-bottom: 1px solid $line; }
QMenuBar::item { background: transparent; border-radius: ${radius_small}px; padding: 4px 8px; }
QMenuBar::item:selected { background: $hover; }
QProgressBar { background: $line; border: none; border-radius: 2px; max-height: 4px; min-height: 4px; color: transparent; }
QProgressBar::chunk { background: $accent; border-radius: 2px; }
QProgressBar[level="warning"]::chunk { background: $warning; }
QProgressBar[level="error"]::chunk { background: $bad; }
QDialog { background: $panel; }
QDialog QPushButton { min-width: 56px; }
QSizeGrip { image: none; width: 0; height: 0; }
"""
)


def stylesheet(
    tokens: Tokens, icons: str, *, accent_hover: str, scroll: str, mono: Sequence[str]
) -> str:
    """The application's QSS for one theme.

    Args:
        tokens: the colours.
        icons: folder with the drawings of `app.widgets.theme` (down.svg, check.svg, …) in the theme's colours, with forward slashes.
        accent_hover: the primary button under the pointer.
        scroll: the handle of a scroll bar.
        mono: families of the font for logs, the best first.
    """
    names = {key: value for key, value in asdict(tokens).items() if isinstance(value, str)}
    names |= {f"type_{name}": str(size) for name, size in TYPE_SCALE.items()}
    names |= {f"radius_{name}": str(size) for name, size in RADII.items()}
    return _SHEET.substitute(
        names,
        icons=icons,
        accent_hover=accent_hover,
        scroll=scroll,
        mono=", ".join(f'"{family}"' for family in mono),
        field=tokens.background if tokens.dark else tokens.panel,
    )
