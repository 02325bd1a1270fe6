"""Fine-tuned models in MLflow: a pyfunc model with a signature, and nothing pickled.

What is logged is the folder that :func:`evenhand.save` writes; MLflow loads it through this module,
so that ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` decide raw rows as the run does.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evenhand.errors import InputError, MissingExtraError
from evenhand.finetuning.artefact import load
from evenhand.finetuning.fair_model import Decisions, FairModel
from evenhand.finetuning.result import Result
from evenhand.finetuning.save_artefact import save
from evenhand.tasks.example_row import example_row
from evenhand.tasks.raw import TextColumn
from evenhand.tasks.table_encoder import TableEncoder

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

DATA = "evenhand-model"
EXTRAS = {"text": "text", "images": "vision"}


def save_model(model: FairModel | Result | str | Path, path: str | Path, **options: Any) -> None:
    """Write an MLflow model folder.

    Args:
        model: a model, a result, or the folder of a run.
        path: the folder; it must not be there yet.
        options: of ``mlflow.pyfunc.save_model``, such as ``input_example``.

    Raises:
        InputError: no run there, or a model that cannot be made again without its user's code.
        MissingExtraError: MLflow is not installed.
    """  # noqa: DOC502
    pyfunc, fair = _pyfunc(), _fair(model)
    with TemporaryDirectory() as folder:
        given = _given(fair, Path(folder), options)
        pyfunc.save_model(path=str(path), **given)


def log_model(
    model: FairModel | Result | str | Path, name: str = "evenhand", **options: Any
) -> Any:
    """Log a model in the active run of MLflow, or a new one.

    Args:
        model: a model, a result, or the folder of a run.
        name: of the logged model.
        options: of ``mlflow.pyfunc.log_model``, such as ``registered_model_name``.

    Returns:
        What MLflow says of it; its ``model_uri`` loads it.

    Raises:
        InputError: no run there, or a model that cannot be made again without its user's code.
        MissingExtraError: MLflow is not installed.
    """  # noqa: DOC502
    pyfunc, fair = _pyfunc(), _fair(model)
    with TemporaryDirectory() as folder:
        return pyfunc.log_model(name=name, **_given(fair, Path(folder), options))


def load_model(uri: str | Path) -> FairModel:
    """The model itself, with its promise and all its methods, from where MLflow keeps it.

    Args:
        uri: as ``mlflow.pyfunc.load_model`` takes it, or a folder that :func:`save_model` wrote.

    Raises:
        ArtefactError: a file is missing, was changed or is damaged; it is named.
        MissingExtraError: MLflow is not installed.
    """  # noqa: DOC502
    _pyfunc()
    from mlflow.artifacts import download_artifacts

    return load(Path(download_artifacts(artifact_uri=str(uri))) / "data" / DATA)


class Deciding:
    """What MLflow serves: raw rows to decisions, a row each.

    Args:
        model: what decides.
    """

    def __init__(self, model: FairModel) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """``decision``, the scores, and ``reason`` where a row could not be read.

        Args:
            model_input: rows, as :meth:`evenhand.FairModel.predict` takes them.
            params: none are read.
        """
        return _table(self.model, self.model.decide(model_input))


def _load_pyfunc(data_path: str) -> Deciding:
    """Called by MLflow."""
    return Deciding(load(data_path))


def _pyfunc() -> Any:
    try:
        from mlflow import pyfunc
    except ImportError as error:
        raise MissingExtraError("mlflow-skinny", "mlflow", "MLflow") from error
    return pyfunc


def _fair(model: FairModel | Result | str | Path) -> FairModel:
    if isinstance(model, Result):
        return model.fair_model
    return model if isinstance(model, FairModel) else load(model)


def _given(model: FairModel, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of MLflow's own function, the model's folder written."""
    from evenhand import __version__

    kept = save(model, folder / DATA)
    load(kept)  # what only its user's code can make again is refused here, not when served
    kind = "" if model.raw is None else EXTRAS.get(model.raw.kind, "")
    needs = [f"evenhand{f'[{kind}]' if kind else ''}=={__version__}"]
    own: dict[str, Any] = {
        "pip_requirements": needs,
        "metadata": {"label": model.label, "promise": model.promise.to_dict()},
    }
    if "signature" not in options:
        own["signature"] = signature_of(model, options.get("input_example"))
    if isinstance(model.raw, TableEncoder):
        own["input_example"] = pd.DataFrame([example_row(model.raw)])
    elif isinstance(model.raw, TextColumn):
        own["input_example"] = pd.DataFrame({model.raw.name: ["one text", "another one"]})
    return {"loader_module": __name__, "data_path": str(kept), **own, **options}


def signature_of(model: FairModel, example: Any = None) -> ModelSignature:
    """The names a model reads and gives, as MLflow keeps them.

    Columns of a table are of any type: the model's own encoder reads numbers as numbers or texts,
    and says of each row what it cannot read.

    Args:
        model: whose signature.
        example: rows of numbers, for a model of arrays.

    Raises:
        InputError: a model of arrays, and no example.
    """
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    scores = [ColSpec(DataType.double, name) for name in _scores(model)]
    texts = [ColSpec(DataType.string, name, required=False) for name in ("decision", "reason")]
    gives = Schema([texts[0], *scores, texts[1]])
    if model.raw is None:
        if example is None:
            raise InputError(
                "the model was made from arrays, whose shape MLflow must know: give some as "
                "input_example"
            )
        return ModelSignature(infer_signature(np.asarray(example)).inputs, gives)
    kind = AnyType() if isinstance(model.raw, TableEncoder) else DataType.string
    optional = isinstance(model.raw, TextColumn)
    return ModelSignature(
        Schema([ColSpec(kind, name, required=not optional) for name in model.needs]), gives
    )


def _scores(model: FairModel) -> tuple[str, ...]:
    return ("score",) if len(model.classes) == 2 else tuple(f"score of {c}" for c in model.classes)


def _table(model: FairModel, found: Decisions) -> pd.DataFrame:
    """Decisions as the columns of a file that ``evenhand predict`` writes.

    What a row that was not read has not is None: null in JSON, where a NaN would be no JSON.
    """
    names = np.array([*model.classes, None], dtype=object)  # a row that was not read is the last
    kept = found.probabilities[:, 1:] if len(model.classes) == 2 else found.probabilities
    columns = {"decision": pd.Series(names[found.codes], dtype=object)}
    for place, name in enumerate(_scores(model)):
        scores = pd.Series(kept[:, place])
        unread = found.codes < 0
        columns[name] = scores.astype(object).mask(unread, None) if unread.any() else scores
    reasons = [found.reasons.get(row) for row in range(len(found.codes))]
    return pd.DataFrame({**columns, "reason": pd.Series(reasons, dtype=object)})
