"""Fits of a head on many rows: evaluations, passes, and how the cost grows with the rows."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.measure import Options, in_turns
from benchmarks.memory import high_water
from benchmarks.rates import read
from benchmarks.rows import Row, faster, times
from evenhand.groups import Groups
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.parametrization import Dense
from evenhand.heads.spec import HeadSpec
from evenhand.heads.streaming.atomic_cells import Part, atomic_cells, cells_of_atoms
from evenhand.heads.streaming.evaluation import evaluate_heads
from evenhand.heads.streaming.processor import Processor
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.stream import Stream
from evenhand.rows import Rows

NAME = "solver"
FULL, SMALL = (200_000, 768), (20_000, 64)
STRENGTHS = (0.0, *np.geomspace(0.03, 100, 9).tolist())
RIDGE = 1e-3
GROWTH = (10_000, 100_000, 1_000_000, 10_000_000)
WIDTH = 64
BLOCK = 100_000
AT_ONCE = "all strengths at once"


def made(folder: Path, n: int, d: int) -> Rows:
    """Rows whose features are correlated, of unequal size, and on disk; written block by block."""
    draw = np.random.default_rng(0)
    scale = np.geomspace(1, 0.03, d, dtype=np.float32)
    mix = draw.standard_normal((d, d), dtype=np.float32) / np.float32(np.sqrt(d))
    weight = draw.standard_normal(d, dtype=np.float32)
    weight *= 2 / np.linalg.norm((mix.T * scale).T @ weight)
    codes, labels = np.empty(n, dtype=np.int8), np.empty(n, dtype=np.int8)
    path = folder / f"{n}x{d}.f32"
    with path.open("wb") as file:
        for first in range(0, n, BLOCK):
            size = min(BLOCK, n - first)
            group = draw.integers(0, 2, size)
            x = (draw.standard_normal((size, d), dtype=np.float32) * scale) @ mix
            score = x @ weight + group - 0.5 + draw.logistic(size=size)
            x[:, 0] += group
            codes[first : first + size], labels[first : first + size] = group, score > 0
            file.write(x.tobytes())
    features = np.memmap(path, dtype=np.float32, mode="r", shape=(n, d))
    return Rows(features, labels, Groups(codes, ("a", "b")), ("no", "yes"))


def path_of(rows: Rows, strengths: tuple[float, ...] = STRENGTHS) -> list[HeadFit]:
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "equalized_odds")
    return fit_path(rows, HeadSpec(ridge=RIDGE), strengths, terms)


def evaluation_of(rows: Rows, heads: int = 1) -> Callable[[], object]:
    """The objectives of heads with a penalty, and their gradients, to be called."""
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "equalized_odds")
    atoms, number = atomic_cells(terms, len(rows))
    stream = Stream(Processor(RowArrays(rows.features, rows.labels, atoms, number)), 2)
    cells = tuple((term, cells_of_atoms(term, atoms, number)) for term in terms)
    form = Dense(np.array(rows.features[:2000]), 2, RIDGE)
    theta = form.pack(None)
    many = [Part(-1, len(rows), cells)] * heads, [1.0] * heads, [form] * heads, [theta] * heads
    return lambda: evaluate_heads(stream, *many)


def run(options: Options) -> list[Row]:
    n, d = SMALL if options.quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = made(folder, n, d)
        found = _on_disk(rows, f"{n:,} × {d}")
        found += _held(rows.with_features(np.array(rows.features)), options)
        found += _growth(folder, GROWTH[:2] if options.quick else GROWTH)
    return found


def _on_disk(rows: Rows, size: str) -> list[Row]:
    one, path = path_of(rows, (1.0,)), path_of(rows)
    unconverged = sum(not fit.converged for fit in (*one, *path))
    note = f"{unconverged} fits did not converge" if unconverged else ""
    counts = {
        ("one fit", "evaluations", "<= 50"): one[0].evaluations,
        ("path of ten strengths", "evaluations", "<= 150"): sum(f.evaluations for f in path),
        ("path of ten strengths", "passes", "<= 25"): path[0].passes,
    }
    return [
        Row(NAME, f"{what}, {size}", "features on disk", count, unit=unit, bar=bar, note=note)
        for (what, unit, bar), count in counts.items()
    ]


def _held(rows: Rows, options: Options) -> list[Row]:
    x = rows.features
    seconds = in_turns(
        {
            "one": evaluation_of(rows),
            "ten": evaluation_of(rows, len(STRENGTHS)),
            "reads": lambda: (read(x), read(x)),
        },
        options.repeats,
    )
    some = rows[: len(rows) // 4]

    def one_after_another() -> None:
        with patch("evenhand.heads.head_fit.IN_PASSES", len(some) * x.shape[1] + 1):
            path_of(some)

    paths = in_turns({"together": lambda: path_of(some), "apart": one_after_another}, 1, warm=False)
    return [
        times(
            NAME,
            "one evaluation of the path: a tenth of a pass for ten heads",
            "two reads of the features",
            [turn / len(STRENGTHS) for turn in seconds["ten"]],
            seconds["reads"],
            bar="<= 1.6",
        ),
        times(
            NAME,
            "an evaluation of one head alone, with a penalty",
            "two reads of the features",
            seconds["one"],
            seconds["reads"],
            bar="<= 1.6",
        ),
        faster(
            NAME,
            f"path of ten strengths, {len(some):,} rows, {AT_ONCE}",
            "one after another, each from the last",
            paths["together"],
            paths["apart"],
        ),
    ]


@dataclass(frozen=True)
class Cost:
    """What a path on disk cost, in a process of its own."""

    seconds: float
    passes: int
    each: float
    megabytes: float


def _growth(folder: Path, sizes: tuple[int, ...]) -> list[Row]:
    costs = []
    for n in sizes:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            costs.append(pool.submit(cost_of, str(folder), n).result())
    logs = np.log([cost.each for cost in costs])
    slope = float(np.polyfit(np.log(sizes), logs, 1)[0])
    whole = float(np.polyfit(np.log(sizes), np.log([cost.seconds for cost in costs]), 1)[0])
    span = f"{sizes[0]:,} to {sizes[-1]:,} rows × {WIDTH}, on disk"
    note = "whole paths: " + "; ".join(
        f"{n:,} rows {cost.seconds:.2g} s in {cost.passes} passes"
        for n, cost in zip(sizes, costs, strict=True)
    )
    slopes = "log-log slope"
    return [
        Row(NAME, f"seconds of a pass, {span}", "rows", slope, unit=slopes, bar="<= 1.1"),
        Row(NAME, f"the same, {span}", "rows (not less)", slope, unit=slopes, bar=">= 0.9"),
        Row(NAME, f"seconds of the path, {span}", "rows", whole, unit=slopes, note=note),
        Row(
            NAME,
            f"peak memory of the process, {sizes[-1]:,} rows × {WIDTH}",
            f"the features' {4 * sizes[-1] * WIDTH / 1e6:,.0f} MB",
            max(cost.megabytes for cost in costs),
            unit="MB",
            bar="<= 1500",
        ),
    ]


def cost_of(folder: str, n: int) -> Cost:
    """The path on rows on disk, always in passes; and the best of some passes of ten heads."""
    rows = made(Path(folder), n, WIDTH)
    with patch("evenhand.heads.head_fit.IN_PASSES", 0):
        began = time.perf_counter()
        fits = path_of(rows)
        seconds = time.perf_counter() - began
    evaluate = evaluation_of(rows, len(STRENGTHS))
    each = []
    while len(each) < 3 or sum(each) < 0.5:  # a pass over few rows is soon over, and often late
        began = time.perf_counter()
        evaluate()
        each.append(time.perf_counter() - began)
    return Cost(seconds, fits[0].passes, min(each), high_water())
