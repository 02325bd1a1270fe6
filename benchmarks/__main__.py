"""The command: ``python -m benchmarks [NAME ...]``; ``--help`` tells its options."""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from dataclasses import replace
from pathlib import Path

from benchmarks import BENCHMARKS
from benchmarks.machine import describe
from benchmarks.measure import Options
from benchmarks.rows import Row, as_csv, as_page, from_csv


def main(arguments: list[str] | None = None) -> None:
    listed = "\n".join(f"  {name:10} {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measure evenhand beside what a user would pick instead.\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks; all by default")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns (5)")
    parser.add_argument("--quick", action="store_true", help="small inputs: only that it works")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/benchmarks"),
        metavar="DIR",
        help="gets benchmarks.md, benchmarks.csv and, from cost, cost.md (runs/benchmarks)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what DIR's benchmarks.csv has, run the others"
    )
    asked = parser.parse_args(arguments)
    for name in asked.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    if asked.repeats < 1:
        parser.error(f"--repeats must be at least 1, found {asked.repeats}")
    names = [name for name in BENCHMARKS if not asked.names or name in asked.names]
    options = Options(asked.repeats, asked.quick)
    asked.output.mkdir(parents=True, exist_ok=True)
    command = "python -m benchmarks" + "".join(f" {name}" for name in asked.names)
    command += f" --repeats {asked.repeats}" + " --quick" * asked.quick
    kept = asked.output / "benchmarks.csv"
    rows: list[Row] = []
    if asked.resume and kept.is_file():
        rows = [row for row in from_csv(kept.read_text(encoding="utf-8")) if row.benchmark in names]
    measured = {row.benchmark for row in rows}
    for name in names:
        if name in measured:
            continue
        began = time.perf_counter()
        print(f"{name}: {BENCHMARKS[name]}", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rivals'
            found = module.run(options)
        if options.quick:  # the bars are for the full size
            found = [replace(row, bar="") for row in found]
        for row in found:
            print(f"  {line(row)}", flush=True)
        print(f"  {time.perf_counter() - began:.0f} s", flush=True)
        rows = sorted([*rows, *found], key=lambda row: names.index(row.benchmark))
        # After each, so that what was measured is kept whatever comes next.
        (asked.output / "benchmarks.csv").write_text(as_csv(rows), encoding="utf-8")
        page = as_page(rows, describe(), command)
        (asked.output / "benchmarks.md").write_text(page, encoding="utf-8")
        if hasattr(module, "write"):
            module.write(asked.output)
    print(f"written to {asked.output}")


def line(row: Row) -> str:
    """A row as it is printed while it runs."""
    if row.ratio is None:
        return f"{row.what} | {row.against}: {row.note}"
    verdict = "" if row.met is None else f", bar {row.bar}: {'met' if row.met else 'NOT met'}"
    memory = "" if row.memory is None else f", {row.memory:.0f} MB"
    spread = f" ({row.low:.3g} to {row.high:.3g})" if row.low is not None else ""
    return f"{row.what} | {row.against}: {row.ratio:.3g} {row.unit}{spread}{verdict}{memory}"


if __name__ == "__main__":
    main()
