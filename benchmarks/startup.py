"""What importing evenhand and starting its command line cost, each in a fresh process."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import Options, Spread, in_turns
from benchmarks.rows import Row

TURNS = 11
"""A process takes a second or so, and no two take the same."""


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def run(options: Options) -> list[Row]:
    ways = {
        "torch": lambda: _python("-c", "import torch"),
        "both": lambda: _python("-c", "import torch, evenhand"),
        "help": lambda: _python("-m", "evenhand", "--help"),
        "python": lambda: _python("-c", ""),
    }
    seconds = in_turns(ways, 1 if options.quick else max(options.repeats, TURNS))
    added = [1e3 * (a - b) for a, b in zip(seconds["both"], seconds["torch"], strict=True)]
    torch, both = (Spread.of(seconds[name]).median for name in ("torch", "both"))
    spread = Spread.of(added)
    help_time, python = Spread.of(seconds["help"]), Spread.of(seconds["python"])
    return [
        Row(
            "startup",
            "`import evenhand` after `import torch`",
            "`import torch` alone",
            # Of medians: one slow process would decide a median of differences less fairly.
            1e3 * (both - torch),
            spread.low,
            spread.high,
            "ms more",
            both,
            torch,
            bar="<= 50",
        ),
        Row(
            "startup",
            "`evenhand --help`",
            "an empty Python process",
            help_time.median,
            help_time.low,
            help_time.high,
            "s",
            help_time.median,
            python.median,
            bar="<= 0.4",
        ),
    ]
