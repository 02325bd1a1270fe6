"""Trackers keep what was asked, measured and chosen; a listener hears it in order."""

import json
import warnings

import numpy as np
import pytest
from small_runs import people

import evenhand as eh
from evenhand._base.events import together
from evenhand.integrations import trackers

pytestmark = pytest.mark.filterwarnings("default")  # those within the trackers are not ours to mend
ASKED = {"label": "repaid", "groups": "sex", "drop": ["id"], "split": "part", "strength": 1.0}


@pytest.fixture(scope="module")
def told():
    events = []
    result = eh.finetune(None, people(), on_event=events.append, **ASKED)
    return events, result


def test_a_fine_tuning_tells_what_happens_in_order(told):
    events, result = told
    names = [event.name for event in events]
    measured = len(result.run.records)
    assert names == ["started", *["measured"] * measured, "chosen", "finished"]
    assert {event.work for event in events} == {"finetune"}
    assert events[0].values["asked"]["strength"] == 1
    rows = [event.values for event in events if event.name == "measured"]
    assert [row["delta_eo"] for row in rows] == [r.row()["delta_eo"] for r in result.run.records]
    assert events[-2].values["decided"] == result.run.decided
    json.dumps([dict(event.values) for event in events], default=str)


def test_mlflow_keeps_parameters_metrics_and_the_choice(told, tmp_path, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    try:
        events, result = told
        tracker = trackers.MlflowTracker("people")
        for event in events:
            tracker(event)
        assert mlflow.active_run() is None
        (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    finally:
        mlflow.set_tracking_uri(None)  # what the environment says again
    assert run.info.run_name == "people"
    assert run.data.params["asked.strength"] == "1.0"
    after = result.run.after
    assert run.data.metrics["evenhand 1/delta_eo"] == pytest.approx(after.gap("eo"))
    assert run.data.tags["evenhand.decided"].startswith("Chosen: a head at strength 1")


def test_tensorboard_keeps_scalars(told, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events, result = told
    tracker = trackers.TensorBoardTracker(tmp_path)
    for event in events:
        tracker(event)
    kept = EventAccumulator(str(tmp_path))
    kept.Reload()
    (scalar,) = kept.Scalars("evenhand 1/delta_eo")
    assert scalar.value == pytest.approx(result.run.after.gap("eo"), rel=1e-5)


class Run:
    """What wandb.init gives, as far as it is used."""

    def __init__(self):
        self.config, self.summary, self.logged = {}, {}, {}
        self.config = type("Config", (dict,), {"update": lambda s, v, **_: dict.update(s, v)})()

    def log(self, values):
        self.logged |= values


def test_wandb_is_given_the_same(told):
    events, result = told
    run = Run()
    tell = together(trackers.WandbTracker(run), lambda event: None)
    for event in events:
        tell(event)
    assert run.config["asked.strength"] == "1.0"
    assert run.logged["evenhand 1/delta_eo"] == pytest.approx(result.run.after.gap("eo"))
    assert run.summary["decided"] == result.run.decided


def test_training_inside_the_model_tells_each_epoch():
    from torch import nn

    pytest.importorskip("peft")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 4)).astype(np.float32)
    labels, sexes = (inputs[:, 0] > 0).astype(int), rng.choice(["F", "M"], 200)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own
        eh.adapt(
            model,
            (inputs, labels, sexes),
            target_modules=["0"],
            epochs=2,
            validate=lambda _, epoch: {"gap": 0.5 / epoch},
            on_event=events.append,
        )
    assert [event.name for event in events] == ["started", "epoch", "epoch", "finished"]
    found = [metric for event in events for metric in trackers.metrics(event)]
    assert [(name, step) for name, _, step in found[:6]] == [
        ("adapt/log_loss", 1),
        ("adapt/gap", 1),
        ("adapt/valid/gap", 1),
        ("adapt/log_loss", 2),
        ("adapt/gap", 2),
        ("adapt/valid/gap", 2),
    ]
    assert found[5][1] == 0.25


def test_a_comparison_tells_its_progress(tmp_path, monkeypatch):
    people().drop(columns=["id"]).to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: repaid\ngroups: [sex]\nsplit: part\n"
    )
    events = []
    asked = {"methods": ["transfer", "gap-eo"], "on_event": events.append}
    eh.compare(tmp_path / "task.yaml", [0], tmp_path / "out", **asked)
    progress = [event.values for event in events if event.name == "progress"]
    assert progress[-1]["done"] == progress[-1]["of"] > 0
    assert {e.values["method"] for e in events if e.name == "measured"} == {"transfer", "gap-eo"}
    assert events[0].name == "started"
    assert events[-1].name == "finished"


def test_the_command_line_tells_it_on_request(tmp_path, monkeypatch, capsys):
    from evenhand.cli.main import main

    monkeypatch.chdir(tmp_path)
    people().drop(columns=["id"]).to_csv("people.csv", index=False)
    (tmp_path / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: repaid\ngroups: [sex]\nsplit: part\nstrength: 1\n"
    )
    with pytest.raises(SystemExit) as done:
        main(["-v", "--log-json", "log.jsonl", "finetune", "task.yaml", "-q", "-o", "out"])
    assert not done.value.code
    shown = capsys.readouterr().err
    assert "finetune chosen: decided=Chosen: a head at strength 1" in shown
    assert "\r" not in shown
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[0]["event"] == "started"
    assert lines[-1]["event"] == "finished"
    assert lines[-2]["values"]["promised"] is None
    with pytest.raises(SystemExit):
        main(["finetune", "task.yaml", "-q", "-o", "out"])
    assert not capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--log-json", "no/where.jsonl", "init", "table"])
    assert "--log-json no/where.jsonl: No such file" in capsys.readouterr().err
