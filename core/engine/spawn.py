"""Starting a worker: its command line, its environment, its process.

No torch here: the window imports this module. The worker gets a session of its own, so that neither the
end of the window nor a Ctrl-C in its terminal reaches it, and its output goes to `worker.log` before its
first import. A worker of several processes is started by `accelerate launch`, with a configuration of our
own: one that the person has made for other programs is not looked at.
"""

from __future__ import annotations

import json
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
LAUNCH = "launch.json"
"""The launcher's configuration, in the folder of a run of several processes."""


def command(uid: str, home: Home, processes: int = 1) -> list[str]:
    """The command line of the worker of `uid`. `faulthandler` is on before its first import."""
    worker = ["core.engine.worker", uid, "--home", str(home.path)]
    if processes == 1:
        return [sys.executable, "-X", "faulthandler", "-m", *worker]
    config = str(home.run(uid) / LAUNCH)
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config]
    return [*launcher, "--module", *worker, "--processes", str(processes)]


def launch_config(processes: int) -> dict[str, object]:
    """What `accelerate launch` is told: so many processes on this machine, and any free port.

    MULTI_GPU is its name for "one process for each, by torch's launcher", and works on a CPU as well;
    with MULTI_CPU it wants MPI. Device and precision are the recipe's.
    """
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU",
        "num_processes": processes,
        "num_machines": 1,
        "machine_rank": 0,
        "main_process_port": 0,
        "mixed_precision": "no",
        "use_cpu": False,
        "debug": False,
    }


def environment(processes: int = 1) -> dict[str, str]:
    """The environment of a worker started now; what the person has set stays as it is."""
    source = str(Path(core.__file__).parent.parent)
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    several: dict[str, str] = {}
    if processes > 1:
        threads = max(1, (os.cpu_count() or 1) // processes)
        several = {"OMP_NUM_THREADS": str(threads), "PYTHONFAULTHANDLER": "1"}
    return {
        **THREADING,
        **several,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        ASKED: repr(time.time()),
    }


def start(uid: str, home: Home, processes: int = 1) -> subprocess.Popen[bytes]:
    """Start the worker of `uid`, or the launcher of several; the caller watches the process."""
    folder = home.run(uid)
    folder.mkdir(parents=True, exist_ok=True)
    if processes > 1:
        (folder / LAUNCH).write_text(json.dumps(launch_config(processes)), encoding="utf-8")
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command(uid, home, processes),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(processes),
            start_new_session=True,
        )
