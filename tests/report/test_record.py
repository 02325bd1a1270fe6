import numpy as np
import pytest

from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.report.record import RESULT_COLUMNS, Record, results_frame
from evenhand.report.setting import Setting


def test_a_record_is_a_row_of_the_results():
    labels = np.array([0, 1, 1, 0, 1, 0, 1, 1])
    predictions = np.array([0, 1, 0, 1, 1, 0, 1, 1])
    groups = Groups(np.array([0, 0, 0, 0, 1, 1, 1, 1]), ("a", "b"))
    record = Record(
        "t", "m", Setting("rank 1"), 3, Counts.of(labels, predictions, groups, ("n", "y")), 7, 0.5
    )
    frame = results_frame([record, record])
    assert tuple(frame.columns) == RESULT_COLUMNS
    row = frame.iloc[0]
    assert (row.task, row.method, row.setting, row.seed) == ("t", "m", "rank 1", 3)
    assert row.accuracy == pytest.approx(75)
    assert row.delta_eo == pytest.approx(0.5 + 0.5)
    assert row.delta_dp == pytest.approx(0.25)
    assert row.trainable_parameters == 7
    assert tuple(results_frame([]).columns) == RESULT_COLUMNS
