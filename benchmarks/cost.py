"""The cost model of docs/explanation/cost.md: rates fitted to the clock, and what they predict.

Each step on the features is so many bytes read, so many operations and so many calls; one rate for
each, fitted to all steps at once, is the model. The backbone's convolutions have a rate of their
own, fitted at one size and held against another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from benchmarks.cost_extraction import extraction
from benchmarks.cost_measured import Measured, Model, Step
from benchmarks.cost_page import page, put
from benchmarks.measure import Options, Spread, in_turns
from benchmarks.rates import bytes_per_second, flops_per_second
from benchmarks.rows import TIMES, Row
from evenhand.fisher.head_fisher import head_fisher
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.adapter import Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import STRENGTHS, Candidates
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

TEN = (0.0, *np.geomspace(0.1, 30, 9).tolist())
CRITERION = "equalized_odds"
RIDGE = 1e-2


_last: list[Measured] = []


def run(options: Options) -> list[Row]:
    measured = measure(options)
    _last[:] = [measured]
    rows = []
    for step in measured.steps:
        predicted = measured.model.seconds(step)
        rows.append(
            Row(
                "cost",
                f"{step.name}, {step.size}",
                "the cost model",
                step.seconds / predicted,
                step.spread[0] / predicted,
                step.spread[1] / predicted,
                TIMES,
                step.seconds,
                predicted,
            )
        )
    if measured.extraction is not None:
        found = measured.extraction
        rows.append(
            Row(
                "cost",
                f"extraction, {found.what}",
                "the rate of a smaller size",
                found.seconds / found.predicted,
                unit=TIMES,
                ours=found.seconds,
                theirs=found.predicted,
            )
        )
    return rows


def write(folder: Path) -> None:
    """The tables as a file of their own, and into the page on costs where it stands beside."""
    text = page(_last[0])
    (folder / "cost.md").write_text(text, encoding="utf-8")
    put(folder / "explanation" / "cost.md", text)


def measure(options: Options) -> Measured:
    scale = 20 if options.quick else 1
    turns = 1 if options.quick else min(options.repeats, 3)
    steps = _fisher(scale, turns)
    path_steps, passes, evaluations = _paths(scale, turns)
    steps += path_steps
    floor = bytes_per_second(400 // scale), flops_per_second(2048 if scale == 1 else 512)
    model = Model(*_fitted(steps, floor), *floor)
    return Measured(model, steps, passes, evaluations, extraction(options.quick))


def _rows(n: int, d: int, k: int) -> tuple[Rows, Head]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d), dtype=np.float32)
    weight = (rng.normal(size=(d, k)) / np.sqrt(d)).astype(np.float32)
    labels = (x @ weight + rng.gumbel(size=(n, k))).argmax(axis=1)
    groups = Groups((x[:, 0] + rng.normal(size=n) > 0).astype(np.int64), ("a", "b"))
    return Rows(x, labels, groups, tuple(map(str, range(k)))), Head(weight, np.zeros(k))


def _fitted(steps: list[Step], floor: tuple[float, float]) -> tuple[float, float, float]:
    """Bytes and operations a second, and seconds a call, of the least squares of log ratios."""
    counts = np.array([[step.bytes, step.flops, step.calls] for step in steps])
    seconds = np.array([step.seconds for step in steps])

    def off(logs: np.ndarray[Any, Any]) -> Any:
        return np.log(counts @ np.exp(logs) / seconds)

    start = np.log([1 / floor[0], 1 / floor[1], 1e-4])
    each = np.exp(least_squares(off, start, bounds=(start - 7, start + 7)).x)
    return float(1 / each[0]), float(1 / each[1]), float(each[2])


@dataclass(frozen=True)
class Cost:
    """Bytes, operations and calls of a step."""

    bytes: float
    flops: float
    calls: int = 1

    def step(self, name: str, size: str, seconds: list[float]) -> Step:
        found = Spread.of(seconds)
        low_high = found.low, found.high
        return Step(name, size, self.bytes, self.flops, self.calls, found.median, low_high)


def _times(way: Callable[[], object], turns: int, *, warm: bool = True) -> list[float]:
    return in_turns({"it": way}, turns, warm=warm)["it"]


def _fisher(scale: int, turns: int) -> list[Step]:
    from benchmarks.fisher import BATCH, hooked_diagonal
    from benchmarks.fisher import make as make_case

    steps = []
    for n in (50_000 // scale, 200_000 // scale):
        rows, head = _rows(n, 512, 2)
        cost = Cost(n * 512 * 4.0, n * 512 * 8.0)
        seconds = _times(lambda rows=rows, head=head: head_fisher(rows, head), turns)
        steps.append(cost.step("closed-form Fisher", f"{n:,} × 512, 2 classes", seconds))
    n, k = 5_000 // scale, 1_000 // scale
    case = make_case(n, 512, k)
    size = f"{n:,} × 512, {k:,} classes"
    product, read = n * 512 * k * 2.0, n * 512 * 4.0
    # The hook form writes and reads logits, their copies and gradients in memory.
    logits, batches = n * k * 4.0 * 8, -(-n // BATCH)
    for name, cost, way in (
        ("closed-form Fisher", Cost(read, product), lambda: head_fisher(case.rows, case.head)),
        (
            "its full diagonal",
            Cost(read, 2 * product),
            lambda: head_fisher(case.rows, case.head, diagonal=True),
        ),
        (
            "hook Fisher, full diagonal",
            Cost(read + logits, 2 * product, batches),
            lambda: hooked_diagonal(case),
        ),
    ):
        steps.append(cost.step(name, size, _times(way, turns)))
    return steps


def _paths(scale: int, turns: int) -> tuple[list[Step], int, int]:
    n, d = 60_000 // scale, 512 if scale == 1 else 64
    small, fits = _path(n, d, turns)
    # In passes the heads of a sample come first, as many evaluations of 50,000 rows.
    sampled = sum(fit.evaluations for fit in fits) if scale == 1 else 0
    large, fits = _path(200_000 // scale, d, turns, sampled=sampled)
    steps = [small, large, _adapter(40_000 // scale), _selection(20_000 // scale)]
    return steps, max(fit.passes for fit in fits), sum(fit.evaluations for fit in fits)


def _path(n: int, d: int, turns: int, sampled: int = 0) -> tuple[Step, list[HeadFit]]:
    rows, _ = _rows(n, d, 2)
    terms = gap_terms(rows.labels, rows.groups, rows.classes, CRITERION)
    fits: list[HeadFit] = []

    def way() -> None:
        fits[:] = fit_path(rows, HeadSpec(ridge=RIDGE), TEN, terms)

    seconds = _times(way, turns, warm=False)
    evaluations = sum(fit.evaluations for fit in fits)
    together = sampled > 0
    passes = max(fit.passes for fit in fits) if together else 2 * evaluations
    gram = min(n, 50_000) * d * d * 2.0
    cost = Cost(
        4.0 * d * (n * passes + 50_000 * 2 * sampled),
        4.0 * d * (n * evaluations + 50_000 * sampled) + gram,
        evaluations + sampled,
    )
    return cost.step(f"path of {len(TEN)} strengths", f"{n:,} × {d}", seconds), fits


def _adapter(n: int) -> Step:
    rng = np.random.default_rng(1)
    width, inner = 128, 64
    rows, _ = _rows(n, width, 2)
    hidden = Hidden(rng.normal(size=(width, inner)) / np.sqrt(width), np.zeros(inner))
    terms = gap_terms(rows.labels, rows.groups, rows.classes, CRITERION)
    fits: list[HeadFit] = []

    def way() -> None:
        fits[:] = fit_path(rows, HeadSpec(ridge=RIDGE, hidden=hidden), (0.0, 1.0), terms)

    seconds = _times(way, 1, warm=False)
    count = sum(fit.evaluations for fit in fits)
    # The inputs twice; the hidden layer's base, outputs and gradients, eight times in all.
    each = n * 4.0 * (2 * width + 8 * inner), n * (4.0 * width + 12.0 * inner)
    cost = Cost(count * each[0], count * each[1], count)
    return cost.step("adapter, 2 strengths", f"{n:,} × {width}, {inner} hidden", seconds)


def _selection(n: int) -> Step:
    rows, _ = _rows(n, 64, 2)
    found: list[Candidates] = []
    seconds = _times(
        lambda: found.append(crossfit(rows, HeadSpec(ridge=RIDGE), CRITERION)), 1, warm=False
    )
    # In float64 at this width. The folds have 4/5 of the rows each, and take as many evaluations
    # as the refit on all: five paths of all rows together.
    evaluations = sum(fit.evaluations for fit in found[-1].fits)
    cost = Cost(
        FOLDS * evaluations * n * 8.0 * 2 * 64,
        FOLDS * evaluations * n * 4.0 * 64,
        (FOLDS + 1) * evaluations,
    )
    return cost.step(
        f"selection, {len(STRENGTHS)} strengths, {FOLDS} folds", f"{n:,} × 64", seconds
    )
