"""The encoder of a table: fitted once, kept as JSON, applied to any rows."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from evenhand.errors import InputError
from evenhand.tasks.fit_encoder import MAX_CATEGORIES, fit_encoder
from evenhand.tasks.raw import ImageColumn, TextColumn, raw_from_dict
from evenhand.tasks.table_encoder import TableEncoder


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 900
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n).astype(float),
            "pay": rng.lognormal(7, 1, n),
            "city": rng.choice(["Rome", "Oslo", "Lima"], n),
            "job": rng.choice([f"job{i}" for i in range(140)], n, p=np.arange(1, 141) / 9870),
            "day": pd.Timestamp("2020-02-29") + pd.to_timedelta(rng.integers(0, 999, n), unit="D"),
        }
    )


def fitted(frame, rows=None):
    rows = np.arange(len(frame)) if rows is None else rows
    return fit_encoder(frame, list(frame.columns), rows)[0]


def through_json(encoder):
    return TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))


def test_the_numbers_are_scikit_learns(frame):
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "city"] = None
    numbers, texts = ["age", "pay"], ["city"]
    rows = np.arange(0, 900, 2)
    oracle = ColumnTransformer(
        [
            (
                "number",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                numbers,
            ),
            (
                "text",
                make_pipeline(
                    SimpleImputer(missing_values=None, strategy="constant", fill_value="(missing)"),
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                ),
                texts,
            ),
        ]
    )
    typed = frame.astype({"city": object}).where(frame.notna(), None)
    typed[numbers] = frame[numbers]
    oracle.fit(typed.iloc[rows])
    encoder = fitted(frame[numbers + texts], rows)
    assert encoder.feature_names[:3] == ("age", "missingindicator_age", "pay")
    found = np.delete(encoder.encode(frame).inputs, 1, axis=1)
    np.testing.assert_allclose(found, oracle.transform(typed), atol=1e-6)


def test_json_keeps_every_number(frame):
    frame.loc[::7, "age"] = np.nan
    encoder = fitted(frame)
    again = through_json(encoder)
    assert again == encoder
    np.testing.assert_array_equal(again.encode(frame).inputs, encoder.encode(frame).inputs)
    for column in (TextColumn("words"), ImageColumn("file")):
        assert raw_from_dict(json.loads(json.dumps(column.to_dict()))) == column
    with pytest.raises(InputError, match="format 99"):
        raw_from_dict({"format": 99, "kind": "table"})
    with pytest.raises(InputError, match="kind pickle"):
        raw_from_dict({"format": 1, "kind": "pickle"})
    with pytest.raises(InputError, match="not an encoder of a table"):
        raw_from_dict({"format": 1, "kind": "table", "columns": [{"kind": "exec"}]})


def test_texts_typed_values_and_column_order_give_the_same(frame):
    encoder = fitted(frame)
    expected = encoder.encode(frame).inputs
    texts = frame.astype(str)[["day", "job", "city", "pay", "age"]].assign(more="x")
    np.testing.assert_allclose(encoder.encode(texts).inputs, expected, atol=1e-6)


def test_the_rarest_categories_share_a_number_with_unseen_ones(frame):
    encoder = fitted(frame[["job"]])
    assert encoder.width == MAX_CATEGORIES
    rare = encoder.columns[0].rare
    found = encoder.encode(pd.DataFrame({"job": [rare[0], "never seen", "job139"]}))
    assert found.inputs[:2, -1].tolist() == [1, 1]
    assert found.inputs[2, -1] == 0
    assert found.unseen == {"job": 1}
    unseen = fitted(frame[["city"]]).encode(pd.DataFrame({"city": ["Bern"]}))
    assert not unseen.inputs.any()


def test_what_a_column_cannot_hold_is_refused_by_row(frame):
    encoder = fitted(frame)
    texts = frame.head(4).astype(object)
    texts.loc[1, "age"] = "forty"
    texts.loc[2, "day"] = "yesterday"
    texts.loc[3, "pay"] = None
    found = encoder.encode(texts)
    assert found.refused == {1: "age: 'forty' is no number", 2: "day: 'yesterday' is no date"}
    assert not found.inputs[[1, 2]].any()
    assert found.missing == {"age": 0, "pay": 1, "day": 0, "city": 0, "job": 0}
    with pytest.raises(
        InputError, match="lacks 2 of the 5 columns that the model reads: pay, city"
    ):
        encoder.encode(frame.drop(columns=["pay", "city"]))


def test_garbage_among_the_training_rows_stays_missing():
    frame = pd.DataFrame({"n": ["1", "2", "3"] * 20 + ["forty"], "m": np.arange(61) / 2})
    encoder, notes = fit_encoder(frame, ["n", "m"], np.arange(61))
    assert notes == ("feature 'n': 1 values are not numbers and count as missing",)
    found = encoder.encode(pd.DataFrame({"n": ["fifty"], "m": ["fifty"]}))
    assert found.refused == {0: "m: 'fifty' is no number"}


VALUES = st.one_of(st.none(), st.floats(), st.integers(-(10**30), 10**30), st.text(max_size=8))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=30))
def test_any_rows_are_encoded_or_refused_and_json_changes_nothing(rows):
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    frame["always"] = np.arange(len(frame))
    encoder, _ = fit_encoder(frame, ["a", "b", "always"], np.arange(len(frame)))
    found = encoder.encode(frame)
    assert np.isfinite(found.inputs).all()
    again = through_json(encoder).encode(frame)
    np.testing.assert_array_equal(found.inputs, again.inputs)
    assert found.refused == again.refused


@pytest.mark.parametrize(
    ("fitted_on", "new", "wanted"),
    [
        ("1.579", "1,579", None),  # 1579, or 1.579 by somebody who writes a decimal comma?
        ("1.579", "1,234,567", 1234567),
        ("1.579", "1,579.5", 1579.5),
        ("1,579", "1,234", 1234),
        ("1.579,5", "1.234", 1234),
        ("1579,5", "1.234", None),
    ],
)
def test_a_new_row_is_read_by_the_marks_of_the_rows_that_were_fitted(fitted_on, new, wanted):
    texts = [fitted_on.replace("9", str(digit)) for digit in range(1, 10)] * 4
    encoder = fitted(pd.DataFrame({"x": pd.Series(texts, dtype=object)}))
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    for one in (encoder, again):
        found = one.encode(pd.DataFrame({"x": pd.Series([new], dtype=object)}))
        assert bool(found.refused) is (wanted is None)
        if wanted is not None:
            (column,) = one.columns
            assert found.inputs[0, 0] * column.scale + column.mean == pytest.approx(wanted)
