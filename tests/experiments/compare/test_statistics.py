import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evenhand.errors import InputError
from evenhand.experiments.compare.frontier import (
    dominated_area,
    error_at,
    frontier,
    hypervolume,
    lower_left,
)
from evenhand.experiments.compare.statistics import holm, paired
from evenhand.report.record import RESULT_COLUMNS

NAN = float("nan")


def row(method, setting, seed, error=10.0, eo=0.1, dp=0.1, accuracy=None, task="adult"):
    accuracy = 100 - error if accuracy is None else accuracy
    return dict(
        zip(
            RESULT_COLUMNS,
            (task, method, setting, seed, error, eo, dp, accuracy, 22, 0.1, ""),
            strict=True,
        )
    )


def noisy(seeds=8, tasks=("adult",), random_seed=0):
    random = np.random.default_rng(random_seed)
    rows = []
    for task in tasks:
        for seed in range(seeds):
            base = random.normal(16, 0.5)
            for method, setting, shift in (
                ("transfer", "", 0),
                ("gap-eo", "1", 0.4),
                ("gap-eo", "3", 1.0),
                ("leace", "erased", 3.0),
            ):
                error = base + shift + random.normal(0, 0.1)
                rows.append(
                    row(method, setting, seed, error, 0.2 - shift / 20, 0.2, task=task)
                    | {"delta_dp": 0.2 + random.normal(0, 0.01)}
                )
    return pd.DataFrame(rows)


def test_differences_are_those_of_scipys_paired_test():
    frame = noisy()
    table = paired(frame, ("transfer", ""))
    assert len(table) == 3 * 4
    for _, found in table[table["metric"].isin(["error", "delta_dp", "accuracy"])].iterrows():
        one = frame[(frame["method"] == found["method"]) & (frame["setting"] == found["setting"])]
        other = frame[frame["method"] == "transfer"]
        metric = found["metric"]
        test = stats.ttest_rel(one[metric].to_numpy(), other[metric].to_numpy())
        low, high = test.confidence_interval(0.95)
        assert found["p"] == pytest.approx(test.pvalue)
        assert found["difference"] == pytest.approx((low + high) / 2)
        assert found["half_width"] == pytest.approx((high - low) / 2)
        assert found["pairs"] == 8


def test_only_seeds_both_have_are_paired_and_nan_is_left_out():
    frame = pd.DataFrame(
        [row("transfer", "", seed, 10 + seed) for seed in (0, 1, 2, 3)]
        + [row("svd", "1", seed, 11 + seed + seed % 2, eo=NAN) for seed in (1, 2, 3, 9)]
    )
    table = paired(frame, ("transfer", "")).set_index("metric")
    assert table.loc["error", "pairs"] == 3
    assert table.loc["error", "difference"] == pytest.approx(1 + 2 / 3)
    assert table.loc["delta_eo", "pairs"] == 0
    assert np.isnan(table.loc["delta_eo", "difference"])
    assert not table.loc["delta_eo", "significant"]


def test_one_pair_has_no_interval_and_equal_differences_need_none():
    single = pd.DataFrame([row("transfer", "", 0), row("svd", "1", 0, 12)])
    table = paired(single, ("transfer", "")).set_index("metric")
    assert table.loc["error", "difference"] == 2
    assert np.isnan(table.loc["error", "half_width"])
    same = pd.DataFrame(
        [row("transfer", "", s) for s in range(3)] + [row("svd", "1", s, 12) for s in range(3)]
    )
    table = paired(same, ("transfer", "")).set_index("metric")
    assert table.loc["error", "p"] == 0
    assert table.loc["delta_eo", "p"] == 1
    assert table.loc["error", "half_width"] == 0


def test_the_correction_runs_within_a_task():
    both = pd.concat([noisy(), noisy(tasks=("lfwa",), random_seed=3)])
    together = paired(both, ("transfer", ""))
    alone = paired(noisy(), ("transfer", ""))
    kept = together[together["task"] == "adult"].reset_index(drop=True)
    assert kept.equals(alone)


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), max_size=12))
def test_holm_is_the_adjusted_p_below_the_level(values):
    p = np.array(values, dtype=float)
    known = p[~np.isnan(p)]
    order = np.argsort(known, kind="stable")
    scaled = (known[order] * (len(known) - np.arange(len(known)))).clip(max=1)
    adjusted = np.empty(len(known))
    adjusted[order] = np.maximum.accumulate(scaled) if len(known) else scaled
    expected = np.zeros(len(p), bool)
    expected[~np.isnan(p)] = adjusted <= 0.05
    safe = np.abs(adjusted - 0.05) > 1e-12
    assert np.array_equal(holm(p)[~np.isnan(p)][safe], expected[~np.isnan(p)][safe])


def test_holm_by_hand():
    assert list(holm(np.array([0.01, 0.04, 0.03, 0.005]))) == [True, False, False, True]


points = st.lists(
    st.tuples(st.floats(0, 2), st.floats(0, 100)).map(lambda p: (round(p[0], 3), round(p[1], 3))),
    min_size=1,
    max_size=15,
)


@settings(deadline=None)
@given(points)
def test_the_frontier_is_what_nothing_beats(found):
    gap, error = (np.array(each) for each in zip(*found, strict=True))
    x, y = lower_left(gap, error)
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) < 0).all()
    beaten = [any((h <= g and f <= e) and (h, f) != (g, e) for h, f in found) for g, e in found]
    kept = {point for point, worse in zip(found, beaten, strict=True) if not worse}
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == kept


@settings(deadline=None)
@given(points, st.floats(0, 2), st.floats(0, 2))
def test_more_room_never_needs_more_error(found, one, other):
    gap, error = (np.array(each) for each in zip(*found, strict=True))
    tight, loose = error_at(gap, error, sorted([one, other]))
    assert np.isnan(tight) or loose <= tight + 1e-9
    assert np.isnan(error_at(gap, error, [gap.min() - 0.01]))[0]
    assert error_at(gap, error, [3.0])[0] == error.min()


def test_reading_between_two_settings_by_hand():
    gap, error = np.array([0.2, 0.1, 0.15]), np.array([10.0, 12.0, 13.0])
    assert error_at(gap, error, [0.15, 0.05, 0.3]).tolist() == pytest.approx(
        [11, NAN, 10], nan_ok=True
    )


def test_error_at_gap_levels_by_hand():
    frame = pd.DataFrame(
        [row("transfer", "", s, 10, eo=0.2, accuracy=91) for s in (0, 1)]
        + [row("gap-eo", "1", s, 11 + s, eo=0.18, accuracy=89) for s in (0, 1)]
        + [row("gap-eo", "3", s, 13, eo=0.1, accuracy=85) for s in (0, 1)]
        + [row("leace", "", s, 20, eo=0.19) for s in (0, 1)]
    )
    table = frontier(frame, "equalized_odds", levels=(0.8, 0.5), replicates=50)
    read = table.set_index(["method", "level"])
    assert read.loc[("gap-eo", 0.8), "gap"] == pytest.approx(0.16)
    assert read.loc[("gap-eo", 0.8), "error"] == pytest.approx(11.5 + (13 - 11.5) / 4)
    assert read.loc[("gap-eo", 0.5), "error"] == pytest.approx(13)
    assert np.isnan(read.loc[("leace", 0.8), "error"])
    assert read.loc[("leace", 0.8), "reached"] == 0
    assert np.isnan(read.loc[("leace", 0.8), "low"])
    low, high = read.loc[("gap-eo", 0.8), ["low", "high"]]
    assert [low, high] == pytest.approx([11.5, 12.25])
    assert set(read["settings"]) == {1, 2}
    in_accuracy = frontier(frame, "eo", "accuracy_error", levels=(0.5,), replicates=10)
    assert in_accuracy.set_index("method").loc["gap-eo", "error"] == pytest.approx(15)


def test_the_bootstrap_agrees_with_resampling_by_hand():
    frame = noisy()
    table = frontier(frame, "eo", levels=(0.9,), replicates=300, seed=5).set_index("method")
    random = np.random.default_rng(5)
    draws = random.multinomial(8, np.full(8, 1 / 8), size=300)
    sample = []
    for draw in draws:
        chosen = np.repeat(np.arange(8), draw)
        means = {
            key: part.set_index("seed").loc[chosen, ["delta_eo", "error"]].mean()
            for key, part in frame.groupby(["method", "setting"])
        }
        level = 0.9 * means[("transfer", "")]["delta_eo"]
        own = [means[("gap-eo", each)] for each in ("1", "3")]
        sample.append(
            error_at(
                np.array([each["delta_eo"] for each in own]),
                np.array([each["error"] for each in own]),
                [level],
            )[0]
        )
    expected = np.quantile(sample, [0.025, 0.975])
    assert table.loc["gap-eo", ["low", "high"]].to_numpy(float) == pytest.approx(expected)


def test_a_results_file_read_back_gives_the_same(tmp_path):
    frame = noisy()
    frame.to_csv(tmp_path / "results.csv", index=False)
    back = pd.read_csv(tmp_path / "results.csv")
    reference = ("transfer", "")
    pd.testing.assert_frame_equal(
        paired(back, reference), paired(frame, reference), rtol=1e-9, atol=1e-9
    )
    pd.testing.assert_frame_equal(
        frontier(back, "eo", replicates=5), frontier(frame, "eo", replicates=5), rtol=1e-9
    )


def test_hypervolume_by_hand():
    frame = pd.DataFrame(
        [
            row("a", "1", 0, 10, eo=0.2),
            row("a", "2", 0, 12, eo=0.1),
            row("b", "1", 0, 13, eo=0.3),
            row("c", "1", 0, 16, eo=0.01),
        ]
    )
    table = hypervolume(frame, "eo", (0.3, 14)).set_index("method")["hypervolume"]
    assert table["a"] == pytest.approx(0.1 * 2 + 0.1 * 4)
    assert table["b"] == 0
    assert table["c"] == 0
    default = hypervolume(frame, "eo")
    assert set(default["reference_gap"]) == {0.3}
    assert set(default["reference_error"]) == {16.0}


@settings(deadline=None)
@given(points)
def test_the_area_is_that_of_a_fine_grid(found):
    gap, error = (np.array(each) for each in zip(*found, strict=True))
    corner = (2.0, 100.0)
    xs = (np.arange(400) + 0.5) / 200
    heights = np.array([max([100 - e for g, e in found if g <= x], default=0) for x in xs])
    assert dominated_area(gap, error, corner) == pytest.approx(heights.mean() * 2, abs=1.1)


def test_what_cannot_be_compared_is_refused_by_name():
    frame = noisy(2)
    with pytest.raises(InputError, match=r"no results of 'svd'.*transfer \(\)"):
        paired(frame, ("svd", "1"))
    with pytest.raises(InputError, match="come twice"):
        paired(pd.concat([frame, frame]), ("transfer", ""))
    with pytest.raises(InputError, match="lack the columns delta_eo"):
        paired(frame.drop(columns="delta_eo"), ("transfer", ""))
    with pytest.raises(InputError, match="gap of 'svd', which has no results"):
        frontier(frame, "eo", reference="svd")
    with pytest.raises(InputError, match="equal_opportunity"):
        frontier(frame, "eopp")
    with pytest.raises(InputError, match="known are error, accuracy_error"):
        hypervolume(frame, "eo", error="f1")
