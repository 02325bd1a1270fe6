"""Inputs, labels and groups as every library holds them: the same rows, or refused by name."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fuzzing import amounts, fuzz
from hypothesis import strategies as st
from torch import nn

import evenhand as eh
from evenhand.errors import EvenhandError
from evenhand.integrations.sklearn import FairLinearHead
from evenhand.tasks.from_arrays import task_of

polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

KINDS: dict[str, tuple[Any, Any]] = {
    "codes": (0, 1),
    "from one": (1, 2),
    "signs": (-1, 1),
    "truth": (False, True),
    "texts": ("no", "yes"),
    "floats": (0.0, 1.0),
    "odd texts": ("yes,\t'\"×", "Ünï çø∂é"),
}
NUMBERS = ("int8", "int16", "int32", "int64", "float32", "float64")
INDEXES = ("shuffled", "constant", "texts", "dates", "multi")


def indexed(values: Any, kind: str, dtype: Any = None) -> pd.Series:
    n = len(values)
    index: Any = np.random.default_rng(n).permutation(n)
    if kind == "constant":
        index = np.zeros(n)
    elif kind == "texts":
        index = [f"r{i % 7}" for i in range(n)]
    elif kind == "dates":
        index = pd.date_range("2020", periods=n)[::-1]
    elif kind == "multi":
        index = pd.MultiIndex.from_arrays([index, index[::-1]])
    return pd.Series(values, index=index, dtype=dtype)


def numeric_forms(values: list[Any], dtype: str, index: str) -> dict[str, Any]:
    array = np.array(values, dtype=dtype)
    series = indexed(array, index)
    return {
        "numpy": array,
        "numpy, (N, 1)": array[:, None],
        "numpy, reversed twice": array[::-1][::-1],
        "numpy objects": array.astype(object),
        "masked": np.ma.array(array),
        "float16": array.astype(np.float16),
        "long double": array.astype(np.longdouble),
        "pandas": series,
        "pandas frame": series.to_frame("a"),
        "pandas nullable": series.convert_dtypes(),
        "pandas Arrow": series.astype(pd.ArrowDtype(arrow.from_numpy_dtype(array.dtype))),
        "pandas sparse": series.astype(pd.SparseDtype(array.dtype)),
        "polars": polars.Series("a", array),
        "polars decimal": polars.Series("a", array.astype(int)).cast(polars.Decimal(10, 0)),
        "Arrow": arrow.array(array),
        "Arrow run ends": arrow.compute.run_end_encode(arrow.array(array)),
        "Arrow half": arrow.array(array.astype(np.float16)),
        "Arrow batch": arrow.record_batch({"a": arrow.array(array)}),
        "torch": torch.as_tensor(array),
        "bfloat16": torch.as_tensor(array).bfloat16(),
        "tensors": list(torch.as_tensor(array)),
        "scalars": list(array),
    }


def common_forms(values: list[Any], index: str) -> dict[str, Any]:
    series = indexed(values, index)
    return {
        "list": values,
        "tuple": tuple(values),
        "list of lists": [[value] for value in values],
        "pandas objects": indexed(values, index, object),
        "categories": series.astype("category"),
        "Categorical": pd.Categorical(values),
        "Index": pd.Index(values),
        "polars frame": polars.DataFrame({"a": values}),
        "Arrow chunks": arrow.chunked_array([values[:3], values[3:]]),
        "Arrow dictionary": arrow.array(values).dictionary_encode(),
        "Arrow table": arrow.Table.from_pandas(series.to_frame("a").reset_index(drop=True)),
    }


def text_forms(values: list[Any], index: str) -> dict[str, Any]:
    return {
        "numpy": np.array(values),
        "pandas string": indexed(values, index, "string"),
        "pandas Arrow string": indexed(values, index, pd.ArrowDtype(arrow.string())),
        "polars": polars.Series(values),
        "polars categories": polars.Series(values, dtype=polars.Categorical),
        "polars enum": polars.Series(values, dtype=polars.Enum(sorted(set(values)))),
        "Arrow large": arrow.array(values, arrow.large_string()),
        "Arrow view": arrow.array(values, arrow.string_view()),
    }


def forms(values: list[Any], dtype: str, index: str) -> dict[str, Any]:
    found = common_forms(values, index)
    if isinstance(values[0], str):
        return found | text_forms(values, index)
    if isinstance(values[0], bool):
        array = np.array(values)
        return found | {"numpy": array, "torch": torch.as_tensor(array)}
    return found | numeric_forms(values, dtype, index)


def input_forms(x: np.ndarray, index: str) -> dict[str, Any]:
    columns = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    frame = pd.DataFrame({name: indexed(part, index) for name, part in columns.items()})
    if index in ("constant", "texts"):  # pandas itself cannot align such columns
        frame = pd.DataFrame(columns, index=indexed(x[:, 0], index).index)
    return {
        "numpy": x,
        "wide": x.astype(np.float64),
        "Fortran": np.asfortranarray(x),
        "pandas": frame.loc[:, list(columns)] if index not in ("shuffled", "multi") else
        pd.DataFrame(columns, index=indexed(x[:, 0], index).index),
        "pandas Arrow": pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
        "polars": polars.DataFrame(columns),
        "Arrow": arrow.table(columns),
        "torch": torch.as_tensor(x),
        "lists": x.tolist(),
        "a series of lists": indexed([row.tolist() for row in x], index, object),
        "polars lists": polars.Series([row.tolist() for row in x]),
    }  # fmt: skip


POISONS: dict[str, Any] = {
    "missing label": ("labels", lambda v: [None, *v[1:]]),
    "NaN label": ("labels", lambda v: [float("nan"), *v[1:]]),
    "fractions": ("labels", lambda v: [0.25, *v[1:]]),
    "minus one beside zero": ("labels", lambda v: [-1, 0, 1, *[0] * (len(v) - 3)]),
    "fifty million": ("labels", lambda v: [50_000_000, *[0] * (len(v) - 1)]),
    "beyond all floats": ("labels", lambda v: [10**400, *[0] * (len(v) - 1)]),
    "infinity": ("labels", lambda v: [float("inf"), *[0] * (len(v) - 1)]),
    "bytes": ("labels", lambda v: [b"a", *v[1:]]),
    "lists": ("groups", lambda v: polars.Series([[1]] * len(v))),
    "structs": ("groups", lambda v: arrow.array([{"a": 1}] * len(v))),
    "binary": ("groups", lambda v: arrow.array([b"a"] * len(v))),
    "ragged": ("groups", lambda v: [[1], [1, 2], *[[1]] * (len(v) - 2)]),
    "too short": ("groups", lambda v: v[:-1]),
    "too many": ("groups", lambda v: list(range(201)) + [0] * max(0, len(v) - 201)),
    "one text": ("groups", lambda v: "abc"),
    "a mapping": ("labels", lambda v: dict.fromkeys(range(len(v)), 1)),
    "a set": ("labels", lambda v: {0, 1}),
    "nothing": ("labels", lambda v: None),
    "a number": ("groups", lambda v: 3),
    "three dimensions": ("labels", lambda v: np.zeros((len(v), 1, 1))),
    "text inputs": ("inputs", lambda v: pd.DataFrame({"a": ["x"] * len(v)})),
    "NaN inputs": ("inputs", lambda v: np.full(v.shape, np.nan)),
    "missing inputs": ("inputs", lambda v: polars.DataFrame({"a": [None] * len(v)})),
    "one column twice": ("inputs", lambda v: pd.concat([pd.DataFrame({"a": v[:, 0]})] * 2, axis=1)),
    "a lazy frame": ("inputs", lambda v: polars.DataFrame({"a": v[:, 0]}).lazy()),
}  # fmt: skip


@st.composite
def given_rows(draw: Any, poisoned: bool) -> dict[str, Any]:
    n, seed = draw(st.integers(4, 30)), draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, draw(st.integers(1, 3)))).astype(np.float32)
    y, g = rng.integers(0, 2, n), rng.integers(0, 2, n)
    y[:4], g[:4] = [0, 1, 0, 1], [0, 0, 1, 1]
    case: dict[str, Any] = {"x": x, "y": y, "g": g}
    for what, codes in (("labels", y), ("groups", g)):
        kind = draw(st.sampled_from(sorted(KINDS)))
        values = [KINDS[kind][code] for code in codes]
        made = forms(values, draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(INDEXES)))
        form = draw(st.sampled_from(sorted(made)))
        case |= {
            what: made[form],
            f"{what} kind": kind,
            f"{what} form": form,
            f"raw {what}": values,
        }
    made = input_forms(x, draw(st.sampled_from(INDEXES)))
    form = draw(st.sampled_from(sorted(made)))
    case |= {"inputs": made[form], "inputs form": form}
    case["poison"] = draw(st.sampled_from(sorted(POISONS))) if poisoned else ""
    if poisoned:
        what, spoil = POISONS[case["poison"]]
        case[what] = spoil(x if what == "inputs" else case[f"raw {what}"])
    return case


def readable(body: Any) -> Any:
    """``body`` on what must be read: a refusal is a failure."""

    def run(case: Any) -> None:
        try:
            body(case)
        except EvenhandError as error:
            raise AssertionError(f"refused: {error}") from error

    return run


def same_task(case: dict[str, Any]) -> None:
    part = (case["inputs"], case["labels"], case["groups"])
    task = task_of(part, part, part, "group", None, "t")
    for split in (task.train, task.valid, task.test):
        np.testing.assert_array_equal(split.labels, case["y"])
        low, high = (name_of(value) for value in KINDS[case["groups kind"]])
        found = [split.groups.names[code] for code in split.groups.codes]
        assert found == [high if code else low for code in case["g"]]
        np.testing.assert_allclose(np.asarray(list(split.inputs), dtype=np.float32), case["x"])
    assert task.classes == tuple(name_of(value) for value in KINDS[case["labels kind"]])


def name_of(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) else str(value)


@amounts(300, 6_000)
def test_the_task_is_the_same_from_every_library(examples):
    fuzz("tasks of every library's arrays", examples, given_rows(False), readable(same_task))


def refused(case: dict[str, Any]) -> bool:
    part = (case["inputs"], case["labels"], case["groups"])
    with pytest.raises(EvenhandError) as found:
        task_of(part, part, part, "group", None, "t")
    assert str(found.value).strip()
    assert len(str(found.value)) < 2_000
    return False


@amounts(120, 3_000)
def test_what_cannot_be_read_is_refused_by_name(examples):
    fuzz("arrays that cannot be read", examples, given_rows(True), refused)


@st.composite
def whole_cases(draw: Any) -> tuple[dict[str, Any], int]:
    return draw(given_rows(False)), draw(st.integers(0, 1_000))


def same_results(drawn: tuple[dict[str, Any], int]) -> None:
    """The whole way: the same decisions as from numpy arrays."""
    case, seed = drawn
    if case["inputs form"] in ("a series of lists", "polars lists", "lists"):
        case["inputs"] = case["x"]
    n = 60
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y, g = rng.integers(0, 2, n), rng.integers(0, 2, n)
    kinds = KINDS[case["labels kind"]], KINDS[case["groups kind"]]
    values = [[kind[code] for code in codes] for kind, codes in zip(kinds, (y, g), strict=True)]
    index = INDEXES[seed % len(INDEXES)]
    labels, groups = (
        forms(part, "int64", index)[case[f"{what} form"]]
        for part, what in zip(values, ("labels", "groups"), strict=True)
    )
    inputs = input_forms(x, index)[case["inputs form"]]
    names = np.array([name_of(value) for value in kinds[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if seed % 2:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = nn.Linear(3, 2)
            module = nn.Sequential(nn.Identity(), model)
            part, plain = (inputs, labels, groups), (x, y, names[g])
            found = eh.finetune(module, part, part, part)
            expected = eh.finetune(module, plain, plain, plain)
            np.testing.assert_array_equal(
                found.run.after.counts.table, expected.run.after.counts.table
            )
            return
        rows = x if isinstance(inputs, (list, pd.Series, polars.Series)) else inputs
        flat = np.array(values[0])
        fitted = FairLinearHead(ridge=1e-2).fit(rows, flat, sensitive_features=groups)
        expected_head = FairLinearHead(ridge=1e-2).fit(x, flat, sensitive_features=names[g])
        np.testing.assert_allclose(fitted.coef_, expected_head.coef_, atol=1e-3)


@amounts(8, 300)
def test_results_are_the_same_from_every_library(examples):
    fuzz(
        "finetune and FairLinearHead of every library's arrays",
        examples,
        whole_cases(),
        same_results,
    )
