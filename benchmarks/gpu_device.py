"""The device of the ``gpu`` benchmark, and what its rows share."""

from __future__ import annotations

import torch

from benchmarks.measure import Options, Spread
from benchmarks.rows import Row

NAME = "gpu"
NO_GPU = "skipped: no CUDA device"
QUICK = "on the processor in the GPU's place, small: only that it works"
"""Said of what --quick measures."""


def device_of(options: Options) -> str | None:
    """Where to measure: the GPU; ``quick``: the processor; None where there is no GPU."""
    if options.quick:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else None


def done(device: str) -> None:
    """Wait for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


def share(
    what: str, against: str, ours: list[float], theirs: list[float], bar: str, options: Options
) -> Row:
    """How much of the other's speed ours has, in %, of seconds for the same work."""
    shares = [100 * b / a for a, b in zip(ours, theirs, strict=True)]
    found, note = Spread.of(shares), QUICK if options.quick else ""
    own, other = Spread.of(ours).median, Spread.of(theirs).median
    unit = "% of its speed"
    return Row(
        NAME, what, against, found.median, found.low, found.high, unit, own, other, bar, note=note
    )
