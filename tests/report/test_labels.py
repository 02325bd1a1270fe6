"""Several labels on one page: what is promised of all, what the test rows show, names as text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_run import make_run

from evenhand.criteria import Criterion
from evenhand.metrics.together import holm, kept_p_value
from evenhand.report.labels import LabelRuns

EO = Criterion.EQUALIZED_ODDS
SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "reference" / "labels.schema.json"
HOSTILE = '<script>"x"</script>'


def one(limit, promised, **more):
    made = make_run(**more)
    prints = {"model": "m", "task": "t"}
    made = replace(made, bounds={EO: limit}, promised=promised, counted=("Female", "Male"))
    told = {"fingerprints": prints, "seconds": {"features": 1.0, "fine-tuning": 2.0}}
    return replace(made, provenance=made.provenance | told)


@pytest.fixture(scope="module")
def runs():
    return LabelRuns(
        {"tall": one(0.3, True), HOSTILE: one(0.2, True), "fit": one(0.01, False)},
        0.9,
        {"command": "finetune labels"},
    )


def test_all_are_promised_only_where_each_is(runs):
    assert runs.promised is False
    assert runs.each == pytest.approx(1 - 0.1 / 3)
    assert "Promised for 2 of 3 labels; NOT promised for fit." in runs.decided
    kept = {label: run for label, run in runs.runs.items() if run.promised}
    assert LabelRuns(kept, 0.9).promised is True
    free = {label: replace(run, bounds={}, promised=None) for label, run in kept.items()}
    assert LabelRuns(free, 0.9).promised is None
    assert "no bound was asked for" in LabelRuns(free, 0.9).decided


def test_the_test_rows_are_asked_about_promises_alone(runs):
    shown = runs.shown_by_test_rows
    assert list(shown) == ["tall", HOSTILE]
    plain = [
        kept_p_value(runs.runs[label].after.counts.table, EO, runs.runs[label].bounds[EO])
        for label in shown
    ]
    assert list(shown.values()) == pytest.approx(holm(plain).tolist())


def test_the_smallest_groups_that_no_promise_is_of_are_not_asked_about():
    three = make_run(groups=("Female", "Male", "Other"))
    run = replace(three, bounds={EO: 0.3}, promised=True, counted=("Female", "Male"))
    found = LabelRuns({"a": run, "b": run}, 0.9).shown_by_test_rows
    plain = kept_p_value(run.after.counts.table[:2], EO, 0.3)
    assert found["a"] == pytest.approx(min(1, 2 * plain))


def test_names_of_labels_are_text_wherever_they_are_shown(runs, tmp_path):
    page = runs.to_html(tmp_path / "report.html").read_text()
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert 'href="labels/2-script--x---script/report.html"' in page
    assert all(len(line) <= 80 for line in str(runs).splitlines())


def test_the_document_is_as_its_schema_says(runs):
    schemas = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    schemas.Draft202012Validator.check_schema(schema)
    document = json.loads(runs.to_json())
    schemas.validate(document, schema)
    assert [row["test_p"] is None for row in document["labels"]] == [False, False, True]
    assert document["provenance"]["seconds"] == dict.fromkeys(runs.runs, 3.0)
