"""The style sheet: every control the window uses, drawn from the tokens.

Variants are dynamic properties: `kind` on buttons (primary, quiet, danger, segment, rail), `role` on
labels (brand, title, heading, caption, hint, problem, mono), `surface` on frames (card, bar, rail, chip).
"""

from __future__ import annotations

from dataclasses import asdict
from string import Template

from app.widgets.tokens import Tokens

CONTROL_RADIUS = 6
CARD_RADIUS = 8

_SHEET = Template(
    """
QWidget { color: $ink; }
QMainWindow, QDialog, QWidget[surface="page"] { background: $background; }
QWidget[surface="none"], QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }
QFrame[surface="card"] { background: $panel; border: 1px solid $line; border-radius: 8px; }
QFrame[surface="bar"] { background: $panel; border: none; border-bottom: 1px solid $line; }
QFrame[surface="status"] { background: $panel; border: none; border-top: 1px solid $line; }
QFrame[surface="rail"] { background: $panel; border: none; border-right: 1px solid $line; }
QFrame[surface="chip"] { background: $panel; border: 1px solid $line; border-radius: 10px; }
QFrame[surface="notice"] { background: $accent_background; border: 1px solid $accent; border-radius: 8px; }
QFrame[surface="notice"][level="error"] { background: $panel; border-color: $bad; }
QFrame[surface="notice"][level="warning"] { background: $panel; border-color: $warning; }
QFrame[surface="rule"] { background: $line; border: none; }

QLabel { background: transparent; }
QLabel[role="brand"] { font-size: 13px; font-weight: 650; }
QLabel[role="title"] { font-size: 16px; font-weight: 600; }
QLabel[role="heading"] { font-size: 12px; font-weight: 600; }
QLabel[role="caption"] { font-size: 12px; color: $second; }
QLabel[role="hint"] { font-size: 12px; color: $third; }
QLabel[role="small"] { font-size: 11px; color: $second; }
QLabel[role="section"] { font-size: 11px; color: $third; }
QLabel[resting="true"] { color: $third; }
QLabel[role="problem"] { font-size: 12px; color: $bad_text; }
QLabel[role="warning"] { font-size: 12px; color: $warning_text; }

QPushButton { background: $panel; border: 1px solid $edge; border-radius: 6px; padding: 3px 10px; min-height: 20px; }
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
QPushButton[kind="segment"] { background: transparent; border: 1px solid transparent; border-radius: 4px; color: $second; font-size: 12px; padding: 0 7px; min-height: 20px; }
QPushButton[kind="segment"]:hover { color: $ink; }
QPushButton[kind="segment"]:checked { background: $accent_background; color: $accent; }
QPushButton[kind="segment"]:focus { border: 1px solid $accent; }
QPushButton[kind="dashed"] { background: transparent; border: 1px dashed $third; border-radius: 8px; color: $second; }
QPushButton[kind="dashed"]:hover { background: $hover; color: $ink; }
QPushButton[kind="dashed"]:focus { border: 2px solid $accent; }
QPushButton[kind="legend"] { background: transparent; border: 1px solid transparent; border-radius: 4px; color: $second; font-size: 11px; padding: 0 4px; min-height: 16px; }
QPushButton[kind="legend"]:hover { color: $ink; }
QPushButton[kind="legend"]:!checked { color: $third; }
QPushButton[kind="legend"]:focus { border-color: $accent; }
QPushButton[kind="rail"] { background: transparent; border: 1px solid transparent; color: $second; text-align: left; padding: 4px 9px; min-height: 20px; }
QPushButton[kind="rail"]:hover { background: $hover; color: $ink; }
QPushButton[kind="rail"]:checked { background: $accent_background; color: $accent; font-weight: 550; }
QPushButton[kind="rail"]:focus { border: 1px solid $accent; }

QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit {
  background: $field; border: 1px solid $edge; border-radius: 6px; color: $ink;
  selection-background-color: $accent; selection-color: $on_accent; }
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox { padding: 3px 8px; min-height: 20px; }
QPlainTextEdit, QTextEdit { padding: 4px; }
QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover { border-color: $third; }
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus { border: 2px solid $accent; padding: 2px 7px; }
QPlainTextEdit:focus, QTextEdit:focus { border: 2px solid $accent; padding: 3px; }
QLineEdit[wrong="true"], QSpinBox[wrong="true"], QDoubleSpinBox[wrong="true"], QComboBox[wrong="true"], QFrame[wrong="true"] { border-color: $bad; }
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled { color: $third; background: $background; }
QPlainTextEdit[flat="true"], QTextEdit[flat="true"] { background: transparent; border: none; padding: 0; }
QPlainTextEdit[flat="true"]:focus, QTextEdit[flat="true"]:focus { border: none; padding: 0; }

QPlainTextEdit[prose="true"] { background: $field; border: 1px solid $edge; }
QPlainTextEdit[prose="true"]:hover { border-color: $third; }
QPlainTextEdit[prose="true"][wrong="true"] { border-color: $bad; }
QPlainTextEdit[prose="true"]:focus { border: 2px solid $accent; padding: 3px; }
QPlainTextEdit[prose="true"]:disabled { color: $third; background: $background; }

QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url($icons/down.svg); width: 12px; height: 12px; }
QComboBox[flat="true"] { background: transparent; border: 1px solid transparent; color: $second; font-size: 12px; padding: 0 2px 0 6px; min-height: 18px; }
QComboBox[flat="true"]::drop-down { width: 16px; }
QComboBox[heading="true"] { color: $ink; font-weight: 600; padding-left: 0; }
QComboBox[flat="true"]:hover { background: $hover; color: $ink; }
QComboBox[flat="true"]:focus { border: 1px solid $accent; }
QComboBox QAbstractItemView { background: $panel; border: 1px solid $edge; border-radius: 6px; padding: 4px; outline: none; }
QComboBox QAbstractItemView::item { min-height: 24px; padding: 0 8px; border-radius: 4px; }
QComboBox QAbstractItemView::item:selected { background: $accent_background; color: $ink; }
QSpinBox::up-button, QDoubleSpinBox::up-button { subcontrol-origin: border; subcontrol-position: top right; width: 20px; border: none; }
QSpinBox::down-button, QDoubleSpinBox::down-button { subcontrol-origin: border; subcontrol-position: bottom right; width: 20px; border: none; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url($icons/up.svg); width: 9px; height: 9px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url($icons/down.svg); width: 9px; height: 9px; }
QCheckBox { spacing: 8px; background: transparent; border: 1px solid transparent; border-radius: 4px; padding: 2px; }
QCheckBox:focus { border-color: $accent; }
QCheckBox::indicator { width: 14px; height: 14px; border: 1px solid $third; border-radius: 4px; background: $field; }
QCheckBox::indicator:hover { border-color: $accent; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url($icons/check.svg); }
QCheckBox:disabled { color: $third; }
QCheckBox::indicator:disabled { border-color: $line; }
QCheckBox::indicator:checked:disabled { background: $third; border-color: $line; }

QAbstractScrollArea { background: transparent; border: none; }
QTableView, QListView { background: $panel; alternate-background-color: $panel; border: none; outline: none; gridline-color: $line;
  selection-background-color: $accent_background; selection-color: $ink; }
QTableView::item { padding: 0 8px; border: none; border-bottom: 1px solid $line; }
QTableView::item:hover { background: $hover; }
QTableView::item:selected { background: $accent_background; color: $ink; }
QListView::item { padding: 6px 4px; border-bottom: 1px solid $line; }
QListView::item:selected { background: $accent_background; color: $ink; }
QHeaderView { background: $panel; border: none; }
QHeaderView::section { background: $panel; color: $third; font-size: 11px; font-weight: 500; border: none; border-bottom: 1px solid $line; padding: 4px 11px; }
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
QSlider::groove:horizontal { height: 4px; background: $line; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $third; border-radius: 2px; }
QSlider::handle:horizontal { width: 12px; height: 12px; margin: -5px 0; border-radius: 7px; background: $panel; border: 1px solid $third; }
QSlider::handle:horizontal:hover { border-color: $accent; }
QSlider::handle:horizontal:focus { border: 2px solid $accent; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: $accent_background; }

QToolTip { background: $ink; color: $panel; border: none; padding: 5px 8px; font-size: 12px; }
QMenu { background: $panel; border: 1px solid $edge; border-radius: 6px; padding: 4px; }
QMenu::item { padding: 4px 24px 4px 12px; border-radius: 4px; }
QMenu::item:selected { background: $accent_background; }
QMenu::item:disabled { color: $third; }
QMenu::separator { height: 1px; background: $line; margin: 4px 8px; }
QProgressBar { background: $line; border: none; border-radius: 2px; max-height: 4px; min-height: 4px; }
QProgressBar::chunk { background: $accent; border-radius: 2px; }
QMessageBox { background: $panel; }
QMessageBox QLabel { color: $ink; }
"""
)


def stylesheet(tokens: Tokens, icons: str, *, accent_hover: str, scroll: str) -> str:
    """The application's QSS for one theme.

    Args:
        tokens: the colours.
        icons: folder with down.svg, up.svg and check.svg in the theme's colours, with forward slashes.
        accent_hover: the primary button under the pointer.
        scroll: the handle of a scroll bar.
    """
    names = {key: value for key, value in asdict(tokens).items() if isinstance(value, str)}
    return _SHEET.substitute(
        names,
        icons=icons,
        accent_hover=accent_hover,
        scroll=scroll,
        field=tokens.background if tokens.dark else tokens.panel,
    )
