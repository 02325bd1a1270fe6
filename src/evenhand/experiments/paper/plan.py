"""Which tables and figures there are, and what has to be run for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.errors import InputError
from evenhand.experiments.paper.sources import (
    ADULT,
    DEPTHS,
    FAIR,
    ImageSource,
    Source,
    image_sources,
)

PARTS = ("table2", "table3", "table4", "fig1", "fig3", "fig4", "fig5")


TASKS = ("adult", "lfwa", "celeba")


METHODS = ("transfer", "svd", "neutralized-svd", "random-svd")


RETRAIN = ("retrain-eo", "retrain-dp", "retrain-head-eo", "retrain-head-dp")


OURS_ADULT = ("adapter", "adapter-chosen")


OURS_IMAGES = ("gap-eo", "evenhand")


VARIANTS = ("fresh-head", "own-rank")


Needs = dict[Source, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be run.

    Attributes:
        parts: tables and figures asked for, or ``("sensitivity",)``.
        tasks: asked for.
        needs: every source with the runs it needs.
        missing: sources that cannot be had, with the reason.
    """

    parts: tuple[str, ...]
    tasks: tuple[str, ...]
    needs: Needs
    missing: Mapping[str, str] = field(default_factory=dict)

    def images(self, task: str) -> list[ImageSource]:
        """The image sources of ``task`` that are run."""
        return [s for s in self.needs if isinstance(s, ImageSource) and s.task == task]


def plan(what: str, tasks: Sequence[str] = ("adult",), data: Path | None = None) -> Plan:
    """The plan for one table or figure, ``all`` of them, or ``sensitivity``.

    Args:
        what: a name of :data:`PARTS`, ``all`` or ``sensitivity``.
        tasks: of :data:`TASKS`.
        data: the folder of images and weights;
            see :func:`evenhand.experiments.paper.sources.image_sources`.

    Raises:
        InputError: no such table, figure or task, or ``data`` is not there.
    """
    if what not in (*PARTS, "all", "sensitivity"):
        raise InputError(
            f"the paper has no {what!r} to run: give {', '.join(PARTS)}, all or sensitivity"
        )
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        named = repr(unknown[0]) if unknown else "an empty name"
        raise InputError(f"the paper has no task {named}: give {', '.join(TASKS)}")
    if data is not None and not data.exists():
        raise InputError(f"no data at {data}")
    parts = PARTS if what == "all" else (what,)
    needs: Needs = {}
    missing: dict[str, str] = {}
    if "adult" in tasks:
        for part in parts:
            for source, names in _adult(part).items():
                needs[source] = tuple(dict.fromkeys((*needs.get(source, ()), *names)))
    for task in tasks:
        runs = tuple(dict.fromkeys(name for part in parts for name in _images(part)))
        if task == "adult" or not runs:
            continue
        sources, reasons = image_sources(task, data)
        needs |= dict.fromkeys(sources, runs)
        missing |= reasons
    return Plan(tuple(parts), tuple(tasks), needs, missing)


def _adult(part: str) -> Needs:
    """The runs on Adult that a table or figure needs."""
    compared = ("pretrained", *METHODS)
    if part == "table2":
        return {source: (*compared, "whole", f"guard-{source.criterion}") for source in FAIR}
    if part == "table3":
        return {ADULT: (*compared, "gap-eo", *RETRAIN, *OURS_ADULT)}
    if part == "table4":
        return {source: (*compared, "adapter", "evenhand") for source in DEPTHS}
    if part == "fig1":
        return dict.fromkeys(
            (ADULT, *(s for s in FAIR if s.key.endswith("eo-0.9"))), ("representation",)
        )
    if part == "fig3":
        return {ADULT: ("fisher",)}
    if part == "fig4":
        return {ADULT: (*compared, "adapter")}
    if part == "fig5":
        return {ADULT: ("alpha",)}
    return {ADULT: ("sensitivity", *METHODS)}


def _images(part: str) -> tuple[str, ...]:
    """The runs on an image model that a table or figure needs."""
    if part in ("table4", "fig4"):
        return (*METHODS, *VARIANTS, *OURS_IMAGES)
    return {"fig3": ("fisher",), "fig5": ("alpha",), "sensitivity": ("sensitivity",)}.get(part, ())
