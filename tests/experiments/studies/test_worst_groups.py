"""The worst group beside the peers: the arithmetic of the page, and one small problem."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_runs import people

from evenhand.criteria import Criterion
from evenhand.experiments.methods.worst_cells import dfr
from evenhand.experiments.studies import worst_groups as study
from evenhand.finetuning.stage import task_stage
from evenhand.tasks.table_task import table

CELL = Criterion.parse("worst_cell_accuracy")


def frame(shift=0.0, accuracy=80.0, seeds=3):
    """A line from (84, 60) to (76, 76), worst against accuracy; a peer ``shift`` below it."""
    keys = ["features", "criterion", "method", "setting", "seed", "accuracy", "worst", "chosen"]
    rows = []
    for seed in range(seeds):
        same = ("head", str(CELL))
        for right, worst in ((84, 60), (80, 68), (76, 76)):
            rows.append((*same, "evenhand", "", seed, right + seed, worst + seed, right == 80))
        worst = 60 + 2 * (84 - accuracy) - shift
        rows.append((*same, "dfr", "share=1", seed, accuracy + seed, worst + seed, False))
    return pd.DataFrame(rows, columns=keys)


@pytest.mark.parametrize("shift", [-1.5, 0.0, 2.0])
def test_the_difference_is_taken_at_the_peers_accuracy(shift):
    found = study.at_equal_accuracy(frame(shift, accuracy=78.0)).iloc[0]
    assert found["ahead"] == pytest.approx(shift)
    assert (found["beyond"], found["seeds"]) == (0, 3)
    text = study.page(frame(shift, accuracy=78.0), "CelebA", "command", "machine")
    assert f"{shift:+.2f} [" in text
    assert "| 81.00 | 69.00 |" in text


def test_a_peer_more_accurate_than_the_line_is_set_beside_its_end_and_counted():
    found = study.at_equal_accuracy(frame(accuracy=90.0)).iloc[0]
    assert found["beyond"] == 3
    assert found["ahead"] == pytest.approx(60 - (60 - 12))


@pytest.fixture(scope="module")
def stage():
    drawn = people().drop(columns=["id", "town", "since"])
    task = table(drawn, label="repaid", groups="sex", split="part")
    return task_stage(task, use_cache=False)


def test_every_point_is_what_its_head_decides_on_the_test_rows(stage):
    rows = pd.DataFrame(study.measured(stage, CELL))
    assert rows["chosen"].sum() == 1
    assert set(rows["method"]) == {"evenhand", "dfr", "group-dro"}
    assert (rows["worst"] <= rows["accuracy"] + 1e-9).all()

    problem = replace(stage.problem, train=stage.problem.development)
    problem = replace(problem, known_ridge=stage.problem.ridge)
    setting, fitted = dfr()(problem)[-1]
    decided = fitted.head.predict(stage.test.features)
    right = decided == stage.test.labels
    cells = [
        right[(stage.test.groups.codes == g) & (stage.test.labels == k)].mean()
        for g in range(2)
        for k in range(2)
    ]
    told = rows[(rows["method"] == "dfr") & (rows["setting"] == setting)].iloc[0]
    assert told["accuracy"] == pytest.approx(100 * right.mean())
    assert told["worst"] == pytest.approx(100 * min(cells))
    assert np.isfinite(rows[["accuracy", "worst"]].to_numpy()).all()
