"""How a comparison of images fares that is killed at random, over and over.

    python benchmarks/reliability.py --data celeba.zip --model resnet18 \\
        --weights resnet18.safetensors --kills 200 --output docs/reliability.md

Takes the first images of the user's copy of CelebA, runs ``evenhand compare celeba`` on them once
without a break, then as often as asked: in new folders, killed by ``kill -9`` after a random time,
and run again by the same command. Every table, and every file's hash, must then be what the
unbroken run gave, to the bit (times apart).

Each run is the command line's own ``main`` in a process forked from this one, which has the
libraries loaded and has computed nothing, so that a kill falls on the work and not on Python's
imports; ``--fresh`` of them start an interpreter of their own. Shards of
features hold few rows, so that a small extraction has many.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from evenhand._base.files import write_atomically
from evenhand._base.seals import SUMS, check_sums
from evenhand.cli.main import main as evenhand
from evenhand.cli.terminal import machine
from evenhand.experiments.agreement import differences
from evenhand.models.features import store

SHARD = 20
FRESH = f"from evenhand.models.features import store; store.ROWS_PER_SHARD = {SHARD}\n" + (
    "from evenhand.cli.main import main\nif __name__ == '__main__': main()\n"
)


@dataclass(frozen=True)
class Trial:
    """One kill and what became of it."""

    stage: str
    fresh: bool
    ended: bool
    lost: int
    different: int
    resumed_seconds: float


def subset(data: Path, number: int, folder: Path) -> Path:
    """The first images of a CelebA zip with their lines of the attribute list, as a folder."""
    (folder / "img_align_celeba").mkdir(parents=True)
    with zipfile.ZipFile(data) as archive:
        listed = next(n for n in archive.namelist() if n.endswith("list_attr_celeba.txt"))
        lines = archive.read(listed).decode().splitlines()
        kept = lines[2 : 2 + number]
        text = "\n".join([str(len(kept)), lines[1], *kept]) + "\n"
        (folder / "list_attr_celeba.txt").write_text(text)
        names = {Path(n).name: n for n in archive.namelist()}
        for line in kept:
            name = line.split()[0]
            (folder / "img_align_celeba" / name).write_bytes(archive.read(names[name]))
    return folder


def start(arguments: list[str], fresh: bool, loaded: Path | None = None) -> int:
    """The process id of a run, which lists the modules it has loaded at its end in ``loaded``."""
    if fresh:
        command = [sys.executable, "-c", FRESH, *arguments, "--jobs", "1"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        store.ROWS_PER_SHARD = SHARD
        evenhand([*arguments, "--jobs", "1"])
    except SystemExit as done:
        code = int(done.code or 0)
    finally:
        if loaded:
            loaded.write_text("\n".join(sys.modules))
        os._exit(code)


def finish(process: int) -> int:
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def stage_of(folder: Path) -> str:
    """How far a killed run had come."""
    if (folder / "out" / SUMS).exists():
        return "after the last write"
    if (folder / "out" / "config.yaml").exists():
        return "writing the report"
    if list(folder.glob("out/cells/seed*")):
        return "fitting, some cells kept"
    if list(folder.glob("cache/*/shard*")):
        shards = len(list(folder.glob("cache/*/shard*")))
        return "extracting" if shards < WANTED else "fitting, no cell kept"
    return "before the first shard"


WANTED = 0


def run(given: argparse.Namespace, work: Path) -> tuple[list[Trial], float, float]:
    """The trials, the seconds of the unbroken run, and those of everything."""
    global WANTED
    data = subset(given.data, given.images, work / "celeba")
    WANTED = -(-given.images // SHARD)
    asked = ["compare", "celeba", "--data", str(data), "--model", given.model, "--quiet"]
    asked += ["--weights", str(given.weights)] if given.weights else []
    asked += ["--image-size", str(given.size), "--methods", given.methods]
    asked += ["--seeds", str(given.seeds)]

    def into(name: str) -> list[str]:
        return [*asked, "-o", str(work / name / "out"), "--cache", str(work / name / "cache")]

    whole = work / "whole"
    if finish(start(into("first"), False, work / "loaded")):
        sys.exit("the unbroken run failed")
    for name in (work / "loaded").read_text().splitlines():
        with suppress(Exception):
            import_module(name)
    began = time.perf_counter()
    if finish(start(into("whole"), fresh=False)) or differences(
        work / "first" / "out", whole / "out"
    ):
        sys.exit("two unbroken runs do not agree")
    seconds = {False: time.perf_counter() - began, True: 0.0}
    if given.fresh:
        start_fresh = time.perf_counter()
        if finish(start(into("whole-fresh"), fresh=True)):
            sys.exit("the unbroken run in a new interpreter failed")
        seconds[True] = time.perf_counter() - start_fresh
    drivers = [drive(given, work, into, dict(seconds), job) for job in range(given.jobs)]
    for driver in drivers:
        if finish(driver):
            sys.exit("a driver failed")
    trials = [Trial(*each) for job in range(given.jobs) for each in told(work, job)]
    return trials, seconds[False], time.perf_counter() - began


def told(work: Path, job: int) -> list[list[Any]]:
    """What a driver has kept of its trials."""
    listed: list[list[Any]] = json.loads((work / f"trials{job}.json").read_text())
    return listed


def drive(
    given: argparse.Namespace,
    work: Path,
    into: Callable[[str], list[str]],
    seconds: dict[bool, float],
    job: int,
) -> int:
    """A process that does its share of the trials; its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        mine = range(given.kills)[job :: given.jobs]
        fresh = len(range(given.fresh)[job :: given.jobs])
        draw = random.Random(given.seed + job)
        trials = list(kills(work, f"job{job}-", into, seconds, (len(mine), fresh), draw))
        (work / f"trials{job}.json").write_text(json.dumps([astuple(one) for one in trials]))
        code = 0
    finally:
        os._exit(code)


def kills(
    work: Path,
    prefix: str,
    into: Callable[[str], list[str]],
    seconds: dict[bool, float],
    wanted: tuple[int, int],
    draw: random.Random,
) -> Iterator[Trial]:
    """Kill, run again, compare; ``wanted`` kills, the first of them of whole interpreters."""
    whole = work / "whole"
    number = done = 0
    while done < wanted[0]:
        number += 1
        folder, fresh = work / f"{prefix}{number}", done < wanted[1]
        began_run = time.perf_counter()
        process = start(into(folder.name), fresh)
        time.sleep(draw.uniform(0, seconds[fresh]))
        os.kill(process, signal.SIGKILL)
        if finish(process) != -signal.SIGKILL:  # it was done before: faster than thought
            seconds[fresh] = 0.5 * seconds[fresh] + 0.5 * (time.perf_counter() - began_run)
            shutil.rmtree(folder)
            continue
        stage = stage_of(folder)
        resumed = time.perf_counter()
        code = finish(start(into(folder.name), fresh))
        took = time.perf_counter() - resumed
        seconds[fresh] = max(seconds[fresh], took)
        lost = len(check_sums(folder / "out")) if code == 0 else 1
        found = len(differences(whole / "out", folder / "out")) if code == 0 else 0
        done += 1
        print(f"{prefix}{done} {stage}: exit {code}, {lost} lost, {found} different", flush=True)
        if code == 0 and not lost and not found:
            shutil.rmtree(folder)
        yield Trial(stage, fresh, code == 0, lost, found, took)


def page(trials: list[Trial], unbroken: float, total: float, given: argparse.Namespace) -> str:
    """The Markdown page."""
    stages = Counter(trial.stage for trial in trials)
    wrong = sum(trial.different > 0 for trial in trials)
    resumed = sorted(trial.resumed_seconds for trial in trials)
    shown = " ".join(
        f"--{key.replace('_', '-')} {Path(value).name if isinstance(value, Path) else value}"
        for key, value in vars(given).items()
        if value is not None and key not in ("output", "work")
    )
    rows = "\n".join(f"| {name} | {count} |" for name, count in stages.most_common())
    fresh = sum(trial.fresh for trial in trials)
    return f"""# Killed and run again

`evenhand compare celeba` on {given.images} images ({given.model}, features in shards of {SHARD}
rows), the methods {given.methods}, {given.seeds} seed(s): run once without a break, then killed by
`kill -9` at {len(trials)} random moments, each time in new folders, and run again by the same
command. {fresh} of the runs had an interpreter of their own; the others were
forked from a process with the libraries loaded. Measured on {machine()}, by

    python benchmarks/reliability.py {shown}

| | of {len(trials)} |
|---|---|
| the same command ended well | {sum(trial.ended for trial in trials)} |
| files missing, damaged or of another run | {sum(trial.lost > 0 for trial in trials)} |
| runs with a number other than the unbroken run's, to the bit | {wrong} |

Where the kill fell:

| it was | kills |
|---|---|
{rows}

The unbroken run took {unbroken:.1f} s; a resumed one {resumed[len(resumed) // 2]:.1f} s in the
middle and {resumed[-1]:.1f} s at most. All of it took {total / 60:.0f} minutes.
The machine may have been busy with other work: nothing is promised of times.

Compared are every number of `results.csv`, `paired.csv`, `frontier.csv`, `hypervolume.csv` and
`levels.csv` but the times, and the sha256 of every file against `SHA256SUMS`.

What is not tested by this: power cuts (files and folders are synced before and after each rename,
which is as much as a program can do), and network file systems without locks.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="zip of CelebA's layout")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--methods", default="transfer,svd,gap-eo")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time")
    parser.add_argument("--fresh", type=int, default=0, help="kills of whole interpreters")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--work", type=Path, help="folder for the runs; default: a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        trials, unbroken, total = run(given, Path(folder))
    text = page(trials, unbroken, total, given)
    if given.output:
        write_atomically(given.output, text)
    print(text)
    if any(not t.ended or t.lost or t.different for t in trials):
        sys.exit(1)


if __name__ == "__main__":
    main()
