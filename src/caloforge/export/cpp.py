"""The target ``cpp``: the file of mosaic's C++ engine, and where its cells are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError
from caloforge.export.result import Export
from caloforge.models.mosaic.engine_file import write_engine_file

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.simulator import Simulator

__all__ = ["write_cpp"]

_FILE, _CELLS, _ABOUT = "model.mosaic", "cells.txt", "model.json"


def write_cpp(name: str, simulator: Simulator, folder: Path) -> Export:
    """Write ``model.mosaic``, ``cells.txt`` (layer, x, y, z [mm] of every cell) and ``model.json``.

    Raises:
        ConfigError: It is another model, or one of points.
    """
    from caloforge.models.mosaic.sampler import MosaicSampler

    model = simulator.model
    if not isinstance(model, MosaicSampler):
        msg = f"Only mosaic has an engine in C++: take --target onnx for {model.name}."
        raise ConfigError(msg)
    if model.trains_on == "points":
        msg = f"{name} makes points, which the engine's file does not hold: take a mosaic of cells."
        raise ConfigError(msg)
    write_engine_file(folder / _FILE, model.program, model.fitted.tables, model.fitted.roots)
    geometry = model.geometry
    places = np.column_stack([geometry.cell_layer, geometry.cell_positions])
    np.savetxt(folder / _CELLS, places, fmt=["%d", "%.6g", "%.6g", "%.6g"], header="layer x y z [mm]")
    about = {
        "source": name,
        "geometry": geometry.name,
        "fingerprint": geometry.fingerprint,
        "threshold_mev": geometry.threshold,
        "energy_mev": list(simulator.trained.energy),
        "theta_rad": simulator.trained.theta,
        "particles": list(simulator.trained.particles),
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    notes = (
        "engine/include/caloforge/mosaic.hpp reads it, and makes the showers that Python makes, bit for bit",
        "examples/cpp/showers.cpp is a program that does",
    )
    return Export("cpp", notes=notes)
