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
    from caloforge.export.tracing import Traced
    from caloforge.simulator import Simulator

__all__ = ["DESCRIPTION", "RUNNER", "write_onnx"]

RUNNER = "run.py"
"""Name of the program."""

DESCRIPTION = "model.txt"
"""Name of the file that tells programs in other languages what the metadata tell."""


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
    (folder / DESCRIPTION).write_text(_description(traced, entries, len(graphs)), encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("runner.py"), folder / RUNNER)
    return Export(
        target="onnx",
        nodes=tuple(len(graph.graph.node) for graph in graphs),
        parity=check_parity(folder, simulator),
        latency=measure_latency(folder, simulator),
    )


def _description(traced: Traced, entries: dict[str, str], parts: int) -> str:
    """Words on lines: how many parts there are, their outputs and their inputs of random numbers."""
    noise = [f"noise {key[6:]} {text}" for key, text in entries.items() if key.startswith("noise.")]
    outputs = [f"output {name}" for name in traced.outputs]
    particle = f"particle {entries['particles'].split()[0]}"
    return "\n".join([f"parts {parts}", particle, *outputs, *noise, ""])
