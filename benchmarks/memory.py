"""Peak memory of a call, in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import importlib
import multiprocessing
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.measure import NotInstalledError, require


def peak_megabytes(
    make: str, run: str, arguments: tuple[Any, ...], small: tuple[Any, ...]
) -> float:
    """The most memory ``run(made)`` takes at once above ``made = make(*arguments)``, in MB.

    What the libraries load and keep for themselves is there before: it runs on small inputs first.

    Args:
        make, run: top-level functions, ``"module:function"``.
        arguments: for ``make``.
        small: the same for the small inputs.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, make, run, arguments, small))
    process.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        found = RuntimeError(f"the process measuring {run} died, perhaps for want of memory")
    process.join()
    if isinstance(found, Exception):
        raise found
    return float(found)


def _child(
    sender: Any, make: str, run: str, arguments: tuple[Any, ...], small: tuple[Any, ...]
) -> None:
    warnings.simplefilter("ignore")  # the rivals'
    try:
        build, call = _function(make), _function(run)
        call(build(*small))
        _warm()
        made = build(*arguments)
        _trim()
        sender.send(_peak(lambda: call(made)) / 1e6)
    except NotInstalledError as error:
        sender.send(NotInstalledError(str(error)))
    except Exception as error:
        sender.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _warm() -> None:
    import numpy as np
    import torch

    square = np.ones((600, 600), dtype=np.float32)
    _ = square @ square, square.astype(np.float64) @ square
    torch.mm(torch.from_numpy(square), torch.from_numpy(square)).softmax(1)


def _trim() -> None:
    """Give back what was freed: else the C library would lend it again, and nothing would grow."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


def _peak(call: Any) -> float:
    """Bytes; from the kernel's high water mark where it can be set back, by sampling elsewhere."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if sys.platform == "linux" and clear.exists():
        clear.write_text("5")
        before = _field(status, "VmRSS")
        call()
        return _field(status, "VmHWM") - before
    require("psutil", "psutil")
    import psutil

    process = psutil.Process()
    before = highest = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, process.memory_info().rss)
            time.sleep(1e-3)

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return float(highest - before)


def high_water() -> float:
    """The most memory this process has had at once, in MB.

    Linux hands the rusage's figure down from the process that started this one; the kernel's own
    does not know that one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return _field(status, "VmHWM") / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def _field(status: Path, name: str) -> float:
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return 1024 * float(line.split()[1])


def megabytes(number: int) -> int:
    """For the test of the above: the bytes of so many megabytes."""
    return round(number * 1e6)


def fill(size: int) -> None:
    """Hold so many bytes and let them go."""
    memory = bytearray(size)
    memory[::4096] = b"x" * len(memory[::4096])
