"""The process that fetches a model from the hub, or looks at one there. No torch: it starts at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from core.engine import jobs
from core.engine.jobs import Job, Tell
from core.lm.hub import download, look_up
from core.store.home import Home


def work(job: Job, home: Home, tell: Tell) -> Mapping[str, Any]:
    """Do one job."""
    revision = job.options.get("revision") or "main"
    if job.kind == "look_up":
        return look_up(job.source, revision)
    fetched = download(job.source, revision, lambda done, total: tell(done, total, "B"))
    return {"folder": str(fetched.folder), "commit": fetched.commit}


if __name__ == "__main__":
    sys.exit(jobs.serve(work))
