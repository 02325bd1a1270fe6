"""Any arguments and any task file: one line and exit code 2, or the work begins."""

import string
from pathlib import Path

import pytest
import yaml
from fuzzing import WorkError, amounts, command, fuzz
from hypothesis import strategies as st

from evenhand.finetuning.request import OPTIONS as KNOWN
from evenhand.finetuning.task_file import parse_config
from evenhand.finetuning.task_file_example import example

WORDS = ("", "0", "1", "-1", "0.5", "nan", "inf", "-inf", "1e999", "1e-300", "2", "11", "4.2", "x",
         "true", "adult", "auto", "eo=0.1", "eo", "eo=", "=1", "eo=nan", "dp=0.2", "eopp=-1",
         "equalized_odds=3", "sex", "race", "sex,race", "income", "occupation", "f1", "log_loss",
         "accuracy", "gap-eo", "transfer", "transfer,gap-eo", ",", "transfer:dense", "é", "\n",
         "x" * 300, "/dev/null", "..", "~", "nowhere/at/all", "--", "%s", "{}", "9" * 20, "1_000",
         "mobilenet_v2", "resnet18", "table3", "all", "y", "yhat", "p.csv", "g", "p")  # fmt: skip
OPTIONS = {
    "finetune": "data label group model weights head image-size max-length bound criterion "
    "confidence max-cost error strength rank alpha adapter layers seed output cache",
    "compare": "seeds methods data label group model weights head image-size max-length bound "
    "confidence error layers reference output jobs cache",
    "plan": "data label group model weights confidence seed cache",
    "audit": "label group prediction score threshold positive criterion min-count suppress-below "
    "fail-above output",
    "paper": "seeds tasks data output jobs cache",
    "init": "",
    "cache": "cache",
    "study": "replicates seed seeds output jobs",
    "rerun": "output cache",
}
FLAGS = {
    "finetune": ("--json", "--quiet"), "compare": ("--json", "--quiet"), "plan": ("--json",),
    "audit": ("--json", "--quiet", "--cross", "--no-cross", "--by-upper"), "cache": ("--all",),
    "paper": ("--json", "--quiet"),
}  # fmt: skip
FIRST = {
    "finetune": ("adult", "task.yaml", "bad.yaml", "celeba", "lfwa", "adlut"),
    "compare": ("adult", "task.yaml", "celeba"),
    "plan": ("adult", "task.yaml", "bad.yaml"),
    "audit": ("p.csv", "no.csv", ".", "task.yaml"),
    "paper": ("table3", "all", "fig9", "sensitivity"),
    "init": ("table", "images", "text", "sound"),
    "cache": ("list", "clear", "burn"),
    "study": ("coverage", "safeguards", "last-block", "none"),
    "rerun": ("nowhere", "."),
}
words = st.one_of(st.sampled_from(WORDS), st.text(string.printable, max_size=8))


@st.composite
def arguments(draw):
    verb = draw(st.sampled_from(sorted(OPTIONS)))
    made = [verb, draw(st.one_of(st.sampled_from(FIRST[verb]), words))]
    for option in draw(st.lists(st.sampled_from((OPTIONS[verb] or "none").split()), max_size=4)):
        made += [f"--{option}", draw(words)]
    made += draw(st.lists(st.sampled_from(FLAGS.get(verb, ("--quiet",))), max_size=2))
    if verb == "audit" and draw(st.booleans()):
        made += ["--label", "y", "--prediction", "p", "--group", "g"]
    return [part for part in made if "\0" not in part]


@pytest.fixture
def no_work(monkeypatch, tmp_path):
    """A folder with a task file and predictions; what takes long raises instead."""

    def begin(*_given, **_named):
        raise WorkError

    for target in (
        "evenhand.finetuning.recipe.Recipe.stage",
        "evenhand.finetuning.recipe.Recipe.extract",
        "evenhand.experiments.compare.run.compare",
        "evenhand.experiments.paper.run.run_plan",
        "evenhand.experiments.studies.coverage.coverage",
        "evenhand.experiments.studies.safeguards.safeguards",
        "evenhand.experiments.studies.last_block.last_block",
    ):
        monkeypatch.setattr(target, begin)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "cache"))
    Path("task.yaml").write_text("task: table\ndata: p.csv\nlabel: y\ngroups: g\n")
    Path("bad.yaml").write_text("task: [table\n")
    Path("p.csv").write_text("y,p,g\n1,0,a\n0,0,b\n1,1,a\n0,1,b\n1,1,b\n")


def called(argv):
    code, _, _ = command(argv)
    return code != 2


@amounts(150, 5_000)
def test_any_arguments(no_work, examples):
    fuzz("command lines", examples, arguments(), called)


KEYS = [*KNOWN, "augment", "tsak"]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=10),
    st.sampled_from(WORDS), st.dates(), st.binary(max_size=4),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=8,
)
documents = st.one_of(
    st.dictionaries(st.sampled_from(KEYS), values, max_size=6).map(
        lambda made: yaml.safe_dump({"task": "table", "data": "p.csv", "label": "y"} | made)
    ),
    st.text(max_size=60),
    st.sampled_from(["[" * 5_000, "{" * 5_000, "- " * 3_000, "a: " * 500, "&a [*a]", "? [1]\n: 2"]),
    st.just("seed: " + "9" * 5_000),
    st.just("bound: " + "9" * 400),
    st.just("split: " + "9" * 400),
)


@st.composite
def edited(draw):
    """An example task file with a few characters changed."""
    text = list(example(draw(st.sampled_from(["table", "images", "text"]))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text) - 1))
        text[at] = draw(st.one_of(st.sampled_from("\t\n:#-[]{}&*!|>'\"%@`, "), st.characters()))
        if draw(st.booleans()):
            del text[at : at + draw(st.integers(1, 30))]
        if not text:
            break
    return "".join(text)


def parsed(text):
    config = parse_config(text)
    assert config.task
    assert 0 <= config.seed < 2**32
    assert 0.5 <= config.confidence <= 0.999
    config.to_config()
    config.options()


@amounts(150, 4_000)
def test_any_task_file(examples):
    fuzz("task files", examples, st.one_of(documents, edited()), parsed)


@pytest.mark.parametrize("key", ["task", "seed", "groups", "bound", "positive", "split"])
def test_a_task_file_that_explodes_is_refused_at_once(key):
    lines = ["x0: &x0 [y, y, y, y, y, y, y, y, y, y]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 9)]
    nested = "[" + ", ".join(["&z [y, y]"] + ["*z"] * 5) + "]"
    whole = "drop: &a0 [x, x, x]\nfeatures: &a1 [*a0, *a0, *a0]\n" + f"{key}: {nested}"
    fuzz("task files", 1, st.just(f"{key}:\n  " + "\n  ".join(lines)), parsed)
    fuzz("task files", 1, st.just(whole), parsed)


def through_the_command(text):
    Path("fuzzed.yaml").write_text(text, encoding="utf-8", errors="surrogateescape")
    code, _, _ = command(["plan", "fuzzed.yaml"])
    return code != 2


@amounts(20, 400)
def test_any_task_file_through_the_command(no_work, examples):
    fuzz("task files through the command", examples, edited(), through_the_command)
