"""Calls spread over processes of this machine, or of a cluster, by joblib."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from evenhand.errors import EvenhandError, InputError, MissingExtraError

BACKENDS = ("loky", "dask", "ray")
"""Where calls can be spread to; the names are joblib's."""

POLL_SECONDS = 0.5


LOST = (
    "a worker process ended by itself (killed, or out of memory): run the same command again, what "
    "was finished is kept; --jobs 1 needs the least memory"
)


T = TypeVar("T")


def spread(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    *,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
    while_running: Callable[[], None] | None = None,
) -> list[T]:
    """``[function(*one) for one in arguments]``, ``jobs`` at a time, by joblib.

    Within ``joblib.parallel_config`` or :func:`backend_of` the calls go where that says, such as to
    a cluster; otherwise to processes of this machine.

    Args:
        function: importable, so that another process finds it.
        arguments: a tuple of arguments a call.
        jobs: processes; 1 of this machine stays in this one.
        on_done: called after each result, in order.
        while_running: called twice a second, for a progress bar.

    Raises:
        EvenhandError: a process ended by itself; what a call raises is raised here too.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib._parallel_backends import LokyBackend
    from joblib.externals.loky.process_executor import BrokenProcessPool
    from joblib.parallel import get_active_backend

    here = isinstance(get_active_backend()[0], LokyBackend)
    if here and (jobs <= 1 or len(arguments) <= 1):
        return _told((function(*one) for one in arguments), on_done, while_running)
    with ExitStack() as stack:
        if here:
            watched = {"initializer": _follow, "initargs": (os.getpid(),)}
            stack.enter_context(
                parallel_config("loky", n_jobs=min(jobs, len(arguments)), **watched)
            )
        if while_running:
            stack.enter_context(_called_meanwhile(while_running))
        parallel = Parallel(return_as="generator", batch_size=1, pre_dispatch="all")
        try:
            return _told(parallel(delayed(function)(*one) for one in arguments), on_done)
        except BrokenProcessPool as error:
            raise EvenhandError(LOST) from error


def _told(
    results: Iterable[T],
    on_done: Callable[[], None] | None,
    after_each: Callable[[], None] | None = None,
) -> list[T]:
    found = []
    for result in results:
        found.append(result)
        for tell in (on_done, after_each):
            if tell:
                tell()
    return found


@contextmanager
def backend_of(name: str, jobs: int) -> Iterator[None]:
    """A block whose calls of :func:`spread` go to ``name``.

    Args:
        name: ``"loky"``: processes of this machine. ``"dask"``: the cluster whose scheduler
            ``DASK_SCHEDULER_ADDRESS`` names, or one of ``jobs`` workers here. ``"ray"``: the
            cluster that ``RAY_ADDRESS`` names, or this machine.
        jobs: workers, where they are started here.

    Raises:
        InputError: no such backend.
        MissingExtraError: its package is not installed.
    """
    from joblib import parallel_config

    if name not in BACKENDS:
        raise InputError(f"no backend {name!r}: give one of {', '.join(BACKENDS)}")
    with ExitStack() as stack:
        if name == "dask":
            stack.enter_context(_dask(jobs))
            stack.enter_context(parallel_config("dask", n_jobs=-1))
        elif name == "ray":
            try:
                from ray.util.joblib import register_ray
            except ImportError as error:
                raise MissingExtraError("ray", "ray", "--backend ray") from error
            register_ray()
            stack.enter_context(parallel_config("ray", n_jobs=jobs))
        yield


@contextmanager
def _dask(jobs: int) -> Iterator[None]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtraError("dask", "dask", "--backend dask") from error
    with ExitStack() as stack:
        address = dask.config.get("scheduler-address", None)
        if address is None:
            address = stack.enter_context(
                LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
            )
        stack.enter_context(Client(address))
        yield


@contextmanager
def _called_meanwhile(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell`` twice a second from another thread, and at the end."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            tell()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        tell()


def _follow(parent: int) -> None:
    """Leave ctrl-C to the parent, and end when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
