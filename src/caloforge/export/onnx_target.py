"""The target ``onnx``: the sampler in parts, and a program that runs them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from caloforge.export.cutting import cut
from caloforge.export.metadata import describe, metadata_of, noise_entries
from caloforge.export.parity import check_parity, measure_latency
from caloforge.export.result import Export
from caloforge.export.tracing import trace

if TYPE_CHECKING:
    from caloforge.simulator import Simulator

__all__ = ["RUNNER", "write_onnx"]

RUNNER = "run.py"
"""Name of the program."""


def write_onnx(name: str, simulator: Simulator, folder: Path) -> Export:
    """Write ``part1.onnx`` ... and ``run.py``, and compare their showers with the model's.

    Raises:
        ConfigError: The model has no graph, or the showers differ.
    """
    traced = trace(simulator.networks, simulator.trained)
    entries = metadata_of(name, simulator) | noise_entries(traced)
    graphs = cut(traced)
    for number, graph in enumerate(graphs, start=1):
        more = {"part": f"{number} {len(graphs)}", "outputs": " ".join(traced.outputs)}
        describe(graph, entries | more)
        onnx.save(graph, folder / f"part{number}.onnx")
    shutil.copyfile(Path(__file__).with_name("runner.py"), folder / RUNNER)
    return Export(
        target="onnx",
        nodes=tuple(len(graph.graph.node) for graph in graphs),
        parity=check_parity(folder, simulator),
        latency=measure_latency(folder, simulator),
    )
