import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from evenhand.errors import InputError, UnpromisedWarning
from evenhand.groups import Groups
from evenhand.integrations.sklearn import FairLinearHead
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap


def people(n=1500, seed=0, classes=2):
    """Two groups whose labels are seen through a feature that favours one of them."""
    draw = np.random.default_rng(seed)
    group = draw.choice(["F", "M"], n)
    y = draw.integers(0, classes, n)
    x = draw.normal(size=(n, 5))
    x[:, 0] += 1.2 * y + 1.0 * (group == "M")
    x[:, 1] += 0.8 * y
    return x, y, group


def gap_of(model, x, y, group, criterion="equalized_odds"):
    names = tuple(str(c) for c in model.classes_)
    counts = Counts.of(y, model.predict(x), Groups.from_values(group), names)
    return float(gap(counts.table, criterion))


@parametrize_with_checks(
    [FairLinearHead()],
    expected_failed_checks=lambda _: {
        f"check_sample_weight_equivalence_on_{kind}_data": "copies of a row fall into other folds, "
        "and the ridge is cross-validated"
        for kind in ("dense", "sparse")
    },
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_it_is_logistic_regression_without_groups():
    x, y, _ = people()
    ours = FairLinearHead(ridge=1e-3).fit(x, y)
    theirs = LogisticRegression(C=1 / (1e-3 * len(y)), tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-4)
    assert ours.choice_ is None
    assert ours.promised_ is None


def test_groups_make_the_gap_smaller():
    x, y, group = people()
    new_x, new_y, new_group = people(seed=1)
    plain = FairLinearHead().fit(x, y)
    fair = FairLinearHead(max_cost=2).fit(x, y, sensitive_features=group)
    assert gap_of(fair, new_x, new_y, new_group) < 0.75 * gap_of(plain, new_x, new_y, new_group)
    assert fair.group_names_ == ("F", "M")
    assert fair.promised_ is None
    assert fair.score(new_x, new_y) > 0.7


def test_a_bound_is_promised_or_not():
    x, y, group = people(4000)
    loose = FairLinearHead(bound=0.5, ridge=1e-3).fit(x, y, sensitive_features=group)
    asked = FairLinearHead(bound={"eo": 0.01}, ridge=1e-3)
    with pytest.warns(UnpromisedWarning, match="equalized_odds<=0.01 is not promised"):
        tight = asked.fit(x, y, sensitive_features=group)
    assert loose.promised_ is True
    assert tight.promised_ is False
    assert "noise floor" in tight.choice_.reason


def test_strength_is_taken_as_it_is():
    x, y, group = people()
    weak = FairLinearHead(strength=0.0).fit(x, y, sensitive_features=group)
    strong = FairLinearHead("dp", strength=30.0).fit(x, y, sensitive_features=group)
    plain = FairLinearHead().fit(x, y)
    np.testing.assert_allclose(weak.coef_, plain.coef_, atol=1e-3)
    assert gap_of(strong, x, y, group, "dp") < 0.3 * gap_of(plain, x, y, group, "dp")


def test_three_classes_and_string_labels():
    x, y, group = people(classes=3)
    labels = np.array(["low", "middle", "high"])[y]
    model = FairLinearHead(strength=1.0, ridge=1e-3).fit(x, labels, sensitive_features=group)
    assert list(model.classes_) == ["high", "low", "middle"]
    assert model.decision_function(x).shape == (len(x), 3)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    assert model.coef_.shape == (3, 5)


def test_several_columns_are_crossed_and_missing_groups_left_out():
    x, y, group = people()
    table = pd.DataFrame({"sex": group, "old": np.arange(len(y)) % 2 == 0})
    table.loc[:9, "sex"] = None
    model = FairLinearHead(strength=1.0, ridge=1e-3).fit(x, y, sensitive_features=table)
    assert len(model.group_names_) == 4
    assert any("10 rows have no known" in note for note in model.notes_)
    as_array = FairLinearHead(strength=1.0, ridge=1e-3).fit(
        x, y, sensitive_features=table.to_numpy(dtype=object)
    )
    np.testing.assert_allclose(model.coef_, as_array.coef_)


def test_it_clones_and_repeats():
    x, y, group = people(600)
    model = FairLinearHead(strength=1.0, random_state=3)
    first = clone(model).fit(x, y, sensitive_features=group)
    second = clone(model).fit(x, y, sensitive_features=group)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert model.get_params() == first.get_params()


def test_in_a_pipeline_and_a_grid_search():
    x, y, group = people(600)
    frame = pd.DataFrame(x, columns=list("abcde"))
    with sklearn.config_context(enable_metadata_routing=True):
        head = FairLinearHead(ridge=1e-3).set_fit_request(sensitive_features=True)
        pipeline = make_pipeline(StandardScaler(), head)
        search = GridSearchCV(pipeline, {"fairlinearhead__strength": [0.0, 3.0]}, cv=3)
        search.fit(frame, y, sensitive_features=pd.Series(group, name="sex"))
    assert search.best_params_ == {"fairlinearhead__strength": 0.0}
    assert search.best_estimator_[-1].group_names_ == ("F", "M")
    assert list(search.best_estimator_[0].feature_names_in_) == list("abcde")


@pytest.mark.parametrize(
    ("settings_", "groups", "words"),
    [
        ({"bound": 0.1}, None, "needs sensitive_features"),
        ({"strength": 1.0}, None, "needs sensitive_features"),
        ({"bound": 3.0}, "each", "must lie in"),
        ({"max_cost": -1.0}, "each", "max_cost"),
        ({"ridge": 0.0}, "each", "ridge"),
        ({"error": "speed"}, "each", "unknown error metric"),
        ({"criterion": "luck"}, "each", "unknown criterion"),
        ({}, "short", "60 rows and sensitive_features 59"),
        ({}, "one", "one group only"),
        ({}, "cube", "must have shape"),
    ],
)
def test_what_cannot_be_used_is_named(settings_, groups, words):
    x, y, group = people(60)
    given_groups = {
        None: None,
        "each": group,
        "short": group[:-1],
        "one": ["F"] * 60,
        "cube": np.zeros((60, 1, 1)),
    }[groups]
    with pytest.raises(InputError, match=words):
        FairLinearHead(**settings_).fit(x, y, sensitive_features=given_groups)


@settings(deadline=None, max_examples=5)
@given(
    seed=st.integers(0, 99),
    names=st.lists(st.text(max_size=3), min_size=2, max_size=4, unique=True),
)
def test_renaming_groups_changes_nothing(seed, names):
    x, y, _ = people(200, seed)
    code = np.random.default_rng(seed).integers(0, len(names), 200)
    by_name = FairLinearHead(strength=1.0, ridge=0.01).fit(
        x, y, sensitive_features=[names[c] for c in code]
    )
    by_code = FairLinearHead(strength=1.0, ridge=0.01).fit(x, y, sensitive_features=code)
    np.testing.assert_allclose(by_name.coef_, by_code.coef_, atol=1e-3)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_sparse_rows_give_the_same_head(form):
    from scipy import sparse

    x, y, group = people(400)
    x[np.abs(x) < 0.5] = 0
    packed = sparse.coo_array(x).asformat(form)
    plain = FairLinearHead().fit(x, y, group)
    found = FairLinearHead().fit(packed, y, sensitive_features=group)
    np.testing.assert_allclose(found.coef_, plain.coef_)
    np.testing.assert_array_equal(found.predict(packed), plain.predict(x))


def test_a_sparse_matrix_too_large_and_another_keyword_are_refused_by_name():
    from scipy import sparse

    x, y, group = people(100)
    huge = sparse.csr_array((100, 10_000_000))
    with pytest.raises(InputError, match=r"sparse matrix of \(100, 10000000\)"):
        FairLinearHead().fit(huge, y, group)
    with pytest.raises(TypeError, match="'weights'"):
        FairLinearHead().fit(x, y, group, weights=np.ones(100))


@pytest.mark.parametrize("strength", [None, 2.0], ids=["plain", "even"])
def test_weights_are_repetitions(strength):
    x, y, group = people(600)
    times = np.random.default_rng(0).integers(0, 4, 600)
    more = {"strength": strength, "ridge": 1e-2, "weight_kind": "frequency"}
    groups = (None, None) if strength is None else (group, np.repeat(group, times))
    weighted = FairLinearHead(**more).fit(x, y, groups[0], sample_weight=times)
    repeated = FairLinearHead(**more).fit(np.repeat(x, times, 0), np.repeat(y, times), groups[1])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_scikit_learns_own_check_of_weights_passes_where_the_ridge_is_given(kind):
    check = getattr(estimator_checks, f"check_sample_weight_equivalence_on_{kind}_data")
    check("FairLinearHead", FairLinearHead(ridge=1e-2))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([-1.0, np.nan], r"missing \(NaN\) in 1 of 100 rows, the first of them row 2"),
        ([-1.0, -2.0], "negative in 2 of 100 rows, the first of them row 1"),
        ([np.inf, 1.0], "infinite in 1 of 100 rows"),
        ([0.0] * 100, "zero in all 100 rows"),
        ([1.0] * 3, "X has 100 rows and sample_weight 101"),
        (["a", 1.0], "must be numbers"),
    ],
)
def test_weights_that_are_none_are_refused_by_name(weights, words):
    x, y, group = people(100)
    number = 101 if len(weights) == 3 else 100
    given = np.array([*weights, *[1.0] * (number - len(weights))])
    with pytest.raises(InputError, match=words):
        FairLinearHead().fit(x, y, group, sample_weight=given)
    with pytest.raises(InputError, match=r"'survey'.*'frequency'"):
        FairLinearHead(weight_kind="copies").fit(x, y, group)


def test_too_many_labels_or_groups_are_refused_before_anything_is_allocated():
    x, y, group = people(3000)
    with pytest.raises(InputError, match="1,200 different labels, more than 1,000"):
        FairLinearHead().fit(x, np.arange(3000) % 1200, group)
    with pytest.raises(InputError, match="3,000 groups, more than 200"):
        FairLinearHead().fit(x, y, np.arange(3000))
    found = FairLinearHead().fit(x, 50_000_000 * y, group)
    assert found.classes_.tolist() == [0, 50_000_000]


def test_groups_of_every_library_are_read_by_position():
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    x, y, group = people(400)
    index = np.random.default_rng(0).permutation(400)
    expected = FairLinearHead().fit(x, y, group)
    for values in (
        pd.Series(group, index=index), pd.DataFrame({"sex": group}, index=index),
        polars.Series(group), polars.DataFrame({"sex": group}), arrow.array(group),
        arrow.table({"sex": group}), group[:, None], list(group), pd.Categorical(group),
    ):  # fmt: skip
        frame = pd.DataFrame(x, index=index).add_prefix("x")
        found = FairLinearHead().fit(frame, pd.Series(y, index=index), values)
        np.testing.assert_allclose(found.coef_, expected.coef_)
    with pytest.raises(InputError, match="hold a list in row 0"):
        FairLinearHead().fit(x, y, polars.Series([[1]] * 400))
