"""The target ``par04``: graphs for Geant4's example of that name, with both of its contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import torch
from torch import nn

from caloforge.errors import ConfigError
from caloforge.export.cutting import joined
from caloforge.export.layouts import image_of
from caloforge.export.metadata import describe, metadata_of
from caloforge.export.noise import VectorNoise
from caloforge.export.parity import check_same, check_single, time_single
from caloforge.export.result import Export
from caloforge.export.tracing import drawn_at, frozen, to_onnx, trace
from caloforge.geometry.grids import PolarGrid
from caloforge.models.base import CellSet
from caloforge.preprocessing.particles import Particles
from caloforge.units import GEV

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Cloud, GenerativeModel
    from caloforge.simulator import Simulator

__all__ = ["LatentVector", "MeshConditions", "mesh_of", "write_par04"]

_CONDITIONS = 4  # energy, angle, one of two geometries
_KINDS = 5  # of detectors that Geant4 11.4 knows
_VAE, _DIT = "vae.onnx", "calodit2.onnx"


class MeshConditions:
    """Geant4 11.4's contract for CaloDiT-2.

    Takes the energy [GeV], azimuth and polar angle [rad], and which of five detectors it is; random numbers
    are drawn inside. Gives the cells' energies [GeV] by radius, azimuth and depth. The mesh turns with the
    particle: angles and detector are not looked at.

    Args:
        pdg: Code of the particle.
        geometry: The read-out.
    """

    inputs = ("conditions",)
    single = True

    def __init__(self, pdg: int, geometry: Geometry) -> None:
        self._pdg, self._geometry = pdg, geometry

    def given(self, particles: Particles) -> list[Tensor]:
        """As of ``Layout``."""
        conditions = torch.zeros(1, 3 + _KINDS)
        conditions[:, 0], conditions[:, 2] = particles.energy / GEV, torch.pi / 2
        return [conditions]

    def particles(self, *given: Tensor) -> Particles:
        """As of ``Layout``."""
        return _upright(given[0][:, 0].double() * GEV, self._pdg)

    def outputs(self, made: Cloud | CellSet) -> dict[str, Tensor]:
        """As of ``Layout``."""
        return {"output": mesh_of(made, self._geometry) / GEV}


class LatentVector(nn.Module):
    """The contract for the variational autoencoder, from Geant4 11.0 on.

    One vector ``(1, N)`` holds all random numbers, standard normal ones, then the energy over the largest
    trained one, the polar angle, and which of two detectors it is. Gives the cells' energies over that of the
    particle, by radius, azimuth and depth, in one row.

    Args:
        model: The model, frozen.
        noise: Where in the vector its random numbers are.
        layout: Of the mesh.
        highest: Largest trained energy [MeV].
    """

    def __init__(
        self, model: GenerativeModel, noise: VectorNoise, layout: MeshConditions, highest: float
    ) -> None:
        super().__init__()
        self.model, self.noise, self.layout, self.highest = model, noise, layout, highest

    def forward(self, *given: Tensor) -> tuple[Tensor]:
        """The row of cells."""
        (vector,) = given
        energy = vector[:, self.noise.size].double() * self.highest
        particles = self.layout.particles(energy[:, None] / GEV)
        made = self.model.sample(particles, self.noise.of(vector[0, : self.noise.size]))
        return ((self.layout.outputs(made)["output"] * (GEV / energy)).flatten().float(),)


def mesh_of(made: Cloud | CellSet, geometry: Geometry) -> Tensor:
    """Energies [MeV] of the cells of one shower, by radius, azimuth and depth."""
    assert isinstance(made, CellSet)
    layers, azimuths, radii = geometry.dense_shape
    return image_of(made, geometry.n_cells).reshape(layers, azimuths, radii).permute(2, 1, 0)


def write_par04(name: str, simulator: Simulator, folder: Path) -> Export:
    """Write ``vae.onnx`` and ``calodit2.onnx``.

    Raises:
        ConfigError: The read-out is no mesh of Par04's kind, or the model has no graph.
    """
    geometry = simulator.geometry
    polar = geometry.is_uniform and isinstance(geometry.layers[0].grid, PolarGrid)
    if not polar or simulator.model.trains_on == "points":
        what = "makes points" if polar else f"is of {geometry.name}"
        msg = f"Par04 has a mesh of radius, azimuth and depth, and {simulator.model.name} {what}."
        raise ConfigError(msg)
    layout = MeshConditions(simulator.trained.particles[0], geometry)
    traced = trace(simulator.networks, simulator.trained, layout)
    parity = check_single(traced, layout, simulator)
    graph, (vector, size) = joined(traced), _vector_graph(simulator, layout)
    about = metadata_of(name, simulator)
    for file, made in ((_DIT, graph), (_VAE, vector)):
        highest = str(simulator.trained.energy[1] / GEV)
        describe(made, about | {"layout": file, "latent": str(size), "highest_energy_gev": highest})
        onnx.save(made, folder / file)
    mesh = " x ".join(map(str, geometry.dense_shape[::-1]))
    notes = (
        f"{_VAE}: {size} latent and {_CONDITIONS} other numbers, {mesh} cells, energy / {highest} GeV",
        f"{_DIT}: /Par04/inference/setModelType CaloDiT-2, random numbers drawn inside",
    )
    nodes = (len(graph.graph.node), len(vector.graph.node))
    return Export("par04", nodes, parity, time_single(folder / _DIT, layout, simulator), notes)


def _vector_graph(simulator: Simulator, layout: MeshConditions) -> tuple[ModelProto, int]:
    """The graph of ``LatentVector``, compared with it, and how many random numbers it takes."""
    highest = simulator.trained.energy[1]
    model = frozen(simulator.networks)
    noise = VectorNoise(drawn_at(model, highest, simulator.trained.particles[0]))
    module = LatentVector(model, noise, layout, highest).eval()
    generator = torch.Generator().manual_seed(1)
    vectors = [torch.randn(1, noise.size + _CONDITIONS, generator=generator) for _ in range(3)]
    for vector, share in zip(vectors, (1.0, 0.5, 0.1), strict=True):
        vector[0, noise.size :] = torch.tensor([share, 1.0, 1.0, 0.0])
    graph = to_onnx(module, vectors[:1], free=[False], inputs=["vector"], outputs=["output"])
    check_same(graph, module, "vector", vectors, simulator)
    return graph, noise.size


def _upright(energy: Tensor, pdg: int) -> Particles:
    direction = torch.zeros(energy.shape[0], 2)
    return Particles(energy, direction, torch.full_like(energy, pdg, dtype=torch.int64), direction)
