"""Write a fine-tuned model in another form, checked against itself on real rows."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evenhand._base.files import replaced_file
from evenhand.errors import InputError, MissingExtraError, ModelError
from evenhand.finetuning.artefact import load
from evenhand.finetuning.export.graph_inputs import Scores, table_feeds, tensor_feeds
from evenhand.finetuning.export.onnx_table import table_graph
from evenhand.finetuning.export.sklearn_pipeline import TRUSTED, to_sklearn
from evenhand.finetuning.fair_model import FairModel
from evenhand.tasks.table_encoder import TableEncoder

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2", "sklearn": ".skops"}
"""Format to the ending of its file."""

PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How a pickle begins, by its protocol; two of the bytes of a weight may be the same."""


MOST = 1e-4
"""The largest difference of a probability that an export may show."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        rows: how many real rows it was checked on.
        difference: the largest of a probability there, against the model.
    """

    path: Path
    rows: int
    difference: float


def export(
    run: str | Path | FairModel, rows: Any, format: str, output: str | Path | None = None
) -> Exported:
    """Write the model as ONNX, as a torch program or as a scikit-learn pipeline (by skops).

    Args:
        run: the folder of a run, or its model.
        rows: real rows, to check what was written on; as :meth:`FairModel.predict` takes them.
        format: one of :data:`FORMATS`.
        output: the file; None: ``model.onnx``, ``model.pt2`` or ``model.skops`` here.

    Raises:
        InputError: no such format, no rows, an output of another ending, or a model that the
            format cannot hold.
        ModelError: what was written decides otherwise; no file is left.
        MissingExtraError: the format's library is not installed.
    """  # noqa: DOC502
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    ending = FORMATS[format]
    path = Path(output) if output else Path(f"model{ending}")
    if path.suffix.lower() != ending:  # a slip must not cost the data, or a file of the run
        raise InputError(f"the output of {format} must end with {ending}, found {path.name!r}")
    model = run if isinstance(run, FairModel) else load(run)
    expected = model.predict_proba(rows)
    if not len(expected):
        raise InputError("there are no rows to check the export on: give some real ones")
    write = {"onnx": _onnx, "torch-export": _torch, "sklearn": _sklearn}[format]
    with replaced_file(path) as temporary:
        found = write(model, rows, temporary)()
        difference = float(np.abs(found - expected).max())
        if not difference <= MOST:
            raise ModelError(
                f"the {format} model differs from the run's by {difference:.2g} in a probability "
                f"on {len(expected)} rows, more than {MOST:g}: it was not kept"
            )
    return Exported(path, len(expected), difference)


Run = Callable[[], Any]


def _onnx(model: FairModel, rows: Any, path: Path) -> Run:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnx and onnxruntime", "export", "an ONNX export") from error
    if isinstance(model.raw, TableEncoder):
        onnx.save(table_graph(model, model.raw), str(path))
        feeds = table_feeds(model.raw, rows)
    else:
        feeds = tensor_feeds(model, rows)
        program = _program(model, feeds)
        made: Any = torch.onnx.export(
            program,
            input_names=list(feeds),
            output_names=["probabilities"],
            dynamo=True,
            verbose=False,
        )
        made.save(str(path))

    def run() -> Any:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(["probabilities"], feeds)[0]

    return run


def _torch(model: FairModel, rows: Any, path: Path) -> Run:
    if isinstance(model.raw, TableEncoder):
        feeds = {"inputs": model.raw.encode(rows).inputs}
    else:
        feeds = tensor_feeds(model, rows)
    program = _program(model, feeds)
    program._example_inputs = None  # torch would pickle the rows into the file
    with path.open("wb") as file:
        torch.export.save(program, file)
    _require_no_pickle(path)

    def run() -> Any:
        with path.open("rb") as file:
            again = torch.export.load(file).module()
        with torch.no_grad():
            return again(*map(torch.as_tensor, feeds.values())).numpy()

    return run


def _require_no_pickle(path: Path) -> None:
    """Refuse a program into which an older torch has pickled its weights.

    Raises:
        InputError: a part of the file is a pickle, or a zip of torch that holds some.
    """
    with zipfile.ZipFile(path) as made:
        for name in made.namelist():
            if _is_pickled(made.read(name)):
                raise InputError(
                    f"torch {torch.__version__} writes pickles into a .pt2 ({name}): install a "
                    "later torch, or export as onnx"
                )


def _is_pickled(part: bytes) -> bool:
    """Whether bytes are a whole pickle, or a zip such as ``torch.save`` writes of some."""
    if zipfile.is_zipfile(io.BytesIO(part)):
        return True
    if not part.startswith(PICKLED):
        return False
    try:
        *_, (last, _, place) = pickletools.genops(part)
    except ValueError:
        return False
    return last.name == "STOP" and place == len(part) - 1


def _program(model: FairModel, feeds: dict[str, Any]) -> Any:
    """The model as one graph, for any number of rows (and tokens)."""
    names = tuple(feeds)
    tensors = tuple(torch.as_tensor(values) for values in feeds.values())
    if len(tensors[0]) == 1:  # a size of one would be taken for a constant
        tensors = tuple(torch.cat([tensor, tensor]) for tensor in tensors)
    rows, tokens = torch.export.Dim.AUTO, torch.export.Dim.AUTO
    texts = names != ("inputs",) and "pixel_values" not in names
    shape = {0: rows, 1: tokens} if texts else {0: rows}
    module = Scores(model.module.eval(), names)
    try:
        with torch.no_grad():
            return torch.export.export(
                module, tensors, dynamic_shapes=(tuple(dict(shape) for _ in tensors),), strict=False
            )
    except Exception as error:  # torch raises what its tracer met, of many classes
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{model.backbone.name} cannot be exported by torch: {first}") from error


def _sklearn(model: FairModel, rows: Any, path: Path) -> Run:
    try:
        from skops import io
    except ImportError as error:
        raise MissingExtraError("skops", "export", "a scikit-learn export") from error
    io.dump(to_sklearn(model), path)

    def run() -> Any:
        return io.load(path, trusted=list(TRUSTED)).predict_proba(rows)

    return run
