"""MLflow keeps a model whole: logged to a local store and loaded, it decides as the run did."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from small_runs import NETWORKS, image_run, own_decisions, people, table_run, text_run

import evenhand as eh
from evenhand.errors import ArtefactError, InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("mlflow.pyfunc")

from evenhand.integrations import mlflow as flavour

pytestmark = pytest.mark.filterwarnings("default")  # those within MLflow are not ours to mend

MAKE = {"table": table_run, "images": image_run, "text": text_run}

FRESH = """
import sys, mlflow.pyfunc, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pd.read_parquet(sys.argv[2]))["decision"].tolist())
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A tracking store of the test's own, as a folder."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    yield tmp_path / "store"
    mlflow.set_tracking_uri(None)  # what the environment says again


def test_rows(kind, data, folder):
    frame = pd.read_csv(data)
    frame = frame[frame.pop("part") == "test"].drop(columns=["sex"])
    if kind == "images":
        frame["file"] = str(folder) + "/" + frame["file"]
    return frame


test_rows.__test__ = False


@pytest.mark.parametrize("kind", ["table", *NETWORKS])
def test_a_logged_model_decides_as_the_run(kind, store, tmp_path):
    result, data = MAKE[kind](tmp_path)
    rows = test_rows(kind, data, tmp_path)
    with mlflow.start_run():
        logged = flavour.log_model(result, "fair")
    served = mlflow.pyfunc.load_model(logged.model_uri)
    found = served.predict(rows)
    assert found.columns.tolist() == ["decision", "score", "reason"]
    assert found["decision"].tolist() == own_decisions(result)
    np.testing.assert_allclose(found["score"], result.run.after.scores, atol=1e-6)
    assert served.metadata.signature.inputs.input_names() == list(result.fair_model.needs)
    assert served.metadata.metadata["promise"]["attribute"] == "sex"
    again = flavour.load_model(logged.model_uri)
    assert str(again.promise) == str(result.fair_model.promise)


@pytest.mark.whole
def test_a_saved_folder_is_served_in_a_fresh_process(tmp_path):
    result, _ = table_run(tmp_path)
    folder = tmp_path / "kept"
    flavour.save_model(result.save(tmp_path / "run"), folder)
    assert not [file for file in folder.rglob("*") if file.suffix in (".pkl", ".pickle")]
    people().query("part == 'test'").to_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-W", "ignore", "-c", FRESH, folder, tmp_path / "rows.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str(own_decisions(result))
    weights = folder / "data" / flavour.DATA / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtefactError, match=r"model\.safetensors is damaged"):
        flavour.load_model(folder)


def test_rows_that_cannot_be_read_are_empty_with_a_reason(tmp_path):
    result, _ = table_run(tmp_path)
    flavour.save_model(result, tmp_path / "kept")
    served = mlflow.pyfunc.load_model(str(tmp_path / "kept"))
    rows = people().tail(3).astype({"pay": object})
    rows.iloc[1, rows.columns.get_loc("pay")] = "much"
    found = served.predict(rows)
    assert found["reason"].tolist() == [None, "pay: 'much' is no number", None]
    assert found["decision"].isna().tolist() == [False, True, False]
    assert found["decision"][1] is None
    assert found["score"][1] is None
    assert len(served.predict(rows.head(0))) == 0
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"missing inputs .*town"):
        served.predict(rows.drop(columns="town"))


def test_arrays_need_an_example_and_modules_of_ones_own_are_refused(tmp_path):
    from torch import nn

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    labels, sexes = (x[:, 0] > 0).astype(int), rng.choice(["F", "M"], 300)
    parts = [(x[i : i + 100], labels[i : i + 100], sexes[i : i + 100]) for i in (0, 100, 200)]
    result = eh.finetune(None, *parts, strength=0.1)
    with pytest.raises(InputError, match="give some as input_example"):
        flavour.save_model(result, tmp_path / "a")
    flavour.save_model(result, tmp_path / "b", input_example=x[:2])
    served = mlflow.pyfunc.load_model(str(tmp_path / "b"))
    assert served.predict(x[200:])["decision"].tolist() == own_decisions(result)
    own = eh.finetune(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), *parts)
    with pytest.raises(InputError, match="give a module of that class as `into`"):
        flavour.save_model(own, tmp_path / "c", input_example=x[:2])
