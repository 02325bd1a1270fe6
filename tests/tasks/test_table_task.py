"""Any table as a task."""

import numpy as np
import pandas as pd
import pytest

from evenhand.errors import InputError
from evenhand.finetuning.recipe import recipe
from evenhand.tasks import load
from evenhand.tasks.labels import GroupColumns
from evenhand.tasks.table_task import table


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    n = 600
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "city": rng.choice(["Rome", "Oslo", "Lima"], n),
            "sex": rng.choice(["F", "M"], n),
            "race": rng.choice(list("ABCDEFG"), n),
            "old": rng.choice(["yes", "no"], n, p=[0.1, 0.9]),
            "job": rng.choice([f"job{i:02d}" for i in range(13)], n),
            "y": rng.choice([">50K", "<=50K"], n),
        }
    )


@pytest.fixture
def save(tmp_path):
    def write(frame, **options):
        path = tmp_path / "people.csv"
        frame.to_csv(path, index=False, **options)
        return path

    return write


def test_labels_groups_and_features(people, save):
    task = table(save(people), label="y", groups="sex", positive=">50K")
    assert task.classes == ("<=50K", ">50K")
    assert task.train.groups.names == ("F", "M")
    assert (task.name, task.label, task.attribute) == ("people", "y", "sex")
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 360,
        "valid": 90,
        "test": 150,
    }
    assert task.train.inputs.dtype == np.float32
    assert task.train.inputs.shape[1] == len(task.feature_names)
    assert not any(name.startswith(("sex", "y_")) for name in task.feature_names)


def test_positive_joins_values_and_comes_last(people, save):
    task = table(save(people), label="job", groups="sex", positive=["job01", "job02"])
    assert task.classes == ("not job01 or job02", "job01 or job02")
    share = people["job"].isin(["job01", "job02"]).mean()
    assert task.train.labels.mean() == pytest.approx(share, abs=0.01)
    with pytest.raises(InputError, match="positive value 'job99' is not among the values"):
        table(save(people), label="job", groups="sex", positive="job99")


def test_thirteen_classes_and_seven_groups(people, save):
    task = table(save(people), label="job", groups="race")
    assert len(task.classes) == 13
    assert task.train.groups.names == tuple("ABCDEFG")
    assert set(task.test.labels) == set(range(13))


def test_three_attributes_cross_and_empty_crossings_are_counted(people, save):
    people.loc[(people.sex == "F") & (people.race == "A"), "race"] = "B"
    task = table(save(people), label="y", groups=["sex", "race", "old"])
    assert task.attribute == "sex × race × old"
    assert "M × A × no" in task.train.groups.names
    assert "F × A × no" not in task.train.groups.names
    assert any("crossings of sex × race × old have no row" in note for note in task.notes)


def test_missing_groups_train_and_enter_no_gap(people, save):
    people.loc[::5, "sex"] = None
    task = table(save(people), label="y", groups="sex")
    unknown = sum(int((~part.groups.known).sum()) for part in task.splits.values())
    assert unknown == 120
    assert sum(map(len, task.splits.values())) == 600
    assert any("120 of 600 rows have no sex" in note for note in task.notes)


def test_rows_without_a_label_are_left_out_and_counted(people, save):
    people.loc[:9, "y"] = None
    task = table(save(people), label="y", groups="sex")
    assert sum(map(len, task.splits.values())) == 590
    assert any("10 of 600 rows have no y: left out" in note for note in task.notes)


def test_the_encoder_sees_only_training_rows(people, save):
    people["part"] = np.where(np.arange(600) < 400, "train", "test")
    people["age"] = people["age"].astype(float)
    people.loc[400:, "age"] += 1e6
    people.loc[400:, "city"] = "Bern"
    task = table(save(people), label="y", groups="sex", split="part")
    assert len(task.test) == 200
    assert len(task.valid) == 80
    age = task.feature_names.index("age")
    assert abs(task.train.inputs[:, age].mean()) < 1e-5
    assert task.test.inputs[:, age].mean() > 1e3
    cities = [i for i, name in enumerate(task.feature_names) if name.startswith("city_")]
    assert len(cities) == 3
    assert not task.test.inputs[:, cities].any()


def test_new_rows_are_encoded_as_the_old_ones(people, save):
    people.loc[::7, "age"] = None
    people.loc[::9, "city"] = None
    task = table(save(people), label="y", groups="sex")
    again = task.encode(people)
    found = {tuple(row) for row in np.round(again, 5).tolist()}
    assert {tuple(row) for row in np.round(task.test.inputs, 5).tolist()} <= found
    with pytest.raises(InputError, match="lacks 1 of the 5 columns that the model reads: age"):
        task.encode(people.drop(columns="age"))


def test_missing_values_are_imputed_and_marked(people, save):
    people.loc[::7, "age"] = None
    people.loc[::9, "city"] = None
    task = table(save(people), label="y", groups="sex")
    assert "missingindicator_age" in task.feature_names
    assert "city_(missing)" in task.feature_names
    assert np.isfinite(task.train.inputs).all()


def test_numbers_with_garbage_stay_numbers(people, save):
    people["age"] = people["age"].astype(object)
    people.loc[599, "age"] = "forty"
    people["score"] = np.linspace(0, 1, 600)
    people.loc[3, "score"] = np.inf
    task = table(save(people), label="y", groups="sex")
    assert "age" in task.feature_names
    assert any("'age': 1 values are not numbers" in note for note in task.notes)
    assert np.isfinite(task.train.inputs).all()


def test_identifiers_and_constants_are_left_out(people, save):
    people["id"] = [f"p{i}" for i in range(600)]
    people["country"] = "IT"
    task = table(save(people), label="y", groups="sex")
    assert not any(name.startswith(("id", "country")) for name in task.feature_names)
    assert sum("was left out" in note for note in task.notes) == 2


def test_features_and_drop_choose_columns(people, save):
    path = save(people)
    only = table(path, label="y", groups="sex", features=["age"])
    assert only.feature_names == ("age",)
    less = table(path, label="y", groups="sex", drop=["city", "job"])
    assert not any(name.startswith(("city", "job")) for name in less.feature_names)
    with pytest.raises(InputError, match="is the label and cannot be a feature"):
        table(path, label="y", groups="sex", features=["age", "y"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "why", "groups": "sex"}, "no label column 'why'; the columns are age, city"),
        ({"label": "y", "groups": "gender"}, "no group column 'gender'"),
        ({"label": "y", "groups": "sex", "split": "part"}, "no split column 'part'"),
        ({"label": "y", "groups": "one"}, "1 groups"),
        ({"label": "one", "groups": "sex"}, "1 classes"),
        ({"label": "real", "groups": "sex"}, "a number to estimate"),
        ({"label": "y", "groups": "real"}, "600 different numbers: give bins"),
        ({"label": "y", "groups": "sex", "split": {"train": 0.5, "test": 0.6}}, "sum to 1"),
        ({"label": "y", "groups": "sex", "split": {"train": 0.5, "exam": 0.5}}, "unknown part"),
    ],
)
def test_what_cannot_be_used_is_named(people, save, options, message):
    people["one"] = "x"
    people["real"] = np.random.default_rng(1).normal(size=600)
    with pytest.raises(InputError, match=message):
        table(save(people), **options)


def test_the_split_keeps_label_and_group_in_proportion_and_follows_the_seed(people, save):
    path = save(people)
    first, again, other = (table(path, label="y", groups="sex", seed=s) for s in (0, 0, 1))
    assert (first.test.inputs == again.test.inputs).all()
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert not np.array_equal(first.test.inputs, other.test.inputs)
    for part in first.splits.values():
        rate = part.labels[part.groups.codes == 0].mean()
        assert rate == pytest.approx((people[people.sex == "F"].y == ">50K").mean(), abs=0.02)


def test_split_by_keeps_blocks_whole(people, save):
    people["person"] = np.random.default_rng(2).integers(0, 50, 600)
    people["mark"] = people["person"].astype(float)
    task = table(save(people), label="y", groups="sex", split_by="person", features=["mark"])
    parts = [set(part.inputs[:, 0].tolist()) for part in task.splits.values()]
    assert not (parts[0] & parts[1])
    assert not (parts[0] & parts[2])
    assert not (parts[1] & parts[2])
    assert sum(map(len, task.splits.values())) == 600


def test_a_pretrain_part_is_kept(people, save):
    shares = {"pretrain": 0.4, "train": 0.3, "valid": 0.1, "test": 0.2}
    task = table(save(people), label="y", groups="sex", split=shares)
    assert len(task.pretrain) == 240
    assert len(task.train) == 180


def test_by_name_with_options(people, save):
    task = load("table", data=save(people), label="y", groups="sex")
    assert len(task.train) == 360
    with pytest.raises(InputError, match="task table has no option 'lable'"):
        load("table", data="x", lable="y")
    with pytest.raises(InputError, match="task table needs label, groups"):
        load("table", data="x")


@pytest.mark.parametrize("of", ["table", "text"])
def test_a_group_column_of_numbers_is_cut_where_it_is_said(people, save, of):
    cut = GroupColumns(["age"], [30, 50])
    more = {"text": "job"} if of == "text" else {}
    task = load(of, data=save(people), label="y", groups=cut, **more)
    sizes = pd.cut(people["age"], [0, 30, 50, 99], right=False).value_counts(sort=False)
    names = ("30 to below 50", "50 and above", "below 30")
    assert task.train.groups.names == names
    found = sum(part.groups.sizes for part in task.splits.values())
    assert dict(zip(names, found, strict=True)) == {
        "below 30": sizes.iloc[0],
        "30 to below 50": sizes.iloc[1],
        "50 and above": sizes.iloc[2],
    }
    assert any(f"age is cut into below 30 ({sizes.iloc[0]})" in note for note in task.notes)
    other = load(of, data=save(people), label="y", groups=GroupColumns(["age"], [31, 50]), **more)
    assert other.fingerprint != task.fingerprint


def test_a_task_file_cuts_its_group_column(people, save, tmp_path):
    save(people)
    asked = "task: table\ndata: people.csv\nlabel: y\ngroups: [sex, age]\nbins: [40]\n"
    (tmp_path / "task.yaml").write_text(asked)
    task = recipe(str(tmp_path / "task.yaml")).config.load()
    assert task.attribute == "sex × age"
    assert set(task.train.groups.names) == {
        f"{sex} × {age}" for sex in "FM" for age in ("below 40", "40 and above")
    }


def test_columns_whose_names_are_numbers_are_named_by_them():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({0: draw.normal(size=90), 1: draw.integers(0, 2, 90), 2: ["F", "M"] * 45})
    asked = table(frame, label=1, groups=2)
    assert asked.label == "1"
    assert asked.train.groups.names == ("F", "M")
    for label, groups in (("1", "2"), ("1", [2]), (1, ["2"])):
        other = table(frame, label=label, groups=groups)
        np.testing.assert_array_equal(other.train.inputs, asked.train.inputs)
    with pytest.raises(InputError, match="no label column None; the columns are 0, 1, 2"):
        table(frame, label=None, groups=2)
    with pytest.raises(InputError, match="groups: give one or more of the columns 0, 1, 2"):
        table(frame, label=1, groups=None)


def test_a_column_that_occurs_twice_is_no_matter_where_nobody_reads_it(tmp_path):
    draw = np.random.default_rng(0)
    lines = [f"{i},{i},{i % 2},{'FM'[i // 2 % 2]},{draw.normal():.3f}" for i in range(90)]
    (tmp_path / "twice.csv").write_text("a,a,y,g,x\n" + "\n".join(lines) + "\n")
    task = table(tmp_path / "twice.csv", label="y", groups="g", features=["x"])
    assert task.train.inputs.shape[1] == 1
    with pytest.raises(InputError, match=r"column 'a' 2 times \(columns 1, 2\)"):
        table(tmp_path / "twice.csv", label="y", groups="g")


@pytest.mark.parametrize("seed", [-1, 2**32, 10**400, 1.5, True, "0", None])
def test_what_is_no_seed_is_named(people, seed):
    with pytest.raises(InputError, match="a seed is a whole number"):
        table(people, label="y", groups="sex", seed=seed)


def test_the_largest_seed_splits_as_any_other(people):
    sizes = [
        [len(part) for part in table(people, label="y", groups="sex", seed=seed).splits.values()]
        for seed in (0, np.int64(2**32 - 1))
    ]
    assert sizes[0] == sizes[1]
