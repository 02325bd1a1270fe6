import numpy as np
import pytest
from peer_problems import make_rows
from sklearn.linear_model import LogisticRegression

from evenhand.errors import InputError
from evenhand.experiments.methods.logistic import (
    fit_head,
    known_rows,
    probabilities,
    require_binary,
)
from evenhand.groups import Groups
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
