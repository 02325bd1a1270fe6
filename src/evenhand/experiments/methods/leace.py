"""LEACE: erase the group from the features, linearly, then fit a head."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand.errors import MissingExtraError
from evenhand.experiments.methods.logistic import fit_head, known_rows, one_hot
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.head import Head
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl


def leace(problem: Problem) -> Sequence[tuple[str, Fitted]]:
    """A logistic head on features no linear probe can read the group from (Belrose et al., 2023).

    The eraser x ↦ x - (x - μ) E is affine, so eraser and head compose to one linear head on the
    problem's own features: nothing is added at prediction.

    Raises:
        MissingExtraError: concept-erasure is not installed.
        InputError: fewer than two groups have train rows.
    """  # noqa: DOC502
    known = known_rows(problem.train, "leace")
    groups = one_hot(known.groups.codes, known.groups.number)
    centre, erased = _eraser(np.asarray(known.features, dtype=np.float64), groups)

    def cleaned(features: FloatArray) -> FloatArray:
        return features - (features - centre) @ erased

    development = problem.development
    ridge = choose_ridge(
        development.with_features(cleaned(development.features)),
        control=FitControl(seed=problem.seed),
    )
    train = problem.train
    head = fit_head(train.with_features(cleaned(train.features)), ridge)
    whole = Head(head.weight - erased @ head.weight, head.bias + centre @ erased @ head.weight)
    return [("erased", fitted_head(whole))]


def _eraser(features: FloatArray, groups: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(d,) μ and (d, d) E of the map x - (x - μ) E."""
    try:
        with warnings.catch_warnings():
            # concept-erasure scripts a function on import, which torch deprecates.
            warnings.filterwarnings("ignore", message=r".?torch\.jit\.script")
            from concept_erasure import LeaceFitter
    except ImportError as error:
        raise MissingExtraError("concept-erasure", "baselines", "leace") from error
    import torch

    fitter = LeaceFitter(
        features.shape[1], groups.shape[1], dtype=torch.float64, affine=True, svd_tol=1e-6
    )
    fitter.update(torch.from_numpy(features), torch.from_numpy(groups))
    eraser = fitter.eraser
    erased = (eraser.proj_left @ eraser.proj_right).T
    return eraser.bias.numpy(), erased.numpy()
