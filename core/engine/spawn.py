"""Starting a worker: its command line, its environment, its process.

No torch here: the window imports this module. The worker gets a session of its own, so that neither the
end of the window nor a Ctrl-C in its terminal reaches it, and its output goes to `worker.log` before its
first import.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import core
from core.store.home import Home

ASKED = "REKINDLE_ASKED"
"""Variable that tells a worker when it was asked for, in seconds since the epoch."""

THREADING: Mapping[str, str] = {
    # Beside another busy process, OpenMP threads that spin while waiting cost a factor of 3 to 8 on a CPU.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables to set before torch is imported, in a worker and in the process that runs one itself."""

LOG = "worker.log"


def command(uid: str, home: Home) -> list[str]:
    """The command line of the worker of `uid`. `faulthandler` is on before its first import."""
    interpreter = [sys.executable, "-X", "faulthandler"]
    return [*interpreter, "-m", "core.engine.worker", uid, "--home", str(home.path)]


def environment() -> dict[str, str]:
    """The environment of a worker started now; what the person has set stays as it is."""
    source = str(Path(core.__file__).parent.parent)
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **THREADING,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        ASKED: repr(time.time()),
    }


def start(uid: str, home: Home) -> subprocess.Popen[bytes]:
    """Start the worker of `uid`; the caller watches the process."""
    folder = home.run(uid)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command(uid, home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
