"""Processes that train together, as two real ones joined by gloo."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from core.errors import BugError, Diverged, StopRequested
from core.stages.processes import ALONE, BUCKET, Processes, join


def parameters() -> list[torch.nn.Parameter]:
    """Of several kinds: one larger than a bucket, one in half precision, one that is never touched."""
    sizes = [(3,), (BUCKET + 5,), (2, 4), (7,), (5,)]
    made = [torch.nn.Parameter(torch.zeros(size)) for size in sizes]
    made[3] = torch.nn.Parameter(torch.zeros(7, dtype=torch.bfloat16))
    return made


def sums(processes: Processes) -> None:
    made = parameters()
    for index, parameter in enumerate(made[:4]):
        if index != 2 or processes.rank == 1:  # the third is touched by one process only
            parameter.grad = torch.full_like(parameter, index + processes.rank + 0.5)
    processes.sum_gradients(made)
    expected = [2.0, 4.0, 3.5, 8.0]
    for parameter, value in zip(made, expected, strict=False):
        assert parameter.grad is not None
        assert bool((parameter.grad == value).all())
    assert made[4].grad is None


def values(processes: Processes) -> None:
    assert processes.count == 2
    assert processes.is_main == (processes.rank == 0)
    assert processes.exchange({"rank": processes.rank}) == [{"rank": 0}, {"rank": 1}]
    assert processes.decide("main" if processes.is_main else "other") == "main"
    parts = processes.exchange(processes.share([1, 2, 3]))
    assert parts == [([1], 0), ([2, 3], 1)]
    assert processes.share([9]) == (([], 0) if processes.is_main else ([9], 0))


def together(processes: Processes, main: Callable[[], object], other: Callable[[], object]) -> None:
    with processes:
        main() if processes.is_main else other()


def raising(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def stops(processes: Processes) -> None:
    """The main process is stopped in mid-step; the other comes to know of it at the step's end."""
    with pytest.raises(StopRequested) as stop:
        together(
            processes, raising(StopRequested(keep=False)), lambda: processes.exchange("my share")
        )
    assert stop.value.keep is False


def fails(processes: Processes) -> None:
    with pytest.raises(Diverged) as failure:
        together(
            processes,
            lambda: processes.sum_gradients(parameters()),
            raising(Diverged("It diverged.", "Do this.")),
        )
    assert failure.value.hint == "Do this."
    with pytest.raises(BugError, match="parted"):
        processes.exchange(None)


def breaks(processes: Processes) -> None:
    message = "process 1 failed with ZeroDivisionError: no"
    error, match = (BugError, message) if processes.is_main else (ZeroDivisionError, "^no$")
    with pytest.raises(error, match=match):
        together(processes, lambda: processes.decide(1), raising(ZeroDivisionError("no")))


def _one(rank: int, port: int, folder: Path, body: Callable[[Processes], None]) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    try:
        processes = join("cpu")
        body(processes)
        processes.leave()
        (folder / f"{rank}").write_text("good", encoding="utf-8")
    except BaseException:
        (folder / f"{rank}").write_text(traceback.format_exc(), encoding="utf-8")
        raise


def everything(processes: Processes) -> None:
    for body in (values, sums):
        body(processes)


@pytest.mark.parametrize("body", [everything, stops, fails, breaks])
def test_that_two_processes_act_as_one(tmp_path: Path, body: Callable[[Processes], None]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(_one, (port, tmp_path, body), nprocs=2, start_method="spawn")
    assert [(tmp_path / str(rank)).read_text(encoding="utf-8") for rank in range(2)] == [
        "good",
        "good",
    ]


def test_that_one_process_alone_needs_nobody() -> None:
    made = parameters()[:1]
    made[0].grad = torch.ones(3)
    with ALONE:
        ALONE.sum_gradients(made)
        assert ALONE.exchange(4) == [4]
        assert ALONE.decide("it") == "it"
        assert ALONE.share([1, 2]) == ([1, 2], 0)
        assert ALONE.device("cuda:1") == "cuda:1"
    with pytest.raises(ZeroDivisionError):
        together(ALONE, raising(ZeroDivisionError()), raising(KeyError()))
    assert ALONE.exchange(4) == [4]
    assert made[0].grad.tolist() == [1, 1, 1]
    assert not torch.distributed.is_initialized()
