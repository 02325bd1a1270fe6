"""A run's folder decides raw rows as the run did, in another process and on another path."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import NETWORKS, image_run, own_decisions, people, table_run, text_run
from torch import nn

import evenhand as eh
from evenhand._base.seals import sealed, unsealed
from evenhand.errors import ArtefactError, InputError
from evenhand.finetuning.fair_model import FairModel

FRESH = """
import sys, json, pandas as pd, evenhand as eh
model = eh.load(sys.argv[1])
data = sys.argv[2]
frame = pd.read_parquet(data) if data.endswith("parquet") else pd.read_csv(data)
frame = frame[frame.pop("part") == "test"].drop(columns=["sex"])
if "file" in frame:
    frame["file"] = sys.argv[2].rsplit("/", 1)[0] + "/" + frame["file"]
eh.predict(model, data, data + ".scored.csv", columns=["part"])
print(json.dumps([model.predict(frame).tolist(), model.predict_proba(frame)[:, 1].tolist()]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    result, data = table_run(tmp_path_factory.mktemp("table"))
    return result, result.save(data.parent / "run"), data


@pytest.mark.parametrize("kind", ["csv", "parquet", *NETWORKS])
def test_a_fresh_process_decides_raw_rows_as_the_run_did(kind, tmp_path):
    (tmp_path / "made").mkdir()
    make = {"text": text_run, "images": image_run}
    if kind in make:
        result, data = make[kind](tmp_path / "made")
    else:
        result, data = table_run(tmp_path / "made", kind)
    result.save(tmp_path / "made" / "run")
    shutil.move(tmp_path / "made", tmp_path / "elsewhere")
    elsewhere = tmp_path / "elsewhere"
    done = subprocess.run(
        [sys.executable, "-c", FRESH, elsewhere / "run", elsewhere / data.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    decisions, scores = json.loads(done.stdout)
    assert decisions == own_decisions(result)
    np.testing.assert_allclose(scores, result.run.after.scores, atol=1e-6)
    assert len(set(decisions)) == 2
    table = pd.read_csv(elsewhere / f"{data.name}.scored.csv")
    assert table["decision"][table["part"] == "test"].tolist() == own_decisions(result)


def test_what_a_model_says_of_itself(run):
    result, folder, _ = run
    model = eh.load(folder)
    assert isinstance(model, FairModel)
    assert model.classes == ("no", "yes")
    assert model.label == "repaid"
    assert set(model.needs) == {"age", "pay", "since", "town", "member"}
    assert model.needs_group is False
    assert "needs no group" in repr(model)
    assert model.promise.rows == {"train": 500, "valid": 200, "test": 200}
    assert model.promise.groups == ("F", "M")
    assert result.run.decided in str(model.promise)
    assert sum(model.decided.values()) == pytest.approx(1)
    share = own_decisions(result).count("yes") / 200
    assert model.decided["yes"] == pytest.approx(share)
    assert model.made_by["evenhand"] == eh.__version__


def test_columns_may_come_in_any_order_with_others_beside_them(run):
    model, frame = eh.load(run[1]), people().tail(50)
    expected = model.predict(frame)
    shuffled = frame[sorted(frame.columns, reverse=True)].assign(more=1)
    assert model.predict(shuffled).tolist() == expected.tolist()
    assert model.predict(frame.to_dict("records")).tolist() == expected.tolist()
    # not to_dict("list"): pandas 2.2.0 makes whole numbers of dates in it
    lists = {
        name: frame[name].tolist() for name in frame
    }  # old pandas makes whole numbers of dates
    assert model.predict(lists).tolist() == expected.tolist()
    assert model.predict(frame.head(1)).tolist() == expected[:1].tolist()
    assert model.predict(frame.head(0)).tolist() == []
    assert model.predict_proba(frame.head(0)).shape == (0, 2)


def test_what_cannot_be_read_is_named(run):
    model, frame = eh.load(run[1]), people().tail(5).astype(object)
    with pytest.raises(InputError, match="lacks 1 of the 5 columns that the model reads: town;"):
        model.predict(frame.drop(columns="town").rename(columns={"age": "AGE"}).assign(age=1))
    frame.iloc[2, frame.columns.get_loc("pay")] = "much"
    frame.iloc[4, frame.columns.get_loc("since")] = "long ago"
    with pytest.raises(InputError, match=r"row 3 cannot be read, and 1 more: pay: 'much' is no"):
        model.predict(frame)
    explained = model.explain_input_errors(frame)
    assert explained["row"].tolist() == [3, 5]
    assert explained["reason"][1] == "since: 'long ago' is no date"
    found = model.decide(frame)
    assert (found.codes[[2, 4]] == -1).all()
    assert np.isnan(found.probabilities[[2, 4]]).all()
    with pytest.raises(InputError, match="rows must be a table with named columns"):
        model.predict([1, 2])


def files_of(folder):
    return sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in (".lock", "SHA256SUMS")
    )


def test_a_run_that_loses_or_changes_any_file_is_refused_by_name(run, tmp_path):
    for name in files_of(run[1]):
        for change in ("changed", "lost"):
            folder = shutil.copytree(run[1], tmp_path / "copy")
            if change == "lost":
                (folder / name).unlink()
            else:
                content = bytearray((folder / name).read_bytes())
                content[len(content) // 2] ^= 1
                (folder / name).write_bytes(content)
            with pytest.raises((ArtefactError, InputError), match=name.replace(".", r"\.")):
                eh.load(folder)
            shutil.rmtree(folder)
    assert {"model/rows.json", "model/README.md", "model/model.safetensors", "report.html"} <= set(
        files_of(run[1])
    )


def test_the_models_folder_alone_is_enough_and_is_sealed_too(run, tmp_path):
    folder = shutil.copytree(run[1] / "model", tmp_path / "m")
    (folder / "README.md").write_text("my own words")
    frame = people().tail(20)
    assert eh.load(folder).predict(frame).tolist() == eh.load(run[1]).predict(frame).tolist()
    (folder / "rows.json").unlink()
    with pytest.raises(ArtefactError, match=r"rows\.json is damaged or was changed: it is missing"):
        eh.load(folder)


def test_a_model_written_again_decides_the_same(run, tmp_path):
    model = eh.load(run[1])
    folder = eh.save(model, tmp_path / "again")
    again = eh.load(folder)
    assert again.promise == model.promise
    frame = people().tail(30)
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_damage_behind_a_whole_seal_is_named(run, tmp_path):
    folder = shutil.copytree(run[1] / "model", tmp_path / "m")
    seal = unsealed((folder / "evenhand.json").read_bytes())
    for key in ("promise", "classes", "preparation"):
        less = {name: value for name, value in seal.items() if name != key}
        (folder / "evenhand.json").write_text(sealed(less))
        with pytest.raises((ArtefactError, InputError)):
            eh.load(folder)
    with pytest.raises(InputError, match="holds no fine-tuned model"):
        eh.load(tmp_path)
    with pytest.raises(InputError, match="holds no fine-tuned model"):
        eh.load(tmp_path / "nowhere")


@pytest.mark.whole
def test_unreadable_images_are_left_empty_with_a_reason(tmp_path):
    result, _ = image_run(tmp_path)
    model = result.fair_model
    (tmp_path / "cut.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    found = model.decide([tmp_path / "0.png", tmp_path / "cut.png", tmp_path / "none.png", None])
    assert found.codes[0] >= 0
    assert (found.codes[1:] == -1).all()
    assert "cut.png cannot be decoded" in found.reasons[1]
    assert "none.png: No such file" in found.reasons[2]
    assert found.reasons[3] == "no file is named"


def test_arrays_of_a_module_of_ones_own(tmp_path):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    y, sex = (x[:, 0] + rng.normal(size=400) > 0).astype(int), rng.choice(["F", "M"], 400)
    parts = [(x[i:j], y[i:j], sex[i:j]) for i, j in ((0, 200), (200, 300), (300, 400))]

    def build():
        return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))

    result = eh.finetune(build(), *parts)
    folder = result.save(tmp_path / "run")
    with pytest.raises(InputError, match="give a module of that class as `into`"):
        eh.load(folder)
    model = eh.load(folder, into=build())
    assert model.needs == ()
    assert model.predict(x[300:]).tolist() == own_decisions(result)


def test_frames_of_other_libraries_are_read(run):
    polars = pytest.importorskip("polars")
    frame = people().tail(20)
    model = eh.load(run[1])
    expected = model.predict(frame).tolist()
    assert model.predict(polars.from_pandas(frame)).tolist() == expected
    arrow = pytest.importorskip("pyarrow")
    assert model.predict(arrow.Table.from_pandas(frame)).tolist() == expected


@pytest.mark.parametrize("given", [None, b"runs/one", 3, ["runs/one"]])
def test_what_is_no_folder_is_named_by_its_type(given, run, tmp_path):
    model, found = run[0].fair_model, rf"found an? {type(given).__name__}$"
    with pytest.raises(InputError, match=f"^the folder of a run is .* {found}"):
        eh.load(given)
    with pytest.raises(InputError, match=f"^the folder of a run is .* {found}"):
        eh.watch(given, people(), label="repaid", prediction="member", groups="sex")
    with pytest.raises(InputError, match=f"^the folder to write to is .* {found}"):
        run[0].save(given)
    with pytest.raises(InputError, match=f"^the folder of a model is .* {found}"):
        eh.save(model, given)
    with pytest.raises(InputError, match=f"^the data is .* {found}"):
        eh.predict(model, given, tmp_path / "scored.csv")
    with pytest.raises(InputError, match=f"^the file of decisions is .* {found}"):
        eh.predict(model, "new.csv", given)
