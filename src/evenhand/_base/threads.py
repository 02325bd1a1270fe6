"""Threads: tiny models are fastest on one, and the caller's setting is restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

SMALL = 4_000_000
"""Numbers in a matrix below which a product is fastest on one thread."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and the linear algebra libraries on one thread; the setting before is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadpoolController().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def threads_for(numbers: int) -> Iterator[None]:
    """One thread where the work is small, the caller's setting otherwise."""
    if numbers >= SMALL:
        yield
        return
    with one_thread():
        yield
