import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_problems import make_network_problem, measured, queries

from evenhand.criteria import STANDARD, Criterion
from evenhand.errors import InputError
from evenhand.experiments.methods.retrain import retrain, retrain_head, soft_gap
from evenhand.finetuning.problem import Problem, Queries
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(-1, 1), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30
    ),
    st.sampled_from(STANDARD),
)
def test_of_certain_decisions_it_is_the_gap_itself(rows, criterion):
    codes, labels, decided = (np.array(each) for each in zip(*rows, strict=True))
    logits = torch.from_numpy(np.where(np.eye(2)[decided] > 0, 200.0, -200.0))
    soft = soft_gap(logits, torch.from_numpy(labels), torch.from_numpy(codes), criterion)
    groups = Groups(codes, ("a", "b"))
    hard = float(gap(Counts.of(labels, decided, groups, ("n", "y")).table, criterion))
    if np.isnan(hard):
        # Where one of the two rates of equalized odds is undefined the other still counts.
        assert criterion is Criterion.EQUALIZED_ODDS or soft == 0
    else:
        assert float(soft) == pytest.approx(hard, abs=1e-9)


def test_of_three_groups_it_is_the_mean_over_pairs():
    logits = torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 3.0]], dtype=torch.float64)
    p = torch.sigmoid(logits[:, 1]).numpy()
    pairs = [abs(p[0] - p[1]), abs(p[0] - p[2]), abs(p[1] - p[2])]
    labels, codes = torch.tensor([1, 1, 1]), torch.tensor([0, 1, 2])
    assert float(soft_gap(logits, labels, codes, "dp")) == pytest.approx(np.mean(pairs))
    assert float(soft_gap(logits, labels, codes, "eopp")) == pytest.approx(np.mean(pairs))


def test_two_classes_as_three_with_one_never_used_agree_up_to_the_mean_over_classes():
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(size=(50, 2)))
    wide = torch.cat([logits, torch.full((50, 1), -1e9, dtype=torch.float64)], dim=1)
    labels = torch.from_numpy(random.integers(0, 2, 50))
    codes = torch.from_numpy(random.integers(0, 2, 50))
    two, three = (soft_gap(each, labels, codes, "dp") for each in (logits, wide))
    assert float(three) == pytest.approx(2 / 3 * float(two))


def test_it_can_be_differentiated_and_is_nought_without_groups():
    logits = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(20) % 3
    soft_gap(logits, labels, torch.arange(20) // 3 % 2, "eo").backward()
    assert logits.grad.abs().sum() > 0
    assert float(soft_gap(logits, labels, torch.full((20,), -1), "eo")) == 0


@pytest.fixture(scope="module")
def network_problem():
    return make_network_problem()


def test_the_network_is_copied_and_the_gap_falls(network_problem):
    problem, test, _ = network_problem
    before = [each.clone() for each in problem.network.model.parameters()]
    (_, mild), (name, strong) = retrain("dp", (0, 0.9))(problem)
    assert all(map(torch.equal, before, problem.network.model.parameters())), (
        "the model of the problem moved"
    )
    assert str(name) == "strength=0.9"
    assert strong.trainable_parameters == sum(each.numel() for each in before)
    assert measured(strong, test, "dp")[1] < 0.5 * measured(mild, test, "dp")[1]
    assert measured(mild, test, "dp")[0] < 25


def test_the_same_seed_gives_the_same_network(network_problem):
    problem, test, _ = network_problem
    once, twice = (retrain("eo", (0.5,))(problem)[0][1].predict(queries(test)) for _ in "ab")
    assert np.array_equal(once, twice)


def test_the_head_alone_is_a_linear_head(network_problem):
    problem, _, test = network_problem
    ((name, fitted),) = retrain_head("eo", (0.1,))(problem)
    assert str(name) == "strength=0.1"
    assert fitted.trainable_parameters == 6 * 2 + 2
    assert np.allclose(fitted.predict(queries(test)), fitted.head.logits(test.features))


def test_a_network_and_raw_inputs_are_asked_for(network_problem):
    problem, _, test = network_problem
    with pytest.raises(InputError, match="use retrain-head-eo"):
        retrain("eo")(Problem(problem.train, problem.valid, problem.head))
    ((_, fitted),) = retrain("dp", (0.9,))(problem)
    with pytest.raises(InputError, match="reads the raw inputs"):
        fitted.predict(Queries(test.features))
