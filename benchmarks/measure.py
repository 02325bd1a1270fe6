"""Timing side by side: ways take turns, so that a busy moment falls on all of them."""

from __future__ import annotations

import gc
import importlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What a run was asked for.

    Attributes:
        repeats: turns each way takes, where a benchmark has no reason for fewer.
        quick: small inputs, to see that it works; the bars are for the full size.
    """

    repeats: int = 5
    quick: bool = False


@dataclass(frozen=True)
class Spread:
    """The median of repeats with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


class NotInstalledError(Exception):
    """A rival that is not here; the message is how to install it."""


def require(module: str, *packages: str) -> None:
    """Import ``module`` or say how to.

    The packages are installed without what they depend on, lest they replace the torch measured.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise NotInstalledError(f"pip install --no-deps {' '.join(packages)}") from error


def in_turns(
    ways: Mapping[str, Callable[[], object]], repeats: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Seconds of each way at each turn; one turn before them is not counted, if ``warm``."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    if warm:
        for way in ways.values():
            way()
    for _ in range(repeats):
        for name, way in ways.items():
            gc.collect()
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(above: list[float], below: list[float]) -> Spread:
    """The ratios of the turns, one to one."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])
