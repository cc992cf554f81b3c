"""The sample project: finished runs that a first start finds beside its own first run."""

from __future__ import annotations

import lzma
import os
import shutil
from pathlib import Path

from core.errors import UserError
from core.store.home import Home

SHIPPED = Path(__file__).resolve().parents[1] / "resources" / "sample" / "rekindle.sqlite3.xz"


def install(home: Home, shipped: Path = SHIPPED) -> bool:
    """Unpack the sample project where there is no database yet; whether that was done.

    Its runs have no weights: "Use these settings" and Start make them again.

    Raises:
        UserError: there is no room for it, or the shipped file is damaged.
    """
    if home.database.exists() or not shipped.is_file():
        return False
    home.create()
    fresh = home.database.with_name(f"{home.database.name}.{os.getpid()}")
    try:
        with lzma.open(shipped) as packed, fresh.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        return _put(fresh, home.database)
    except (OSError, EOFError, lzma.LZMAError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(
            f"The sample runs could not be unpacked: {why}.",
            "Everything else works without them; the quickstart makes a first run.",
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _put(fresh: Path, database: Path) -> bool:
    """Give the new file its name, unless somebody else has made one meanwhile."""
    try:
        os.link(fresh, database)  # unlike a rename, it never replaces what came up meanwhile
    except FileExistsError:
        return False
    except OSError:  # a file system without links, as on many sticks
        if database.exists():
            return False
        fresh.rename(database)
    return True
