"""A promise watched from look to look, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from evenhand.auditing import audit
from evenhand.auditing.watching.judge import BROKEN, KEPT, OPEN, judge
from evenhand.auditing.watching.log import Log, opened
from evenhand.auditing.watching.watch import MOST_SERIES, _series, watch
from evenhand.cli.main import app
from evenhand.criteria import Criterion
from evenhand.errors import ArtefactError, InputError

RATES = {"F": (0.3, 0.8, 0.10), "M": (0.4, 0.84, 0.12)}
"""Share with the label; decided positive with it, and without."""


def decisions(rows, seed=0, lost=0.0):
    """Decisions as the run made them; of those found in group F, a share ``lost`` is not."""
    draw = np.random.default_rng(seed)
    group = draw.choice(list(RATES), rows)
    share, found, wrong = (np.array([RATES[g][at] for g in group]) for at in range(3))
    label = draw.random(rows) < share
    decided = draw.random(rows) < np.where(label, found, wrong)
    decided &= ~((group == "F") & label & (draw.random(rows) < lost))
    names = np.array(["no", "yes"])
    return pd.DataFrame(
        {"decision": names[decided.astype(int)], "y": names[label.astype(int)], "sex": group}
    )


@pytest.fixture
def run(tmp_path):
    table = decisions(8000, 99).rename(columns={"decision": "p"})
    audit(table, label="y", prediction="p", groups="sex").write(tmp_path / "run")
    return tmp_path / "run"


BOUND = ("--bound", "equalized_odds=0.12", "--prediction", "decision")


def look(run, table, *options, name="new.csv"):
    path = run.parent / name
    table.to_csv(path, index=False)
    return CliRunner().invoke(app, ["watch", str(run), str(path), *BOUND, *options])


def test_a_kept_promise_is_kept_and_a_broken_one_found(run, tmp_path):
    files = ("--report", str(tmp_path / "w.html"), "--metrics", str(tmp_path / "w.prom"))
    first = look(run, decisions(300, 1))
    assert (first.exit_code, OPEN in first.output) == (0, True), first.output
    for seed in range(2, 6):
        kept = look(run, decisions(12_000, seed), *files)
        assert kept.exit_code == 0
    assert "equalized odds (ΔEO) at most 0.12: kept; " in kept.output
    assert 'evenhand_watch_state{criterion="equalized_odds"} 0' in (tmp_path / "w.prom").read_text()
    broken = look(run, decisions(12_000, 7, lost=0.4), *files, "--json")
    assert broken.exit_code == 1
    entry = json.loads(broken.stdout[: broken.stdout.rindex("}") + 1])
    assert entry["bounds"]["equalized_odds"]["state"] == BROKEN
    assert entry["look"] == 6
    again = look(run, decisions(100, 8), *files)
    assert (again.exit_code, "broken since" in again.output) == (1, True)
    text = (tmp_path / "w.prom").read_text()
    assert 'evenhand_watch_state{criterion="equalized_odds"} 2' in text
    assert text.endswith("# EOF\n")
    page = (tmp_path / "w.html").read_text()
    assert "The promise is broken" in page
    assert page.count("<circle") == 7


def test_each_decision_is_counted_once(run):
    table = decisions(200)
    assert look(run, table).exit_code == 0
    twice = look(run, table)
    assert isinstance(twice.exception, InputError)
    assert "new.csv was counted at look 1" in str(twice.exception)
    assert len(Log(run / "watch.jsonl").looks) == 1


def test_without_labels_parity_is_watched_and_labels_may_come_later(run):
    bounds = ("--bound", "demographic_parity=0.3")
    bare = decisions(4000, 1).drop(columns="y")
    assert look(run, bare, *bounds).exit_code == 0
    entry = Log(run / "watch.jsonl").looks[-1]
    assert entry["bounds"]["equalized_odds"]["rows"] == 0
    assert entry["bounds"]["equalized_odds"]["state"] == OPEN
    assert entry["bounds"]["demographic_parity"]["state"] == KEPT
    assert "label" not in entry["shifts"]
    late = look(run, decisions(4000, 1), *bounds, "--labelled-later", name="late.csv")
    assert late.exit_code == 0
    entry = Log(run / "watch.jsonl").looks[-1]
    assert entry["bounds"]["equalized_odds"]["rows"] == 4000
    assert entry["bounds"]["demographic_parity"]["rows"] == 4000
    named = look(run, bare.assign(x=1), *bounds, "--label", "truth", name="x.csv")
    assert "no column 'truth'" in str(named.exception)


def test_shifts_are_told_and_groups_the_run_does_not_know_are_left_out(run):
    table = decisions(3000, 1)
    table = table[(table["sex"] == "F") | (np.arange(len(table)) % 4 == 0)]
    table = pd.concat([table, table.head(7).assign(sex="X")])
    told = look(run, table).output
    assert "7 rows left out" in told
    assert "group F: 7" in told
    assert "group M: 2" in told


def test_classes_written_otherwise_are_read_and_others_refused(run):
    table = decisions(300)
    other = table.assign(decision=table["decision"].map({"no": 0, "yes": 1}))
    assert "was read in 'decision'" in look(run, other).output
    wrong = look(run, table.assign(decision="maybe"), name="wrong.csv")
    assert isinstance(wrong.exception, InputError)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bound": {}}, "was given no bound"), ({"bound": {"ap": 0.1}}, "cannot be watched")],
)
def test_what_cannot_be_watched_is_named(run, options, message):
    with pytest.raises(InputError, match=message):
        watch(run, decisions(10), prediction="decision", **options)


def test_another_promise_needs_a_log_of_its_own(run):
    look(run, decisions(100))
    with pytest.raises(InputError, match="was kept for other bounds"):
        watch(run, decisions(100, 1), prediction="decision", bound={"eo": 0.2})
    found = watch(
        run, decisions(100, 1), prediction="decision", bound={"eo": 0.2}, log=run / "other.jsonl"
    )
    assert found.last["look"] == 1


def test_a_changed_run_or_log_is_found(run):
    for seed in range(3):
        look(run, decisions(100, seed))
    path = run / "watch.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for damaged in (
        lines[0] + lines[2],
        lines[1] + lines[2],
        "".join(lines).replace('"rows": 100', '"rows": 101', 1),
        "x\n" + "".join(lines),
    ):
        path.write_text(damaged)
        with pytest.raises(ArtefactError, match="line"):
            Log(path)
    path.write_text("".join(lines))
    result = run / "result.json"
    result.write_text(result.read_text().replace("yes", "YES"))
    with pytest.raises(ArtefactError, match=r"result\.json was changed"):
        watch(run, decisions(100, 9), prediction="decision", bound={"eo": 0.12})


@pytest.mark.parametrize("left", [1, 40])
def test_a_torn_line_is_written_over(run, left):
    look(run, decisions(100))
    path = run / "watch.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"look": 2, "what was never written to its end'[:left])
    done = look(run, decisions(100, 1))
    assert "had been cut by a kill" in done.output
    assert [each["look"] for each in Log(path).looks] == [1, 2]
    assert path.read_bytes().startswith(whole)


def test_a_kill_at_any_time_leaves_whole_looks(tmp_path):
    path = tmp_path / "watch.jsonl"
    code = (
        "import sys; from pathlib import Path; from evenhand.auditing.watching.log import opened\n"
        "with opened(Path(sys.argv[1])) as log:\n"
        "    print('on', flush=True)\n"
        "    while True: log.append({'look': len(log.looks) + 1, 'pad': 'x' * 5000})\n"
    )
    before = 0
    for wait in (0.02, 0.1, 0.25):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(wait)
            os.kill(process.pid, signal.SIGKILL)
        with opened(path) as log:
            assert [one["look"] for one in log.looks] == list(range(1, len(log.looks) + 1))
            assert len(log.looks) >= before
            before = len(log.looks)
    assert before > 2


def test_many_groups_and_classes_share_what_may_go_wrong():
    draw = np.random.default_rng(0)
    labelled = draw.integers(20, 60, (4, 3, 3))
    verdict, parity = judge(
        labelled.sum(axis=1),
        labelled,
        {Criterion.EQUALIZED_ODDS: 0.1, Criterion.DEMOGRAPHIC_PARITY: 0.99},
        labelled,
        0.05,
    )
    assert verdict.low < verdict.gap < verdict.high
    assert parity.state == KEPT
    nothing = np.zeros_like(labelled)
    (empty,) = judge(nothing.sum(axis=1), nothing, {Criterion.EQUALIZED_ODDS: 0.1}, labelled, 0.05)
    assert (empty.state, np.isnan(empty.gap)) == (OPEN, True)


def test_a_late_change_is_found_by_the_series_that_began_after_it(run):
    options = ("--window", "2000")
    for seed in range(8):
        assert look(run, decisions(2000, seed), *options, name=f"{seed}.csv").exit_code == 0
    for seed in range(8, 12):
        last = look(run, decisions(2000, seed, lost=0.25), *options, name=f"{seed}.csv")
    entry = Log(run / "watch.jsonl").looks[-1]["bounds"]["equalized_odds"]
    assert last.exit_code == 1
    assert entry["low"] < 0.12  # all looks together do not show it
    assert entry["window"]["low"] < 0.12  # nor does the newest window alone


def test_the_series_of_every_window_end_now():
    draw, looks = np.random.default_rng(0), []
    for window in (1, 1, 2, 3, 3):
        counts = {
            "decided": draw.integers(0, 9, (2, 2)),
            "labelled": draw.integers(0, 9, (2, 2, 2)),
        }
        looks.append({"window": window, **counts})
    now = draw.integers(0, 9, (2, 2)), draw.integers(0, 9, (2, 2, 2))
    found = _series(looks, 4, *now)
    assert [number for number, *_ in found] == [1, 2, 3, 4]
    for number, decided, labelled in found:
        since = [one for one in looks if one["window"] >= number]
        np.testing.assert_array_equal(decided, now[0] + sum(o["decided"] for o in since))
        np.testing.assert_array_equal(labelled, now[1] + sum(o["labelled"] for o in since))
    many = [{**looks[0], "window": w} for w in range(1, 200)]
    kept = [number for number, *_ in _series(many, 200, *now)]
    assert kept == [1, *range(200 - MOST_SERIES + 1, 201)]


def test_what_predict_saw_is_told_beside(run):
    drift = {
        "columns": {
            "age": {"missing": 0.2, "missing in the run's training rows": 0.01},
            "job": {"missing": 0.0, "missing in the run's training rows": 0.0, "unseen": 0.08},
        }
    }
    (run.parent / "new.csv.drift.json").write_text(json.dumps(drift))
    done = look(run, decisions(500))
    assert "age: 20.0% missing, 1.0% in the run's training rows" in done.output
    assert "job: 8.0% are values that the run never saw" in done.output
    entry = Log(run / "watch.jsonl").looks[-1]
    assert entry["shifts"]["unseen"] == {"job": {"now": 0.08, "then": 0.0}}
    (run.parent / "other.csv.drift.json").write_text("{")
    damaged = look(run, decisions(500, 1), name="other.csv")
    assert "other.csv.drift.json is damaged" in str(damaged.exception)
