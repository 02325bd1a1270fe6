import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_problems import make_network_problem, measured, queries

pytest.importorskip("peft")

from evenhand.errors import InputError
from evenhand.experiments.methods.fairlora import fairlora, layers_below, loss_variance
from evenhand.finetuning.problem import Problem


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(-1, 2), st.integers(0, 2), st.floats(-4, 4)), min_size=1, max_size=30
    )
)
def test_it_is_the_variance_of_the_groups_mean_losses(rows):
    codes, labels, scores = (np.array(each) for each in zip(*rows, strict=True))
    logits = np.outer(scores, [1.0, -0.5, 0.25])
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    losses = -log_p[np.arange(len(rows)), labels]
    means = [losses[codes == code].mean() for code in sorted({*codes} - {-1})]
    known = float(
        loss_variance(torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(codes))
    )
    assert known == pytest.approx(np.var(means) if len(means) > 1 else 0, abs=1e-12)


@pytest.fixture(scope="module")
def problem_and_test():
    return make_network_problem()[:2]


def test_the_groups_losses_draw_together_and_the_model_stays(problem_and_test):
    problem, test = problem_and_test
    before = copy.deepcopy(problem.network.model.state_dict())
    flags = [each.requires_grad for each in problem.network.model.parameters()]
    found = dict(fairlora((0.1, 300.0), rank=2)(problem))
    mild, strong = (found[f"strength={each:g}"] for each in (0.1, 300.0))
    unlike = [
        float(loss_variance(*map(torch.from_numpy, (logits, test.labels, test.groups.codes))))
        for logits in (one.predict(queries(test)) for one in (mild, strong))
    ]
    assert unlike[1] < 0.5 * unlike[0]
    assert measured(mild, test, "eo")[0] < 25
    # Two factors of rank 2 on the one layer below (5 × 6), and the head (6 × 2 and its bias).
    assert mild.trainable_parameters == 2 * (5 + 6) + 14
    for name, value in problem.network.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert [each.requires_grad for each in problem.network.model.parameters()] == flags


def test_factors_lie_on_every_layer_but_the_head(problem_and_test):
    assert layers_below(problem_and_test[0].network.model) == ["features.hidden1"]


def test_the_same_seed_gives_the_same_model(problem_and_test):
    problem, test = problem_and_test
    once, twice = (fairlora((3.0,))(problem)[0][1].predict(queries(test)) for _ in range(2))
    assert np.array_equal(once, twice)


def test_a_network_is_asked_for(problem_and_test):
    problem, _ = problem_and_test
    with pytest.raises(InputError, match="has features only"):
        fairlora()(Problem(problem.train, problem.valid, problem.head))
