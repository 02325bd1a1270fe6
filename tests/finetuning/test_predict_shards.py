"""From shards to a model, to the decisions on new shards, and the same run again."""

import numpy as np
import pandas as pd
import pytest
from small_runs import own_decisions
from tiny_models import image_classifier
from tiny_shards import faces, sample, shard

import evenhand as eh
from evenhand._base.asked import DATA, _from, _to
from evenhand.errors import InputError
from evenhand.experiments.rerun import _is_there
from evenhand.finetuning.carry_on import _same_file
from evenhand.finetuning.predict import first_rows
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.task_file import read_config

ASKED = {"label": "cls", "groups": "who", "split": "__split__", "strength": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The result of a run on shards, their folder, and the run's."""
    folder = tmp_path_factory.mktemp("shards")
    for at, (part, number) in enumerate((("train", 60), ("val", 24), ("test", 24))):
        shard(folder / f"faces-{part}-0000.tar", faces(number, 1000 * at))
    model, processor = image_classifier()
    result = eh.finetune(
        model, folder / "faces-*.tar", processor=processor, fresh_head=True, **ASKED
    )
    return result, folder, result.save(folder / "run")


def test_new_shards_are_decided_as_the_run_did(run, tmp_path):
    result, folder, saved = run
    found = eh.predict(
        saved, folder / "faces-{test,val}-0000.tar", tmp_path / "s.csv", columns=["__key__", "age"]
    )
    table = pd.read_csv(found.output, dtype={"__key__": str})
    assert table.columns.tolist() == ["row", "__key__", "age", "decision", "score", "reason"]
    assert table["__key__"].tolist()[:3] == ["02000", "02001", "02002"]
    assert table["age"].tolist()[:2] == [2020, 2021]
    assert table["decision"].astype(str).tolist()[:24] == own_decisions(result)
    np.testing.assert_allclose(table["score"][:24], result.run.after.scores, atol=1e-5)
    assert found.decided == len(table) == 48


def test_an_image_that_cannot_be_read_has_its_row_and_its_reason(run, tmp_path):
    files = faces(300, 5000) | {"05298.jpg": b"no image"}
    new = shard(tmp_path / "new.tar", files)
    found = eh.predict(run[2], new, tmp_path / "s.parquet")
    table = pd.read_parquet(found.output)
    assert (found.rows, found.decided) == (300, 299)
    assert table["decision"].isna().to_numpy().nonzero()[0].tolist() == [298]
    assert "image 299 in new.tar is none of JPEG" in table["reason"][298]


def test_shards_without_an_image_are_refused(run, tmp_path):
    new = shard(tmp_path / "new.tar", {"0.txt": "a text"})
    with pytest.raises(InputError, match="hold no image"):
        eh.predict(run[2], new, tmp_path / "s.csv")
    with pytest.raises(InputError, match="has no column 'weight'"):
        eh.predict(run[2], run[1] / "faces-test-*.tar", tmp_path / "s.csv", columns=["weight"])


def test_the_first_images_are_those_an_export_is_checked_on(run):
    images = first_rows(eh.load(run[2]), run[1] / "faces-test-*.tar", 5)
    assert len(images) == 5
    assert images[0].size == (24, 20)


def test_a_task_file_names_shards_beside_it(tmp_path):
    shard(tmp_path / "in" / "a-0.tar", faces(40))
    (tmp_path / "task.yaml").write_text(
        "task: images\ndata: in/a-{0..0}.tar\nlabel: cls\ngroups: [who]\nmodel: resnet18\n"
    )
    request = read_config(tmp_path / "task.yaml")
    assert len(request.load().train) == 24
    before = Recipe(request).inputs["data"]
    shard(tmp_path / "in" / "a-0.tar", faces(40) | sample("x", 3, 1, who="A", age=1))
    assert Recipe(request).inputs["data"] != before


def test_a_run_finds_its_shards_again(tmp_path, monkeypatch):
    shard(tmp_path / "in" / "a-0.tar", faces(4))
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    kept = _from(tmp_path / "run", "data", "in/a-*.tar")
    assert kept == "../in/a-*.tar"
    there = _to(tmp_path / "run", "data", kept)
    assert _is_there(there)
    assert not _is_there("in/b-*.tar")
    assert _same_file(there, tmp_path / "in" / "a-{0..0}.tar")
    assert not _same_file(there, tmp_path / "in" / "b-*.tar")
    assert _from(tmp_path, DATA[1], "postgresql://host/base") == "postgresql://host/base"
