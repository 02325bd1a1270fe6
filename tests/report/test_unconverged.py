"""A result whose solver did not end is marked wherever it is shown."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_run import make_run

from evenhand.experiments.compare.as_run import pooled
from evenhand.finetuning.baselines import as_fitted
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.request import FinetuneRequest
from evenhand.groups import Groups
from evenhand.heads.fit import fit_path
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.rule import Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.report import files, html
from evenhand.report import model_card as card
from evenhand.report import terminal_table as table
from evenhand.report.record import UNCONVERGED, results_frame
from evenhand.rows import Rows


@pytest.fixture
def unsure():
    """A run of which one record did not converge."""
    run = make_run(command="finetune")
    marked = replace(run.records[1], notes=(UNCONVERGED,))
    return replace(run, records=(run.records[0], marked, *run.records[2:]), after=marked)


def test_the_table_marks_it_and_says_what_the_mark_means(unsure):
    lines = table.comparison(unsure.records).splitlines()
    marked = [line for line in lines if line.startswith("!")]
    assert len(marked) == 2
    assert "eo .3" in marked[0]
    assert marked[1] == f"! {UNCONVERGED}: these figures are not final"
    assert all(len(line) <= 80 for line in lines)
    assert "!" not in table.comparison(make_run().records)


def test_every_file_says_it(unsure, tmp_path):
    files.write_run(unsure, tmp_path)
    frame = pd.read_csv(tmp_path / "results.csv", keep_default_na=False)
    assert list(frame["notes"] == UNCONVERGED) == [False, True, *[False] * 4]
    assert UNCONVERGED in (tmp_path / "result.json").read_text()
    assert UNCONVERGED in html.render(unsure)
    page = card.render(unsure)
    row = next(line for line in page.splitlines() if line.startswith("| after"))
    assert UNCONVERGED in row
    assert "its figures are not final" in page
    assert UNCONVERGED not in card.render(make_run())


def test_records_of_several_seeds_keep_the_notes_of_each(unsure):
    together = pooled([unsure.records[0], unsure.records[1]])
    assert together.notes == (UNCONVERGED,)
    assert not together.converged
    assert results_frame([together])["notes"][0] == UNCONVERGED


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1, 30, 1e4]
    y = (x[:, 0] + rng.normal(size=200) > 0).astype(int)
    return Rows(x, y, Groups(rng.integers(0, 2, 200), ("a", "b")), ("n", "y"))


def test_a_fit_that_ran_out_of_evaluations_says_so():
    cut = fit_path(rows(), HeadSpec(ridge=1e-3), control=FitControl(max_evaluations=3))[0]
    assert not cut.converged
    assert as_fitted(cut).notes == (UNCONVERGED,)
    whole = fit_path(rows(), HeadSpec(ridge=1e-3))[0]
    assert whole.converged
    assert as_fitted(whole).notes == ()


def test_what_finetuning_chose_is_marked(adult, monkeypatch):
    plain = HeadFit.__init__

    def never(self, *given, **named):
        plain(self, *given, **named)
        object.__setattr__(self, "converged", False)

    monkeypatch.setattr(HeadFit, "__init__", never)
    small = replace(
        adult,
        problem=replace(adult.problem, train=adult.problem.train[:1500], known_ridge=1e-3),
    )
    run = finetune_stage(small, FinetuneRequest(strength=1.0), rule=Rule(guard=False)).run
    assert run.after is not None
    assert UNCONVERGED in run.after.notes
    assert any("the chosen fit did not converge" in warning for warning in run.warnings)
