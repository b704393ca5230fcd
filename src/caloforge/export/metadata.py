"""What an exported file tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

from caloforge import __version__
from caloforge.particles import particle_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto

    from caloforge.export.tracing import Traced
    from caloforge.simulator import Simulator

__all__ = ["describe", "metadata_of", "noise_entries"]

_UNITS = (
    "energy MeV; direction sin(theta) (cos phi, sin phi), theta from the perpendicular; pdg particle code; "
    "points x mm, y mm, layer, energy MeV; cell number in the read-out, layer by layer; counts per shower"
)


def metadata_of(name: str, simulator: Simulator) -> dict[str, str]:
    """What is told of a model.

    Args:
        name: It was loaded by.
        simulator: The model.
    """
    geometry, trained = simulator.geometry, simulator.trained
    return {
        "caloforge": __version__,
        "model": simulator.model.name,
        "source": name,
        "geometry": geometry.name,
        "fingerprint": geometry.fingerprint,
        "cells": str(geometry.n_cells),
        "layers": str(geometry.n_layers),
        "threshold_mev": repr(geometry.threshold),
        "sampling_fraction": repr(geometry.sampling_fraction),
        "energy_mev": " ".join(map(repr, trained.energy)),
        "theta_rad": f"0 {trained.theta!r}",
        "particles": " ".join(map(str, trained.particles)),
        "particle_names": " ".join(map(particle_name, trained.particles)),
        "units": _UNITS,
    }


def noise_entries(traced: Traced) -> dict[str, str]:
    """What the inputs of random numbers want: kind, rows and width, by ``noise.`` and their names."""
    return {
        f"noise.{port.name}": f"{port.kind} {traced.rows.get(port.name, 'showers')} {port.width}"
        for port in traced.ports
    }


def describe(graph: ModelProto, entries: Mapping[str, str]) -> None:
    """Write entries into a file's metadata."""
    helper.set_model_props(graph, dict(entries))
