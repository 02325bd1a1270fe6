"""The weighted SVD of a language model's head at a low rank: randomised, or all of it.

The weight is made with singular values that fall as those of trained heads do, in proportion to a
power of their rank; on a flat spectrum no randomised method settles, and evenhand's then takes the
full one by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Options, in_turns
from benchmarks.memory import peak_megabytes
from benchmarks.rows import Row, faster
from evenhand.fisher.factorize import factorize
from evenhand.head import Head

FULL, SMALL = (4096, 32_000, 16), (512, 8_200, 16)
POWER = 0.7


def make(d: int, k: int, rank: int) -> tuple[Head, np.ndarray[Any, Any], int]:
    """A head, row weights and the rank; the spectrum comes from two thin random factors."""
    rng = np.random.default_rng(0)
    width = min(d, 512)
    left = rng.standard_normal((d, width), dtype=np.float32)
    right = rng.standard_normal((width, k), dtype=np.float32)
    left *= np.arange(1, width + 1, dtype=np.float32) ** -POWER
    weight = left @ right
    weight /= np.float32(np.sqrt(d * k))
    weight += np.float32(1e-3 / np.sqrt(k)) * rng.standard_normal((d, k), dtype=np.float32)
    importance = rng.uniform(0.5, 1.5, d)
    return Head(weight, np.zeros(k, dtype=np.float32)), importance, rank


def randomised(made: tuple[Head, Any, int]) -> Any:
    head, importance, rank = made
    return factorize(head, importance, rank=rank)


def full(made: tuple[Head, Any, int]) -> Any:
    """What a user would write with numpy."""
    head, importance, rank = made
    weighted = importance[:, None] * np.asarray(head.weight, dtype=np.float64)
    u, s, vt = np.linalg.svd(weighted, full_matrices=False)
    return (u[:, :rank] * s[:rank]) / importance[:, None], vt[:rank], s


def run(options: Options) -> list[Row]:
    size = SMALL if options.quick else FULL
    made = make(*size)
    found: dict[str, Any] = {}
    # One turn of the full one: it takes minutes.
    ways: dict[str, Callable[[], object]] = {
        "randomised": lambda: found.update(randomised=randomised(made)),
        "full": lambda: found.update(full=full(made)),
    }
    seconds = in_turns(ways, 1, warm=False)
    head, importance, rank = made
    weighted = importance[:, None] * np.asarray(head.weight, dtype=np.float64)
    factors, (down, up, singular) = found["randomised"], found["full"]
    ours = np.linalg.norm(weighted - importance[:, None] * (factors.down @ factors.up))
    best = np.linalg.norm(weighted - importance[:, None] * (down @ up))
    fallback = "; it settled" if seconds["randomised"][0] < seconds["full"][0] else ""
    note = (
        f"One turn. Weighted error of the factors {ours / best - 1:.1e} above the least possible "
        f"({best / np.linalg.norm(singular):.3f} of the weight's norm){fallback}. Memory of "
        "evenhand's alone: it takes a float64 copy of the weight, and its weighted one."
    )
    memory = (
        None
        if options.quick
        else peak_megabytes("benchmarks.svd:make", "benchmarks.svd:randomised", FULL, SMALL)
    )
    what = f"weighted SVD, {size[0]} × {size[1]}, rank {rank}"
    return [
        faster(
            "svd",
            what,
            "numpy's full SVD",
            seconds["randomised"],
            seconds["full"],
            memory=memory,
            note=note,
        )
    ]
