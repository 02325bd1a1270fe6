"""The paper's counts on the embedded rows."""

import hashlib
import itertools

import numpy as np
import pytest

from evenhand.errors import ArtefactError, InputError
from evenhand.tasks.datasets import adult as module
from evenhand.tasks.datasets.adult import adult


@pytest.fixture(scope="module")
def task():
    return adult(seed=0)


def test_the_papers_counts(task):
    sizes = {name: len(part) for name, part in task.splits.items()}
    assert sizes == {"pretrain": 18_431, "train": 12_287, "valid": 5_000, "test": 10_315}
    assert sum(sizes.values()) == 46_033
    assert {np.shape(part.inputs)[1] for part in task.splits.values()} == {71}
    assert (task.name, task.classes, task.attribute) == ("adult", ("<=50K", ">50K"), "sex")
    assert task.train.groups.names == ("Female", "Male")
    assert 0.23 < task.test.labels.mean() < 0.27


def test_the_encoding(task):
    x = np.concatenate([part.inputs for part in task.splits.values()])
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    edges = np.cumsum([0, 7, 16, 7, 14, 6, 5, 10])
    for a, b in itertools.pairwise(edges):
        np.testing.assert_array_equal(x[:, a:b].sum(axis=1), 1)
    numbers = task.pretrain.inputs[:, 65:70]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-4)
    assert set(np.unique(x[:, 70])) == {0, 1}
    assert task.pretrain.inputs[:, 55:65].mean(axis=0).min() > 0.05
    sex = np.concatenate([part.groups.codes for part in task.splits.values()])
    assert max(np.abs(np.corrcoef(x[:, j], sex)[0, 1]) for j in range(71)) < 0.9


def test_seeds_are_other_splits_of_the_same_rows():
    one, same, other = adult(seed=1), adult(seed=1), adult(seed=2)
    np.testing.assert_array_equal(one.test.inputs, same.test.inputs)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert not np.array_equal(one.test.labels, other.test.labels)
    totals = [sum(int(p.labels.sum()) for p in t.splits.values()) for t in (one, other)]
    assert totals[0] == totals[1]


def test_other_groups_and_the_other_label():
    race = adult(group="race")
    assert (race.name, race.train.groups.number) == ("adult-race", 5)
    crossed = adult(group="sex, race")
    assert crossed.attribute == "sex × race"
    assert crossed.train.groups.number == 10
    occupation = adult(label="occupation")
    assert (occupation.name, len(occupation.classes)) == ("adult-occupation", 13)
    assert occupation.train.inputs.shape[1] == 57
    assert sum(len(p) for p in occupation.splits.values()) == 46_033 - 15 + 0


def test_bad_input_is_named():
    with pytest.raises(InputError, match="no group column 'age'; it has sex, race"):
        adult(group="age")
    with pytest.raises(InputError, match="no label 'hours'; it has income, occupation"):
        adult(label="hours")


def test_a_damaged_file_is_refused_by_its_hash(monkeypatch):
    module._table.cache_clear()
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(b"another").hexdigest())
    with pytest.raises(ArtefactError, match=r"embedded Adult data is damaged: sha256 b9e892220ca3"):
        adult()
    module._table.cache_clear()


def test_a_truncated_file_is_refused(monkeypatch, tmp_path):
    source = module.resources.files("evenhand.tasks").joinpath("data/adult.csv.gz").read_bytes()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "adult.csv.gz").write_bytes(source[:-100])
    module._table.cache_clear()
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    with pytest.raises(ArtefactError, match="install evenhand again"):
        adult()
    module._table.cache_clear()
