"""What users already have goes in as it is: frames, data sets, loaders, models with processors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from small_runs import WORDS, own_decisions, people
from tiny_models import image_classifier, text_classifier, tokenizer

import evenhand as eh
from evenhand.errors import InputError

ASKED = {"label": "repaid", "groups": "sex", "drop": ["id"], "strength": 1.0}


@pytest.fixture(scope="module")
def from_file(tmp_path_factory):
    data = tmp_path_factory.mktemp("data") / "people.parquet"
    people().to_parquet(data, index=False)
    return eh.finetune(None, data, split="part", **ASKED)


def frames():
    frame = people()
    return {name: frame[frame["part"] == name].drop(columns="part") for name in PARTS}


PARTS = ("train", "valid", "test")


def as_arrow(frame):
    arrow = pytest.importorskip("pyarrow")
    return arrow.Table.from_pandas(frame, preserve_index=False)


def as_polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


def as_dataset(frame):
    return pytest.importorskip("datasets").Dataset.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("form", [lambda frame: frame, as_arrow, as_polars, as_dataset])
@pytest.mark.parametrize("whole", [True, False])
def test_a_table_of_any_library_is_read_as_its_file_is(from_file, form, whole, tmp_path):
    if whole:
        result = eh.finetune(None, form(people()), split="part", **ASKED)
    else:
        result = eh.finetune(None, *map(form, frames().values()), **ASKED)
    np.testing.assert_array_equal(result.fair_head.head.weight, from_file.fair_head.head.weight)
    assert own_decisions(result) == own_decisions(from_file)
    model = eh.load(result.save(tmp_path / "run"))
    rows = people().query("part == 'test'")
    assert model.predict(form(rows)).tolist() == own_decisions(from_file)


def test_a_mapping_of_splits_and_their_usual_names(from_file):
    datasets = pytest.importorskip("datasets")
    named = dict(zip(("train", "validation", "test"), frames().values(), strict=True))
    splits = datasets.DatasetDict({name: as_dataset(frame) for name, frame in named.items()})
    result = eh.finetune(None, splits, **ASKED)
    assert own_decisions(result) == own_decisions(from_file)
    shuffled = splits["train"].shuffle(seed=0)
    splits["train"] = shuffled
    again = eh.finetune(None, splits, **ASKED)
    agree = np.mean(np.array(own_decisions(again)) == own_decisions(from_file))
    assert agree > 0.95
    assert eh.plan(None, named, label="repaid", groups="sex", drop=["id"]).rows == 700
    with pytest.raises(InputError, match="unknown part 'later' of a split"):
        eh.finetune(None, {"later": people()}, **ASKED)


def test_the_same_rows_have_the_same_fingerprint():
    one = eh.tasks.table(people(), label="repaid", groups="sex")
    other = eh.tasks.table(as_arrow(people()), label="repaid", groups="sex")
    changed = eh.tasks.table(people(seed=1), label="repaid", groups="sex")
    assert one.fingerprint == other.fingerprint != changed.fingerprint


def test_loaders_give_all_their_batches():
    rng = np.random.default_rng(0)
    inputs = torch.as_tensor(rng.normal(size=(300, 4)), dtype=torch.float32)
    labels, sexes = (inputs[:, 0] > 0).long(), torch.as_tensor(rng.integers(0, 2, 300))
    whole = [(inputs[i : i + 100], labels[i : i + 100], sexes[i : i + 100]) for i in (0, 100, 200)]
    loaders = [
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*part), batch_size=32)
        for part in whole
    ]
    plain = eh.finetune(None, *whole, strength=1.0)
    loaded = eh.finetune(None, *loaders, strength=1.0)
    np.testing.assert_array_equal(loaded.fair_head.head.weight, plain.fair_head.head.weight)
    named = [[{"inputs": x, "labels": y, "sex": g} for x, y, g in loader] for loader in loaders[:1]]
    named = torch.utils.data.DataLoader(named[0], batch_size=None)
    mapped = eh.finetune(None, named, *loaders[1:], groups="sex", strength=1.0)
    np.testing.assert_array_equal(mapped.fair_head.head.weight, plain.fair_head.head.weight)
    short = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels))
    with pytest.raises(InputError, match=r"a batch of train must be \(inputs, labels, groups\)"):
        eh.finetune(None, short, *loaders[1:])
    with pytest.raises(InputError, match="or a frame, with label="):
        eh.finetune(None, *frames().values())


def texts():
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(WORDS), (240, 3))
    return pd.DataFrame(
        {
            "says": [" ".join(WORDS[i] for i in row) for row in chosen],
            "sex": rng.choice(["F", "M"], 240),
            "kind": np.where((chosen < 4).sum(axis=1) + rng.normal(size=240) > 1.5, "good", "bad"),
        }
    )


def test_a_transformers_model_with_its_tokenizer(tmp_path):
    model, reader = text_classifier(WORDS), tokenizer(WORDS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = eh.finetune(
        model, texts(), processor=reader, label="kind", groups="sex", text="says", fresh_head=True
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert type(result.model) is type(model)
    again = eh.load(result.save(tmp_path / "run"))
    rows = texts()["says"].tolist()
    assert again.predict(rows).tolist() == result.fair_model.predict(rows).tolist()
    assert len(set(again.predict(rows))) == 2
    with pytest.raises(InputError, match="a tokenizer or an image processor, found int"):
        eh.finetune(model, texts(), processor=3, label="kind", groups="sex", text="says")
    with pytest.raises(InputError, match="a processor is for a transformers model"):
        eh.finetune(None, texts(), processor=reader, label="kind", groups="sex")


@pytest.fixture
def photos(tmp_path):
    """Images in folders: part / sex / class."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(150):
        part = "train" if index < 80 else "valid" if index < 115 else "test"
        level = rng.integers(60, 200)
        sex, light = rng.choice(["F", "M"]), "day" if level > 130 else "night"
        folder = tmp_path / "photos" / part / sex / light
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(rng.normal(level, 40, (34, 34, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        rows.append((str(folder / f"{index}.png"), light, sex, part))
    return tmp_path / "photos", pd.DataFrame(rows, columns=["image", "light", "sex", "part"])


def test_class_folders_say_labels_groups_and_splits(photos):
    folder, listed = photos
    task = eh.tasks.images(folder, label="folder", groups="folder 2", split="folder 3")
    assert task.classes == ("day", "night")
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 80,
        "valid": 35,
        "test": 35,
    }
    test = listed[listed["part"] == "test"]
    expected = test["light"].value_counts().sort_index()
    assert np.bincount(task.test.labels).tolist() == expected.tolist()
    assert task.test.groups.names == ("F", "M")
    with pytest.raises(InputError, match="there is no label column 'label'"):
        eh.tasks.images(folder, label="label", groups="folder 2")


def test_an_image_model_with_its_processor_on_paths_and_on_images_of_a_data_set(photos, tmp_path):
    datasets = pytest.importorskip("datasets")
    _, listed = photos
    asked = {"label": "light", "groups": "sex", "file": "image", "split": "part"}
    model, processor = image_classifier()
    by_path = eh.finetune(model, listed, processor=processor, fresh_head=True, **asked)
    held = datasets.Dataset.from_pandas(listed).cast_column("image", datasets.Image())
    embedded = [{"bytes": Path(path).read_bytes(), "path": None} for path in listed["image"]]
    held = held.remove_columns("image").add_column("image", embedded)
    by_bytes = eh.finetune(model, held, processor=processor, fresh_head=True, **asked)
    assert own_decisions(by_bytes) == own_decisions(by_path)
    again = eh.load(by_path.save(tmp_path / "run"))
    test = listed[listed["part"] == "test"]
    new = held.filter(lambda row: row["part"] == "test")
    for rows in (new, new.to_iterable_dataset()):
        assert again.predict(rows).tolist() == own_decisions(by_path)
    with pytest.raises(InputError, match="the model reads column 'image'; the columns are light"):
        again.predict(new.remove_columns("image"))
    assert again.predict(test).tolist() == own_decisions(by_path)
    gone = listed.assign(image="nowhere.png")
    with pytest.raises(InputError, match=r"row 1: there is no image at nowhere\.png"):
        eh.finetune(model, gone, processor=processor, **asked)


def test_an_image_folder_of_torchvision(photos):
    torchvision = pytest.importorskip("torchvision")
    folder, _ = photos
    splits = []
    for part in PARTS:
        paths = sorted((folder / part).glob("*/*/*.png"))
        sexes = [path.parts[-3] for path in paths]
        held = torchvision.datasets.DatasetFolder(
            str(folder / part), loader=Image.open, extensions=(".png",)
        )
        held.samples = [(str(path), ["day", "night"].index(path.parts[-2])) for path in paths]
        held.classes = ["day", "night"]
        splits.append((held, sexes))
    model, processor = image_classifier()
    result = eh.finetune(model, *splits, processor=processor, fresh_head=True)
    assert result.fair_model.classes == ("day", "night")
    assert len(result.stage.test) == 35


def test_a_stream_is_data_as_its_data_set_is(photos, monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "cache"))
    _, listed = photos
    parts = {}
    for part in PARTS:
        rows = listed[listed["part"] == part].drop(columns="part")
        embedded = [{"bytes": Path(path).read_bytes(), "path": None} for path in rows["image"]]
        plain = datasets.Dataset.from_list(
            [
                {**row, "image": one}
                for row, one in zip(rows.to_dict("records"), embedded, strict=True)
            ]
        )
        parts[part] = plain.cast_column("image", datasets.Image())
    asked = {"label": "light", "groups": "sex", "file": "image", "fresh_head": True}
    model, processor = image_classifier()
    whole = eh.finetune(model, datasets.DatasetDict(parts), processor=processor, **asked)
    streams = {part: rows.to_iterable_dataset() for part, rows in parts.items()}
    named = datasets.IterableDatasetDict(streams)
    streamed = eh.finetune(model, named, processor=processor, **asked)
    np.testing.assert_array_equal(streamed.fair_head.head.weight, whole.fair_head.head.weight)
    three = eh.finetune(model, *streams.values(), processor=processor, **asked)
    assert own_decisions(three) == own_decisions(streamed) == own_decisions(whole)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_file()]
