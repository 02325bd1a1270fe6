"""A comparison on real Adult: resumed, never mixed, its rows chosen by one rule."""

import json

import numpy as np
import pandas as pd
import pytest

from evenhand._base.processes import backend_of
from evenhand.criteria import Criterion
from evenhand.errors import ArtefactError, InputError
from evenhand.experiments.agreement import differences
from evenhand.experiments.compare.as_run import as_run, pooled
from evenhand.experiments.compare.choose import LEVELS, levelled, menu
from evenhand.experiments.compare.results import cell_path, read_cell, run_cell
from evenhand.experiments.compare.run import compare
from evenhand.experiments.methods.registry import METHODS
from evenhand.finetuning.recipe import recipe
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.metrics.rates import gap
from evenhand.report.record import RESULT_COLUMNS

NAMES = ["transfer", "svd", "neutralized-svd", "gap-eo"]
RULE = Rule((Bound("equalized_odds", 0.1),))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return compare(recipe("adult"), [0], folder, methods=NAMES, rules=[RULE])


def test_results_have_the_columns_promised(finished):
    frame = pd.read_csv(finished.folder / "results.csv")
    assert tuple(frame.columns) == RESULT_COLUMNS
    assert set(frame["method"]) == set(NAMES)
    assert "bound:equalized_odds<=0.1" in set(frame["setting"])
    for name in ("paired.csv", "frontier.csv", "hypervolume.csv", "report.html", "config.yaml"):
        assert (finished.folder / name).stat().st_size


def test_the_papers_weighting_ends_where_the_plain_svd_does(finished):
    by_key = {r.key: r for r in finished.records}
    one, other = by_key["neutralized-svd", "1"], by_key["svd", "1"]
    assert abs(one.error - other.error) < 0.1
    assert abs(one.gap("eo") - other.gap("eo")) < 0.01


def test_a_second_call_computes_nothing(finished, monkeypatch):
    monkeypatch.setattr(
        "evenhand.finetuning.recipe.Recipe.stage", lambda *_: pytest.fail("computed again")
    )
    again = compare(recipe("adult"), [0], finished.folder, methods=NAMES, rules=[RULE])
    assert [r.row() for r in again.records] == [r.row() for r in finished.records]


def test_another_rule_in_the_same_folder_is_refused(finished):
    with pytest.raises(InputError, match=r"something else: .*bounds was \[.*\], is \[\]"):
        compare(recipe("adult"), [0], finished.folder, methods=NAMES)


def test_a_damaged_cell_is_named(finished, tmp_path):
    kept = cell_path(finished.folder, 0, "svd")
    bad = tmp_path / "cell.json"
    bad.write_text(kept.read_text()[:50])
    with pytest.raises(ArtefactError, match="delete it and run again"):
        read_cell(bad)
    assert json.loads(kept.read_text())["skipped"] is None


def test_a_method_that_cannot_run_is_skipped_by_name(adult):
    cell = run_cell(adult, METHODS["compressed"], ())
    assert cell.records == ()
    assert "two classes" in cell.skipped


def test_levels_lower_the_estimated_gap(adult):
    entry = METHODS["reweighing"]
    fitted = entry.load()(adult.problem)
    one = menu(entry, adult.problem, fitted, Criterion.EQUALIZED_ODDS)
    gaps = np.asarray(gap(one.candidates.tables, "eo"))
    assert gaps.shape == (len(fitted), len(one.candidates.offsets))
    settings = dict(levelled(one, Criterion.EQUALIZED_ODDS, float(gaps.max())))
    assert f"level:eo={LEVELS[0]:g}:f1" in map(str, settings)


def test_pooling_adds_the_counts(finished):
    record = finished.records[0]
    twice = pooled([record, record])
    np.testing.assert_array_equal(twice.counts.table, 2 * record.counts.table)
    assert twice.error == pytest.approx(record.error)


def test_the_report_tells_what_was_skipped(finished):
    run = as_run(finished)
    assert run.before.method == "transfer"
    assert run.command == "compare"


def test_no_seed_and_unknown_methods_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least one seed"):
        compare(recipe("adult"), [], tmp_path)
    with pytest.raises(InputError, match="unknown method 'magic'"):
        compare(recipe("adult"), [0], tmp_path, methods=["magic"])


@pytest.mark.whole
def test_a_dask_cluster_writes_the_same_rows_as_processes_here(tmp_path):
    pytest.importorskip("distributed")
    with backend_of("dask", 2):
        compare(recipe("adult"), [0, 1], tmp_path / "dask", methods=["transfer", "svd"], jobs=2)
    compare(recipe("adult"), [0, 1], tmp_path / "here", methods=["transfer", "svd"], jobs=2)
    rows = [
        pd.read_csv(tmp_path / name / "results.csv", dtype=str).drop(columns="seconds")
        for name in ("dask", "here")
    ]
    pd.testing.assert_frame_equal(*rows)
    assert differences(tmp_path / "dask", tmp_path / "here") == []


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        ([0, 1, 0], "seed 0 comes twice"),
        ([-1], "from 0 to 4,294,967,295"),
        ([2**70], "from 0 to 4,294,967,295"),
        ([1.5], "found a float"),
        ([True], "found a bool"),
        ("01", "such as"),
        (None, "such as"),
    ],
)
def test_what_is_no_seed_is_refused_before_any_work(tmp_path, seeds, why):
    with pytest.raises(InputError, match=why):
        compare(recipe("adult"), seeds, tmp_path / "new")
    assert not (tmp_path / "new").exists()
