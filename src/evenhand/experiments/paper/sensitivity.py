"""What the readings do: for each rank and budget, whether any of them changes the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.text import frame_to_csv, number
from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.paper.execute import results
from evenhand.experiments.paper.measured import METRICS, SYMBOLS
from evenhand.experiments.paper.page import Page, Section, write_page
from evenhand.experiments.paper.plan import Plan
from evenhand.experiments.paper.readings import BUDGETS, CHOICES, DEFAULT, Reading, readings
from evenhand.experiments.paper.verdicts import MARGINS, RULE, Kind, Verdict, judge

CONVERGED = "converged"


AGAINST = {
    "f+SVD": "f+SVD, same rank and budget",
    "TL": "TL, same start and budget",
    "TL converged": "TL, converged",
}


def write_sensitivity(plan: Plan, seeds: Sequence[int], folder: Path) -> pd.DataFrame:
    """Judge every reading and write ``sensitivity.html``, ``.md`` and CSVs.

    Returns:
        One row a source × rank × budget × comparison × metric: over all readings, the largest
        difference and how many have each verdict.
    """
    frame, skipped = results(plan, seeds, folder, parts=("who", "rank", "budget"))
    frame = frame[frame["method"] == "sensitivity"]
    judged = judge_readings(frame)
    shown = by_budget(judged)
    changing = that_change(judged)
    write_atomically(folder / "sensitivity.csv", frame_to_csv(judged.round(6)))
    write_atomically(folder / "sensitivity-summary.csv", frame_to_csv(shown))
    count = len(list(readings()))
    choices = "; ".join(f"{name}: {' or '.join(map(str, v))}" for name, v in CHOICES.items())
    at_convergence = (changing["budget"] == CONVERGED).any()
    early = changing[changing["verdict"] == str(Verdict.REPRODUCES)]
    settled = (
        "At convergence some readings change a verdict; they are listed below."
        if at_convergence
        else "At convergence no reading changes a verdict."
    )
    if len(early):
        budgets = ", ".join(dict.fromkeys(early["budget"]))
        settled += f" Some readings reproduce a claim where a fit is {budgets}: see below."
    sections = [
        Section(
            "summary",
            "All readings",
            (
                f"{count} readings ({choices}) at every rank and {len(BUDGETS)} budgets "
                "(passes over the features at which the fit is stopped), each the method minus "
                "the other; the largest difference of any reading is shown with its interval.",
                settled,
                RULE,
            ),
            (("Over all readings", shown),),
        ),
        Section(
            "changes",
            "Readings that change the verdict",
            (
                "Against the verdict of our own reading, converged, on the same rank. A fit that "
                "is stopped early compares speeds of training, not methods.",
            ),
            (("By reading's choices", changing),) if len(changing) else (),
        ),
    ]
    if skipped:
        rows = pd.DataFrame([{"what": n, "why": why} for n, why in skipped.items()])
        sections.append(Section("not-run", "Not run", (), (("What was not run", rows),)))
    footer = f"Made by evenhand {version('evenhand')}; {len(seeds)} seeds."
    title = "Zhang & Zhou (2024): readings, ranks and budgets"
    write_page(Page((), sections, footer, title), folder, "sensitivity")
    return shown


def judge_readings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a source × reading × rank × budget × comparison × metric, with its verdict."""
    rows = []
    every = {str(reading): reading for reading in readings()}
    keys = ["source", "who", "rank", "budget"]
    series = {key: part.set_index("seed") for key, part in frame.groupby(keys, sort=False)}
    for (source, who, rank, budget), mine in series.items():
        if who not in every:
            continue
        control = f"f+SVD: {every[who].control}"
        others = {
            "f+SVD": (source, control, rank, budget),
            "TL": (source, f"TL: {every[who].head}", "dense", budget),
            "TL converged": (source, f"TL: {DEFAULT.head}", "dense", CONVERGED),
        }
        for against, key in others.items():
            for metric in METRICS:
                apart = (mine[metric] - series[key][metric]).dropna()
                mean, low, high = mean_interval(apart.to_numpy())
                verdict = judge((mean, low, high), Kind.LOWER, MARGINS[metric])
                rows.append(
                    {
                        "source": source,
                        "reading": who,
                        "rank": rank,
                        "budget": budget,
                        "against": against,
                        "metric": metric,
                        "difference": mean,
                        "low": low,
                        "high": high,
                        "verdict": str(verdict),
                    }
                )
    columns = ["source", "reading", "rank", "budget", "against", "metric"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "low", "high", "verdict"])


def by_budget(judged: pd.DataFrame) -> pd.DataFrame:
    """The largest difference over the readings, and how their verdicts fall."""
    rows = []
    for key, part in judged.groupby(["source", "rank", "budget", "against", "metric"], sort=False):
        source, rank, budget, against, metric = key
        worst = part.iloc[int(part["difference"].abs().fillna(-1).to_numpy().argmax())]
        digits = 2 if metric == "error" else 3
        fell = part["verdict"].value_counts()
        rows.append(
            {
                "source": source,
                "rank": rank,
                "budget": budget,
                "against": AGAINST[str(against)],
                "metric": SYMBOLS[str(metric)],
                "largest difference": f"{number(worst['difference'], digits)} "
                f"[{number(worst['low'], digits)}, {number(worst['high'], digits)}]",
                **{str(verdict): int(fell.get(str(verdict), 0)) for verdict in Verdict},
            }
        )
    return pd.DataFrame(rows)


def that_change(judged: pd.DataFrame) -> pd.DataFrame:
    """The choices whose readings have another verdict than our own reading at convergence."""
    keys = ["source", "rank", "against", "metric"]
    base = judged[(judged["reading"] == str(DEFAULT)) & (judged["budget"] == CONVERGED)]
    merged = judged.merge(base[[*keys, "verdict"]], on=keys, suffixes=("", "_base"))
    other = merged[merged["verdict"] != merged["verdict_base"]]
    rows = []
    for key, part in other.groupby([*keys, "budget", "verdict", "verdict_base"], sort=False):
        source, rank, against, metric, budget, verdict, before = key
        rows.append(
            {
                "source": source,
                "rank": rank,
                "budget": budget,
                "against": AGAINST[str(against)],
                "metric": SYMBOLS[str(metric)],
                "verdict": verdict,
                "instead of": before,
                "readings": len(part),
                "what they share": shared(part["reading"].tolist()),
            }
        )
    columns = ["source", "rank", "budget", "against", "metric", "verdict", "instead of"]
    return pd.DataFrame(rows, columns=[*columns, "readings", "what they share"])


def shared(names: Sequence[str]) -> str:
    """The choices that all these readings make alike."""
    every = {str(reading): reading for reading in readings()}
    found = [every[name] for name in names]
    same = []
    for choice in CHOICES:
        values = {_value(reading, choice) for reading in found}
        if len(values) == 1:
            same.append(f"{choice} {values.pop()}")
    return ", ".join(same) or "nothing"


def _value(reading: Reading, choice: str) -> str:
    return str(getattr(reading, choice))
