"""Graphs as they are traced, made smaller: constants computed, nothing twice."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import ModelProto, helper, shape_inference

from caloforge.errors import ConfigError

__all__ = ["simplified"]


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
