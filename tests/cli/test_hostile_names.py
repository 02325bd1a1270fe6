"""Names with terminal codes: no command prints or writes one that could act."""

import csv
import re

import numpy as np
import pytest

from evenhand.cli.main import main

ACTING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
AUDIT = ("audit", "DATA", "--label", "label", "--prediction", "label", "--group")
GROUPS = ("\x1b[31mA\u202e", "B\x9b2J")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("task")
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["x", "group\x1b]0;t\x07", "label"])
        for _ in range(600):
            g = draw.integers(0, 2)
            label = ["no\x1b[2J", "yes"][int(draw.random() < 0.4 + 0.2 * g)]
            out.writerow([f"{draw.normal() + g:.4f}", GROUPS[g], label])
    (folder / "task.yaml").write_text(
        'task: table\ndata: data.csv\nlabel: label\ngroups: ["group\\e]0;t\\a"]\nfeatures: [x]\n'
    )
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["finetune", "TASK", "--strength", "1", "-o", "OUT"],
        ["finetune", "TASK", "--strength", "1", "-o", "OUT", "--json"],
        ["compare", "TASK", "--methods", "transfer", "--seeds", "1", "--jobs", "1", "-o", "OUT"],
        ["plan", "TASK"],
        ["plan", "TASK", "--json"],
        ["plan", "TASK", "--group", "g\x1b[2J"],
        ["plan", "no\x1b[2J.yaml"],
        [*AUDIT, "group\x1b]0;t\x07", "--output", "OUT"],
        [*AUDIT, "\x9b2J"],
    ],
    ids=range(9),
)
def test_no_name_of_the_data_acts(task, tmp_path, arguments, capsys):
    places = {
        "TASK": str(task / "task.yaml"),
        "DATA": str(task / "data.csv"),
        "OUT": str(tmp_path / "out"),
    }
    with pytest.raises(SystemExit):
        main([places.get(each, each) for each in arguments])
    told = capsys.readouterr()
    assert told.out + told.err
    assert not ACTING.findall(told.out)
    assert not ACTING.findall(told.err)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors":
            assert not ACTING.findall(file.read_text(encoding="utf-8")), file
