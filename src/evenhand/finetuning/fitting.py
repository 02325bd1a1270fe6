"""A request on a problem as the default algorithm's own arguments, for all who fit it.

The head on the model's own features, and a deep one that reads the stages before it too, are
families of candidates of the same choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evenhand.finetuning.problem import Problem
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import Stage
from evenhand.finetuning.train_folds import FOLDS as TRAINED_FOLDS
from evenhand.finetuning.train_folds import HEAD
from evenhand.finetuning.trained import Trained, epochs_needed
from evenhand.fisher.factorize import compressed_head
from evenhand.head import Head
from evenhand.heads.moved_layer import MOVED_STRENGTHS
from evenhand.heads.selection.candidates import (
    DEFAULT_GRID,
    STRENGTHS,
    CandidateGrid,
    Candidates,
)
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.fair_head import (
    ADAPTER_BETA,
    FairHead,
    HiddenRows,
    choose_head,
    fit_fair_head,
    fits_needed,
)
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.menu import fits_needed as head_fits_needed
from evenhand.heads.selection.menu import head_families, paths
from evenhand.heads.selection.rank import choose_rank
from evenhand.heads.selection.rule import Rule
from evenhand.heads.spec import DEFAULT_SPEC, FitControl, HeadSpec
from evenhand.heads.streaming.placing import let_go

DEEP = "deep "
DEEP_HEAD = DEEP + "head"
"""What the names of families begin with whose heads read several depths, and that of heads."""


DEEP_GRID = CandidateGrid((0.0, *STRENGTHS[1::2]))
"""Every second strength: a deep head has more features, and its fits take most of a run."""


TRAINED_GRID = DEEP_GRID
"""The same for heads on a model that was trained below them."""


TRAINED = "trained "
"""What the names of families begin with whose heads read a model trained below them."""


WHOLE = "hidden layer + head"
"""The family in which the last hidden layer moves too: of an MLP-2, the whole network."""


def reads_deep(family: str) -> bool:
    """Whether the heads of a family, by its name, read several depths."""
    return family.removeprefix(TRAINED).startswith(DEEP)


def reads_trained(family: str) -> bool:
    """Whether the heads of a family, by its name, read a model that was trained below them."""
    return family.startswith(TRAINED)


def seen_by(stage: Stage, family: str) -> Stage:
    """The stage as the heads of a family, by its name, see it."""
    if reads_trained(family):
        return stage.below_head or stage
    return stage.deep or stage if reads_deep(family) else stage


def family_of(fair: FairHead) -> str:
    """The name of the chosen family; empty where the old head is kept."""
    return "" if fair.choice.family is None else fair.families[fair.choice.family].family


@dataclass(frozen=True, eq=False)
class Fitting:
    """What is fitted on a problem, how, and what it is compared with.

    Attributes:
        problem: the rows and the head to begin from.
        spec, start, hidden, grid: what is fitted; see :func:`fit_fair_head`.
        old: the head from before; None where there is none to compare with.
        rank: of the low-rank heads of more than two classes, found where it was to be.
        deep: the problem with the features of several depths; None where none is read.
        deep_spec: what is fitted there.
        trained: the model trained below its head, as it sees the rows; None without.
        moves: the last hidden layer is tried too, moved together with the head.
        plain: only what keeps to the model's class is chosen.
    """

    problem: Problem
    spec: HeadSpec
    start: Head
    hidden: HiddenRows | None
    grid: CandidateGrid
    old: Head | None
    rank: int | None
    deep: Problem | None = None
    deep_spec: HeadSpec = DEFAULT_SPEC
    trained: Trained | None = None
    moves: bool = False
    plain: bool = False

    @classmethod
    def of(
        cls, problem: Problem, request: FinetuneRequest, trained: Trained | None = None
    ) -> Fitting:
        """The fit that a request asks for, with the model ``trained`` below its head if it is.

        Raises:
            InputError: an adapter without a network, or a rank that cannot be.
        """  # noqa: DOC502
        rank = request.rank
        hidden = _hidden_rows(problem, request.adapter) if request.adapter else None
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
        old = None if problem.fresh or request.fresh_head else problem.head
        made = cls(
            problem,
            HeadSpec(ridge=problem.ridge, rank=rank if many else None, intercept=problem.intercept),
            start,
            hidden,
            DEFAULT_GRID if request.strength is None else CandidateGrid.only(request.strength),
            old,
            rank,
            trained=trained,
            moves=_moves(problem, request),
            plain=request.plain,
        )
        deep = problem.deep
        if deep is None or request.strength is not None or (many and rank is not None):
            return made
        below = HeadSpec(anchor=None if problem.fresh else deep.head, name=DEEP_HEAD)
        return replace(made, deep=deep, deep_spec=below)

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
        """  # noqa: DOC502
        problem = self.problem
        if families is not None:
            let_go()
            allowed = [one for one in families if not (self.plain and reads_deep(one.family))]
            return choose_head(problem.development, rule, allowed, old=self.old)
        fair = fit_fair_head(
            problem.development,
            rule,
            self.spec,
            old=self.old,
            families=[
                *self.whole(rule, on_fit),
                *self.below(rule, on_fit),
                *([] if self.plain else self.deeper(rule, on_fit)),
            ],
            adapter=self.hidden,
            grid=self.grid,
            control=FitControl(start=self.start, seed=problem.seed, on_fit=on_fit),
        )
        let_go()  # the rows are in use for as long as the result is
        return fair

    def whole(self, rule: Rule, on_fit: Callable[[], None] | None = None) -> list[Candidates]:
        """The families of whole networks, where the model is one of evenhand's MLPs."""
        if not self.moves:
            return []
        moved = _hidden_rows(self.problem)
        spec = HeadSpec(
            ridge=0.0,
            hidden=moved.layer,
            full=True,
            beta=ADAPTER_BETA,
            anchor=self.problem.head,
            name=WHOLE,
        )
        control = FitControl(start=self.problem.head, seed=self.problem.seed, on_fit=on_fit)
        grid = replace(self.grid, strengths=MOVED_STRENGTHS)
        return [
            crossfit(moved.rows, spec, criteria, grid=grid, control=control, min_rows=rule.min_rows)
            for criteria in paths(rule.criteria)
        ]

    def below(self, rule: Rule, on_fit: Callable[[], None] | None = None) -> list[Candidates]:
        """The families of heads that read the model trained below them; none where none was."""
        trained = self.trained
        if trained is None:
            return []
        problem = self.problem
        spec = HeadSpec(intercept=problem.intercept, name=TRAINED + "head")
        if trained.deep:
            spec = HeadSpec(name=TRAINED + DEEP_HEAD)
        views = trained.views(problem.development)
        control = FitControl(seed=problem.seed, on_fit=on_fit)
        return head_families(
            views.whole, rule, spec, grid=TRAINED_GRID, control=control, views=views
        )

    def deeper(self, rule: Rule, on_fit: Callable[[], None] | None = None) -> list[Candidates]:
        """The families of heads that read several depths; none where none is read."""
        if self.deep is None:
            return []
        control = FitControl(start=self.deep.head, seed=self.deep.seed, on_fit=on_fit)
        return head_families(
            self.deep.development, rule, self.deep_spec, grid=DEEP_GRID, control=control
        )

    def other(
        self, rule: Rule, fair: FairHead, on_fit: Callable[[], None] | None = None
    ) -> FairHead | None:
        """What is chosen where the model's class is kept, if it was not, and the other way round.

        None where no head reads more.
        """
        if self.deep is None:
            return None
        families = fair.families
        if self.plain:
            families = (*families, *self.deeper(rule, on_fit))
        return replace(self, plain=not self.plain).fit(rule, families=families)


def _moves(problem: Problem, request: FinetuneRequest) -> bool:
    """Whether the last hidden layer is tried too: that of one of evenhand's own MLPs."""
    if problem.network is None or request.strength is not None or request.rank is not None:
        return False
    from evenhand.finetuning.mlp_adapter import has_hidden_layer

    return has_hidden_layer(problem.network.model)


def _hidden_rows(problem: Problem, rank: int = 1) -> HiddenRows:
    """Of a network, which is torch's; heads alone are fitted without it."""
    from evenhand.finetuning.mlp_adapter import hidden_rows

    return hidden_rows(problem, rank)


def fits_of(problem: Problem, request: FinetuneRequest, rule: Rule) -> int | None:
    """How many fits a request takes, for a progress bar; None where one strength is taken."""
    if request.strength is not None:
        return None
    each = fits_needed(rule, adapter=bool(request.adapter))
    if _moves(problem, request):
        each += (FOLDS + 1) * len(MOVED_STRENGTHS) * len(paths(rule.criteria))
    deep = problem.deep_features is not None and request.rank is None
    if request.trained != HEAD:
        each += epochs_needed(request)
        each += head_fits_needed(rule, TRAINED_GRID, TRAINED_FOLDS + 1)
    return each + (head_fits_needed(rule, DEEP_GRID) if deep else 0)
