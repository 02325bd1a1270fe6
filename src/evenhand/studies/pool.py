"""Run one function over many arguments, in processes where cores allow, results in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from evenhand.processes import workers

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
