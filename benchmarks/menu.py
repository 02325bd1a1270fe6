"""What it costs to have more to choose among: merges counted, deeper features, a whole run.

The fits are of Adult's heads on both sets of features that a run reads, by the default rule.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Options, Spread, in_turns, require
from benchmarks.reading import extraction
from benchmarks.rows import Row, times

IMAGES, PIXELS = 256, 224


def run(options: Options) -> list[Row]:
    require("torchvision", "torchvision")
    return [_counting(options), _deeper(options), _whole(options)]


def _counting(options: Options) -> Row:
    from evenhand._base.threads import one_thread
    from evenhand.experiments.compare.run import recipe_of
    from evenhand.finetuning.fitting import DEEP_GRID
    from evenhand.heads.selection.candidates import DEFAULT_GRID
    from evenhand.heads.selection.fair_head import choose_head
    from evenhand.heads.selection.menu import head_families
    from evenhand.heads.selection.rule import Rule
    from evenhand.heads.spec import HeadSpec

    rule = Rule()
    with one_thread():
        problem = recipe_of("adult").stage(0).problem
        deep = problem.deep
        read = [(problem, DEFAULT_GRID)] + ([] if deep is None else [(deep, DEEP_GRID)])
        asked = [
            (one.development, HeadSpec(ridge=one.ridge, intercept=one.intercept), grid)
            for one, grid in read
        ]
        paths: list[list[Any]] = []

        def fits() -> None:
            paths[:] = [
                head_families(rows, rule, spec, grid=replace(grid, merged=False))
                for rows, spec, grid in asked
            ]

        def count() -> None:
            families: list[Any] = []
            for (rows, spec, grid), found in zip(asked, paths, strict=True):
                known = {path.criteria: path for path in found}
                families += head_families(rows, rule, spec, grid=grid, known=known)
            choose_head(asked[0][0], rule, families)

        seconds = in_turns({"fits": fits, "count": count}, 1 if options.quick else options.repeats)
    share = [100 * a / b for a, b in zip(seconds["count"], seconds["fits"], strict=True)]
    found = Spread.of(share)
    return Row(
        "menu",
        "counting what is merged, and choosing among all, on Adult",
        "the cross-fitted paths' fits",
        found.median,
        found.low,
        found.high,
        "% of the fits' time",
        Spread.of(seconds["count"]).median,
        Spread.of(seconds["fits"]).median,
        bar="<= 10",
    )


def _deeper(options: Options) -> Row:
    from torchvision.models import resnet18

    from evenhand.finetuning.depth import deep_backbone
    from evenhand.models import wrap

    number = 16 if options.quick else IMAGES
    torch.manual_seed(0)
    inputs = np.random.default_rng(0).random((number, 3, PIXELS, PIXELS), dtype=np.float32)
    plain = wrap(resnet18(weights=None).eval())
    deep = deep_backbone(plain, inputs, "auto")
    if deep is None:
        raise RuntimeError("a ResNet-18 has stages before its last")
    ways = {"deep": extraction(deep, inputs), "plain": extraction(plain, inputs)}
    seconds = in_turns(ways, 1 if options.quick else options.repeats)
    return times(
        "menu",
        f"features of three depths of a ResNet-18, {number} images of {PIXELS} px",
        "its head's features alone",
        seconds["deep"],
        seconds["plain"],
        bar="<= 1.25",
    )


def _whole(options: Options) -> Row:
    """A default run in a process of its own, pre-training and report included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "evenhand", "finetune", "adult", "-q", "-o", folder]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(
        "menu",
        "`evenhand finetune adult`",
        "one run, in a process of its own",
        spent,
        unit="s of processor time",
        ours=wall,
        bar="<= 25",
    )
