"""A table's columns as numbers, by scikit-learn, fitted on the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from evenhand.errors import InputError

MAX_CATEGORIES = 100


MOSTLY = 0.95
"""A text column of which this share are numbers is a column of numbers with some garbage."""


def tidy(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The feature columns as numbers or texts, with notes on what was changed.

    Numbers stored as text become numbers, other values in them missing; infinities become missing;
    a column of texts that are all different (an identifier) or with one value only is left out.
    """
    tidied: dict[str, Any] = {}
    notes = []
    for name in columns:
        column = frame[name]
        if pd.api.types.is_bool_dtype(column):
            column = as_texts(column)
        elif pd.api.types.is_datetime64_any_dtype(column):
            column = column.astype("int64") // 86_400_000_000_000
        elif not pd.api.types.is_numeric_dtype(column):
            column, said = _numbers_or_texts(column)
            notes += said
        if pd.api.types.is_numeric_dtype(column):
            column = column.astype(float).replace([np.inf, -np.inf], np.nan)
        if column.nunique(dropna=True) == 0 or column.nunique(dropna=False) == 1:
            notes.append(f"feature {name!r} has one value only and was left out")
            continue
        if column.dtype == object and column.nunique() == len(column) > MAX_CATEGORIES:
            notes.append(f"feature {name!r} differs in every row, an identifier, and was left out")
            continue
        tidied[name] = column
    if not tidied:
        raise InputError(f"no feature column is left of {', '.join(columns) or 'none'}")
    return pd.DataFrame(tidied, index=frame.index), tuple(notes)


def _numbers_or_texts(column: pd.Series[Any]) -> tuple[pd.Series[Any], list[str]]:
    present = column.notna()
    numbers = pd.to_numeric(column, errors="coerce")
    parsed = int(numbers.notna().sum())
    if parsed and parsed >= MOSTLY * int(present.sum()):
        garbage = int(present.sum()) - parsed
        said = f"feature {column.name!r}: {garbage} values are not numbers and count as missing"
        return numbers, [said] if garbage else []
    return as_texts(column), []


def as_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Trimmed texts as objects, NaN where missing (what scikit-learn's imputer looks for)."""
    values = [
        np.nan if missing else str(value).strip()
        for value, missing in zip(column, column.isna(), strict=True)
    ]
    return pd.Series(values, index=column.index, name=column.name, dtype=object)


def make_encoder(frame: pd.DataFrame) -> ColumnTransformer:
    """Numbers: median for missing, a column that says so, standardised. Texts: one-hot.

    A text not seen in training, or missing, is a row of zeros or its own category; beyond 100
    categories the rarest share one.
    """
    numeric = [str(name) for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]
    texts = [str(name) for name in frame.columns if str(name) not in numeric]
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_CATEGORIES,
        sparse_output=False,
        dtype=np.float32,
    )
    return ColumnTransformer(
        [
            (
                "number",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                    StandardScaler(),
                ),
                numeric,
            ),
            (
                "text",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="(missing)"),
                    one_hot,
                ),
                texts,
            ),
        ],
        verbose_feature_names_out=False,
    )
