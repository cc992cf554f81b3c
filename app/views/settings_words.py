"""What can be set, in words: the palette finds it by them, and the settings page leads to it by the key."""

from __future__ import annotations

SETTINGS_ENTRIES = (
    ("theme", "Theme: follow the system, light or dark", "colours appearance night"),
    ("density", "Density of tables", "row height compact roomy spacing"),
    (
        "storage",
        "Storage place and disk left",
        "home folder database checkpoints cache REKINDLE_HOME",
    ),
    ("devices", "Devices found", "GPU CPU NVIDIA CUDA memory machine"),
    ("smoothing", "Smoothing of curves at first", "default EMA"),
    ("closing", "What happens to runs when the window closes", "quit close keep stop"),
    ("notifications", "Notifications at the end of a run", "desktop message"),
    ("developer", "Developer pages", "gallery debug"),
    ("reset", "Reset the preferences", "defaults factory"),
)
"""Key, title, further words."""
