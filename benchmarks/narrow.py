"""The group Fisher of a binary head on many rows: bounded by reading the features once."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Options, in_turns
from benchmarks.memory import peak_megabytes
from benchmarks.rates import read
from benchmarks.rows import Row, times
from evenhand.fisher.head_fisher import head_fisher
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.rows import Rows

FULL, SMALL = (200_000, 512), (5_000, 64)


def make(n: int, d: int) -> tuple[Rows, Head]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d), dtype=np.float32)
    groups = Groups(rng.integers(0, 2, n), ("a", "b"))
    head = Head(rng.normal(size=(d, 2)) / np.sqrt(d), np.zeros(2))
    return Rows(x, rng.integers(0, 2, n), groups, ("no", "yes")), head


def importances(made: tuple[Rows, Head]) -> None:
    head_fisher(*made)


def factors(made: tuple[Rows, Head]) -> None:
    head_fisher(*made, kronecker=True)


def run(options: Options) -> list[Row]:
    made = make(*(SMALL if options.quick else FULL))
    x = made[0].features
    seconds = in_turns(
        {
            "read": lambda: read(x),
            "gram": lambda: x.T @ x,
            "importances": lambda: importances(made),
            "factors": lambda: factors(made),
        },
        options.repeats,
    )
    memory = {
        name: None
        if options.quick
        else peak_megabytes("benchmarks.narrow:make", f"benchmarks.narrow:{name}", FULL, SMALL)
        for name in ("importances", "factors")
    }
    return [
        times(
            "narrow",
            "row importances, 2 classes",
            "one read of the features",
            seconds["importances"],
            seconds["read"],
            memory=memory["importances"],
        ),
        times(
            "narrow",
            "the same with the Kronecker factors, in float64",
            "the product XᵀX alone, in float32",
            seconds["factors"],
            seconds["gram"],
            memory=memory["factors"],
        ),
    ]
