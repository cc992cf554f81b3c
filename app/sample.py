"""The sample project: finished runs that a first start finds beside its own first run."""

from __future__ import annotations

import lzma
import os
import shutil
from pathlib import Path

from core.store.home import Home

SHIPPED = Path(__file__).resolve().parents[1] / "resources" / "sample" / "rekindle.sqlite3.xz"


def install(home: Home, shipped: Path = SHIPPED) -> bool:
    """Unpack the sample project where there is no database yet; whether that was done.

    Its runs have no weights: "Use these settings" and Start make them again.
    """
    if home.database.exists() or not shipped.is_file():
        return False
    home.create()
    fresh = home.database.with_name(f"{home.database.name}.{os.getpid()}")
    with lzma.open(shipped) as packed, fresh.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    try:
        os.link(fresh, home.database)  # unlike a rename, it never replaces what came up meanwhile
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True
