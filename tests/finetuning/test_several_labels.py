"""Several labels: one pass, a run each, promises together; refused where one model is wanted."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import people
from torch import nn

import evenhand as eh
from evenhand._base.seals import check_sums
from evenhand.cli.main import main
from evenhand.errors import InputError
from evenhand.experiments.rerun import Where, rerun
from evenhand.finetuning.recipe import recipe
from evenhand.finetuning.several_labels import recipes_of_labels
from evenhand.report.labels import label_folders

LABELS = ("repaid", "member", "old/young")
ASKED = {"strength": 1.0, "groups": "sex", "split": "part"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    frame = people().drop(columns=["id", "town", "since"])
    frame["old/young"] = np.where(frame["age"].fillna(40) + frame["pay"] / 99 > 50, "old", "young")
    return frame


@pytest.fixture(scope="module")
def task_file(table, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    table.to_csv(folder / "people.csv", index=False)
    path = folder / "task.yaml"
    path.write_text(
        "task: table\ndata: people.csv\nlabel: [repaid, member, old/young]\ngroups: [sex]\n"
        "split: part\nstrength: 1\nbound: {demographic_parity: 0.4}\n"
    )
    return path


@pytest.fixture(scope="module")
def run(task_file) -> Path:
    folder = task_file.parent / "run"
    assert ended(["finetune", str(task_file), "-o", str(folder), "--allow-unpromised", "-q"]) == 0
    return folder


def ended(command) -> int:
    """How a command ends."""
    with pytest.raises(SystemExit) as end:
        main(command)
    return int(end.value.code or 0)


def test_each_label_is_what_a_run_of_it_alone_is(table):
    found = eh.finetune_labels(None, table, labels=LABELS, **ASKED)
    alone = eh.finetune(None, table, label="member", drop=["repaid", "old/young"], **ASKED)
    own = found["member"].run.after.counts.table
    assert own.tolist() == alone.run.after.counts.table.tolist()
    for label in LABELS:
        assert found[label].stage.label == label
        assert not set(LABELS) & set(found[label].stage.raw.needs)
    assert found.promised is None


def test_a_run_folder_holds_a_run_a_label_and_one_report(run):
    config = (run / "config.yaml").read_text()
    assert "command: finetune labels" in config
    told = json.loads((run / "result.json").read_text())
    assert [one["label"] for one in told["labels"]] == list(LABELS)
    assert told["confidence_of_each"] == pytest.approx(1 - 0.1 / 3)
    assert list(told["results"]) == list(LABELS)
    page = (run / "report.html").read_text()
    for one in told["labels"]:
        own = run / one["folder"]
        assert f'href="{one["folder"]}/report.html"' in page
        assert (
            json.loads((own / "result.json").read_text())["decided"]
            == (told["results"][one["label"]]["decided"])
        )
        decided = eh.load(own).predict(
            {"age": [20.0], "pay": [900.0], "member": [True]} | ({"repaid": ["yes"], "sex": ["F"]})
        )
        assert len(decided) == 1
    assert not check_sums(run)
    (run / told["labels"][1]["folder"] / "results.csv").write_text("changed")
    assert "labels/member/results.csv" in " ".join(check_sums(run))


def test_a_second_run_takes_the_folder_and_tells_of_all(run, task_file, capsys):
    promised = json.loads((run / "result.json").read_text())["promised"]
    assert ended(["finetune", str(task_file), "-o", str(run)]) == (0 if promised else 1)
    told = " ".join(capsys.readouterr().out.split())
    assert "all promises together at confidence 0.9, so that each is made at 0.966667" in told
    assert all(label in told for label in LABELS)
    assert not check_sums(run)


def test_promises_are_chosen_at_the_confidence_that_they_share(task_file):
    recipes = recipes_of_labels(recipe(str(task_file), several=True))
    one = recipes["member"]
    assert one.config.confidence == pytest.approx(1 - 0.1 / 3)
    assert one.config.drop == ("repaid", "old/young")
    assert one.config.rule().confidence == pytest.approx(1 - 0.1 / 3)


def test_a_kept_run_runs_again_whole_and_label_by_label(run, tmp_path):
    outcome = rerun(run, Where(tmp_path / "again"))
    assert outcome.differences == ()
    assert str(outcome) == "the numbers agree to the bit"
    assert rerun(run / "labels" / "member", Where(tmp_path / "member")).agrees
    changed = run.parent / "changed"
    rerun(run, Where(changed))
    table = changed / "labels" / "member" / "results.csv"
    table.write_text(table.read_text().replace("member", "x").replace("people", "persons"))
    assert not rerun(changed, Where(tmp_path / "third")).agrees


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "{run}", "{data}", "-o", "{out}.csv"),
        ("export", "{run}", "{out}.onnx"),
        ("watch", "{run}", "{data}"),
    ],
)
def test_what_reads_one_model_names_the_labels_folders(run, command, tmp_path, capsys):
    places = {"run": run, "data": run.parent / "people.csv", "out": tmp_path / "made"}
    assert ended([part.format(**places) for part in command]) == 2
    said = capsys.readouterr().err
    assert "a run for each of its 3 labels (3-old-young, member, repaid)" in " ".join(said.split())


@pytest.mark.parametrize("command", ["compare", "plan"])
def test_commands_for_one_label_say_so(task_file, command, tmp_path, capsys):
    assert ended([command, str(task_file), "-o", str(tmp_path / "made")]) == 2
    assert "one label can be predicted here" in " ".join(capsys.readouterr().err.split())


def test_an_older_run_is_not_written_over(task_file, run, capsys):
    single = ["finetune", str(task_file), "--label", "repaid", "--allow-unpromised", "-q"]
    assert ended([*single, "-o", str(run)]) == 2
    assert "holds a run of evenhand finetune labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("label: [repaid, repaid]", "given 2 times"),
        ("label: []", "expected a column's name"),
        ("label: [repaid, member]\nfeatures: [age, member]", "which is one of the labels"),
    ],
)
def test_task_files_that_cannot_be_name_the_key(task_file, lines, said):
    path = task_file.parent / "wrong.yaml"
    path.write_text(f"task: table\ndata: people.csv\ngroups: [sex]\n{lines}\n")
    with pytest.raises(InputError, match=said):
        recipe(str(path))


def test_more_promises_than_can_be_sure_are_refused(task_file):
    sure = recipe(str(task_file), several=True, confidence=0.998)
    with pytest.raises(InputError, match=r"more than 0\.999: give fewer labels"):
        recipes_of_labels(sure)


def splits(labels, rows=(240, 90, 90)):
    rng = np.random.default_rng(0)
    for n in rows:
        inputs = rng.normal(size=(n, 4)).astype(np.float32)
        codes = (inputs[:, :2] + rng.normal(size=(n, 2)) > 0).astype(int)
        yield inputs, labels(codes), rng.choice(["F", "M"], n)


@pytest.mark.parametrize(
    "labels",
    [
        lambda codes: codes,
        lambda codes: torch.tensor(codes),
        lambda codes: pd.DataFrame(codes, columns=["tall", "fit"]),
        lambda codes: {"tall": codes[:, 0], "fit": list(codes[:, 1])},
    ],
)
def test_labels_of_every_form_give_the_same_models(labels):
    found = eh.finetune_labels(
        None, *splits(labels), labels=["tall", "fit"], groups="sex", strength=0.3
    )
    alone = eh.finetune(None, *splits(lambda codes: codes[:, 1]), groups="sex", strength=0.3)
    assert list(found.results) == ["tall", "fit"]
    assert torch.equal(found["fit"].model.head.weight, alone.model.head.weight)


class Counting(nn.Module):
    """A network on images that counts the images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head, self.seen = nn.Conv2d(3, 6, 5, 2), nn.Linear(6, 2), 0

    def forward(self, images):
        self.seen += len(images)
        return self.head(self.conv(images).relu().mean((2, 3)))


def test_images_go_through_the_network_once_for_all_labels():
    def pictures(rows=(120, 60, 60)):
        rng = np.random.default_rng(1)
        for n in rows:
            images = rng.normal(size=(n, 3, 16, 16)).astype(np.float32)
            images[:, 0] += rng.normal(size=(n, 1, 1))
            high = images[:, :2].mean((2, 3)) + 0.2 * rng.normal(size=(n, 2)) > 0
            yield images, high.astype(int), rng.choice(["F", "M"], n)

    asked = {"groups": "sex", "strength": 0.3, "depth": 0}
    one = Counting()
    several = copy.deepcopy(one)
    alone = eh.finetune(one, *((x, y[:, 0], g) for x, y, g in pictures()), fresh_head=True, **asked)
    found = eh.finetune_labels(several, *pictures(), labels=["red", "green"], **asked)
    again = found["red"].run.after.counts.table
    assert again.tolist() == alone.run.after.counts.table.tolist()
    assert several.seen < one.seen + 240, "the second label took a second pass"
    assert found["red"].model.head.out_features == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["tall"]}, "2 columns, and 1 labels are named"),
        ({"label": "tall", "labels": None}, "labels="),
    ],
)
def test_wrong_calls_say_what_to_give(change, said):
    asked = {"labels": ["tall", "fit"], "groups": "sex"} | change
    with pytest.raises(InputError, match=said):
        eh.finetune_labels(
            None, *splits(lambda codes: codes), **{k: v for k, v in asked.items() if v is not None}
        )


def test_finetune_itself_sends_on_to_finetune_labels(table):
    with pytest.raises(InputError, match="finetune_labels"):
        eh.finetune(None, *splits(lambda codes: codes), groups="sex")
    with pytest.raises(InputError, match="finetune_labels"):
        eh.finetune(None, table, label=["repaid", "member"], groups="sex")


def test_an_error_names_its_label(table):
    wrong = table.assign(member="yes")
    with pytest.raises(InputError, match=r"label 'member': .*1 classes"):
        eh.finetune_labels(None, wrong, labels=["repaid", "member"], **ASKED)


def test_folders_are_told_apart_on_every_system():
    found = label_folders(["a/b", "A-B", "2-a-b", "…", "fine", "FINE"])
    names = [folder.removeprefix("labels/") for folder in found.values()]
    assert found["fine"] == "labels/fine"
    assert len({name.lower() for name in names}) == 6
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)
