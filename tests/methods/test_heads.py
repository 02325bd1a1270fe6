"""The heads of a comparison on real Adult: equal at convergence, as METHOD section 2 measured."""

import numpy as np

from evenhand.methods.base import Queries
from evenhand.methods.heads import (
    as_fitted,
    compressed,
    default_ranks,
    evened,
    factorised,
    pretrained,
    transfer,
)
from evenhand.pipeline import score
from evenhand.solver import fit_path


def records(stage, method):
    return [score(stage, "m", setting, fitted, 0.0) for setting, fitted in method(stage.problem)]


def test_pretrained_is_the_head_as_it_came(adult):
    (setting, fitted), = pretrained(adult.problem)  # fmt: skip
    assert (setting, fitted.trainable_parameters) == ("as-is", 0)
    assert fitted.head is adult.problem.head


def test_every_weighting_ends_where_transfer_learning_does(adult):
    (plain,) = records(adult, transfer)
    for weights in (None, "mean", "group-agnostic", "random"):
        for record in records(adult, factorised(weights, [1, 2])):
            assert abs(record.error - plain.error) < 0.1
            assert abs(record.gap("eo") - plain.gap("eo")) < 0.01
            assert abs(record.gap("dp") - plain.gap("dp")) < 0.005
    settings = [(r.setting, r.trainable_parameters) for r in records(adult, factorised("mean"))]
    assert settings == [("1", 10 + 2 + 2), ("2", 2 * 12 + 2)]
    assert default_ranks(adult.problem) == (1, 2)
    assert len(records(adult, compressed([1]))) == 1


def test_stronger_gap_penalties_even_out(adult):
    (plain,) = records(adult, transfer)
    found = records(adult, evened("equalized_odds", (0.3, 1.0)))
    assert [r.setting for r in found] == ["0.3", "1"]
    assert found[1].gap("eo") < found[0].gap("eo") < plain.gap("eo")
    assert found[1].gap("eo") - plain.gap("eo") < -0.04
    assert found[1].error - plain.error < 1.0
    (parity,) = records(adult, evened("dp", (30.0,)))
    assert parity.gap("dp") < plain.gap("dp") - 0.07


def test_nothing_of_it_reads_the_group_or_the_validation_rows(adult):
    query = Queries(adult.test.features)
    for method in (transfer, factorised("mean", [1]), evened("eo", (1.0,))):
        (_, fitted), = method(adult.problem)  # fmt: skip
        assert not fitted.needs_group
        assert np.isfinite(fitted.predict(query)).all()
        assert fitted.notes == ()


def test_a_fit_that_did_not_converge_says_so(adult):
    problem = adult.problem
    fit = fit_path(problem.train, ridge=problem.ridge, max_evaluations=2)[0]
    assert not fit.converged
    assert as_fitted(fit, "x").notes == ("x", "the solver did not converge")
