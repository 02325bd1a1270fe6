"""Worker processes that end when their parent does, and a way to follow what they do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from evenhand.errors import EvenhandError

POLL_SECONDS = 0.5


@contextmanager
def workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``number`` fresh processes; on an error what has not begun is called off.

    Raises:
        EvenhandError: a process ended by itself.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, mp_context=context, initializer=_follow_parent) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            pool.shutdown(wait=False, cancel_futures=True)
            raise EvenhandError(
                "a worker process ended by itself (killed, or out of memory): run the same "
                "command again, what was finished is kept; --jobs 1 needs the least memory"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_all(
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    number: int,
    tell: Callable[[], None],
) -> None:
    """Call ``function`` with each tuple of arguments, ``number`` at a time.

    Args:
        function: importable; its results are dropped, its errors raised.
        arguments: one tuple a call.
        number: of processes.
        tell: called twice a second while they run, for a progress bar.
    """
    with workers(min(number, len(arguments))) as pool:
        running = {pool.submit(function, *one) for one in arguments}
        while running:
            done, running = wait(running, timeout=POLL_SECONDS)
            for future in done:
                future.result()
            tell()


def _follow_parent() -> None:
    """Leave ctrl-C to the parent, and end when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


T = TypeVar("T")


def spread(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    *,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> list[T]:
    """``[function(*one) for one in arguments]``, ``jobs`` at a time.

    Args:
        function: importable, so that another process finds it.
        arguments: a tuple of arguments a call.
        jobs: processes; 1 stays in this one.
        on_done: called after each result, in order.
    """
    results: list[T] = []
    if jobs <= 1 or len(arguments) <= 1:
        for one in arguments:
            results.append(function(*one))
            if on_done:
                on_done()
        return results
    with workers(min(jobs, len(arguments))) as pool:
        futures = [pool.submit(function, *one) for one in arguments]
        for future in futures:
            results.append(future.result())
            if on_done:
                on_done()
    return results
