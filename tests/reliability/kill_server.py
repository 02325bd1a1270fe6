"""Run a command again and again, killed at one of its writes, then whole: told as JSON.

    python kill_server.py FOLDER POINTS ARGUMENT ...

``OUT`` and ``CACHE`` among the arguments stand for the run's own folders. Each run is a process
forked from this one, which has the libraries loaded and has computed nothing. POINTS is how many
points to draw, or ``all``: the k-th write, sync or rename of the run, where it dies by SIGKILL, or
every fourth time is interrupted as by ctrl-C; a write dies with half of its content on the disk.
``full:N`` draws N points from which on the disk is full instead.
"""

import errno
import json
import os
import random
import signal
import sys
import traceback
from pathlib import Path

from evenhand._base import files as artefacts
from evenhand._base.seals import check_sums
from evenhand.cli.main import main
from evenhand.experiments.agreement import differences
from evenhand.models.features import store

ROWS_PER_SHARD = 6


FULL = 0
"""In place of a signal: no more room on the disk."""


class Counter:
    """Counts what a process does to files, and sends it ``signal`` at number ``fatal``."""

    def __init__(self, fatal: int, sent: int = signal.SIGKILL) -> None:
        self.fatal, self.sent, self.done = fatal, sent, 0

    def step(self) -> bool:
        self.done += 1
        if self.sent == FULL:
            return 0 < self.fatal <= self.done
        return self.done == self.fatal

    def strike(self) -> None:
        if self.sent == FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), self.sent)

    def watch(self, owner, name):
        real = getattr(owner, name)

        def watched(*arguments, **named):
            if self.step():
                self.strike()
            return real(*arguments, **named)

        setattr(owner, name, watched)

    def watch_content(self):
        real = os.fdopen

        def opened(*arguments, **named):
            file = real(*arguments, **named)
            write = file.write

            def half(data):
                if self.step():
                    write(data[: len(data) // 2])
                    file.flush()
                    self.strike()
                return write(data)

            if arguments[1:2] == ("wb",):
                file = Halved(file, half)
            return file

        os.fdopen = opened


class Halved:
    """A file whose ``write`` is another."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def run(arguments, told, fatal=0, sent=signal.SIGKILL):
    """The exit code (or minus the signal) of one run; its steps and errors are in ``told``."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.dup2(os.open(told / "errors", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
            # A shell's background jobs are born deaf to ctrl-C.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            counter = Counter(fatal, sent)
            counter.watch_content()
            for owner, name in ((os, "fsync"), (os, "replace"), (os, "rename")):
                counter.watch(owner, name)
            counter.watch(artefacts, "_exchange")
            store.ROWS_PER_SHARD = ROWS_PER_SHARD
            try:
                main(arguments)
            except SystemExit as done:
                code = int(done.code or 0)
            except BaseException:
                traceback.print_exc()
                raise
            (told / "steps").write_text(str(counter.done))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def serve(folder, points, arguments):
    import evenhand.experiments.compare.run  # noqa: F401
    import evenhand.finetuning.finetune  # noqa: F401
    import evenhand.heads.selection.fair_head  # noqa: F401
    import evenhand.models.from_torchvision  # noqa: F401
    import evenhand.report.html  # noqa: F401 - loaded once, before the forks

    told = folder / "told"
    told.mkdir()

    def placed(name):
        places = {"OUT": str(folder / name / "out"), "CACHE": str(folder / name / "cache")}
        return [places.get(argument, argument) for argument in arguments]

    whole = run(placed("whole"), told)
    steps = int((told / "steps").read_text())
    full = points.startswith("full:")
    if points == "all":
        chosen = range(1, steps + 1)
    else:
        # The last step syncs a folder whose files are all written: no disk is full from there on.
        last = steps - 1 if full else steps
        chosen = sorted(random.Random(0).sample(range(1, last + 1), int(points.split(":")[-1])))
    results = []
    for number, point in enumerate(chosen):
        name = f"killed-{point}"
        sent = FULL if full else signal.SIGKILL if number % 4 else signal.SIGINT
        killed = run(placed(name), told, point, sent)
        errors = (told / "errors").read_text()
        # A file half written in a folder half made goes with that folder.
        half = list((folder / name).rglob("*.part"))
        litter = sum(not set(path.parents) & set(half) for path in half)
        again = run(placed(name), told)
        said_again = (told / "errors").read_text()
        found = differences(folder / "whole" / "out", folder / name / "out")
        wrong = check_sums(folder / name / "out")
        results.append(
            {
                "point": point,
                "sent": int(sent),
                "killed": killed,
                "errors": errors,
                "again": again,
                "said_again": said_again,
                "different": [str(one) for one in found],
                "wrong": wrong,
                "litter": litter,
            }
        )
    print(json.dumps({"whole": whole, "steps": steps, "results": results}))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
