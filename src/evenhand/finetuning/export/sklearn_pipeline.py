"""A linear model of a table as a scikit-learn pipeline with the same coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evenhand.errors import InputError
from evenhand.finetuning.export.graph_inputs import table_feeds
from evenhand.models.deep_readout import DeepReadout
from evenhand.models.mlp import MLP
from evenhand.tasks.encoded_columns import RARE_NAME, CategoryColumn, NumberColumn
from evenhand.tasks.table_encoder import TableEncoder

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from evenhand.finetuning.fair_model import FairModel


TRUSTED = (
    "evenhand.finetuning.export.sklearn_pipeline.plain_columns",
    "numpy.dtype",
    "sklearn.compose._column_transformer._RemainderColsList",  # a list, of scikit-learn before 1.7
)
"""What ``skops.io.load(path, trusted=…)`` has to trust beyond scikit-learn itself."""


def plain_columns(rows: Any, encoder: dict[str, Any]) -> pd.DataFrame:
    """Raw rows as numbers, days and names; the first step of a pipeline, ``encoder`` its data."""
    return pd.DataFrame(table_feeds(TableEncoder.from_dict(encoder), rows))


def to_sklearn(model: FairModel) -> Pipeline:
    """The model as a ``Pipeline`` that decides raw rows as it does.

    Its steps: ``plain`` (values to numbers, days and names; evenhand's own function), ``encode`` (a
    fitted ``ColumnTransformer``) and ``decide`` (a ``LogisticRegression`` with the coefficients).

    Raises:
        InputError: the model is not linear on a table.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    encoder, module = model.raw, model.module
    linear = isinstance(module, MLP) and module.config["layers"] == 1
    if not isinstance(encoder, TableEncoder) or not linear:
        deep = f" read at {module.places}" if isinstance(module, DeepReadout) else ""
        raise InputError(
            "only a linear model of a table is a scikit-learn pipeline, and this one is "
            f"{model.backbone.name}{deep}: export it as onnx or torch-export"
        )
    transformer, names = _transformer(encoder)
    head = model.head
    order = [encoder.feature_names.index(name) for name in names]
    weight, bias = head.weight[order], head.bias
    decide = LogisticRegression()
    decide.classes_ = np.array(model.classes)
    decide.n_features_in_ = len(order)
    decide.n_iter_ = np.array([0])
    if len(model.classes) == 2:
        decide.coef_ = (weight[:, 1] - weight[:, 0])[None]
        decide.intercept_ = np.array([bias[1] - bias[0]])
    else:
        decide.coef_, decide.intercept_ = weight.T.copy(), bias.copy()
    plain = FunctionTransformer(plain_columns, kw_args={"encoder": encoder.to_dict()})
    return Pipeline([("plain", plain), ("encode", transformer), ("decide", decide)])


def _transformer(encoder: TableEncoder) -> tuple[Any, list[str]]:
    """A fitted ColumnTransformer, and evenhand's names of its outputs, in order.

    It is fitted on a few rows made so that scikit-learn finds the encoder's own medians and
    categories; means and scales are then put in.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    filled = SimpleImputer(strategy="median", add_indicator=True)
    numbers = [column for column in encoder.columns if isinstance(column, NumberColumn)]
    texts = [column for column in encoder.columns if isinstance(column, CategoryColumn)]
    transformer = ColumnTransformer(
        [
            (
                "number",
                make_pipeline(filled, StandardScaler()),
                [column.name for column in numbers],
            ),
            (
                "text",
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False
                ),
                [column.name for column in texts],
            ),
        ],
        verbose_feature_names_out=False,
    )
    flags = [column for column in numbers if column.flag]
    transformer.fit(_teaching_rows(numbers, texts))
    if numbers:
        scaler = transformer.named_transformers_["number"][-1]
        centres = [(c.mean, c.scale) for c in numbers] + [c.flag or (0, 1) for c in flags]
        scaler.mean_ = np.array([mean for mean, _ in centres])
        scaler.scale_ = np.array([scale for _, scale in centres])
        scaler.var_ = scaler.scale_**2
    names = [column.name for column in numbers]
    names += [f"missingindicator_{column.name}" for column in flags]
    for column in texts:
        named = (*column.categories, *((RARE_NAME,) if column.rare else ()))
        names += [f"{column.name}_{category}" for category in named]
    return transformer, names


def _teaching_rows(numbers: list[NumberColumn], texts: list[CategoryColumn]) -> pd.DataFrame:
    """Medians (and a gap where the encoder has a flag), each category twice and each rare once."""
    values: dict[str, list[Any]] = {c.name: [*c.categories, *c.categories, *c.rare] for c in texts}
    count = max([2, *map(len, values.values())])
    for column in texts:
        known = values[column.name]
        known += [column.categories[0]] * (count - len(known))
    made: dict[str, Any] = {}
    for number in numbers:
        made[number.name] = np.full(count, number.median)
        if number.flag:
            made[number.name][0] = np.nan
    return pd.DataFrame(made | {n: pd.Series(v, dtype=object) for n, v in values.items()})
