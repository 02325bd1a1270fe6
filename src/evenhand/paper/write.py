"""From kept cells to the folder a reader opens: the page, CSV tables and SVG figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.artefacts import write_atomically
from evenhand.fisher import GroupFisher
from evenhand.paper import figures, tables
from evenhand.paper.claims import TASK_NAMES, Measured, claims, own_claims
from evenhand.paper.experiments import Plan
from evenhand.paper.measured import summary
from evenhand.paper.page import Page, Section, write_page
from evenhand.paper.runs import cell_path
from evenhand.paper.sources import ADULT, FAIR, Source
from evenhand.paper.tables import Row
from evenhand.paper.verdicts import RULE, Evidence, Verdict, overall
from evenhand.paper.work import results
from evenhand.report.text import frame_to_csv, number

READING = (
    "Ours: mean±standard deviation over seeds, as the paper prints, and in brackets the 95 % "
    "t-interval of the mean. Printed values with ~ are read off a figure. All heads are trained to "
    "convergence with one ridge, so that methods and not budgets are compared."
)
FIXED = (
    "evenhand's row is the rank-1 adapter on the hidden layer with the head, under the "
    "equalized-odds soft-gap penalty at strength .3: the middle of the adapter's path 0, .1, .3, "
    "1, 3, written down before this run and not chosen on its test rows. The strength was first "
    "seen to work on Adult, so it is not blind to the data set; the row chosen by cross-fitting on "
    "train and validation rows (smallest ΔEO at a cost of at most half a point of error) is."
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
    """Judge what :func:`evenhand.paper.work.run_plan` kept, and write everything.

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
        *_parts(plan, seeds, folder, frame, fishers),
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


def _parts(
    plan: Plan,
    seeds: Sequence[int],
    folder: Path,
    frame: pd.DataFrame,
    fishers: dict[int, GroupFisher],
) -> Iterator[Section]:
    adult = "adult" in plan.tasks
    for part in plan.parts:
        if part == "table2" and adult:
            write_atomically(folder / "table2.csv", frame_to_csv(tables.table2_numbers(frame)))
            yield Section(
                part,
                "Table 2: fair pre-trained models, fine-tuned (Adult)",
                (
                    "The network is pre-trained with the soft gap as a penalty at strength .1, .5 "
                    "or .9, then fine-tuned without it. The gap is the constrained one. The last "
                    "row of each is evenhand's default with the fair head as the old one, which "
                    "it refuses to be less fair than.",
                ),
                (("Printed beside ours", tables.table2(frame)),),
            )
        elif part == "table3" and adult:
            shown = tables.table3()
            yield _tabled(
                folder, frame, shown, part, "Table 3: retraining and the method (Adult)", (FIXED,)
            )
        elif part == "table4":
            shown = tables.table4(plan.tasks)
            yield _tabled(folder, frame, shown, part, "Table 4: other depths and models", ())
        elif part == "fig1" and adult:
            yield _figure1(seeds, folder)
        elif part == "fig3" and adult:
            yield _figure3(seeds[0], folder, fishers)
        elif part == "fig4":
            yield _figure4(plan, folder, frame)
        elif part == "fig5" and adult:
            yield _figure5(folder, frame)


def _tabled(
    folder: Path,
    frame: pd.DataFrame,
    rows: Sequence[Row],
    name: str,
    title: str,
    text: Sequence[str],
) -> Section:
    numbers = tables.as_numbers(rows, frame).round(6)
    write_atomically(folder / f"{name}.csv", frame_to_csv(numbers))
    return Section(name, title, text, (("Printed beside ours", tables.as_table(rows, frame)),))


def _figure1(seeds: Sequence[int], folder: Path) -> Section:
    fair = next(source for source in FAIR if source.key.endswith("eo-0.9"))
    named: tuple[tuple[str, Source], ...] = (("biased model", ADULT), ("fair model (EO .9)", fair))
    panels, rows = {}, []
    for title, source in named:
        kept = [
            figures.read_representation(cell_path(folder, source, seed, "representation"))
            for seed in seeds
        ]
        for step, words in (("before", "pre-trained"), ("after", "whole network fine-tuned")):
            panels[f"{title}, {words}"] = (kept[0][0][step], kept[0][1])
            values = np.array([figures.separability(a[step], g) for a, g in kept])
            rows.append(
                {
                    "representation": f"{title}, {words}",
                    "AUC of the group": summary(values, "auc", interval=True),
                }
            )
    path = figures.save(figures.representations(panels), folder / "fig1.svg")
    table = pd.DataFrame(rows)
    write_atomically(folder / "fig1.csv", frame_to_csv(table))
    return Section(
        "fig1",
        "Fig. 1: representations by group (Adult)",
        (
            "The head's inputs on their first two principal components, at the first seed. "
            "Fine-tuning a head leaves its inputs as they are; to see any change the whole "
            "network is fine-tuned here. Beside the picture, a number: how well a linear model "
            "tells the groups apart from these inputs (.5 = not at all).",
        ),
        (("Area under the ROC curve, cross-validated on test rows", table),),
        ((path, "Principal components of the head's inputs by group, four panels"),),
    )


def _figure3(seed: int, folder: Path, fishers: dict[int, GroupFisher]) -> Section:
    fisher = fishers[seed]
    path = figures.save(figures.diagonal(fisher), folder / "fig3.svg")
    diagonal = pd.DataFrame(
        [
            {"group": name, "input": i, "class": j, "fisher": fisher.diagonal[g, i, j]}
            for g, name in enumerate(fisher.group_names)
            for i in range(fisher.diagonal.shape[1])
            for j in range(fisher.diagonal.shape[2])
        ]
    )
    write_atomically(folder / "fig3.csv", frame_to_csv(diagonal))
    return Section(
        "fig3",
        "Fig. 3: the head's Fisher diagonal by group (Adult)",
        (
            "Mean over a group's rows of x² δ², at the pre-trained weights, at the first seed. "
            "For two classes δ is the same up to its sign, so both columns of the diagonal are "
            "equal and their sum is drawn.",
        ),
        (),
        ((path, "Fisher importance of each input of the head, for each group"),),
    )


def _figure4(plan: Plan, folder: Path, frame: pd.DataFrame) -> Section:
    rows = tables.figure4(plan.tasks)
    drawn = []
    for task in plan.tasks:
        own = [r for r in rows if r.side.source.startswith(task)]
        own = [r for r in own if len(r.side.values(frame, "error"))]
        if own:
            axes = figures.bars(own, frame, TASK_NAMES[task])
            drawn.append(
                (
                    figures.save(axes, folder / f"fig4-{task}.svg"),
                    f"Error and gaps on {TASK_NAMES[task]}; black lines are the printed values",
                )
            )
    text = (
        "Black lines are printed values. The paper does not say whether an image model's new head "
        "was fresh, fitted first, or made from the pre-trained many-class head: all three are run. "
        "A head of two classes cannot gain from any of them at convergence.",
    )
    section = _tabled(folder, frame, rows, "fig4", "Fig. 4: TL, f+SVD and the method", text)
    return Section(section.name, section.title, section.text, section.tables, drawn)


def _figure5(folder: Path, frame: pd.DataFrame) -> Section:
    rows = tables.figure5()
    path = figures.save(figures.sweep(frame), folder / "fig5.svg")
    section = _tabled(folder, frame, rows, "fig5", "Fig. 5: alpha (Adult)", ())
    figure = (path, "Error and gaps over alpha, the first group's weight")
    return Section(section.name, section.title, section.text, section.tables, (figure,))


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
