"""The map of attributes: what each run says, told on one page, and computed once."""

import json

import numpy as np
import pandas as pd
import pytest
from small_runs import people

from evenhand.experiments.studies import attributes as study
from evenhand.finetuning.recipe import recipe

MADE = {"what": "people", "group": "sex", "command": "evenhand study labels", "machine": "here"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("map")
    frame = people().drop(columns=["id", "town", "since"]).assign(same="x")
    frame.to_csv(folder / "people.csv", index=False)
    (folder / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: repaid\ngroups: [sex]\nsplit: part\nstrength: 1\n"
    )
    return recipe(str(folder / "task.yaml")), folder / "runs"


@pytest.fixture(scope="module")
def found(made):
    asked, folder = made
    return study.attributes(asked, ["repaid", "member", "same"], folder)


def test_every_figure_is_that_of_the_labels_own_run(made, found):
    by_label = found.set_index("label")
    assert set(by_label.index) == {"repaid", "member", "same"}
    paths = list((made[1] / "runs").glob("*/result.json"))
    assert len(paths) == 2
    for path in paths:
        told = json.loads(path.read_text())
        row = by_label.loc[told["config"]["label"]]
        table = np.array(told["before"]["counts"]["table"])
        shares = table[:, 1].sum(axis=1) / table.sum(axis=(1, 2))
        assert row["share_gap"] == pytest.approx(abs(shares[0] - shares[1]))
        assert row["gap"] == pytest.approx(told["after"]["delta_eo"])
        assert row["gap_low"] <= row["gap"] <= row["gap_high"]
        assert row["error_before"] == pytest.approx(told["before"]["error"])
    assert "1 classes" in by_label.loc["same", "not_run"]


def test_the_page_tells_every_label_and_what_could_not_be_run(found, tmp_path):
    picture = study.draw(found, tmp_path / "map.svg")
    text = study.page(found, picture.name, MADE)
    assert "](map.svg)" in text
    assert "same: " in text
    for row in found[found["not_run"] == ""].itertuples():
        assert f"| {row.label} | {100 * row.share:.1f} |" in text
        assert row.label in picture.read_text()


def test_a_second_call_computes_nothing(made, found):
    asked, folder = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    again = study.attributes(asked, ["repaid", "member", "same"], folder)
    pd.testing.assert_frame_equal(again, found)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
