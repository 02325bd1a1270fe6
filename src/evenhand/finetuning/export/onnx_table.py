"""A model of a table as one ONNX graph: raw columns in, decisions and probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.errors import InputError
from evenhand.models.deep_readout import DeepReadout
from evenhand.models.mlp import MLP
from evenhand.tasks.encoded_columns import BinColumn, CategoryColumn, Column, NumberColumn
from evenhand.tasks.table_encoder import TableEncoder

if TYPE_CHECKING:
    from evenhand.finetuning.fair_model import FairModel


OPSET, ML_OPSET, IR_VERSION = 17, 3, 9


class _Graph:
    """Nodes and constants of a graph being made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def constant(self, value: Any) -> str:
        """The name of a constant."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **more: Any) -> str:
        """The name of what a new node gives."""
        from onnx import helper

        name = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **more))
        return name

    def input(self, name: str, kind: int) -> str:
        """A new input (n,) of the graph."""
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, kind, ["rows"]))
        return name


def table_graph(model: FairModel, encoder: TableEncoder) -> Any:
    """The ONNX model: each column an input (rows,), missing numbers NaN, missing texts (missing).

    Outputs: ``decision`` (rows,), class names; ``probabilities`` (rows, k).

    Raises:
        InputError: the network behind the columns is a module of the user's own.
    """
    from onnx import TensorProto, checker, helper

    module = model.module
    if not isinstance(module.model if isinstance(module, DeepReadout) else module, MLP):
        raise InputError(
            f"{model.backbone.name} is a module of your own behind a table: export it as "
            "torch-export"
        )
    graph = _Graph()
    blocks = [_column(graph, column) for column in encoder.columns]
    values = graph.node("Concat", *blocks, axis=1)
    values = _network(graph, module, values)
    scores = graph.node("Softmax", values, output="probabilities", axis=1)
    place = graph.node("ArgMax", scores, axis=1, keepdims=0)
    names = graph.constant(np.array(model.classes, dtype=object))
    graph.node("Gather", names, place, output="decision")
    outputs = [
        helper.make_tensor_value_info("decision", TensorProto.STRING, ["rows"]),
        helper.make_tensor_value_info(
            "probabilities", TensorProto.FLOAT, ["rows", len(model.classes)]
        ),
    ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "evenhand", graph.inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        producer_name="evenhand",
        ir_version=IR_VERSION,
        doc_string=str(model.promise),
    )
    dates = [c.name for c in encoder.columns if isinstance(c, NumberColumn) and c.date]
    if dates:
        helper.set_model_props(made, {"days since 1970": ", ".join(dates)})
    checker.check_model(made)
    return made


def _column(graph: _Graph, column: Column) -> str:
    """The name of a column's block (rows, width), float32."""
    from onnx import TensorProto

    if isinstance(column, CategoryColumn):
        texts = graph.input(column.name, TensorProto.STRING)
        nowhere = column.elsewhere if column.rare else column.width
        places = graph.node(
            "LabelEncoder",
            texts,
            domain="ai.onnx.ml",
            keys_strings=list(column.places),
            values_int64s=list(column.places.values()),
            default_int64=nowhere,
        )
        rows = np.eye(column.width + 1, column.width, dtype=np.float32)
        return graph.node("Gather", graph.constant(rows), places)
    value = graph.input(column.name, TensorProto.DOUBLE)
    absent = graph.node("IsNaN", value)
    if not isinstance(column, NumberColumn | BinColumn):
        raise InputError(f"a {type(column).__name__} cannot be exported")
    filled = graph.node("Where", absent, graph.constant(np.float64(column.median)), value)
    if isinstance(column, BinColumn):
        axis = graph.constant(np.array([1], dtype=np.int64))
        edges = graph.constant(np.array([column.edges], dtype=np.float64))
        above = graph.node("GreaterOrEqual", graph.node("Unsqueeze", filled, axis), edges)
        counted = graph.node("Cast", above, to=TensorProto.INT64)
        place = graph.node("ReduceSum", counted, axis, keepdims=0)
        return graph.node("Gather", graph.constant(np.eye(column.width, dtype=np.float32)), place)
    if column.log:
        filled = graph.node("Log", graph.node("Add", filled, graph.constant(np.float64(1))))
    parts = [_scaled(graph, filled, column.mean, column.scale)]
    if column.flag:
        flag = graph.node("Cast", absent, to=TensorProto.DOUBLE)
        parts.append(_scaled(graph, flag, *column.flag))
    return graph.node("Concat", *parts, axis=1)


def _scaled(graph: _Graph, value: str, mean: float, scale: float) -> str:
    from onnx import TensorProto

    centred = graph.node("Sub", value, graph.constant(np.float64(mean)))
    divided = graph.node("Div", centred, graph.constant(np.float64(scale)))
    small = graph.node("Cast", divided, to=TensorProto.FLOAT)
    return graph.node("Unsqueeze", small, graph.constant(np.array([1], dtype=np.int64)))


def _network(graph: _Graph, module: MLP | DeepReadout, values: str) -> str:
    """The name of the logits (rows, k)."""
    from torch import nn

    network: Any = module.model if isinstance(module, DeepReadout) else module
    read = {}
    for path, layer in network.features.named_children():
        read["input", f"features.{path}"] = values
        if isinstance(layer, nn.Linear):
            values = _linear(graph, layer, values)
        else:
            values = graph.node("Relu", values)
    if not isinstance(module, DeepReadout):
        return _linear(graph, network.head, values)
    read["input", "head"] = values
    joined = [read[tap.side, tap.path] for tap in (module.own, *module.taps)]
    centre, scale = (graph.constant(p.cpu().numpy()) for p in (module.centre, module.scale))
    centred = graph.node("Sub", graph.node("Concat", *joined, axis=1), centre)
    return _linear(graph, module.readout, graph.node("Mul", centred, scale))


def _linear(graph: _Graph, layer: Any, values: str) -> str:
    weight, bias = (p.detach().cpu().numpy() for p in (layer.weight, layer.bias))
    return graph.node("Gemm", values, graph.constant(weight), graph.constant(bias), transB=1)
