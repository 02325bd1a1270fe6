import numpy as np
import pytest
from peer_problems import make_problem, make_rows
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.methods.logistic import (
    choose_ridge,
    fit_head,
    known_rows,
    probabilities,
    require_binary,
    ridges_for,
)
from evenhand.rows import Rows


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_gives_scikit_learns_probabilities(classes):
    rows = make_rows(classes=classes)
    model = LogisticRegression(C=1 / (0.01 * len(rows)), tol=1e-8, max_iter=5000)
    oracle = model.fit(rows.features, rows.labels).predict_proba(rows.features)
    assert np.allclose(probabilities(fit_head(rows, 0.01), rows.features), oracle, atol=1e-3)


def test_weights_of_two_count_as_a_row_twice():
    rows = make_rows(300)
    weight = np.where(np.arange(300) < 100, 2.0, 1.0)
    doubled = rows[np.concatenate([np.arange(300), np.arange(100)])]
    once, twice = fit_head(rows, 0.01, weight), fit_head(doubled, 0.01)
    assert np.allclose(once.weight, twice.weight, atol=1e-3)


def test_the_ridge_chosen_has_the_lowest_log_loss_on_valid():
    problem, _ = make_problem(n=200, d=30)
    head, ridge = choose_ridge(problem.train, problem.valid)
    losses = {
        each: log_loss(
            problem.valid.labels,
            probabilities(fit_head(problem.train, each), problem.valid.features),
        )
        for each in ridges_for(30)
    }
    assert ridge == min(losses, key=losses.get)
    assert np.array_equal(head.weight, fit_head(problem.train, ridge).weight)


def test_without_valid_rows_the_strongest_ridge_is_kept():
    rows = make_rows(100)
    assert choose_ridge(rows, rows[:0])[1] == max(ridges_for(5))


def test_a_class_without_rows_is_never_predicted():
    rows = make_rows(classes=4)
    kept = rows[rows.labels != 2]
    head = fit_head(kept, 0.01)
    assert head.out_features == 4
    assert 2 not in head.predict(rows.features)


def test_one_class_is_refused_with_its_count():
    rows = make_rows(50)
    with pytest.raises(InputError, match="found 1 among"):
        fit_head(rows[rows.labels == 0], 0.1)


def test_wide_features_get_larger_ridges():
    assert min(ridges_for(513)) > min(ridges_for(512))


def test_more_classes_than_two_are_refused_by_name():
    with pytest.raises(InputError, match=r"oxonfair is for two classes, this task has 3"):
        require_binary(make_rows(30, classes=3), "oxonfair")


def test_rows_of_unknown_group_are_left_out_and_one_group_is_refused():
    rows = make_rows(200, unknown=0.3)
    assert known_rows(rows, "leace").groups.known.all()
    single = Rows(
        rows.features, rows.labels, Groups(np.zeros(200, int), ("A", "B"), "team"), rows.classes
    )
    with pytest.raises(InputError, match=r"leace needs rows of two groups of 'team'"):
        known_rows(single, "leace")
