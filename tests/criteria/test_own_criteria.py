"""A criterion of one's own: a function of counts with a name."""

import copy
import pickle
import sys
import textwrap

import numpy as np
import pytest

from evenhand.criteria import BUILT_IN, Criterion
from evenhand.errors import InputError
from evenhand.metrics import gap_interval, upper_bound
from evenhand.metrics.estimates import parts, standard_error
from evenhand.metrics.own_measures import smoothed
from evenhand.metrics.rates import gap, pairwise_gaps

TABLE = np.array([[[900, 100], [400, 600]], [[800, 200], [200, 800]]])


def difference(counts):
    """The paper's demographic parity of two groups, written anew."""
    share = counts[..., 1].sum(axis=-1) / counts.sum(axis=(-2, -1))
    return np.abs(share[..., 0] - share[..., 1])


def accuracies(counts):
    """The accuracy of each group."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))


PARITY = Criterion.of(difference, name="my_parity")
WORST = Criterion.of(accuracies, name="my_worst", kind="level", symbol="W")


def test_it_has_the_figure_and_the_sureness_of_a_built_in_one_that_says_the_same():
    for own, same in ((PARITY, "demographic_parity"), (WORST, "worst_group_accuracy")):
        assert gap(TABLE, own) == pytest.approx(gap(TABLE, same))
        assert standard_error(TABLE, own) == pytest.approx(standard_error(TABLE, same), rel=0.02)
        for z in (0.0, 1.28, 3.0):
            assert upper_bound(TABLE, own, z) == pytest.approx(
                upper_bound(TABLE, same, z), rel=0.02
            )
        found, expected = gap_interval(TABLE, own), gap_interval(TABLE, same)
        assert found == pytest.approx(expected, abs=0.01)


def test_many_tables_at_once_are_each_on_their_own():
    stacked = np.random.default_rng(0).integers(1, 50, (2, 3, 3, 2, 2))
    for own in (WORST,):
        found = upper_bound(stacked, own, 1.28)
        for place in np.ndindex(2, 3):
            assert found[place] == pytest.approx(upper_bound(stacked[place], own, 1.28))


def test_where_an_absolute_value_is_at_its_kink_it_is_as_unsure_as_beside_it():
    even = np.array([[[80, 20], [40, 60]]] * 2)
    beside = even + np.array([[[0, 0], [0, 0]], [[-1, 1], [0, 0]]])
    at, near = (float(standard_error(table, PARITY)) for table in (even, beside))
    assert at == pytest.approx(near, rel=0.05)


def test_small_groups_steer_nothing():
    small = np.array([[[2, 1], [9, 1]]])
    table = np.concatenate([TABLE, small])
    values, _ = parts(table, WORST, min_rows=100)
    assert values.tolist() == parts(TABLE, WORST).values.tolist()
    assert np.isnan(upper_bound(small, WORST, 1.28, min_rows=100))


def test_smoothed_counts_keep_the_rows_of_each_label():
    counts = smoothed(TABLE)
    assert counts.sum(axis=-1).tolist() == TABLE.sum(axis=-1).tolist()
    assert (smoothed(np.zeros((2, 2, 2))) == 0).all()
    assert smoothed(np.array([[[20, 0], [0, 0]]]))[0, 0].tolist() == [21 * 20 / 22, 20 / 22]


def test_it_is_itself_in_another_process_and_no_other_of_its_name():
    assert pickle.loads(pickle.dumps(WORST)) == WORST == copy.deepcopy(WORST)
    other = Criterion.of(difference, name="my_worst", kind="level")
    assert other != WORST
    assert WORST == "my_worst"
    assert {WORST: 1}["my_worst"] == 1
    assert gap_interval(TABLE, other) != gap_interval(TABLE, WORST)


@pytest.mark.parametrize(
    ("making", "message"),
    [
        (lambda: Criterion.of(difference, name="equalized_odds"), "is a built-in criterion"),
        (lambda: Criterion.of(difference, name="eo"), "is a built-in criterion"),
        (lambda: Criterion.of(difference, name="two words"), "letters, digits and _"),
        (lambda: Criterion.of(lambda counts: 0), "letters, digits and _"),
        (lambda: Criterion.of(difference, kind="ratio"), "a 'gap' or a 'level'"),
        (lambda: Criterion.of(difference, highest=0), "highest value above 0"),
        (lambda: Criterion.load("no.such.module:x"), "No module named"),
        (lambda: Criterion.load("json:nothing"), "no attribute 'nothing'"),
        (lambda: Criterion.load("sys:path"), "is a list, no function of counts"),
        (lambda: Criterion.parse("json:loads"), r"eh\.Criterion\.load\('package\.module:name'\)"),
    ],
)
def test_what_is_no_criterion_is_refused_by_name(making, message):
    with pytest.raises(InputError, match=message):
        making()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda counts: counts[0, 0, 0] * 0, "count axes from the end"),
        (lambda counts: counts.sum(axis=(-3, -2, -1)), "4000, outside 0 to 1"),
        (lambda counts: -difference(counts), "outside 0 to 1"),
    ],
)
def test_figures_of_another_shape_or_range_are_refused_by_name(function, message):
    own = Criterion.of(function, name="mine")
    with pytest.raises(InputError, match=f"criterion mine gave.*{message}"):
        gap(np.stack([TABLE] * 3), own)


def test_it_compares_no_pairs():
    with pytest.raises(InputError, match="no pairs of groups"):
        pairwise_gaps(TABLE, WORST)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's module."""
    (tmp_path / "my_measures.py").write_text(
        textwrap.dedent(
            """
            import evenhand as eh

            def worst(counts):
                return counts.trace(axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))

            lowest = eh.Criterion.of(worst, name="lowest", kind="level")

            def unequal(counts):
                right = worst(counts)
                return right.max(axis=-1) - right.min(axis=-1)
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_measures", None)


def test_a_name_in_a_module_is_imported_where_it_is_asked_for(mine):
    lowest = Criterion.load("my_measures:lowest")
    assert (lowest, lowest.symbol, lowest.kind) == ("my_measures:lowest", "lowest", "level")
    unequal = Criterion.load("my_measures:unequal")
    assert (unequal.symbol, unequal.kind) == ("unequal", "gap")
    assert gap(TABLE, unequal) == pytest.approx(gap(TABLE, "accuracy_parity"))


def test_it_goes_through_a_request_and_its_file(mine):
    from evenhand.auditing import AuditRequest
    from evenhand.finetuning.request import FinetuneRequest

    asked = FinetuneRequest("adult").changed({"bound": ["my_measures:lowest>=0.7", "eo=0.2"]})
    (lowest, eo) = asked.rule().bounds
    assert (str(lowest), str(eo)) == ("my_measures:lowest>=0.7", "equalized_odds<=0.2")
    assert lowest.criterion.kind == "level"
    config = asked.to_config()
    assert config["bounds"] == {"my_measures:lowest": 0.7, "equalized_odds": 0.2}
    assert all(type(name) is str for name in config["bounds"])
    assert FinetuneRequest.from_config(config).rule().bounds == asked.rule().bounds
    own = FinetuneRequest("adult").changed({"criterion": "my_measures:unequal"})
    assert own.rule().criterion.function is not None
    assert type(own.to_config()["criterion"]) is str
    audit = AuditRequest.of(
        label="y", prediction="p", groups="g", fail_above=["my_measures:unequal=0.1"]
    )
    assert audit.to_config()["fail_above"] == {"my_measures:unequal": 0.1}


def test_built_in_criteria_have_no_function():
    assert all(criterion.function is None for criterion in BUILT_IN)
