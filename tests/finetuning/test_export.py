"""An exported model decides real rows as the run's own, or is not kept."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from small_runs import image_run, people, table_run, text_run

import evenhand as eh
from evenhand.errors import InputError, ModelError
from evenhand.finetuning.export.export import FORMATS, _is_pickled, export
from evenhand.finetuning.export.graph_inputs import table_feeds
from evenhand.finetuning.export.sklearn_pipeline import to_sklearn
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.request import FinetuneRequest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
skops = pytest.importorskip("skops.io")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    result, data = table_run(tmp_path_factory.mktemp("table"))
    return eh.load(result.save(data.parent / "run"))


@pytest.fixture
def rows():
    frame = people(seed=5).head(300)
    frame.loc[::9, "town"] = "nowhere"
    frame.loc[::7, "pay"] = np.nan
    return frame


def test_a_table_in_one_onnx_graph(model, rows, tmp_path):
    found = export(model, rows, "onnx", tmp_path / "model.onnx")
    assert found.difference < 1e-5
    assert found.rows == 300
    session = onnxruntime.InferenceSession(str(found.path))
    assert {put.name for put in session.get_inputs()} == set(model.needs)
    decisions, scores = session.run(None, table_feeds(model.raw, rows))
    assert decisions.tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(scores, model.predict_proba(rows), atol=1e-5)
    graph = onnx.load(str(found.path)).graph
    used = {name for node in graph.node for name in node.input}
    assert {constant.name for constant in graph.initializer} <= used  # else onnxruntime warns
    one = session.run(["decision"], table_feeds(model.raw, rows.head(1)))[0]
    assert one.tolist() == decisions[:1].tolist()


def test_a_scikit_learn_pipeline_with_the_same_coefficients(model, rows, tmp_path):
    pipeline = to_sklearn(model)
    assert isinstance(pipeline[-1], LogisticRegression)
    assert pipeline.predict(rows).tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(pipeline.predict_proba(rows), model.predict_proba(rows), atol=1e-6)
    found = export(model, rows, "sklearn", tmp_path / "model.skops")
    assert found.difference < 1e-6


def test_a_torch_program_holds_no_pickle(model, rows, tmp_path):
    try:
        found = export(model, rows, "torch-export", tmp_path / "model.pt2")
    except InputError as error:
        if "writes pickles into a .pt2" not in str(error):
            raise
        pytest.skip("this torch writes pickles")
    assert found.difference < 1e-5
    with zipfile.ZipFile(found.path) as file:
        assert not any(_is_pickled(file.read(name)) for name in file.namelist())


def zipped():
    with io.BytesIO() as held:
        with zipfile.ZipFile(held, "w") as file:
            file.writestr("data.pkl", pickle.dumps([1]))
        return held.getvalue()


def test_weights_that_begin_as_a_pickle_does_are_none():
    assert not _is_pickled(b"\x80\x04" + np.arange(40, dtype=np.float32).tobytes())
    assert not _is_pickled(pickle.dumps([1]) + bytes(4))
    assert not _is_pickled(b"PK\3\4" + bytes(40))
    assert _is_pickled(pickle.dumps({"a": [1, 2]}))


@pytest.mark.parametrize("start", [pickle.dumps([1]), zipped()], ids=["pickle", "zip"])
def test_a_program_that_an_older_torch_pickles_is_refused(
    model, rows, tmp_path, monkeypatch, start
):
    def save(_, file):
        with zipfile.ZipFile(file, "w") as made:
            made.writestr("serialized_state_dict.pt", start)

    monkeypatch.setattr("torch.export.save", save)
    with pytest.raises(InputError, match=r"writes pickles into a \.pt2 \(serialized_state_dict"):
        export(model, rows, "torch-export", tmp_path / "model.pt2")
    assert not (tmp_path / "model.pt2").exists()


def test_a_network_with_bins_and_logarithms(adult, tmp_path):
    import pandas as pd

    from evenhand.tasks.datasets.adult import _table

    result = finetune_stage(adult, FinetuneRequest(strength=1.0))
    frame = _table().head(400)
    found = export(result.fair_model, frame, "onnx", tmp_path / "adult.onnx")
    assert found.difference < 1e-5
    decided = pd.Series(result.fair_model.predict(frame))
    assert set(decided) == {"<=50K", ">50K"}
    with pytest.raises(InputError, match="only a linear model of a table"):
        to_sklearn(result.fair_model)


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
@pytest.mark.whole
def test_images_and_texts(form, tmp_path):
    result, _ = image_run(tmp_path)
    files = [tmp_path / f"{index}.png" for index in range(5)]
    assert (
        export(result.fair_model, files, form, tmp_path / f"images{FORMATS[form]}").difference
        < 1e-5
    )
    result, _ = text_run(tmp_path)
    says = ["brave calm", "idle", "harsh glad fond dull eager"]
    assert (
        export(result.fair_model, says, form, tmp_path / f"texts{FORMATS[form]}").difference < 1e-5
    )


def test_what_differs_or_cannot_be_is_refused_and_leaves_no_file(
    model, rows, tmp_path, monkeypatch
):
    with pytest.raises(InputError, match="unknown format 'pmml'"):
        export(model, rows, "pmml")
    with pytest.raises(InputError, match="no rows to check the export on"):
        export(model, rows.head(0), "onnx", tmp_path / "model.onnx")
    for mine in ("results.csv", "model.pt2", "folder"):
        with pytest.raises(InputError, match=f"must end with .onnx, found '{mine}'"):
            export(model, rows, "onnx", tmp_path / mine)
    from evenhand.finetuning.export import onnx_table

    right = onnx_table._scaled
    monkeypatch.setattr(onnx_table, "_scaled", lambda g, v, m, s: right(g, v, m + 1, s))
    with pytest.raises(ModelError, match=r"differs from the run's by .* it was not kept"):
        export(model, rows, "onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
