"""Operators that draw random numbers inside of a graph, in place of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from onnx import NodeProto

    from caloforge.export.noise import NoisePort

__all__ = ["drawn_for", "drawn_once"]

_KINDS = {"normal": ("RandomNormal", TensorProto.FLOAT), "uniform": ("RandomUniform", TensorProto.DOUBLE)}


def drawn_once(port: NoisePort) -> list[NodeProto]:
    """One row of random numbers."""
    operator, kind = _KINDS[port.kind]
    return [helper.make_node(operator, [], [port.name], dtype=kind, shape=[1, port.width])]


def drawn_for(port: NoisePort, rows: str) -> list[NodeProto]:
    """As many rows as the value ``rows`` says in sum."""
    operator, kind = _KINDS[port.kind]
    own, zero = port.name, helper.make_tensor("", kind, [1], [0.0])
    width = numpy_helper.from_array(np.array([port.width], dtype=np.int64))
    return [
        helper.make_node("ReduceSum", [rows], [f"{own}_rows"], keepdims=0),
        helper.make_node("Constant", [], [f"{own}_width"], value=width),
        helper.make_node("Constant", [], [f"{own}_one"], value_ints=[1]),
        helper.make_node("Reshape", [f"{own}_rows", f"{own}_one"], [f"{own}_number"]),
        helper.make_node("Concat", [f"{own}_number", f"{own}_width"], [f"{own}_shape"], axis=0),
        helper.make_node("ConstantOfShape", [f"{own}_shape"], [f"{own}_like"], value=zero),
        helper.make_node(f"{operator}Like", [f"{own}_like"], [own], dtype=kind),
    ]
