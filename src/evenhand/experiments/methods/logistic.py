"""The logistic head every peer starts from, with the problem's ridge."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.finetuning.problem import Queries
from evenhand.groups import Groups
from evenhand.head import FloatArray, Head
from evenhand.heads.fit import fit_path
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

NEVER = -50.0
"""The logit of a class without a row to learn from: it is never predicted."""


def estimator(ridge: float, rows: int) -> LogisticRegression:
    """An unfitted scikit-learn classifier with this ridge on a mean loss over ``rows`` rows."""
    return LogisticRegression(C=1 / (ridge * rows), max_iter=1000, tol=1e-5)


def head_of(fitted: LogisticRegression, classes: int) -> Head:
    """The head of a fitted classifier: W (d, K) and b (K,), symmetric for two classes."""
    weight = np.zeros((fitted.coef_.shape[1], classes))
    bias = np.full(classes, NEVER)
    seen = fitted.classes_.astype(int)
    if len(seen) == 2:
        weight[:, seen] = fitted.coef_.T * np.array([-0.5, 0.5])
        bias[seen] = fitted.intercept_ * np.array([-0.5, 0.5])
    else:
        weight[:, seen] = fitted.coef_.T
        bias[seen] = fitted.intercept_
    return Head(weight, bias)


def as_estimator(head: Head) -> LogisticRegression:
    """A binary head as a fitted scikit-learn classifier."""
    model = LogisticRegression()
    model.classes_ = np.arange(2)
    model.coef_ = (head.weight[:, 1:] - head.weight[:, :1]).T
    model.intercept_ = head.bias[1:] - head.bias[:1]
    model.n_features_in_ = head.in_features
    return model


def fit_head(rows: Rows, ridge: float, weight: npt.NDArray[Any] | None = None) -> Head:
    """A logistic head fitted on ``rows``: what scikit-learn's classifier gives, found sooner.

    Where every class has rows the preconditioned solver finds it in some forty passes; on features
    as they come from a network scikit-learn's takes its thousand.

    Args:
        rows: the rows to fit on.
        ridge: the factor of ½‖w‖² beside the mean log-loss.
        weight: (N,) weights of the rows; scaled to a mean of 1.

    Raises:
        InputError: fewer than two classes have rows.
    """
    present = np.unique(rows.labels)
    if len(present) < 2:
        raise InputError(
            f"a head needs rows of two classes or more, found {len(present)} among {len(rows)} rows"
        )
    scaled = None if weight is None else weight / weight.mean()
    if len(present) == len(rows.classes):
        return fit_path(rows, HeadSpec(ridge=ridge), weights=scaled)[0].head
    model = estimator(ridge, len(rows))
    with warnings.catch_warnings():
        # After 1000 iterations what is left of the gradient is far below the noise of the rows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.asarray(rows.features, dtype=np.float64), rows.labels, scaled)
    return head_of(model, len(rows.classes))


def probabilities(head: Head, features: FloatArray) -> npt.NDArray[np.float64]:
    """(N, K) softmax of the head's logits."""
    from scipy.special import softmax

    result: npt.NDArray[np.float64] = softmax(
        np.asarray(head.logits(features), dtype=np.float64), axis=1
    )
    return result


def require_binary(rows: Rows, method: str) -> None:
    """Refuse more than two classes.

    Raises:
        InputError: the task has not exactly two classes.
    """
    if len(rows.classes) != 2:
        raise InputError(
            f"{method} is for two classes, this task has {len(rows.classes)}: leave it out "
            "or compare on a label with two values"
        )


def known_rows(rows: Rows, method: str, *, weighted: bool = False) -> Rows:
    """The rows whose group is known.

    Args:
        rows: of a problem.
        method: what is to be fitted on them.
        weighted: it knows what to do with weights.

    Raises:
        InputError: fewer than two groups have rows, or they have weights that mean nothing to it.
    """
    if rows.weights is not None and not weighted:
        raise InputError(
            f"{method} does not know weights, and these rows have some: it is left out"
        )
    present = int((rows.groups.sizes > 0).sum())
    if present < 2:
        raise InputError(
            f"{method} needs rows of two groups of {rows.groups.attribute!r} or more, "
            f"found {present}"
        )
    return rows if rows.groups.known.all() else rows[rows.groups.known]


def one_hot(codes: IntArray, number: int) -> npt.NDArray[np.float64]:
    """(N, G) indicators of group codes in [0, G)."""
    return np.eye(number)[codes]


def query_groups(queries: Queries, method: str) -> Groups:
    """The groups of the queries, for a method that needs them to predict.

    Raises:
        InputError: the queries carry no groups.
    """
    if queries.groups is None:
        raise InputError(f"{method} needs the group of every row to predict, found none")
    return queries.groups
