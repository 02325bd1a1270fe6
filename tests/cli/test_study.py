"""``evenhand study``: a folder is one study's, known again, and never somebody's."""

import pandas as pd
import pytest

from evenhand._base.asked import read_asked, write_asked
from evenhand._base.run_folder import STUDIES
from evenhand._base.seals import check_sums
from evenhand.cli.main import main
from evenhand.experiments.studies import coverage as study

FACES = ("last-block", "labels", "worst-groups")
MORE = {f"study {name}": ["--data", "celeba"] for name in FACES}


def run(command, folder):
    with pytest.raises(SystemExit) as done:
        main([*command.split(), "-o", str(folder), *MORE.get(command, [])])
    return done.value.code


@pytest.mark.parametrize("command", STUDIES)
def test_another_runs_folder_is_refused_before_any_work(command, tmp_path, capsys):
    write_asked(tmp_path, {"command": "finetune"}, [])
    assert run(command, tmp_path) == 2
    assert "holds a run of evenhand finetune" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "config.yaml"]


@pytest.mark.parametrize("command", STUDIES)
def test_somebodys_page_is_refused_before_any_work(command, tmp_path, capsys):
    mine = tmp_path / STUDIES[command][0]
    mine.write_text("mine")
    assert run(command, tmp_path) == 2
    assert "which no run of evenhand wrote" in capsys.readouterr().err
    assert mine.read_text() == "mine"


def test_a_study_says_what_was_asked_and_seals_what_it_wrote(tmp_path, monkeypatch):
    kept = {"promised": [True, True, False], "true_gap": [0.05, 0.2, 0.5], "draw": range(3)}
    cell = {"population": "p", "rows": 100, "criterion": "equalized_odds", "bound": 0.1}
    told = {
        "confidence": 0.9,
        "floor": 0.02,
        "even_refused": 0.0,
        "way": study.DEFAULT_WAY,
        "true_error": 16.0,
        "z": 1.3,
    }
    draws = pd.DataFrame(kept | cell | told)
    monkeypatch.setattr(study, "coverage", lambda **_: draws.assign(kept=draws["draw"] == 0))
    folder = tmp_path / "study"
    asked = ["study", "coverage", "--replicates", "1", "--seed", "3", "--jobs", "1", "--quiet"]
    for _ in range(2):  # the second into its own folder
        with pytest.raises(SystemExit) as done:
            main([*asked, "-o", str(folder)])
        assert done.value.code == 0
    assert read_asked(folder) == {"command": "study coverage", "replicates": 1, "seed": 3}
    assert check_sums(folder) == []
    assert "--replicates 1 --seed 3" in (folder / "coverage.md").read_text()
    assert run("study safeguards", folder) == 2
