"""A path of heads on the GPU, and on the processor: the part of ``gpu`` that fits heads."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.gpu_device import NAME, NO_GPU, QUICK, device_of
from benchmarks.measure import Options, Spread
from benchmarks.rows import Row, faster
from benchmarks.solver import made, path_of
from evenhand._base.threads import one_thread
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.streaming import placing
from evenhand.heads.streaming.stream import Stream
from evenhand.rows import PROCESSOR, Rows

FULL, SMALL = (1_000_000, 1_024, 60), (80_000, 64, 6)
SHARE = 10
"""Of the rows, one in so many tells what of a path stays on the processor, where there is no GPU:
the sample that the path begins on is the same."""
REST = "the sample, its preconditioner and the solver's steps"
"""What of a path is not in passes over rows; on a GPU the copy of the features too."""


def rows_of_heads(options: Options) -> list[Row]:
    """Seconds of a path on the GPU, copy included, beside the processor's; and that they agree.

    With ``quick`` a small path, by torch on the processor in the GPU's place. Without a GPU only
    what of a path stays on the processor.
    """
    n, d, heads = SMALL if options.quick else FULL
    strengths = (0.0, *np.geomspace(0.01, 100, heads - 1).tolist())
    what = f"path of {heads} heads, {n:,} × {d:,}"
    if device_of(options) is None:
        some = n // SHARE
        with _rows(some, d) as rows:
            _, _, rest = _fitted(rows, strengths)
        smaller = f"path of {heads} heads, {some:,} × {d:,}"
        return [
            Row(NAME, what, "the processor", bar="<= 10", unit="s", note=NO_GPU),
            _outside(smaller, [rest], "measured on the processor"),
        ]
    with _rows(n, d) as rows, _device(options.quick) as device:
        there = replace(rows, device=device)
        _fitted(there[: n // SHARE], strengths)  # the device is woken
        # New rows each time, so that the copy is part of it.
        turns = [_fitted(there[:], strengths) for _ in range(options.repeats)]
        own, here, _ = _fitted(rows, strengths)
    fits, seconds, rests = turns[0][0], [one[1] for one in turns], [one[2] for one in turns]
    apart = max(abs(a.value - b.value) for a, b in zip(fits, own, strict=True))
    unconverged = sum(not fit.converged for fit in fits)
    notes = [QUICK] * options.quick + [f"{unconverged} fits did not converge"] * bool(unconverged)
    note, what = "; ".join(notes), f"{what}, on {fits[0].where or 'the processor'}"
    return [
        _seconds(what, "features copied there each time", seconds, "<= 10", note),
        _outside(what, rests, note),
        faster(NAME, what, "the processor", seconds, [here] * len(seconds), note=note),
        Row(
            NAME,
            f"{what}: the largest difference of an objective",
            "the processor's",
            apart,
            unit="nats",
            bar="<= 1e-5",
            note=note,
        ),
    ]


def _outside(what: str, seconds: list[float], note: str) -> Row:
    return _seconds(f"{what}: outside of its passes", REST, seconds, "", note)


def _seconds(what: str, against: str, found: list[float], bar: str, note: str) -> Row:
    spread = Spread.of(found)
    return Row(
        NAME,
        what,
        against,
        spread.median,
        spread.low,
        spread.high,
        "s",
        spread.median,
        bar=bar,
        note=note,
    )


def _fitted(rows: Rows, strengths: tuple[float, ...]) -> tuple[list[HeadFit], float, float]:
    """The heads, how long they took, and how much of it was not in passes over rows."""
    passes: list[float] = []

    def timed(way: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return way(*given, **named)
            finally:
                passes.append(time.perf_counter() - began)

        return call

    with ExitStack() as stack:
        for name in ("sums", "gradient"):
            stack.enter_context(patch.object(Stream, name, timed(getattr(Stream, name))))
        began = time.perf_counter()
        fits = path_of(rows, strengths)
        seconds = time.perf_counter() - began
    return fits, seconds, seconds - sum(passes)


@contextmanager
def _rows(n: int, d: int) -> Iterator[Rows]:
    """Rows in memory."""
    with tempfile.TemporaryDirectory() as folder:
        mapped = made(Path(folder), n, d)
        rows = mapped.with_features(np.array(mapped.features))
    yield rows


@contextmanager
def _device(quick: bool) -> Iterator[str]:
    """The device to ask for; ``quick``: torch's own processor, however few the rows."""
    if not quick:
        yield "cuda"
        return

    def found(rows: Rows) -> torch.device | None:
        return None if rows.device == PROCESSOR else torch.device("cpu")

    with patch.object(placing, "device_for", found), one_thread():
        yield "cuda"
