"""Toy showers to train on and models with random weights, for the tests of models and training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.errors import MissingDependencyError
from caloforge.formats import NativeWriter
from caloforge.models import Particles, build_model
from caloforge.training import TrainingData, load_config

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models import Batch, GenerativeModel
    from caloforge.showers import Showers

__all__ = ["batch_of", "particles_of", "prepared", "readout_of", "training_data", "write"]

_COARSER = {"conv-l2lflows": 3, "l2lflows": 10}  # one step a layer, or a cell: these have fewer
_FRONT = 8  # layers of these


def readout_of(model: str, siw: Geometry) -> Geometry:
    """The read-out that a model is tested with."""
    if model not in _COARSER:
        return siw
    coarser = siw.coarsen(_COARSER[model])
    return coarser.model_copy(update={"layers": coarser.layers[:_FRONT]})


def write(path: Path, showers: Showers, geometry: Geometry) -> Path:
    """Write caloforge's own file."""
    with NativeWriter(path, geometry=geometry) as writer:
        writer.append(showers)
    return path


def training_data(folder: Path, showers: Showers, geometry: Geometry) -> TrainingData:
    """A file of ``showers`` and its cache."""
    path = write(folder / "toy.h5", showers, geometry)
    return TrainingData.prepare([path], geometry, folder / "cache", seed=0)


def particles_of(energy: Tensor, direction: Tensor | None = None, *, pdg: int = 22) -> Particles:
    """Particles of one kind, perpendicular ones by default."""
    perpendicular = torch.zeros(len(energy), 2)
    kinds = torch.full((len(energy),), pdg)
    return Particles(energy, perpendicular if direction is None else direction, kinds, perpendicular)


def batch_of(data: TrainingData, *, size: int = 60) -> Batch:
    """The first showers, 64 points each, and their cells."""
    return data.batch(data.rows("train")[:size], points=64, cells=True, rng=np.random.default_rng(0))


def prepared(
    name: str,
    data: TrainingData,
    *overrides: str,
    preset: str = "smoke",
    seed: int = 3,
    showers: int = 60,
) -> GenerativeModel:
    """A model with random weights whose preprocessing is fitted; one without weights is fitted as a whole."""
    model = build_model(name, load_config(f"{name}/{preset}", overrides).model, data.geometry, seed=seed)
    model.prepare(batch_of(data, size=showers), torch.Generator().manual_seed(0))
    for stage in (stage for stage in model.stages() if stage.part == "train"):
        try:
            model.fit_stage(stage.name, lambda: data.showers("train"), seed=seed)
        except MissingDependencyError as error:
            pytest.skip(str(error))
    return model.eval()
