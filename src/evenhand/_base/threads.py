"""Threads: tiny models are fastest on one, and the caller's setting is restored."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

SMALL = 4_000_000
"""Numbers in a matrix below which a product is fastest on one thread."""


def threads_allowed() -> int:
    """How many threads may work: as many as torch is told, or the linear algebra without it."""
    torch = _torch()
    if torch is not None:
        return max(1, torch.get_num_threads())
    return max((one["num_threads"] for one in ThreadpoolController().info()), default=1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and the linear algebra libraries on one thread; the setting before is restored."""
    torch = _torch()
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        with ThreadpoolController().limit(limits=1):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


@contextmanager
def threads_for(numbers: int) -> Iterator[None]:
    """One thread where the work is small, the caller's setting otherwise."""
    if numbers >= SMALL:
        yield
        return
    with one_thread():
        yield


def _torch() -> Any:
    """Torch where somebody works with it; arrays need it not, and do not wait for it."""
    return sys.modules.get("torch")
