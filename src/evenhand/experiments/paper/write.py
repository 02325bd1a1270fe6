"""From kept cells to the folder a reader opens: the page, CSV tables and SVG figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.text import frame_to_csv, number
from evenhand.experiments.paper.claims import TASK_NAMES, Measured, claims, own_claims
from evenhand.experiments.paper.execute import results
from evenhand.experiments.paper.page import Page, Section, write_page
from evenhand.experiments.paper.plan import Plan
from evenhand.experiments.paper.sections import page_parts
from evenhand.experiments.paper.sources import ADULT
from evenhand.experiments.paper.variants import cell_path
from evenhand.experiments.paper.verdicts import RULE, Evidence, Verdict, overall
from evenhand.fisher.sums import GroupFisher

READING = (
    "Ours: mean±standard deviation over seeds, as the paper prints, and in brackets the 95 % "
    "t-interval of the mean. Printed values with ~ are read off a figure. All heads are trained to "
    "convergence with one ridge, so that methods and not budgets are compared."
)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run of the paper gave.

    Attributes:
        evidence: the paper's claims, line by line.
        own: evenhand's.
        verdicts: one row a claim: ``claim``, ``verdict`` and how its lines fell.
        frame: all results.
        folder: where the page is.
    """

    evidence: list[Evidence]
    own: list[Evidence]
    verdicts: pd.DataFrame
    frame: pd.DataFrame
    folder: Path


def write_paper(plan: Plan, seeds: Sequence[int], folder: Path) -> Outcome:
    """Judge what :func:`evenhand.experiments.paper.execute.run_plan` kept, and write everything.

    Writes ``paper.html``, ``paper.md``, ``verdicts.csv``, ``results.csv``, a CSV for each table
    and an SVG for each figure. The same cells give the same bytes.
    """
    frame, skipped = results(plan, seeds, folder)
    fishers = _fishers(plan, seeds, folder)
    measured = Measured(frame, fishers, skipped)
    evidence, own = claims(measured), own_claims(measured)
    verdicts = by_claim(evidence)
    write_atomically(folder / "results.csv", frame_to_csv(frame.round(6)))
    write_atomically(folder / "verdicts.csv", frame_to_csv(_numbers([*evidence, *own])))
    sections = [
        Section(
            "verdicts",
            "Verdicts",
            (RULE,),
            (
                ("The paper's claims", verdicts),
                ("evenhand, judged by the same rule", by_claim(own)),
            ),
        ),
        *page_parts(plan, seeds, folder, frame, fishers),
        Section(
            "evidence",
            "The evidence, line by line",
            ("Differences are the first named minus the second, with 95 % intervals.",),
            (("The paper's claims", _lines(evidence)), ("evenhand", _lines(own))),
        ),
        _not_run(skipped, [*evidence, *own]),
    ]
    lead = (
        "The experimental section of “Bias Mitigation in Fine-tuning Pre-trained Models for "
        "Enhanced Fairness and Efficiency” (arXiv 2403.00625), run from the start over "
        f"{len(seeds)} seeds, each with its own split and pre-training. Tasks: "
        f"{', '.join(TASK_NAMES[task] for task in plan.tasks)}.",
        READING,
    )
    footer = f"Made by evenhand {version('evenhand')}; seeds {seeds[0]} to {seeds[-1]}."
    write_page(Page(lead, sections, footer), folder)
    return Outcome(evidence, own, verdicts, frame, folder)


def by_claim(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """One row a claim: its verdict, and how many lines fell to each."""
    rows = []
    for claim in dict.fromkeys(line.claim for line in evidence):
        lines = [line for line in evidence if line.claim == claim]
        fell: dict[str, int] = {}
        for line in lines:
            fell[str(line.verdict)] = fell.get(str(line.verdict), 0) + 1
        rows.append(
            {
                "claim": claim,
                "verdict": str(overall(lines)),
                "lines": ", ".join(f"{count} {name}" for name, count in sorted(fell.items())),
            }
        )
    return pd.DataFrame(rows, columns=["claim", "verdict", "lines"])


def _lines(evidence: Sequence[Evidence]) -> pd.DataFrame:
    rows = []
    for line in evidence:
        if line.verdict is Verdict.NOT_RUN:
            continue
        mean, low, high = line.interval
        digits = 2 if line.metric in ("error", "%", "parameters") else 3
        shown = number(mean, digits) if np.isfinite(mean) else ""
        if np.isfinite(low):
            shown += f" [{number(low, digits)}, {number(high, digits)}]"
        rows.append(
            {
                "comparison": f"{line.claim}. {line.comparison}",
                "printed": line.printed,
                "ours": line.ours,
                "difference": shown,
                "verdict": str(line.verdict),
                "remark": line.remark,
            }
        )
    return pd.DataFrame(rows)


def _numbers(evidence: Sequence[Evidence]) -> pd.DataFrame:
    rows = []
    for line in evidence:
        mean, low, high = (round(value, 6) for value in line.interval)
        rows.append(
            {
                "claim": line.claim,
                "comparison": line.comparison,
                "metric": line.metric,
                "printed": line.printed,
                "ours": line.ours,
                "difference": mean,
                "low": low,
                "high": high,
                "pairs": len(line.differences),
                "claimed": str(line.kind),
                "margin": round(line.margin, 6),
                "verdict": str(line.verdict),
                "remark": line.remark,
            }
        )
    return pd.DataFrame(rows)


def _fishers(plan: Plan, seeds: Sequence[int], folder: Path) -> dict[int, GroupFisher]:
    if "fisher" not in plan.needs.get(ADULT, ()):
        return {}
    return {seed: GroupFisher.load(cell_path(folder, ADULT, seed, "fisher")) for seed in seeds}


def _not_run(skipped: dict[str, str], evidence: Sequence[Evidence]) -> Section:
    rows = [{"what": name, "why": why} for name, why in skipped.items()]
    counts: dict[tuple[str, str], int] = {}
    for line in evidence:
        if line.verdict is Verdict.NOT_RUN:
            counts[line.claim, line.remark] = counts.get((line.claim, line.remark), 0) + 1
    rows += [
        {"what": f"{claim}: {count} {'line' if count == 1 else 'lines'}", "why": why}
        for (claim, why), count in counts.items()
    ]
    text = () if rows else ("Everything was run.",)
    listed = [("What was not run", pd.DataFrame(rows))] if rows else []
    return Section("not-run", "Not run", text, listed)
