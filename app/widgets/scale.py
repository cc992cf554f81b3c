"""The measures of the window: sizes of type, steps of space, radii of corners. In logical pixels.

Not colours: those are in `app.widgets.tokens`. Widgets that paint themselves take their sizes from here,
as the style sheet does, so that a chip painted in a table is the chip that stands in a header.
"""

from __future__ import annotations

SMALL_PX = 11
"""Axes, chips, headings of tables."""
CAPTION_PX = 12
"""Captions, hints, problems, headings of cards."""
BODY_PX = 13
"""Everything else."""
TITLE_PX = 16
"""The heading of a page."""
MONO_PX = 12
"""Text of models, logs, YAML."""
TYPE_SCALE = {"small": SMALL_PX, "caption": CAPTION_PX, "body": BODY_PX, "title": TITLE_PX}

HALF_STEP = 4
STEP = 8
SPACES = (HALF_STEP, STEP, 12, 16, 24)
"""The distances that occur; anything between them is an accident."""

SMALL_RADIUS = 4
"""Entries of lists and menus, segments."""
CONTROL_RADIUS = 6
CARD_RADIUS = 8
CHIP_RADIUS = 10
RADII = {
    "small": SMALL_RADIUS,
    "control": CONTROL_RADIUS,
    "card": CARD_RADIUS,
    "chip": CHIP_RADIUS,
}
