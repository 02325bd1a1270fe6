"""A run's folder in its own library's pipeline: the same decisions, the class names its own."""

import pandas as pd
import pytest
from small_runs import WORDS, image_run, own_decisions, text_run
from tiny_models import image_classifier, text_classifier, tokenizer, written

transformers = pytest.importorskip("transformers")


def rows_of_test(data):
    frame = pd.read_csv(data)
    return frame[frame["part"] == "test"]


def test_texts(tmp_path):
    model = written(tmp_path / "model", text_classifier(WORDS), tokenizer(WORDS))
    result, data = text_run(tmp_path, model)
    folder = result.save(tmp_path / "run") / "model"
    classify = transformers.pipeline("text-classification", str(folder), device="cpu")
    found = classify(rows_of_test(data)["says"].fillna("").tolist(), truncation=True, max_length=16)
    assert [one["label"] for one in found] == own_decisions(result)
    assert len(set(own_decisions(result))) == 2


def test_images(tmp_path):
    model = written(tmp_path / "model", *image_classifier())
    result, data = image_run(tmp_path, model, size=None)
    folder = result.save(tmp_path / "run") / "model"
    classify = transformers.pipeline("image-classification", str(folder), device="cpu")
    found = classify([str(tmp_path / name) for name in rows_of_test(data)["file"]])
    assert [one[0]["label"] for one in found] == own_decisions(result)
    assert len(set(own_decisions(result))) == 2
