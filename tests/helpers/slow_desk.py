"""`core.engine.data_desk` whose surveys of some data never end. Run as a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.engine.data_desk import Desk
from core.engine.data_process import serve

ENDLESS = "endless.jsonl"
"""The name of a file whose survey does not end."""
TOLD = (3, 40)


def main() -> None:
    desk = Desk()

    def survey(given: Mapping[str, Any], heard: Callable[..., None]) -> Any:
        if str(given["source"].get("file", "")).endswith(ENDLESS):
            heard(*TOLD)
            time.sleep(600)
        return desk.survey(given, heard)

    serve({**desk.acts, "survey": survey}, sys.stdin, sys.stdout)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
