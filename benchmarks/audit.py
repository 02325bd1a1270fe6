"""``evenhand audit`` of files beside DuckDB's own group by of the same columns.

Decisions by sex and race are simulated (seed 0) and written as Parquet and as CSV; ten such Parquet
files make a folder. Each is counted by a bare query in a fresh process, and audited by the command
in another; both are timed from start to end.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Options, Spread, in_turns
from benchmarks.rows import TIMES, Row

ROWS, QUICK_ROWS, BATCH = 10_000_000, 20_000, 1_000_000
FILES = 10
SECONDS = "s more"
OWN = """
import duckdb, sys
query = "select sex, race, y, p, count(*) from '" + sys.argv[1] + "' group by all"
duckdb.sql(query).fetchall()
"""
PEAK = """
    status = open("/proc/self/status").read()
    print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""
OURS = f"""
import sys
from evenhand.cli.main import main
options = "--label y --prediction p --group sex --group race"
try:
    main(["audit", sys.argv[1], *options.split()])
finally:{PEAK}"""


def run(options: Options) -> list[Row]:
    rows = QUICK_ROWS if options.quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        parquet, table = _written(Path(folder), rows)
        many = _copied(parquet, Path(folder) / "many")
        return [
            _row(parquet, rows, "parquet", options),
            _row(table, rows, "csv", options),
            _row(many, FILES * rows, f"{FILES} files of parquet", options),
        ]


def _row(path: Path, rows: int, kind: str, options: Options) -> Row:
    peaks: list[float] = []
    ways: dict[str, Callable[[], object]] = {
        "own": lambda: _python(OWN, path / "*.parquet" if path.is_dir() else path),
        "ours": lambda: peaks.append(float(_python(OURS, path)) / 1024),
    }
    seconds = in_turns(ways, options.repeats)
    own, ours = Spread.of(seconds["own"]), Spread.of(seconds["ours"])
    if kind != "parquet":
        spread = Spread.of([a / b for a, b in zip(seconds["ours"], seconds["own"], strict=True)])
        unit, bar = TIMES, "<= 1.5"
    else:
        spread = Spread.of([a - b for a, b in zip(seconds["ours"], seconds["own"], strict=True)])
        unit, bar = SECONDS, "<= 1"
    return Row(
        "audit",
        f"`evenhand audit` of {rows:,} rows by sex × race, {kind}",
        "DuckDB's own group by",
        spread.median,
        spread.low,
        spread.high,
        unit,
        ours.median,
        own.median,
        bar="" if options.quick else bar,
        memory=max(peaks),
        note="whole processes; the memory is all of ours",
    )


def _python(code: str, path: Path) -> str:
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stderr


def _copied(path: Path, folder: Path) -> Path:
    """A folder of files with the same rows, each with bytes of its own to be read."""
    folder.mkdir()
    for at in range(FILES):
        shutil.copy(path, folder / f"{at}.parquet")
    return folder


def _written(folder: Path, rows: int) -> tuple[Path, Path]:
    import numpy as np
    import pyarrow as arrow
    from pyarrow import csv, parquet

    texts = [(name, arrow.string()) for name in ("sex", "race")]
    schema = arrow.schema([("y", arrow.int8()), ("p", arrow.int8()), *texts])
    paths = folder / "decisions.parquet", folder / "decisions.csv"
    draw = np.random.default_rng(0)
    with parquet.ParquetWriter(paths[0], schema) as one, csv.CSVWriter(paths[1], schema) as other:
        for start in range(0, rows, BATCH):
            n = min(BATCH, rows - start)
            y = draw.integers(0, 2, n).astype(np.int8)
            p = np.where(draw.random(n) < 0.8, y, 1 - y).astype(np.int8)
            sex = np.array(["F", "M"])[draw.integers(0, 2, n)]
            race = np.array(list("ABCDE"))[draw.integers(0, 5, n)]
            table = arrow.table([y, p, sex, race], schema=schema)
            one.write_table(table)
            other.write_table(table)
    return paths
