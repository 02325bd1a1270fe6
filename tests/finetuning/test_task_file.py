"""task.yaml: what it says, and what its errors name."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.finetuning.task_file import parse_config, read_config
from evenhand.finetuning.task_file_example import KINDS, example
from evenhand.tasks import load

GOOD = "task: table\ndata: d.csv\nlabel: y\ngroups: [sex, race]\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_pass_and_name_their_kind(kind):
    config = parse_config(example(kind))
    assert config.task == kind
    assert config.bound == 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_commented_key_of_an_example_is_a_real_one(kind):
    lines = example(kind).splitlines()
    keys = [line[2:] for line in lines if line.startswith("# ") and ":" in line.split()[1]]
    assert keys
    text = "\n".join(x for x in lines if not x.startswith("#"))
    for line in keys:
        if line.startswith("weights") and "\nmodel:" not in text:
            line = f"model: a.b:c\n{line}"
        parse_config(f"{text}\n{line}\n")


def test_values_defaults_and_paths(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(GOOD + "criterion: dp\nsplit: {train: .5, valid: .2, test: .3}\nmodel: m\n")
    config = read_config(path)
    assert config.data == tmp_path / "d.csv"
    assert config.groups == ("sex", "race")
    assert (config.criterion, config.confidence, config.seed) == ("demographic_parity", 0.9, 0)
    assert config.options(seed=4) == {
        "seed": 4,
        "data": tmp_path / "d.csv",
        "label": "y",
        "groups": ("sex", "race"),
        "split": {"train": 0.5, "valid": 0.2, "test": 0.3},
    }
    assert parse_config("task: celeba\ndata: x\ngroups: Male\n").options()["group"] == "Male"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "lable: z\n", r"task\.yaml, line 5, lable: no such key; did you mean 'label'"),
        ("task: tabel\n", r"line 1, task: 'tabel' is not one of .* did you mean 'table'"),
        (GOOD + "bound: 3\n", r"line 5, bound: expected a number from 0 to 2, found 3"),
        (GOOD + "bound: yes\n", r"line 5, bound: expected a number, found True"),
        (GOOD + "seed: 1.5\n", r"line 5, seed: expected a whole number"),
        (GOOD + "error: mse\n", r"line 5, error: 'mse' is not one of f1, accuracy, balanced"),
        (GOOD + "criterion: odds\n", r"line 5, criterion: unknown criterion 'odds'"),
        (GOOD + "split: {train: .5}\n", r"line 5, split: the fractions must sum to 1"),
        (GOOD + "split: {train: .5, exam: .5}\n", r"line 5, split: unknown part 'exam'"),
        (GOOD + "text: t\n", r"line 5, text: is for task text, not table"),
        (GOOD + "augment: true\n", r"line 5, augment: augmentation gives an image other"),
        (GOOD + "label: z\n", r"line 5, label: already given in line 3"),
        ("task: table\ndata: d\ngroups: g\n", r"label: is missing; task table needs it"),
        ("data: d\n", r"task: is missing"),
        ("task: table\n  data: [\n", r"task\.yaml, line \d: not valid YAML"),
        ("", r"task\.yaml is empty"),
        ("- table\n", r"line 1: expected keys with values"),
        (GOOD + "positive: !!python/object/apply:os.system [ls]\n", r"not valid YAML"),
    ],
)
def test_errors_name_the_key_and_the_line(text, message):
    with pytest.raises(InputError, match=message):
        parse_config(text)


def test_a_task_file_loads_the_task(tmp_path):
    rows = [f"{20 + i % 50},{'FM'[i % 2]},{i // 2 % 2}" for i in range(80)]
    (tmp_path / "d.csv").write_text("\n".join(["age,sex,y", *rows]))
    path = tmp_path / "task.yaml"
    path.write_text("task: table\ndata: d.csv\nlabel: y\ngroups: sex\nname: small\n")
    task = read_config(path).load(seed=3)
    assert (task.name, len(task.train)) == ("small", 48)
    with pytest.raises(InputError, match="no task file at"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="unknown task 'adlut'"):
        load("adlut")


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=120))
def test_any_text_gives_a_config_or_our_error(text):
    with contextlib.suppress(InputError):
        parse_config(text)


def test_a_task_file_that_would_explode_is_refused():
    with pytest.raises(InputError, match=r"line 2: write the value again; aliases \(\*a\)"):
        parse_config("drop: &a [x]\nfeatures: *a\n")
    with pytest.raises(InputError, match="nested deeper than 8 levels"):
        parse_config("split: " + "[" * 5_000)
    with pytest.raises(InputError, match="expected a number from 0 to 2, found 9999"):
        parse_config("task: adult\nbound: " + "9" * 400)


def test_a_task_file_that_is_no_task_file_is_refused(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text("#" * 1_000_001)
    with pytest.raises(InputError, match="1,000,001 bytes: a task file is small"):
        read_config(path)


def test_what_the_report_tells_of_itself_is_a_file_beside_or_a_mapping(tmp_path):
    (tmp_path / "about.yaml").write_text("title: Loans\nversion: 2\ngroups: {F: women}\n")
    (tmp_path / "task.yaml").write_text(GOOD + "about: about.yaml\n")
    told = {"title": "Loans", "version": "2", "groups": {"F": "women"}}
    assert read_config(tmp_path / "task.yaml").about == told
    assert (
        parse_config(GOOD + "about: {title: Loans, groups: {F: women}, version: 2}").about == told
    )
    with pytest.raises(InputError, match=r"line 5, about: .*no key 'titel'; did you mean 'title'"):
        parse_config(GOOD + "about: {titel: x}\n")
    with pytest.raises(InputError, match=r"line 5, about: .*cannot be read"):
        parse_config(GOOD + "about: nowhere.yaml\n")
