"""A request on a stage as the default algorithm's own arguments, for all who fit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evenhand.finetuning.mlp_adapter import hidden_rows
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import Stage
from evenhand.fisher.factorize import compressed_head
from evenhand.head import Head
from evenhand.heads.selection.candidates import DEFAULT_GRID, CandidateGrid, Candidates
from evenhand.heads.selection.fair_head import FairHead, HiddenRows, choose_head, fit_fair_head
from evenhand.heads.selection.rank import choose_rank
from evenhand.heads.selection.rule import Rule
from evenhand.heads.spec import FitControl, HeadSpec


@dataclass(frozen=True, eq=False)
class Fitting:
    """What is fitted on a stage, how, and what it is compared with.

    Attributes:
        stage: the rows and the head to begin from.
        spec, start, hidden, grid: what is fitted; see :func:`fit_fair_head`.
        old: the head from before; None where there is none to compare with.
        rank: of the low-rank heads of more than two classes, found where it was to be.
    """

    stage: Stage
    spec: HeadSpec
    start: Head
    hidden: HiddenRows | None
    grid: CandidateGrid
    old: Head | None
    rank: int | None

    @classmethod
    def of(cls, stage: Stage, request: FinetuneRequest) -> Fitting:
        """The fit that a request asks for.

        Raises:
            InputError: an adapter without a network, or a rank that cannot be.
        """
        problem, rank = stage.problem, request.rank
        hidden = hidden_rows(problem, request.adapter) if request.adapter else None
        many = len(problem.train.classes) > 2
        if isinstance(rank, str):
            rank = None
            if many:
                rank = choose_rank(
                    problem.development, problem.head, ridge=problem.ridge, seed=problem.seed
                )
        start = problem.head
        if many and rank is not None:
            start = compressed_head(problem.development, problem.head, rank)
        return cls(
            stage,
            HeadSpec(ridge=problem.ridge, rank=rank if many else None, intercept=problem.intercept),
            start,
            hidden,
            DEFAULT_GRID if request.strength is None else CandidateGrid.only(request.strength),
            None if problem.fresh or request.fresh_head else problem.head,
            rank,
        )

    def fit(
        self,
        rule: Rule,
        *,
        families: Sequence[Candidates] | None = None,
        on_fit: Callable[[], None] | None = None,
    ) -> FairHead:
        """Fit and choose; with ``families`` of an earlier fit, choose among those by ``rule``.

        Raises:
            InputError: no two groups can be compared by a criterion of the rule, or too few rows.
        """
        problem = self.stage.problem
        if families is not None:
            return choose_head(problem.development, rule, families, old=self.old)
        return fit_fair_head(
            problem.development,
            rule,
            self.spec,
            old=self.old,
            adapter=self.hidden,
            grid=self.grid,
            control=FitControl(start=self.start, seed=problem.seed, on_fit=on_fit),
        )
