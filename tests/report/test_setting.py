import numpy as np

from evenhand.criteria import Criterion
from evenhand.experiments.compare.results import Cell, read_cell, to_json
from evenhand.metrics.counts import Counts
from evenhand.report.record import Record
from evenhand.report.setting import Setting

SETTINGS = (
    Setting("rank 1"),
    Setting.evening(Criterion.DEMOGRAPHIC_PARITY, "<=0.1"),
    Setting.of_parts("f+SVD: mean | rank", "2", "converged"),
    Setting.at_level(Criterion.EQUALIZED_ODDS, 0.8, "f1"),
    Setting.at_bound("equalized_odds<=0.1"),
)


def test_a_setting_is_written_as_it_always_was():
    assert [str(setting) for setting in SETTINGS] == [
        "rank 1",
        "dp<=0.1",
        "f+SVD: mean | rank | 2 | converged",
        "level:eo=0.8:f1",
        "bound:equalized_odds<=0.1",
    ]


def test_what_a_setting_is_made_of_is_kept_in_a_cell_and_never_cut_from_its_text(tmp_path):
    counts = Counts(np.ones((1, 2, 2)), np.zeros((2, 2)), ("a",), ("n", "y"))
    records = tuple(Record("t", "m", setting, 0, counts, 1, 0.1) for setting in SETTINGS)
    path = tmp_path / "seed0-m.json"
    path.write_text(to_json(Cell("m", 0, records)))
    assert tuple(record.setting for record in read_cell(path).records) == SETTINGS
