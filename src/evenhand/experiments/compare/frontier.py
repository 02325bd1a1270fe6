"""Error at levels of the gap along each method's frontier, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.compare.statistics import Array, checked, gap_column

LEVELS = (0.8, 0.65, 0.5)
"""Shares of the reference's gap at which frontiers are read."""


ERROR_COLUMNS = ("error", "accuracy_error")
"""The errors a frontier can be read in: 100 - weighted F1, or 100 - accuracy, both in %."""


ENOUGH = 0.9
"""Share of bootstrap replicates that must reach a level for it to have an interval."""


def lower_left(gap: Array, error: Array) -> tuple[Array, Array]:
    """The points no other point is better than in both, by ascending gap (and descending error)."""
    kept = ~(np.isnan(gap) | np.isnan(error))
    order = np.lexsort((error[kept], gap[kept]))
    gap, error = gap[kept][order], error[kept][order]
    best = np.minimum.accumulate(np.concatenate([[np.inf], error]))[:-1]
    return gap[error < best], error[error < best]


def error_at(gap: Array, error: Array, level: npt.ArrayLike) -> Array:
    """The errors needed for gaps of at most ``level``, interpolated along the frontier.

    Args:
        gap, error: (P,) the points.
        level: (L,) gaps to read the frontier at.

    Returns:
        (L,) NaN where no point has so small a gap; the lowest error where every gap is smaller.
    """
    levels = np.asarray(level, dtype=np.float64)
    x, y = lower_left(np.asarray(gap, np.float64), np.asarray(error, np.float64))
    if not len(x):
        return np.full(levels.shape, np.nan)
    return np.where(levels < x[0], np.nan, np.interp(levels, x, y))


def frontier(
    frame: pd.DataFrame,
    criterion: Criterion | str,
    error: str = "error",
    levels: Sequence[float] = LEVELS,
    *,
    reference: str = "transfer",
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The mean error each method needs for a mean gap, with intervals from resampled seeds.

    A method's points are its settings, averaged over seeds; between them the lower-left frontier
    is interpolated. The levels are shares of the reference's mean gap. A replicate of the bootstrap
    draws seeds with replacement, the same for all methods and the reference.

    Args:
        frame: the results.
        criterion: whose gap.
        error: ``"error"`` (100 - weighted F1) or ``"accuracy_error"`` (100 - accuracy), in %.
        levels: shares of the reference's gap.
        reference: the method whose gap the levels are shares of (its first setting).
        replicates, confidence, seed: of the bootstrap.

    Returns:
        One row a task × method × level: ``gap`` (the level in the gap's units), ``error``,
        ``low`` and ``high``, ``reached`` (share of replicates that reach the level), ``settings``
        and ``seeds``. NaN where never reached; the interval is NaN unless nine in ten replicates
        reach the level.

    Raises:
        InputError: no reference, or an unknown error.
    """
    frame = checked(frame)
    column = gap_column(criterion)
    shares = np.asarray(levels, dtype=np.float64)
    rows = []
    for task, part in frame.groupby("task", sort=False):
        base = part[part["method"] == reference]
        if base.empty:
            raise InputError(
                f"task {task}: the levels are shares of the gap of {reference!r}, which has no "
                f"results; there are {', '.join(sorted(set(part['method'])))}"
            )
        draws = _draws(part, replicates, seed)
        first = base[base["setting"] == base["setting"].iloc[0]]
        scale = first.pivot(index="setting", columns="seed", values=column)
        at = np.outer(np.append(scale.mean(axis=1), _means(scale, draws)), shares)
        for method, own in part.groupby("method", sort=False):
            gaps, errors = _points(own, column, error)
            value, *sample = (
                error_at(*pair, at[index])
                for index, pair in enumerate(_replicates(gaps, errors, draws))
            )
            interval = _interval(np.array(sample), confidence, gaps.shape[1])
            for number, share in enumerate(shares):
                rows.append(
                    {
                        "task": task,
                        "method": method,
                        "criterion": str(Criterion.parse(criterion)),
                        "metric": error,
                        "level": share,
                        "gap": at[0, number],
                        "error": value[number],
                        **{name: values[number] for name, values in interval.items()},
                        "settings": gaps.shape[0],
                        "seeds": gaps.shape[1],
                    }
                )
    return pd.DataFrame(rows)


def _points(rows: pd.DataFrame, column: str, error: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(settings × seeds) tables of gaps and errors."""
    valued = rows.assign(_error=_error_values(rows, error))
    gaps = valued.pivot(index="setting", columns="seed", values=column)
    return gaps, valued.pivot(index="setting", columns="seed", values="_error")


def _error_values(rows: pd.DataFrame, error: str) -> pd.Series[float]:
    if error not in ERROR_COLUMNS:
        raise InputError(f"unknown error {error!r}; known are {', '.join(ERROR_COLUMNS)}")
    return rows["error"] if error == "error" else 100 - rows["accuracy"]


def _draws(part: pd.DataFrame, replicates: int, seed: int) -> pd.DataFrame:
    """(replicates × seeds) how often each seed was drawn."""
    seeds = sorted(part["seed"].unique())
    generator = np.random.default_rng(seed)
    share = np.full(len(seeds), 1 / len(seeds))
    return pd.DataFrame(generator.multinomial(len(seeds), share, size=replicates), columns=seeds)


def _means(values: pd.DataFrame, draws: pd.DataFrame) -> Array:
    """(replicates, settings) means over the drawn seeds; seeds without a value are left out."""
    table = values.to_numpy(dtype=np.float64).T
    weights = draws[list(values.columns)].to_numpy(dtype=np.float64)
    below = weights @ (~np.isnan(table)).astype(np.float64)
    above = weights @ np.nan_to_num(table)
    means: Array = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return means


def _replicates(
    gaps: pd.DataFrame, errors: pd.DataFrame, draws: pd.DataFrame
) -> Iterator[tuple[Array, Array]]:
    """The points as measured, then those of every replicate: (settings,) gaps and errors."""
    yield gaps.mean(axis=1).to_numpy(), errors.mean(axis=1).to_numpy()
    yield from zip(_means(gaps, draws), _means(errors, draws), strict=True)


def _interval(sample: Array, confidence: float, seeds: int) -> dict[str, Array]:
    """Quantiles of the (replicates, levels) sample, and the share that reached each level."""
    reached = (~np.isnan(sample)).mean(axis=0)
    low, high = np.full((2, sample.shape[1]), np.nan)
    kept = (reached >= ENOUGH) & (seeds > 1)
    if kept.any():
        tail = (1 - confidence) / 2
        low[kept], high[kept] = np.nanquantile(sample[:, kept], [tail, 1 - tail], axis=0)
    return {"low": low, "high": high, "reached": reached}


def hypervolume(
    frame: pd.DataFrame,
    criterion: Criterion | str,
    reference: tuple[float, float] | None = None,
    error: str = "error",
) -> pd.DataFrame:
    """The area each method's frontier dominates, up to a reference point: larger is better.

    Points are settings averaged over seeds; a point beyond the reference in gap or error adds
    nothing.

    Args:
        frame: the results.
        criterion: whose gap.
        reference: (gap, error) the area is measured up to; by default the largest mean gap and
            error of any method and setting of the task.
        error: ``"error"`` or ``"accuracy_error"``.

    Returns:
        One row a task × method: ``hypervolume`` (gap × points of error), ``reference_gap`` and
        ``reference_error``.
    """
    frame = checked(frame)
    column = gap_column(criterion)
    tables = []
    for task, part in frame.groupby("task", sort=False):
        valued = part.assign(_error=_error_values(part, error))
        means = valued.groupby(["method", "setting"], sort=False)[[column, "_error"]].mean()
        corner = reference or (float(means[column].max()), float(means["_error"].max()))
        for method, rows in means.groupby(level="method", sort=False):
            area = dominated_area(rows[column].to_numpy(), rows["_error"].to_numpy(), corner)
            tables.append(
                {
                    "task": task,
                    "method": method,
                    "criterion": str(Criterion.parse(criterion)),
                    "metric": error,
                    "hypervolume": area,
                    "reference_gap": corner[0],
                    "reference_error": corner[1],
                }
            )
    return pd.DataFrame(tables)


def dominated_area(gap: Array, error: Array, corner: tuple[float, float]) -> float:
    """The area between the frontier's staircase and ``corner`` = (gap, error)."""
    x, y = lower_left(np.asarray(gap, np.float64), np.asarray(error, np.float64))
    inside = (x < corner[0]) & (y < corner[1])
    x, y = x[inside], y[inside]
    width = np.diff(np.append(x, corner[0]))
    return float((width * (corner[1] - y)).sum())
