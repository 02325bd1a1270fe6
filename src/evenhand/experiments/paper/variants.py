"""What is run on a source, by name: the paper's methods, ours, and what its figures draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand._base.seals import read_arrays
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.compare.results import cell_of, read_cell, write_cell
from evenhand.experiments.methods.method import Settings
from evenhand.experiments.methods.registry import METHODS
from evenhand.experiments.paper.figure_arrays import ARRAYS, fine_tuned
from evenhand.experiments.paper.readings import fresh, sensitivity
from evenhand.finetuning.baselines import as_fitted
from evenhand.finetuning.mlp_adapter import adapted_fit, hidden_rows, network_of
from evenhand.finetuning.problem import Fitted, Predict, Queries, fitted_head
from evenhand.finetuning.score import score
from evenhand.finetuning.stage import Stage
from evenhand.fisher.factorize import NoSavingWarning, factorize
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.neutralize import alpha_weights, neutralize
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.fair_head import ADAPTER_BETA, ADAPTER_RIDGE, fit_fair_head
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.report.record import Record

if TYPE_CHECKING:
    from evenhand.experiments.paper.sources import Source
    from evenhand.models.mlp import MLP


ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Fig. 5."""


OURS = "0.3"
"""The strength of evenhand's row: the middle of the adapter's path 0, .1, .3, 1, 3, whatever the
test rows say."""


ADAPTER_PATH = (0.0, 0.1, 0.3)


ADAPTER_STRENGTHS = (0.0, 0.1, 0.3, 1.0)


PASSES = 150
"""An adapter's valley is flat: further passes move Err by .02 and the gaps by .001."""


MOST_RANK = 64
"""The largest rank at which a many-class pre-trained head is factorised."""


def alpha_sweep(stage: Stage) -> Settings:
    """The method with the first group's importance weighed by alpha (Fig. 5), at rank k."""
    problem = stage.problem
    rank = problem.head.out_features
    rows = []
    for alpha in ALPHAS:
        weights = neutralize(problem.fisher, alpha_weights(problem.fisher, alpha))
        start = _factors(problem.head, weights, rank)
        fit = fit_path(
            problem.train, HeadSpec(ridge=problem.ridge, rank=rank), control=FitControl(start=start)
        )[0]
        rows.append((f"{alpha:g}", as_fitted(fit)))
    return rows


def guarded(criterion: Criterion) -> Callable[[Stage], Settings]:
    """The default algorithm with the fair pre-trained head as the old one (Table 2)."""

    def run(stage: Stage) -> Settings:
        problem = stage.problem
        fair = fit_fair_head(
            problem.development,
            Rule(criterion=criterion),
            HeadSpec(ridge=problem.ridge),
            old=problem.head,
            control=FitControl(seed=problem.seed),
        )
        return [("guarded", fitted_head(fair.head, fair.trainable_parameters))]

    return run


def adapter(stage: Stage) -> Settings:
    """evenhand's row: the rank-1 adapter with the head, equalized odds at strength .3."""
    problem = stage.problem
    hidden = hidden_rows(problem, 1)
    rows = hidden.rows[: len(problem.train)]
    terms = gap_terms(
        rows.labels, rows.groups, rows.classes, Criterion.EQUALIZED_ODDS, beta=ADAPTER_BETA
    )
    spec, control = _adapter_fits(stage)
    fit = fit_path(rows, spec, ADAPTER_PATH, terms, control=control)[-1]
    return [(OURS, adapted_fit(fit, network_of(problem)))]


def adapter_chosen(stage: Stage) -> Settings:
    """The adapter's strength chosen by cross-fitting: smallest ΔEO for at most half a point.

    The strengths' decisions on rows kept from their fit are counted; without a bound the rule needs
    no more than these.
    """
    problem = stage.problem
    rows = hidden_rows(problem, 1).rows
    spec, control = _adapter_fits(stage)
    grid = CandidateGrid(ADAPTER_STRENGTHS, (0.0,))
    family = crossfit(rows, spec, Criterion.EQUALIZED_ODDS, grid=grid, control=control)
    choice = select([family], Rule(guard=False), features=rows.features.shape[1])
    fit = family.head_fit(choice.index or (0, 0))
    return [("cross-fitted", adapted_fit(fit, network_of(problem)))]


def _adapter_fits(stage: Stage) -> tuple[HeadSpec, FitControl]:
    """How adapters and heads are fitted: stopped at :data:`PASSES`, when decisions are settled."""
    problem = stage.problem
    ridge, layer = max(problem.ridge, ADAPTER_RIDGE), hidden_rows(problem, 1).layer
    spec = HeadSpec(ridge=ridge, rank=1, hidden=layer, beta=ADAPTER_BETA)
    return spec, FitControl(start=problem.head, seed=problem.seed, max_evaluations=PASSES)


def whole(stage: Stage) -> Settings:
    """Transfer learning of the whole network instead of its head (Table 2, Fig. 1)."""
    tuned = fine_tuned(stage)
    numbers = sum(each.numel() for each in tuned.parameters())
    return [("whole network", Fitted(network_scores(tuned), numbers))]


def fresh_head(stage: Stage) -> Settings:
    """A random new head: fine-tuned dense, and factorised as it is (plain and neutralised)."""
    problem = stage.problem
    head, k = fresh(problem), problem.head.out_features
    weights = neutralize(head_fisher(problem.train, head))
    dense = fit_path(problem.train, HeadSpec(ridge=problem.ridge), control=FitControl(start=head))[
        0
    ]
    rows = [("transfer", as_fitted(dense))]
    for name, importance in (("svd", None), ("neutralized-svd", weights)):
        start = _factors(head, importance, k)
        fit = fit_path(
            problem.train, HeadSpec(ridge=problem.ridge, rank=k), control=FitControl(start=start)
        )[0]
        rows.append((name, as_fitted(fit)))
    return rows


def own_rank(stage: Stage) -> Settings:
    """The pre-trained head's own matrix factorised, and a new last layer on its k0 - 1 inputs.

    The layer becomes x A with A (d, r) from the many-class head, then a new B (r, k). The
    importance takes the true Fisher of that head, since the new rows have none of its labels.

    Raises:
        InputError: the pre-trained head has no more classes than the task.
    """
    problem, backbone = stage.problem, stage.backbone
    if not backbone.pretrained_head or backbone.out_features <= problem.head.out_features:
        raise InputError("the pre-trained model brings no head of more classes than the task's")
    wide = backbone.linear_head()
    rank = min(wide.out_features - 1, wide.in_features, MOST_RANK)
    importance = neutralize(head_fisher(problem.train, wide, kind="true"))
    rows = []
    for name, weights in (("svd", None), ("neutralized-svd", importance)):
        down = _factors(wide, weights, rank).factors[0]  # type: ignore[index]
        inner = problem.train.with_features(np.asarray(problem.train.features) @ down)
        last = fit_path(inner, HeadSpec(ridge=problem.ridge))[0].head
        start = Head(down @ last.weight, last.bias, (down, last.weight))
        fit = fit_path(
            problem.train, HeadSpec(ridge=problem.ridge, rank=rank), control=FitControl(start=start)
        )[0]
        rows.append((name, as_fitted(fit, f"rank {rank} of {wide.out_features} classes")))
    return rows


RUNS: dict[str, Callable[[Stage], Settings]] = {
    "alpha": alpha_sweep,
    "guard-eo": guarded(Criterion.EQUALIZED_ODDS),
    "guard-dp": guarded(Criterion.DEMOGRAPHIC_PARITY),
    "adapter": adapter,
    "adapter-chosen": adapter_chosen,
    "whole": whole,
    "fresh-head": fresh_head,
    "own-rank": own_rank,
    "sensitivity": sensitivity,
}
"""Runs that are no method of ``evenhand compare``."""


def cell_path(folder: Path, source: Source, seed: int, name: str) -> Path:
    """Where what ``name`` gave on a source at a seed is kept."""
    ending = "safetensors" if name in ARRAYS else "json"
    return folder / "cells" / source.key / f"seed{seed}-{name}.{ending}"


def is_kept(folder: Path, source: Source, seed: int, name: str) -> bool:
    """Whether the cell is there and whole.

    Raises:
        ArtefactError: it is there and damaged.
    """  # noqa: DOC502
    path = cell_path(folder, source, seed, name)
    if not path.is_file():
        return False
    if name in ARRAYS:
        read_arrays(path)
        return True
    return read_cell(path).is_final(named=True)


def run_one(stage: Stage, name: str, path: Path) -> None:
    """Run ``name`` on a stage and keep what it gave; why not, where it cannot be run."""
    if name in ARRAYS:
        ARRAYS[name](stage, path)
        return

    def records() -> Iterator[Record]:
        run = RUNS.get(name)
        for setting, one in run(stage) if run else METHODS[name].load()(stage.problem):
            yield score(stage, name, setting, one, 0.0)

    write_cell(path, cell_of(stage, name, records))


def network_scores(model: MLP) -> Predict:
    """Scores of rows by a whole network that reads their inputs."""

    def predict(queries: Queries) -> FloatArray:
        import torch

        if queries.inputs is None:
            raise InputError("a whole network reads the rows' inputs, and there are none")
        with torch.inference_mode():
            logits = model(torch.as_tensor(queries.inputs, dtype=torch.float32))
        scores: FloatArray = logits.double().numpy()
        return scores

    return predict


def _factors(head: Head, weights: np.ndarray | None, rank: int) -> Head:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoSavingWarning)
        return factorize(head, weights, rank=rank).head
