import numpy as np
import pytest
from peer_problems import make_problem, queries

from evenhand.errors import InputError
from evenhand.experiments.methods.logistic import fit_head
from evenhand.experiments.methods.registry import METHODS
from evenhand.experiments.methods.worst_cells import dfr, group_dro
from evenhand.finetuning.problem import decide
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap


def worst_cell(fitted, rows):
    decisions = decide(fitted.predict(queries(rows)))
    counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes)
    return float(gap(counts.table, "worst_cell_accuracy"))


@pytest.mark.parametrize("method", [dfr, group_dro])
def test_the_worst_cell_is_served_better_than_by_transfer_learning(method):
    problem, test = make_problem(n=3_000)
    plain = METHODS["transfer"].load()(problem)[0][1]
    for _, fitted in method()(problem):
        assert worst_cell(fitted, test) > worst_cell(plain, test)
    name, whole = method()(problem)[-1]
    assert str(name) in ("share=1", "tilt=100")
    assert worst_cell(whole, test) > worst_cell(plain, test) + 0.03


def test_a_share_of_nothing_is_transfer_learning_and_of_all_is_of_balanced_rows():
    problem, _ = make_problem(n=900)
    (_, plain), (_, whole) = dfr((0.0, 1.0), draws=2)(problem)
    assert plain.head.weight == pytest.approx(fit_head(problem.train, problem.ridge).weight)
    cells = Counts.of(
        problem.train.labels, problem.train.labels, problem.train.groups, problem.train.classes
    ).cells
    assert cells.min() < cells.max() / 2  # so that balancing leaves rows out
    again = dfr((1.0,), draws=2)(problem)[0][1]
    assert np.array_equal(whole.head.weight, again.head.weight)


@pytest.mark.parametrize("method", [dfr, group_dro])
def test_more_groups_classes_and_rows_of_unknown_group_are_served(method):
    problem, test = make_problem(groups=3, classes=3, unknown=0.1)
    for _, fitted in method()(problem):
        assert decide(fitted.predict(queries(test))).max() == 2


@pytest.mark.parametrize("method", [dfr, group_dro])
def test_a_single_group_is_refused(method):
    problem, _ = make_problem()
    rows = problem.train[problem.train.groups.codes == 0]
    with pytest.raises(InputError, match="two groups"):
        method()(type(problem)(rows, problem.valid, problem.head))
