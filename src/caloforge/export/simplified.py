"""Graphs as they are traced, made smaller: constants computed, nothing twice."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper, shape_inference

from caloforge.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["simplified", "split_at_once"]


def simplified(graph: ModelProto, *, opset: int, ir_version: int) -> ModelProto:
    """The same graph with fewer operators, all of them ONNX's own.

    ONNX Runtime does it, in a second where the exporter's own passes in Python take minutes.

    Args:
        graph: Of ONNX's operators and functions made of them.
        opset: Version of the operators.
        ir_version: Version of the file.

    Raises:
        ConfigError: There are other operators in it.
    """
    with TemporaryDirectory() as folder:
        whole, smaller = Path(folder) / "whole.onnx", Path(folder) / "smaller.onnx"
        graph.ir_version = ir_version
        onnx.save(graph, whole)
        _run_passes(whole, smaller)
        found = onnx.load(smaller)
    split_at_once(found)
    strange = sorted({node.op_type for node in found.graph.node if node.domain not in {"", "ai.onnx"}})
    if strange:
        msg = (
            f"The graph has operators that are none of ONNX: {', '.join(strange)}; say so to its developers."
        )
        raise ConfigError(msg)
    made = helper.make_model(
        found.graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )
    made.producer_name = "caloforge"
    return shape_inference.infer_shapes(made)  # of what the passes left without a type


def _run_passes(source: Path, goal: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(goal)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def split_at_once(model: ModelProto) -> None:
    """Pieces of tensors as slices, not taken from a sequence of all of them.

    A graph that is cut hands over tensors alone.
    """
    graph = model.graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    split = {node.output[0]: node for node in graph.node if node.op_type == "SplitToSequence"}
    for node in graph.node:
        if node.op_type == "SequenceAt" and node.input[0] in split and node.input[1] in known:
            whole = split[node.input[0]]
            axis = next((attribute.i for attribute in whole.attribute if attribute.name == "axis"), 0)
            ends = _ends(known[whole.input[1]], int(known[node.input[1]]))
            bounds = {"start": ends[0], "end": ends[1], "axis": axis}
            names = [f"{node.output[0]}_{name}" for name in bounds]
            graph.initializer.extend(
                numpy_helper.from_array(np.array([value], dtype=np.int64), name)
                for name, value in zip(names, bounds.values(), strict=True)
            )
            node.op_type = "Slice"
            del node.input[:]
            node.input.extend([whole.input[0], *names])


def _ends(sizes: NDArray[np.int64], piece: int) -> tuple[int, int]:
    """Where a piece begins and ends: of the sizes of all, or of one size for all."""
    if sizes.ndim == 0:
        return piece * int(sizes), (piece + 1) * int(sizes)
    stops = np.cumsum(sizes)
    return int(stops[piece] - sizes[piece]), int(stops[piece])
