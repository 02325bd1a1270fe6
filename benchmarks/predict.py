"""Deciding a large file: 10^7 rows of a 20-column table, in a process of its own.

The table is simulated: twelve columns of numbers, six of categories and two of dates, some values
missing. The model is fitted on 20,000 of its rows. The clock runs over the whole command: reading
the run, reading and encoding every row, deciding it, and writing the scored file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import Options
from benchmarks.rows import Row

ROWS, QUICK_ROWS, BLOCK = 10_000_000, 100_000, 500_000
FITTED = 20_000
NUMBERS, CATEGORIES, DATES = 12, 6, 2

CHILD = """
import json, sys, time
began = time.perf_counter()
import evenhand as eh
from benchmarks.memory import high_water
found = eh.predict(*sys.argv[1:4], columns=["id"])
print(json.dumps({"seconds": time.perf_counter() - began, "megabytes": high_water(),
                  "rows": found.rows, "decided": found.decided}))
"""


def people(rows: int, seed: int) -> pd.DataFrame:
    """Rows of the simulated table, without labels and groups."""
    rng = np.random.default_rng(seed)
    numbers = {f"amount {i}": rng.normal(50, 20, rows).round(2) for i in range(NUMBERS)}
    towns = np.array([f"town {i:02d}" for i in range(40)])
    categories = {f"town {i}": rng.choice(towns, rows) for i in range(CATEGORIES)}
    days = rng.integers(0, 4000, (DATES, rows)).astype("timedelta64[D]")
    dates = {f"since {i}": np.datetime64("2012-01-01") + days[i] for i in range(DATES)}
    frame = pd.DataFrame({**numbers, **categories, **dates})
    frame.loc[rng.random(rows) < 0.05, "amount 0"] = np.nan
    return frame


def fitted(folder: Path) -> Path:
    """A run on the first rows, which need a label and a group too."""
    import evenhand as eh

    rng = np.random.default_rng(0)
    frame = people(FITTED, 0)
    frame["sex"] = rng.choice(["F", "M"], FITTED)
    score = frame["amount 1"] - 50 + 10 * (frame["sex"] == "M") + rng.normal(0, 10, FITTED)
    frame["repaid"] = np.where(score > 0, "yes", "no")
    frame.to_csv(folder / "fitted.csv", index=False)
    task = eh.tasks.table(folder / "fitted.csv", label="repaid", groups="sex")
    return eh.finetune(None, task, strength=1.0).save(folder / "run")


def written(folder: Path, rows: int, form: str) -> Path:
    """The file to decide, made a block at a time."""
    import pyarrow as arrow
    from pyarrow import csv, parquet

    path, writer = folder / f"new.{form}", None
    for start in range(0, rows, BLOCK):
        frame = people(min(BLOCK, rows - start), 1 + start)
        frame.insert(0, "id", np.arange(start, start + len(frame)))
        table = arrow.Table.from_pandas(frame, preserve_index=False)
        if writer is None:
            kind = csv.CSVWriter if form == "csv" else parquet.ParquetWriter
            writer = kind(str(path), table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    return path


def decided(run: Path, data: Path, output: Path) -> dict[str, Any]:
    """Seconds and peak megabytes of deciding a file, in a fresh process."""
    command = [sys.executable, "-c", CHILD, str(run), str(data), str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(options: Options) -> list[Row]:
    rows = QUICK_ROWS if options.quick else ROWS
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = fitted(folder)
        for form in ("csv", "parquet"):
            data = written(folder, rows, form)
            one = decided(kept, data, folder / f"scored.{form}")
            if one["decided"] != rows:
                raise RuntimeError(f"{one['decided']:,} of {rows:,} rows were decided")
            what = f"{rows:,} rows × {NUMBERS + CATEGORIES + DATES} columns, {form} to {form}"
            size = f"a file of {data.stat().st_size / 1e6:,.0f} MB"
            seconds, peak = one["seconds"], one["megabytes"]
            found += [
                Row("predict", what, size, seconds, seconds, seconds, "s", bar="<= 120"),
                Row("predict", f"peak memory, {what}", size, peak, peak, peak, "MB", bar="<= 1500"),
            ]
            data.unlink()
    return found
