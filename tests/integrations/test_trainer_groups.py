"""The groups of a Trainer's data in every way that they come: one group each, or refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_fair_trainer import Sentences, arguments, bert

from evenhand._base.names import name_of
from evenhand.errors import InputError
from evenhand.integrations.trainer import FairTrainer
from evenhand.integrations.trainer_codes import GroupCollator, group_codes
from evenhand.integrations.trainer_groups import GroupNames, training_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning"),
]

WAYS = {
    "whole floats": float,
    "unsigned": np.uint8,
    "tensors": torch.tensor,
    "arrays": lambda code: np.array(code),
    "names": "FM".__getitem__,
    "bytes": [b"F", b"M"].__getitem__,
    "names with a space": ["F ", " M"].__getitem__,
}


class Told(Sentences):
    """The same rows, each group as ``tell`` says it; the first five unknown."""

    def __init__(self, tell, unknown=None, **more):
        super().__init__(**more)
        self.tell, self.unknown = tell, unknown

    def __getitem__(self, row):
        group = self.unknown if row < 5 else self.tell(int(self.code[row]))
        return super().__getitem__(row) | {"group": group}


class Labelled(Sentences):
    """As ``datasets.Dataset`` with a ClassLabel of these names."""

    def __init__(self, names, codes, **more):
        super().__init__(**more)
        self.code = np.array([codes[code] for code in self.code])
        self.extra["group"] = self.code
        self.features = {"group": type("ClassLabel", (), {"names": names})()}


def counted(trainer, data):
    found = trainer.evaluate(data)
    return [found[f"eval_{name}"] for name in ("rows_unknown_group", "rows_F", "rows_M")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_every_row_is_in_its_group_however_it_is_told(tmp_path, way, unknown):
    data = Told(WAYS[way], None if "names" in way or way == "bytes" else unknown, n=60)
    trainer = FairTrainer(bert(), arguments(tmp_path), group_names=("F", "M"))
    own = data.code[5:]
    assert counted(trainer, data) == [5, (own == 0).sum(), (own == 1).sum()]


@pytest.mark.parametrize("way", WAYS)
def test_training_takes_them_too(tmp_path, way):
    trainer = FairTrainer(
        bert(), arguments(tmp_path, max_steps=1), train_dataset=Told(WAYS[way]),
        group_names=("F", "M"),
    )  # fmt: skip
    trainer.train()
    assert trainer._gap.groups.codes.tolist() == [-1] * 5 + Sentences().code[5:].tolist()


@pytest.mark.parametrize("first", ["ClassLabel", "names"])
def test_a_class_label_in_another_order_is_read_by_its_names(tmp_path, first):
    trainer = FairTrainer(bert(), arguments(tmp_path))
    train = Labelled(["F", "M"], (0, 1), n=60) if first == "ClassLabel" else Told("FM".__getitem__)
    trainer.evaluate(train)
    turned = Labelled(["M", "F"], (1, 0), n=60)
    code = Sentences(n=60).code
    assert counted(trainer, turned) == [0, (code == 0).sum(), (code == 1).sum()]
    assert trainer.group_names == ("F", "M")


def test_a_class_label_that_the_given_names_contradict_is_refused(tmp_path):
    trainer = FairTrainer(bert(), arguments(tmp_path), group_names=("M", "F"))
    with pytest.raises(InputError, match="ClassLabel of F, M, in another order than group_names"):
        trainer.evaluate(Labelled(["F", "M"], (0, 1), n=60))
    renamed = FairTrainer(bert(), arguments(tmp_path), group_names=("Female", "Male"))
    renamed.evaluate(Labelled(["F", "M"], (0, 1), n=60))


def test_codes_after_names_are_refused_and_the_same_data_is_read_again(tmp_path):
    several = {"a": Told("FM".__getitem__, n=60), "b": Told("MF".__getitem__, n=60)}
    trainer = FairTrainer(bert(), arguments(tmp_path), eval_dataset=several)
    first, again = trainer.evaluate(), trainer.evaluate()
    own = several["a"].code[5:]
    assert first["eval_a_rows_F"] == again["eval_a_rows_F"] == (own == 0).sum()
    assert first["eval_b_rows_F"] == again["eval_b_rows_F"] == (own == 1).sum()
    with pytest.raises(InputError, match="codes here and names in the data before"):
        trainer.evaluate(Sentences(n=60))


def test_a_stream_s_names_are_read_where_they_are_given(tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        unknown = None

        def __iter__(self):
            data = Told("FM".__getitem__, self.unknown)
            return (data[row] for row in range(len(data)))

    own = Sentences().code[5:]
    trainer = FairTrainer(bert(), arguments(tmp_path), group_names=("F", "M"))
    assert counted(trainer, Stream()) == [5, (own == 0).sum(), (own == 1).sum()]
    unnamed = FairTrainer(bert(), arguments(tmp_path, max_steps=1), train_dataset=Stream())
    with pytest.raises(InputError, match=r"'group' holds texts in a stream.* as group_names"):
        unnamed.train()
    unnamed.train_dataset.unknown = "F"  # transformers' own collators leave out what is text
    with pytest.raises(InputError, match=r"has no 'group'.*name those of a stream by group_names"):
        unnamed.train()


@pytest.mark.parametrize(
    ("odd", "found"),
    [(True, "bool"), (0.5, "float64"), ([0], "int64 of shape"), (1e300, "float64"), ({}, "object")],
)
def test_what_is_no_group_is_refused_in_evaluation_as_in_training(tmp_path, odd, found):
    data = Told(lambda _: odd, n=60)
    trainer = FairTrainer(bert(), arguments(tmp_path), train_dataset=data)
    for call in (trainer.train, lambda: trainer.evaluate(data)):
        with pytest.raises(InputError, match=f"'group' must be one integer.*found {found}"):
            call()


def test_names_and_keys_that_cannot_be_are_refused(tmp_path):
    for names, why in (("FM", "the text 'FM'"), (("F", "F"), "'F' twice")):
        with pytest.raises(InputError, match=why):
            FairTrainer(bert(), arguments(tmp_path), group_names=names)
    for key in ("labels", "label", "input_ids"):
        with pytest.raises(InputError, match=f"groups='{key}'"):
            FairTrainer(bert(), arguments(tmp_path), groups=key)


def test_codes_that_are_identifiers_are_refused_before_they_are_counted(tmp_path):
    data = Told(lambda code: 50_000_000 * code)
    trainer = FairTrainer(bert(), arguments(tmp_path), train_dataset=data)
    for call in (trainer.train, lambda: trainer.evaluate(data)):
        with pytest.raises(InputError, match="'group' reaches 50,000,000: a group is a code from"):
            call()


@pytest.mark.parametrize(
    ("tell", "why"),
    [
        (lambda label: label + 1, "labels reach 2, but the model tells 2 classes apart"),
        (lambda label: 50_000_000 * label, "labels reach 50,000,000"),
        (float, "'labels' must be one integer for each example, found float64"),
        (lambda label: [1 - label, label], r"'labels' must be .* shape \(400, 2\)"),
        (lambda label: -100 if label else 0, "labels must lie in"),
    ],
)
def test_labels_that_are_no_classes_of_the_model_are_refused_before_it_runs(tmp_path, tell, why):
    class Other(Sentences):
        def __getitem__(self, row):
            return super().__getitem__(row) | {"labels": tell(int(self.label[row]))}

    with pytest.raises(InputError, match=why):
        FairTrainer(bert(), arguments(tmp_path), train_dataset=Other()).train()


KNOWN = st.integers(-1, 9_999)


@given(st.lists(KNOWN, max_size=30), st.sampled_from([int, float, np.int16, np.float32]))
def test_codes_are_the_same_of_any_type(codes, kind):
    assert group_codes([kind(code) for code in codes], "group").tolist() == codes
    lost = [None if code < 0 else kind(code) for code in codes]
    assert group_codes(lost, "group").tolist() == codes


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)
)


@given(st.lists(st.one_of(ODD, st.lists(ODD, max_size=2)), max_size=8), st.booleans())
def test_any_column_is_coded_or_refused(values, named):
    names = GroupNames("group", ("F", "M") if named else None)
    data = [{"group": value, "labels": 0} for value in values]
    collated = GroupCollator(list, "group", names.code_of)
    try:
        coded = names.coded(data)
        codes = training_rows(coded, names, 2)[1].codes
        batch = collated([coded[row] for row in range(len(coded))])
    except InputError as error:
        assert "group" in str(error), "an error that does not name the key"  # noqa: PT017
        return
    assert codes.tolist() == [example["group"] for example in batch]
    told = {}
    for value, code in zip(values, codes.tolist(), strict=True):
        name = None if value is None or value != value else name_of(value) or None
        assert (code == -1) == (name is None or value == -1)
        if code >= 0:
            assert told.setdefault(code, name) == name
    assert len(set(told.values())) == len(told)
