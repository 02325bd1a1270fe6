"""What this machine does at best: bytes read and products made in a second."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch


def read(array: np.ndarray[Any, Any]) -> float:
    """Read an array once, with every thread torch uses; the sum keeps the reads from being lost."""
    rows = np.array_split(array, torch.get_num_threads())
    if len(rows) == 1:
        return float(array.sum())
    with ThreadPoolExecutor(len(rows)) as pool:
        return float(sum(pool.map(np.sum, rows)))


def bytes_per_second(megabytes: int = 400, turns: int = 5) -> float:
    """The best of a few reads of an array larger than the caches."""
    array = np.ones((megabytes * 250, 1000), dtype=np.float32)
    return array.nbytes / min(_seconds(lambda: read(array)) for _ in range(turns))


def flops_per_second(size: int = 2048, turns: int = 5) -> float:
    """The best of a few float32 products of square matrices, by numpy or torch."""
    square = np.ones((size, size), dtype=np.float32)
    tensor = torch.from_numpy(square)
    best = min(_seconds(way) for way in (lambda: square @ square, lambda: tensor @ tensor) * turns)
    return 2 * size**3 / best


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _seconds(way: Any) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began
