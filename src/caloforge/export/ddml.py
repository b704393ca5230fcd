"""The target ``ddml``: one graph with the inputs and the output of a model of key4hep's DDML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from caloforge.errors import ConfigError
from caloforge.export.cutting import joined
from caloforge.export.layouts import CloudRows, Grid
from caloforge.export.metadata import describe, metadata_of
from caloforge.export.parity import check_single, time_single
from caloforge.export.result import Export
from caloforge.export.tracing import trace
from caloforge.geometry import BoxGrid

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.simulator import Simulator

__all__ = ["write_ddml"]

_CLOUDS = {"caloclouds.onnx": "output", "caloclouds-rows.onnx": "output_rows"}
_GRIDS = {"l2lflows.onnx": "output"}


def write_ddml(name: str, simulator: Simulator, folder: Path) -> Export:
    """Write the graph of a model of points or of square cells.

    For a model of points ``caloclouds.onnx`` has a number for every layer in front, as DDML reads it now,
    and ``caloclouds-rows.onnx`` a row, as other versions of it do. Regular grids are ``l2lflows.onnx``.

    Raises:
        ConfigError: The read-out is none that DDML's models know, or the model has no graph.
    """
    layout, files = _layout_of(simulator)
    traced = trace(simulator.networks, simulator.trained, layout)
    parity = check_single(traced, layout, simulator)
    nodes = []
    for file, output in files.items():
        graph = joined(traced, output=output)
        describe(graph, metadata_of(name, simulator) | {"layout": file})
        onnx.save(graph, folder / file)
        nodes.append(len(graph.graph.node))
    note = "random numbers are drawn inside of the graph; ready showers: caloforge generate --format ddml"
    latency = time_single(folder / next(iter(files)), layout, simulator)
    return Export("ddml", tuple(nodes), parity, latency, (note,))


def _layout_of(simulator: Simulator) -> tuple[CloudRows | Grid, dict[str, str]]:
    """What the graphs take and give, and their files with the output that each has."""
    pdg, geometry = simulator.trained.particles[0], simulator.geometry
    if simulator.model.trains_on == "points":
        return CloudRows(pdg, geometry.n_layers), _CLOUDS
    if geometry.is_uniform and isinstance(geometry.layers[0].grid, BoxGrid):
        return Grid(pdg, geometry.n_cells), _GRIDS
    msg = f"DDML's models have points or one grid of square cells: {geometry.name} does not go there."
    raise ConfigError(msg)
