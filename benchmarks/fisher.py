"""The group Fisher of one head: ours, what else gives it, and what it cannot be faster than.

Every way makes the same numbers from the same float32 features: the sums over each group's rows of
the squared gradient, for each entry of W. What the others sum to a row importance afterwards costs
them nothing, so they are timed once and stand beside both of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.fisher_case import BATCH, Case, make
from benchmarks.fisher_rivals import RIVALS
from benchmarks.measure import NotInstalledError, Options, in_turns
from benchmarks.memory import peak_megabytes
from benchmarks.rows import Row, faster, times
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.hooks import group_fisher

FULL, SMALL = (5_000, 512, 1_000), (400, 64, 50)
FEWER = 1_000
"""Rows that the rivals' memory is measured on: they hold a chunk's gradients at a time."""
SLOW_TURNS = 3
"""The rivals take seconds a turn."""
BARS = {"per-sample loop": ">= 10", "torch.func": ">= 50", "opacus": ">= 50"}


def importances(case: Case) -> Any:
    return head_fisher(case.rows, case.head).row_sums


def diagonal(case: Case) -> Any:
    return head_fisher(case.rows, case.head, diagonal=True).diagonal_sums


def hooked(case: Case, full: bool) -> Any:
    parts = zip(*(one.split(BATCH) for one in (case.x, case.y, case.codes)), strict=True)
    found = group_fisher(torch.nn.Sequential(case.layer), parts, diagonal=full)["0"]
    return found.diagonal_sums if full else found.row_sums


def hooked_importances(case: Case) -> Any:
    return hooked(case, False)


def hooked_diagonal(case: Case) -> Any:
    return hooked(case, True)


OURS = {
    "row importances": importances,
    "full diagonal": diagonal,
    "row importances, hooks": hooked_importances,
    "full diagonal, hooks": hooked_diagonal,
}


def products(case: Case, squares: np.ndarray) -> dict[str, dict[str, Callable[[], object]]]:
    """The two products, by each library: logits = X W, and (X∘X)ᵀ (Δ∘Δ)."""
    x, w = case.rows.features, case.head.weight
    tensors = torch.from_numpy(w), torch.from_numpy(squares)
    return {
        "numpy": {"logits": lambda: x @ w, "second": lambda: x.T @ squares},
        "torch": {
            "logits": lambda: case.x @ tensors[0],
            "second": lambda: case.x.T @ tensors[1],
        },
    }


def run(options: Options) -> list[Row]:
    size = SMALL if options.quick else FULL
    case = make(*size)
    return [*against_floor(case, options), *against_rivals(case, options)]


def peak(way: Callable[..., Any], options: Options, rows: int = FULL[0]) -> float | None:
    """Peak extra memory in MB; not in a quick run, where starting processes would take longest."""
    if options.quick:
        return None
    home = f"{way.__module__}:{way.__name__}"
    return peak_megabytes("benchmarks.fisher_case:make", home, (rows, *FULL[1:]), SMALL)


def against_floor(case: Case, options: Options) -> list[Row]:
    squares = np.random.default_rng(1).random((len(case.rows), case.head.out_features))
    ways: dict[str, Callable[[], object]] = {
        name: (lambda way=way: way(case)) for name, way in OURS.items()
    }
    floors = products(case, squares.astype(np.float32))
    for library, two in floors.items():
        ways |= {f"{library} {name}": way for name, way in two.items()}
    seconds = in_turns(ways, max(options.repeats, 7))

    def floor(library: str, parts: tuple[str, ...]) -> list[float]:
        return [sum(turn) for turn in zip(*(seconds[f"{library} {p}"] for p in parts), strict=True)]

    rows = []
    for what, parts, against, bar in (
        ("row importances", ("logits",), "the logits' product alone", "<= 1.6"),
        ("full diagonal", ("logits", "second"), "the two products it needs", "<= 1.5"),
        ("row importances, hooks", ("logits",), "the logits' product alone", ""),
        ("full diagonal, hooks", ("logits", "second"), "the two products it needs", ""),
    ):
        library = min(floors, key=lambda one: float(np.median(floor(one, parts))))
        note = f"by {library}, the faster here"
        theirs = floor(library, parts)
        rows.append(times("fisher", what, against, seconds[what], theirs, bar=bar, note=note))
    return rows


def against_rivals(case: Case, options: Options) -> list[Row]:
    small = make(*SMALL)
    exact = diagonal(small)
    memory = {what: peak(way, options) for what, way in OURS.items()}
    rows = [
        Row("fisher", f"peak extra memory, {what}", "", memory[what], unit="MB", bar="<= 64")
        for what in ("row importances", "full diagonal")
    ]
    for name, rival in RIVALS.items():
        try:
            found = rival(small)
        except NotInstalledError as missing:
            rows.append(Row("fisher", "row importances", name, note=f"skipped: {missing}"))
            continue
        off = float(np.abs(found - exact).max() / exact.max())
        if off > 1e-3:
            raise AssertionError(f"{name} gives other sums: off by {off:.1g} of the largest")
        theirs_memory = peak(rival, options, FEWER)
        ways: dict[str, Callable[[], object]] = {
            name: lambda rival=rival: rival(case),
            **{what: (lambda way=way: way(case)) for what, way in OURS.items()},
        }
        seconds = in_turns(ways, min(options.repeats, SLOW_TURNS), warm=False)
        for what in OURS:
            bar = "" if "hooks" in what else BARS.get(name, "")
            more = {"memory": memory[what], "their_memory": theirs_memory, "bar": bar}
            rows.append(faster("fisher", what, name, seconds[what], seconds[name], **more))
    return rows
