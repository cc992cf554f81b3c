"""The design tokens: every colour of the window, light and dark, and the arithmetic of contrast.

Not a style sheet: `app.widgets.stylesheet` turns tokens into QSS and `app.widgets.theme` applies them.
The values come from the design pictures; where one of those failed WCAG AA as text, the token is
darker (light theme) or lighter (dark theme) than the picture. A hue therefore has two tokens: the plain
one is for lines, dots and bars (3:1), the one ending in `_text` is for words (4.5:1).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """One theme's colours as `#rrggbb`.

    Attributes:
        background: the window; `panel`: cards and bars; `line`: hairlines; `edge`: borders of controls.
        ink: text; `second`: captions; `third`: axes and hints.
        base: hue of the base model, and so on for the other roles; the same hue everywhere.
        extra: hues for series that have no role (runs in Compare).
    """

    dark: bool
    background: str
    panel: str
    line: str
    edge: str
    hover: str
    ink: str
    second: str
    third: str
    accent: str
    accent_background: str
    on_accent: str
    base: str
    base_text: str
    degraded: str
    degraded_text: str
    recovered: str
    recovered_text: str
    expert: str
    expert_text: str
    bad: str
    bad_text: str
    warning: str
    warning_text: str
    extra: tuple[str, ...]

    def role(self, role: str | None) -> str:
        """The hue of a model's role for lines and dots; `third` for no role."""
        return {
            "base": self.base,
            "degraded": self.degraded,
            "recovered": self.recovered,
            "expert": self.expert,
        }.get(role or "", self.third)

    def role_text(self, role: str | None) -> str:
        """The hue of a model's role for words; `second` for no role."""
        return {
            "base": self.base_text,
            "degraded": self.degraded_text,
            "recovered": self.recovered_text,
            "expert": self.expert_text,
        }.get(role or "", self.second)

    def status(self, status: str) -> str:
        """The hue of a run's or a stage's status."""
        return {
            "starting": self.accent,
            "running": self.accent,
            "done": self.recovered,
            "failed": self.bad,
            "stopped": self.warning,
            "interrupted": self.warning,
        }.get(status, self.third)


LIGHT = Tokens(
    dark=False,
    background="#f6f7f9",
    panel="#ffffff",
    line="#e2e5ea",
    edge="#d3d8e0",
    hover="#eef1f5",
    ink="#1b1f27",
    second="#5b6472",
    third="#636c7b",
    accent="#2f5fe0",
    accent_background="#e8effe",
    on_accent="#ffffff",
    base="#3b6ef6",
    base_text="#2f5fe0",
    degraded="#c9731d",
    degraded_text="#a0540a",
    recovered="#17926a",
    recovered_text="#0d7553",
    expert="#9b6bdf",
    expert_text="#7c4bc4",
    bad="#c8384a",
    bad_text="#bd2d40",
    warning="#b7791f",
    warning_text="#8a590e",
    extra=("#3b6ef6", "#c9731d", "#17926a", "#9b6bdf", "#c0457f", "#2b8ea6", "#7d7a1d", "#6b7280"),
)

DARK = Tokens(
    dark=True,
    background="#14171c",
    panel="#1b1f26",
    line="#2b313b",
    edge="#3a424f",
    hover="#232831",
    ink="#e7eaf0",
    second="#a3acba",
    third="#909aa9",
    accent="#6c96ff",
    accent_background="#22304f",
    on_accent="#0f1729",
    base="#6c96ff",
    base_text="#7aa0ff",
    degraded="#f0a04b",
    degraded_text="#f0a04b",
    recovered="#3fc08f",
    recovered_text="#3fc08f",
    expert="#b48cf0",
    expert_text="#b48cf0",
    bad="#f0697a",
    bad_text="#f47e8d",
    warning="#e0b252",
    warning_text="#e0b252",
    extra=("#6c96ff", "#f0a04b", "#3fc08f", "#b48cf0", "#ee7fb1", "#5cc3dc", "#c9c65a", "#9aa4b2"),
)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2), 0 to 1."""

    def linear(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(channel) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2), 1 to 21."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mix(colour: str, ground: str, share: float) -> str:
    """`colour` laid over `ground` with opacity `share`, as an opaque colour (cheap to draw)."""
    pairs = zip(_channels(colour), _channels(ground), strict=True)
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)
