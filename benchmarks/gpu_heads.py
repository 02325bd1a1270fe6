"""A path of heads on the GPU, and on the processor: the part of ``gpu`` that fits heads."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.gpu_device import NAME, NO_GPU, QUICK, device_of
from benchmarks.measure import Options, in_turns
from benchmarks.rows import Row, faster
from benchmarks.solver import made, path_of
from evenhand._base.threads import one_thread
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.streaming import placing
from evenhand.rows import PROCESSOR, Rows

FULL, SMALL = (1_000_000, 1_024, 60), (80_000, 64, 6)


def rows_of_heads(options: Options) -> list[Row]:
    """Seconds of a path on the GPU, copy included, beside the processor's; and that they agree.

    With ``quick`` a small path, by torch on the processor in the GPU's place.
    """
    n, d, heads = SMALL if options.quick else FULL
    what = f"path of {heads} heads, {n:,} × {d:,}"
    if device_of(options) is None:
        return [Row(NAME, what, "the processor", bar="<= 10", unit="s", note=NO_GPU)]
    strengths = (0.0, *np.geomspace(0.01, 100, heads - 1).tolist())
    with tempfile.TemporaryDirectory() as folder, _device(options.quick) as device:
        mapped = made(Path(folder), n, d)
        rows = mapped.with_features(np.array(mapped.features))
        found: dict[str, list[HeadFit]] = {}

        def fit(where: str, some: Rows = rows) -> None:
            # New rows each time, so that the copy is part of it.
            found[where] = path_of(replace(some, device=where), strengths)

        fit(device, rows[: n // 10])  # the device is woken
        seconds = in_turns({"there": lambda: fit(device)}, options.repeats, warm=False)["there"]
        began = time.perf_counter()
        fit(PROCESSOR)
        here = [time.perf_counter() - began] * len(seconds)
    there, own = found[device], found[PROCESSOR]
    apart = max(abs(a.value - b.value) for a, b in zip(there, own, strict=True))
    place = there[0].where
    unconverged = sum(not fit.converged for fit in there)
    notes = [QUICK] * options.quick + [f"{unconverged} fits did not converge"] * bool(unconverged)
    note = "; ".join(notes)
    middle = float(np.median(seconds))
    return [
        Row(
            NAME,
            f"{what}, on {place}",
            "features copied there each time",
            middle,
            min(seconds),
            max(seconds),
            "s",
            middle,
            bar="<= 10",
            note=note,
        ),
        faster(NAME, f"{what}, on {place}", "the processor", seconds, here, note=note),
        Row(
            NAME,
            f"{what}, on {place}: the largest difference of an objective",
            "the processor's",
            apart,
            unit="nats",
            bar="<= 1e-5",
            note=note,
        ),
    ]


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
