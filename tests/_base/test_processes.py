"""Workers give results, raise errors, and end with a parent that is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenhand._base.processes import run_all, workers

PARENT = """
import os, sys, time
from evenhand._base.processes import workers

if __name__ == "__main__":
    with workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_errors_of_a_worker_are_raised():
    with pytest.raises(ZeroDivisionError):
        run_all(divmod, [(1, 1), (1, 0)], 2, lambda: None)


def test_a_worker_is_another_process():
    with workers(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_worker_outlives_a_killed_parent(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        for _ in range(200):
            if not _runs(worker):
                return
            time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker went on without its parent")


def _runs(process: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
