"""A scikit-learn classifier: the default algorithm on any features."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import scipy.special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from evenhand._base.arrays import require_unmasked
from evenhand._base.columns import columns, dense
from evenhand._base.out_of_scope import REGRESSION
from evenhand.criteria import Criterion
from evenhand.errors import InputError, UnpromisedWarning
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.candidates import DEFAULT_GRID, CandidateGrid
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.requirements import require_groups
from evenhand.heads.selection.ridge import RIDGES, WIDE, WIDE_RIDGES, choose_ridge
from evenhand.heads.selection.rule import MIN_ROWS, Bound, Rule, parse_bounds
from evenhand.heads.selection.warnings import result_warnings, row_warnings, unknown_groups
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.rows import PROCESSOR, Rows
from evenhand.tasks.labels import MAX_CLASSES, MAX_GROUPS
from evenhand.weights import Weights, require_kind

if TYPE_CHECKING:
    from evenhand.heads.selection.choice import Choice


Array = npt.NDArray[Any]


class FairLinearHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier whose decisions fall evenly on groups, for any feature extractor.

    ``fit(X, y, sensitive_features=...)`` minimises log-loss + ridge + strength × soft gaps along a
    path of strengths, judges every candidate on rows kept from it, and takes the one with the
    lowest error within ``bound``. Groups are read when fitting only. Without
    ``sensitive_features`` it is a plain ridge logistic regression, its ridge cross-validated.

    Args:
        criterion: ``"equalized_odds"``, ``"demographic_parity"`` or ``"equal_opportunity"``.
        bound: the largest gap to allow: a number (of ``criterion``), a mapping of criteria to
            numbers or an :class:`evenhand.Bound`; None: the smallest gap at ``max_cost``.
        confidence: of the bound, in (.5, 1).
        max_cost: points of error over plain fitting that may be paid where there is no bound.
        strength: take this strength of the penalty, without choosing; grid-search over it if you
            must, but the choice by ``bound`` is cross-fitted already.
        ridge: of 1/2 ridge ||w||²; None: chosen by cross-validated log-loss.
        error: what to keep low: ``"f1"``, ``"accuracy"``, ``"balanced"`` or ``"log_loss"``.
        at_any_cost: where no bound can be promised, take the smallest gap whatever it costs.
        min_rows: rates of fewer rows steer neither the penalty nor the choice nor the promise.
        weight_kind: of ``sample_weight``: ``"survey"``, a row stands for others that were not
            seen, so that bounds and promises count Kish's effective rows, or ``"frequency"``, for
            others that were.
        random_state: of the folds.
        device: where heads are fitted if the rows are many: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or
            ``"auto"``, the GPU where there is one.

    Attributes:
        classes_: (K,) the labels.
        coef_, intercept_: (1, d) and (1,) for two classes, (K, d) and (K,) for more.
        promised_: whether the bound holds with the confidence asked; None where none was asked.
        choice_: which candidate was chosen and why; None without ``sensitive_features``.
        group_names_: the groups that were evened out; None without ``sensitive_features``.
        ridge_: the ridge used.
        notes_: what a reader of the results should know (tiny cells, missing groups, …).
        n_features_in_, feature_names_in_: as scikit-learn's.
    """

    def __init__(
        self,
        criterion: str = "equalized_odds",
        *,
        bound: float | Mapping[str, float] | Bound | None = None,
        confidence: float = 0.9,
        max_cost: float = 0.5,
        strength: float | None = None,
        ridge: float | None = None,
        error: str = "f1",
        at_any_cost: bool = False,
        min_rows: int = MIN_ROWS,
        weight_kind: str = "survey",
        random_state: int | np.random.RandomState | None = 0,
        device: str = PROCESSOR,
    ) -> None:
        self.criterion = criterion
        self.bound = bound
        self.confidence = confidence
        self.max_cost = max_cost
        self.strength = strength
        self.ridge = ridge
        self.error = error
        self.at_any_cost = at_any_cost
        self.min_rows = min_rows
        self.weight_kind = weight_kind
        self.random_state = random_state
        self.device = device

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn should know: sparse rows are read."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(
        self, X: Any, y: Any, sensitive_features: Any = None, sample_weight: Any = None
    ) -> Self:
        """Fit on features (N, d), labels (N,) and, if the gaps are to be small, the groups.

        Args:
            X: (N, d) numbers; a sparse matrix is made dense, where it is small enough.
            y: (N,) labels; the second of two, sorted, is the positive one.
            sensitive_features: (N,) groups, or (N, A) columns to cross (a DataFrame's names are
                kept), read by position; None or NaN where unknown: such rows train the task and
                enter no gap.
            sample_weight: (N,) what each row counts, in all that is fitted, counted and promised;
                a row of weight 0 is left out. What is fitted is as if each row were repeated so
                often; how sure it is, ``weight_kind`` says.

        Raises:
            InputError: one class or group only, another number of groups or weights than rows, a
                weight that is negative or not finite, a setting out of range, or a sparse matrix
                too large.
        """
        require_unmasked(X, "X")
        require_unmasked(y, "y")
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], accept_sparse="csr")
        X = dense(X, "X") if hasattr(X, "toarray") else X
        X = np.require(X, requirements="W")
        if type_of_target(y).startswith("continuous"):
            raise InputError(f"Unknown label type: continuous, and {REGRESSION}")
        check_classification_targets(y)
        require_kind(self.weight_kind)
        groups = None if sensitive_features is None else _groups(sensitive_features, len(y))
        weights = self._weights(sample_weight, len(y))
        if weights is not None and not weights.values.all():
            kept = np.flatnonzero(weights.values)
            X, y, weights = X[kept], y[kept], weights[kept]
            groups = None if groups is None else groups[kept]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"Classifier can't train when only one class is present: all {len(y)} labels "
                f"are {self.classes_[0]!r}"
            )
        if len(self.classes_) > MAX_CLASSES:
            raise InputError(
                f"y has {len(self.classes_):,} different labels, more than {MAX_CLASSES:,}: it "
                f"looks like a number to estimate, not a class to decide; {REGRESSION}"
            )
        names = tuple(str(name) for name in self.classes_)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if groups is None:
            rows = Rows(X, labels, _nobody(len(y)), names, weights=weights, device=self.device)
            head = self._plain(rows, seed)
        else:
            rows = Rows(X, labels, groups, names, weights=weights, device=self.device)
            head = self._even(rows, seed)
        weight, intercept = head.weight, head.bias
        if len(names) == 2:
            weight, intercept = weight[:, 1:] - weight[:, :1], intercept[1:] - intercept[:1]
        self.coef_: Array = weight.T.copy()
        self.intercept_: Array = intercept.copy()
        return self

    def _weights(self, given: Any, number: int) -> Weights | None:
        if given is None:
            return None
        given = np.asarray(given)
        if given.ndim == 0:  # scikit-learn's: one weight for all
            given = np.full(number, given)
        weights = Weights.of(given, self.weight_kind)
        if len(weights) != number:
            raise InputError(f"X has {number} rows and sample_weight {len(weights)}")
        return weights

    def _plain(self, rows: Rows, seed: int) -> Head:
        if self.bound is not None or self.strength:
            what = "bound" if self.bound is not None else "strength"
            raise InputError(f"{what}={getattr(self, what)} needs sensitive_features in fit")
        self.choice_: Choice | None = None
        self.promised_: bool | None = None
        self.group_names_: tuple[str, ...] | None = None
        self.notes_: tuple[str, ...] = ()
        self.ridge_ = self._ridge(rows, seed)
        return fit_path(rows, HeadSpec(ridge=self.ridge_))[0].head

    def _even(self, rows: Rows, seed: int) -> Head:
        require_groups(rows, "sensitive_features")
        rule = self._rule()
        self.ridge_ = self._ridge(rows, seed)
        fair = fit_fair_head(
            rows,
            rule,
            HeadSpec(ridge=self.ridge_),
            grid=DEFAULT_GRID if self.strength is None else CandidateGrid.only(self.strength),
            control=FitControl(seed=seed),
        )
        self.choice_ = fair.choice
        self.promised_ = fair.choice.promised
        self.group_names_ = rows.groups.names
        self.notes_ = (
            *unknown_groups(rows),
            *row_warnings(rows, rule.criteria, rule.min_rows),
            *result_warnings(rows, fair.families, fair.choice, rule),
        )
        if self.promised_ is False:
            warnings.warn(fair.choice.reason, UnpromisedWarning, stacklevel=3)
        return fair.head

    def _rule(self) -> Rule:
        bound = self.bound
        if isinstance(bound, int | float):
            bound = Bound(self.criterion, float(bound))
        bounds = parse_bounds(bound)
        if not self.max_cost >= 0:
            raise InputError(f"max_cost must be at least 0 points of error, found {self.max_cost}")
        criterion = Criterion.parse(self.criterion)
        return Rule(
            bounds,
            criterion,
            self.confidence,
            self.max_cost,
            self.error,
            at_any_cost=self.at_any_cost,
            min_rows=self.min_rows,
        )

    def _ridge(self, rows: Rows, seed: int) -> float:
        if self.ridge is not None:
            if not self.ridge > 0:
                raise InputError(f"the ridge must be above 0, found {self.ridge}")
            return float(self.ridge)
        if len(rows) < 2 * FOLDS:
            return max(WIDE_RIDGES if rows.features.shape[1] > WIDE else RIDGES)
        return choose_ridge(rows, control=FitControl(seed=seed))

    def decision_function(self, X: Any) -> Array:
        """(N,) log-odds of the second class for two classes, (N, K) logits for more."""
        check_is_fitted(self)
        require_unmasked(X, "X")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False, accept_sparse="csr")
        scores: Array = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Array:
        """(N, K) probabilities of the classes."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            positive = scipy.special.expit(scores)
            return np.column_stack([1 - positive, positive])
        return np.asarray(scipy.special.softmax(scores, axis=1))

    def predict(self, X: Any) -> Array:
        """(N,) the labels decided on; no group is read."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: Array = self.classes_[chosen]
        return labels


def _nobody(number: int) -> Groups:
    return Groups(np.full(number, -1, dtype=np.int64), ())


def _groups(values: Any, number: int) -> Groups:
    """One column as groups, or several crossed; all are read by position."""
    if isinstance(values, Groups):
        groups = values
    else:
        found = columns(values, "sensitive_features")
        if len(found) == 1:
            name = next(iter(found)) or str(getattr(values, "name", None) or "group")
            groups = Groups.from_values(next(iter(found.values())), name)
        else:
            groups = Groups.crossed(
                {f"group {name}" if name.isdecimal() else name: v for name, v in found.items()}
            )
    if len(groups) != number:
        raise InputError(f"X has {number} rows and sensitive_features {len(groups)}")
    if groups.number > MAX_GROUPS:
        raise InputError(
            f"sensitive_features has {groups.number:,} groups, more than {MAX_GROUPS}: it looks "
            "like a number or a name; cut it into groups first"
        )
    return groups
