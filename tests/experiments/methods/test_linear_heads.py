"""The heads of a comparison on real Adult: equal at convergence, as every weighting should be."""

import numpy as np
import pytest
from scipy.special import softmax

from evenhand.errors import InputError
from evenhand.experiments.methods.linear_heads import (
    compressed,
    default_ranks,
    evened,
    factorised,
    untrained,
)
from evenhand.finetuning.baselines import as_fitted, pretrained, transfer
from evenhand.finetuning.problem import Problem, Queries
from evenhand.finetuning.score import score
from evenhand.heads.fit import fit_path
from evenhand.heads.spec import FitControl, HeadSpec


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
    settings = [
        (str(r.setting), r.trainable_parameters) for r in records(adult, factorised("mean"))
    ]
    assert settings == [("1", 10 + 2 + 2), ("2", 2 * 12 + 2)]
    assert default_ranks(adult.problem) == (1, 2)


def test_two_classes_have_nothing_to_compress(adult):
    for method in (compressed(), untrained):
        with pytest.raises(InputError, match="rank 1 spans every head"):
            method(adult.problem)


@pytest.fixture
def many_classes(make_rows):
    """Six classes seen through 12 features of very different scales, and a head fitted on them."""
    scales = np.geomspace(0.05, 5, 12)
    train, valid = (
        rows.with_features(rows.features * scales)
        for rows in (make_rows(900, 12, classes=6), make_rows(300, 12, classes=6, seed=1))
    )
    return Problem(train, valid, fit_path(train, HeadSpec(ridge=1e-3))[0].head)


def test_compression_keeps_more_before_training_than_the_plain_svd(many_classes):
    fitted = dict(untrained(many_classes))
    dense = fitted["dense"].head.logits(many_classes.valid.features)

    def distance(name):
        low = fitted[name].head.logits(many_classes.valid.features)
        p, q = softmax(dense, axis=1), softmax(low, axis=1)
        return float((p * np.log(p / q)).sum(axis=1).mean())

    assert distance("compressed 2") < distance("svd 2")
    assert distance("compressed 4") < distance("svd 4")


def test_the_penalty_and_a_low_rank_compose(many_classes):
    method = compressed("demographic_parity", strengths=(1.0,), ranks=(2,))
    (setting, fitted), = method(many_classes)  # fmt: skip
    assert setting == "2, 1"
    assert fitted.trainable_parameters == 2 * (12 + 6) + 6
    plain = dict(compressed(ranks=(2,))(many_classes))["2"].head
    train = many_classes.train

    def soft_gap(head):
        p = softmax(head.logits(train.features), axis=1)
        means = [p[train.groups.codes == g].mean(axis=0) for g in range(2)]
        return float(((means[0] - means[1]) ** 2).sum())

    assert soft_gap(fitted.head) < 0.7 * soft_gap(plain)


def test_stronger_gap_penalties_even_out(adult):
    (plain,) = records(adult, transfer)
    found = records(adult, evened("equalized_odds", (0.3, 1.0)))
    assert [str(r.setting) for r in found] == ["0.3", "1"]
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
    fit = fit_path(
        problem.train, HeadSpec(ridge=problem.ridge), control=FitControl(max_evaluations=2)
    )[0]
    assert not fit.converged
    assert as_fitted(fit, "x").notes == ("x", "the solver did not converge")
