"""Which families a request is answered from, and that what is counted is what is shipped."""

import numpy as np
import pytest
import torch

from evenhand.errors import InputError
from evenhand.experiments.compare.request import CompareRequest
from evenhand.finetuning.evidence import chosen_fit, setting_of
from evenhand.finetuning.fitting import WHOLE, Fitting, family_of, fits_of, reads_deep
from evenhand.finetuning.mlp_adapter import hidden_rows, with_parts
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.request import FinetuneRequest
from evenhand.heads.selection.fair_head import choose_head
from evenhand.models.mlp import MLP


@pytest.fixture(scope="module")
def stage():
    return adult_stage(depth="auto")


@pytest.fixture(scope="module")
def rule():
    return FinetuneRequest(bound={"equalized_odds": 0.12}).rule()


@pytest.fixture(scope="module")
def whole(stage, rule):
    return Fitting.of(stage.problem, FinetuneRequest()).whole(rule)


def test_a_moved_layer_merges_into_a_model_of_the_same_class(stage, whole, rule):
    problem = stage.problem
    (family,) = whole
    assert family.family == WHOLE
    fair = choose_head(problem.development, rule, whole, old=problem.head)
    assert family_of(fair) == WHOLE
    assert setting_of(fair).startswith("hidden layer + ")
    model = with_parts(problem.network.model, fair.head, fair.adapter)
    assert type(model) is MLP
    expected = chosen_fit(problem, fair).predict(stage.queries)
    with torch.no_grad():
        logits = model(torch.as_tensor(stage.test_inputs)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert fair.trainable_parameters == 71 * 10 + 10 + 10 * 2 + 2


def test_cross_fitted_counts_of_moved_layers_are_of_rows_kept_from_them(stage, whole):
    """Near what the test rows say, where counts on the fitted rows would be far too good."""
    (family,) = whole
    rows = hidden_rows(stage.problem).rows
    zero = family.offsets.index(0.0)
    right = np.trace(family.totals[0, zero]) / len(rows)
    own = (family.fits[0].logits(rows.features).argmax(axis=1) == rows.labels).mean()
    assert right < own
    assert family.totals[0, zero].sum() == len(rows)


def test_what_is_tried_follows_the_request(stage, rule):
    problem = stage.problem
    assert Fitting.of(problem, FinetuneRequest()).moves
    forced = Fitting.of(problem, FinetuneRequest(strength=1.0))
    assert not forced.moves
    assert forced.deep is None
    assert fits_of(problem, FinetuneRequest(strength=1.0), rule) is None
    deeper, fewer = (fits_of(p, FinetuneRequest(), rule) for p in (problem, stage.deep.problem))
    assert deeper > fewer
    assert [reads_deep(name) for name in ("deep head, merged", "head", "")] == [True, False, False]


def test_fits_are_told_as_often_as_was_said(stage, rule):
    told = []
    small = FinetuneRequest()
    fitting = Fitting.of(stage.problem, small)
    fitting.whole(rule, lambda: told.append(1))
    assert len(told) == 6 * 8


def test_every_method_of_a_comparison_can_be_given_the_deep_features():
    plain, deep = (Recipe(FinetuneRequest(), all_deep=all_deep) for all_deep in (False, True))
    stage = deep.stage(0)
    assert stage.task == "adult (deep)"
    assert stage.problem.train.features.shape[1] == 81
    assert not stage.problem.head.weight[10:].any()
    assert plain.stage(0).problem.train.features.shape[1] == 10
    with pytest.raises(InputError, match="reads several depths of one"):
        hidden_rows(stage.problem)
    asked = CompareRequest(FinetuneRequest(), (0,), all_deep=True)
    assert CompareRequest.from_config(asked.to_config()) == asked
    with pytest.raises(InputError, match="no stage before its head's own input"):
        Recipe(FinetuneRequest(depth=0), all_deep=True).stage(0)
