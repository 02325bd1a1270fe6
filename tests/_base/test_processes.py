"""Workers give results, raise errors, and end with a parent that is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenhand._base.processes import backend_of, spread
from evenhand.errors import EvenhandError, InputError, MissingExtraError

PARENT = """
import os, sys, time
from evenhand._base.processes import spread

def work(seconds):
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(seconds)

if __name__ == "__main__":
    spread(work, [(600,), (600,)], jobs=2)
"""


def process(_):
    return os.getpid()


def end(_):
    os._exit(3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_and_errors_are_raised(jobs):
    told = []
    found = spread(divmod, [(7, 2), (9, 4)], jobs=jobs, on_done=lambda: told.append(1))
    assert (found, len(told)) == ([(3, 1), (2, 1)], 2)
    with pytest.raises(ZeroDivisionError):
        spread(divmod, [(1, 1), (1, 0)], jobs=jobs)


def test_a_worker_is_another_process_and_one_job_stays_here():
    told = []
    found = spread(process, [(0,), (1,)], jobs=2, while_running=lambda: told.append(1))
    assert os.getpid() not in found
    assert told
    assert spread(process, [(0,), (1,)]) == [os.getpid()] * 2


def test_a_worker_that_ends_by_itself_is_said():
    with pytest.raises(EvenhandError, match="a worker process ended by itself"):
        spread(end, [(0,), (1,)], jobs=2)


def test_calls_go_to_a_dask_cluster():
    pytest.importorskip("distributed")
    with backend_of("dask", 2):
        found = spread(process, [(i,) for i in range(8)])
    assert os.getpid() not in found
    assert len(set(found)) == 2


def test_backends_that_are_not_there_are_named():
    with pytest.raises(InputError, match="no backend 'slurm': give one of loky, dask, ray"):
        backend_of("slurm", 1).__enter__()
    with pytest.raises(MissingExtraError, match=r"evenhand\[ray\]"):
        backend_of("ray", 1).__enter__()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_worker_outlives_a_killed_parent(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    told = tmp_path / "workers"
    with subprocess.Popen([sys.executable, str(script), str(told)]) as parent:
        while not told.exists() or len(told.read_text().split()) < 2:
            assert parent.poll() is None
            time.sleep(0.05)
        workers = [int(number) for number in told.read_text().split()]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        for _ in range(200):
            if not any(map(_runs, workers)):
                return
            time.sleep(0.05)
    for worker in filter(_runs, workers):
        os.kill(worker, signal.SIGKILL)
    pytest.fail("a worker went on without its parent")


def _runs(process: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
